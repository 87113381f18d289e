"""Rows read, split and cleared of what the audit asks. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ullage.config.models import Distill
from ullage.distill.corpora import DESK, desk
from ullage.distill.corpus import asked_texts, is_held_out, normalised, prepare
from ullage.distill.rows import read_rows
from ullage.errors import InputError
from ullage.models.types import Message, user
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
    "no messages": ({"question": "x"}, 'line 2: no "messages" list'),
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


LONG = "My bicycle makes a strange noise when I brake on the way down into the valley near {}"


def test_near_duplicates_are_learnt_once(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        talk(LONG.format("home, why?")),
        talk(LONG.format("home, WHY")),
        talk(LONG.format("home; why, please?")),
        talk(LONG.format("home, why?"), "No."),
        talk(LONG.format("home 2, why?")),
    )
    corpus = prepare(path, held_out=0, audit_items=[], needs_reference=True, near_duplicates=0.8)
    assert corpus.dropped == {"near_duplicate": 2}
    assert [row.line for row in corpus.train] == [1, 4, 5]
    prompts = prepare(path, held_out=0, audit_items=[], needs_reference=False, near_duplicates=0.8)
    assert prompts.dropped == {"duplicate": 1, "near_duplicate": 2}
    every = prepare(path, held_out=0, audit_items=[], needs_reference=True)
    assert every.dropped == {}


def test_what_is_nearly_asked_is_not_learnt(tmp_path: Path) -> None:
    """Also where near-duplicates may stay: a reworded exam is an exam."""
    asked = (user(LONG.format("the mill and the old bridge at noon")),)
    path = write(
        tmp_path,
        talk(LONG.format("the mill and the old bridge at noon, please")),
        {"messages": [*talk("Hello.")["messages"], *talk(asked[0].content)["messages"]]},
        talk(LONG.format("the sea")),
    )
    corpus = prepare(path, held_out=0, audit_items=[asked], needs_reference=True)
    assert corpus.dropped == {"audit_item": 1, "near_audit_item": 1}
    assert [row.line for row in corpus.train] == [3]


class TestContainers:
    """The same rows, whatever they come in."""

    ROWS = (talk("A?", "a"), {**talk("B?", None), "reference": "b"})

    def expected(self) -> list[tuple[int, tuple[Message, ...], str | None]]:
        return [(1, (user("A?"),), "a"), (2, (user("B?"),), "b")]

    def read(self, path: Path) -> list[tuple[int, tuple[Message, ...], str | None]]:
        return [(row.line, row.prompt, row.reference) for row in read_rows(path)[0]]

    def table(self, rows: Any = ROWS) -> pa.Table:
        return pa.Table.from_pylist([{"reference": None, **row} for row in rows])

    def test_parquet_file_and_folder(self, tmp_path: Path) -> None:
        for number, row in enumerate(self.ROWS):
            pq.write_table(self.table([row]), tmp_path / f"part-{number}.parquet")
        pq.write_table(self.table(), tmp_path / "whole.pq.parquet")
        assert self.read(tmp_path / "whole.pq.parquet") == self.expected()
        (tmp_path / "whole.pq.parquet").unlink()
        assert self.read(tmp_path) == self.expected()

    @pytest.mark.parametrize("split", [None, "train"])
    def test_saved_by_datasets(self, tmp_path: Path, split: str | None) -> None:
        """The layout of `save_to_disk`: Arrow streams named in order by state.json."""
        folder = tmp_path / (split or ".")
        folder.mkdir(exist_ok=True)
        names = ["data-00001-of-00002.arrow", "data-00000-of-00002.arrow"]
        for name, row in zip(names, self.ROWS, strict=True):
            table = self.table([row])
            with pa.ipc.new_stream(folder / name, table.schema) as stream:
                stream.write_table(table)
        state = {"_data_files": [{"filename": name} for name in names]}
        (folder / "state.json").write_text(json.dumps(state))
        if split:
            (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
        assert self.read(tmp_path) == self.expected()

    def test_other_forms_of_a_row(self, tmp_path: Path) -> None:
        path = write(
            tmp_path,
            {"conversations": [{"from": "human", "value": "A?"}, {"from": "gpt", "value": "a"}]},
            {"prompt": "B?", "completion": "b"},
            {
                "prompt": [{"role": "user", "content": "C?"}],
                "completion": [{"role": "assistant", "content": "c"}],
            },
            {"prompt": "D?"},
        )
        assert self.read(path)[:2] == self.expected()
        assert self.read(path)[2:] == [(3, (user("C?"),), "c"), (4, (user("D?"),), None)]

    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("x.parquet", b"nothing", "not readable as parquet"),
            ("x.arrow", b"nothing", "not readable as arrow"),
            ("state.json", b"{}", "names no data files"),
            ("notes.txt", b"", "neither Parquet files nor a split"),
        ],
    )
    def test_bad_containers_are_named(
        self, tmp_path: Path, name: str, content: bytes, expected: str
    ) -> None:
        (tmp_path / name).write_bytes(content)
        place = tmp_path / name if name.startswith("x.") else tmp_path
        with pytest.raises(InputError, match=expected) as caught:
            read_rows(place)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_bad_row_of_a_table_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "x.parquet"
        pq.write_table(pa.table({"text": ["a", "b"]}), path)
        with pytest.raises(InputError, match=r'x\.parquet, row 1: no "messages" list'):
            read_rows(path)


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

    def test_nothing_is_nearly_there_twice(self) -> None:
        """The default keeps what a template's sentence makes look alike."""
        default = Distill.model_fields["near_duplicates"].default
        whole = prepare(
            DESK, held_out=0, audit_items=[], needs_reference=True, near_duplicates=default
        )
        assert whole.dropped == {}

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
