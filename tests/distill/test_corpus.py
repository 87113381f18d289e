"""Rows read, split and cleared of what the audit asks. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ullage.distill.corpora import DESK, desk
from ullage.distill.corpus import asked_texts, is_held_out, normalised, prepare, read_rows
from ullage.errors import InputError
from ullage.models.types import user
from ullage.probes.registry import all_probes


def talk(question: str, answer: str | None = "Yes.") -> dict[str, Any]:
    messages = [{"role": "user", "content": question}]
    if answer is not None:
        messages.append({"role": "assistant", "content": answer})
    return {"messages": messages}


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "corpus.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_both_ways_of_giving_a_reference(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        talk("A?", "a"),
        {**talk("B?", None), "reference": "b", "id": 7},
        "",
        talk("C?", None),
    )
    rows, sha256 = read_rows(path)
    assert [(row.line, row.reference) for row in rows] == [(1, "a"), (2, "b"), (4, None)]
    assert [len(row.prompt) for row in rows] == [1, 1, 1]
    assert len(sha256) == 64


BAD_LINES = {
    "not json": ("{", "line 2: not JSON"),
    "not an object": ("[]", 'line 2: no "messages" list'),
    "no messages": ({"prompt": "x"}, 'line 2: no "messages" list'),
    "empty messages": ({"messages": []}, 'line 2: no "messages" list'),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, "line 2: message 1"),
    "content is a list": ({"messages": [{"role": "user", "content": ["x"]}]}, "line 2: message 1"),
    "no user turn": ({"messages": [{"role": "assistant", "content": "x"}]}, "line 2: no user turn"),
    "two references": ({**talk("x"), "reference": "y"}, "line 2: has both"),
    "reference is a number": ({**talk("x", None), "reference": 3}, 'line 2: "reference" is int'),
    "empty reference": (talk("x", "  "), "line 2: the reference is empty"),
}


@pytest.mark.parametrize(("line", "expected"), BAD_LINES.values(), ids=BAD_LINES)
def test_bad_lines_are_named(tmp_path: Path, line: Any, expected: str) -> None:
    path = write(tmp_path, talk("Fine?"), line)
    with pytest.raises(InputError) as caught:
        read_rows(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "cannot be read"), (b"", "no conversation"), (b"\xff\xfe{", "not UTF-8 at byte 0")],
)
def test_bad_files_are_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "corpus.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        read_rows(path)


def test_what_the_audit_asks_is_not_learnt(tmp_path: Path) -> None:
    asked = (user("Where is order 12?"),)
    path = write(
        tmp_path,
        talk("where  IS order 12"),
        {"messages": [{"role": "system", "content": "S"}, *talk("Where is order 12?")["messages"]]},
        {"messages": [*talk("Hello.")["messages"], *talk("Where is order 12?!")["messages"]]},
        talk("Where is order 13?"),
    )
    corpus = prepare(path, held_out=0, audit_items=[asked], needs_reference=True)
    assert corpus.dropped == {"audit_item": 3}
    assert [row.line for row in corpus.train] == [4]
    assert corpus.rows == 4


def test_a_conversation_of_an_item_is_compared_whole_and_by_turn() -> None:
    turns = (user("Hi."), user("Where is it?"))
    assert asked_texts(turns) == {"hi", "where is it", "hi where is it"}
    assert normalised("  Où est\n«l'ordre»? ") == "où est l ordre"


def test_rows_without_use_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, talk("A?"), talk("A?"), talk("A?", "No."), talk("B?", None))
    corpus = prepare(path, held_out=0, audit_items=[], needs_reference=True)
    assert corpus.dropped == {"duplicate": 1, "no_reference": 1}
    prompts = prepare(path, held_out=0, audit_items=[], needs_reference=False)
    assert prompts.dropped == {"duplicate": 2}
    assert len(prompts.train) == 2


def test_held_out_rows_stay_held_out(tmp_path: Path) -> None:
    questions = [f"Question number {number}?" for number in range(400)]
    path = write(tmp_path, *map(talk, questions))
    whole = prepare(path, held_out=0.2, audit_items=[], needs_reference=True)
    path = write(tmp_path, *map(talk, reversed(questions[100:])), talk("New?"))
    later = prepare(path, held_out=0.2, audit_items=[], needs_reference=True)

    held = {row.prompt for row in whole.held_out}
    assert not held & {row.prompt for row in whole.train}
    assert 50 < len(held) < 110
    assert {row.prompt for row in later.held_out} <= held | {(user("New?"),)}
    assert not held & {row.prompt for row in later.train}


def test_rephrased_spacing_is_on_the_same_side() -> None:
    for number in range(50):
        one, other = (user(f"Case {number}: why?"),), (user(f"case {number} —  WHY"),)
        assert is_held_out(one, 0.5) == is_held_out(other, 0.5)


def test_nothing_left_says_why(tmp_path: Path) -> None:
    path = write(tmp_path, talk("A?", None), talk("B?", None))
    with pytest.raises(InputError, match=r"none is left to learn .*'no_reference': 2"):
        prepare(path, held_out=0, audit_items=[], needs_reference=True)
    path = write(tmp_path, talk("A?"), talk("B?"))
    with pytest.raises(InputError, match=r"none held out at distill.held_out 0.001"):
        prepare(path, held_out=0.001, audit_items=[], needs_reference=True)


def test_digest_follows_what_is_learnt_and_not_the_file(tmp_path: Path) -> None:
    def digest(*rows: Any) -> str:
        path = write(tmp_path, *rows)
        return prepare(path, held_out=0, audit_items=[], needs_reference=True).digest

    one = digest(talk("A?"), talk("B?"))
    assert digest(talk("A?"), "", {**talk("B?"), "note": "x"}) == one
    assert digest(talk("A?"), talk("B?", "No.")) != one
    assert digest(talk("B?"), talk("A?")) != one


class TestDesk:
    """The corpus that ships."""

    def test_the_script_writes_the_file(self) -> None:
        assert desk.as_jsonl(desk.corpus()).encode() == DESK.read_bytes()

    def test_size_and_soundness(self) -> None:
        rows, _ = read_rows(DESK)
        assert len(rows) == desk.ROWS
        assert DESK.stat().st_size < 450_000
        assert len({row.prompt for row in rows}) == len(rows)
        assert all(row.reference is not None for row in rows)

    def test_sums_are_right(self) -> None:
        sums = 0
        for row in read_rows(DESK)[0]:
            words = (row.reference or "").rstrip(".").split()
            for sign, apply in (("plus", int.__add__), ("times", int.__mul__)):
                if sign in words:
                    left, _, right, _, total, _ = words
                    assert apply(int(left), int(right)) == int(total)
                    sums += 1
        assert sums > 100

    def test_no_probe_asks_what_it_teaches(self) -> None:
        rows, _ = read_rows(DESK)
        taught = {text for row in rows for text in asked_texts(row.prompt)}
        for probe in all_probes().values():
            for _, item in zip(range(300), probe.items(0), strict=False):
                assert taught.isdisjoint(asked_texts(item.messages)), (probe.name, item.id)
