"""Recordings: found again, told apart, refused with their line when wrong, and never in memory."""

from __future__ import annotations

import asyncio
import json
import os
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.asking import answers, question, text_of
from ullage.config.models import RecordedOptions
from ullage.errors import InputError
from ullage.models.recorded import RecordedModel
from ullage.models.types import (
    Access,
    Answer,
    Ask,
    Failure,
    Reply,
    Request,
    Subject,
    UnsupportedRequestError,
    Weigh,
    Weights,
    answer_from_json,
    answer_to_json,
    assistant,
    system,
    user,
)

LOGPROBS = [
    {
        "token": "four",
        "logprob": -0.5,
        "top_logprobs": [{"token": "five", "logprob": -2}, {"token": "four", "logprob": -0.5}],
    }
]
WEIGHED = {
    "messages": [{"role": "user", "content": "2+2?"}],
    "continuations": ["4", "five"],
    "logprobs": [-0.10004, -3],
    "tokens": [1, 2],
    "greedy": [True, False],
}


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def load(path: Path, match: Literal["messages", "id"] = "messages") -> RecordedModel:
    return RecordedModel(path, RecordedOptions(match=match))


def ask(model: RecordedModel, *requests: Request) -> list[Answer]:
    return asyncio.run(answers(model, requests))


def about(item: str, *messages: Any, **fields: Any) -> Ask:
    return Ask(messages=messages or (user("?"),), subject=Subject(item=item), **fields)


def test_replies_are_found_by_conversation(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "5"},
        {"role": "user", "content": "Sure? é 🍷"},
    ]
    rows: list[dict[str, Any]] = [
        {"messages": turns, "text": "4", "finish_reason": "length"},
        {"prompt": "2+2?", "reply": "four", "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
        {"prompt": "2+2?", "text": "vier", "replicate": 1, "fingerprint": "fp"},
        {"prompt": "2+2?", "text": "four", "note": "the same again is no contradiction"},
    ]
    rows[3] |= {"usage": rows[1]["usage"]}
    model = load(write(tmp_path / "r.jsonl", rows))
    long = (system("Be brief."), user("2+2?"), assistant("5"), user("Sure? é 🍷"))
    found = ask(
        model,
        Ask(messages=long),
        question("2+2?", temperature=0.7, max_tokens=3, seed=9),
        question("2+2?", replicate=1),
        question("2+2?", replicate=2),
        question("2 + 2?"),
        Ask(messages=(*long, user("?"))),
    )
    assert [text_of(answer) for answer in found[:3]] == ["4", "four", "vier"]
    assert found[3:] == [Failure(reason="not recorded")] * 3
    assert isinstance(found[0], Reply)
    assert found[0].finish_reason == "length"
    assert isinstance(found[1], Reply)
    assert found[1].usage.prompt_tokens == 3
    assert isinstance(found[2], Reply)
    assert found[2].fingerprint == "fp"
    assert model.access == {Access.TEXT}
    assert model.deterministic is True
    assert model.keyed_by_item is False


def test_replies_are_found_by_item(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "text": "first"},
        {"id": "a", "turn": 1, "text": "second"},
        {"id": "a", "replicate": 1, "text": "again"},
        {"id": 1, "text": "one"},
        {"id": "b", "prompt": "Only this?", "text": "yes"},
    ]
    model = load(write(tmp_path / "r.jsonl", rows), "id")
    found = ask(
        model,
        about("a"),
        about("a", user("?"), assistant("first"), user("And then?")),
        about("a", replicate=1),
        about("1"),
        about("b", user("Only this?")),
        about("b", user("Something else?")),
        about("c"),
    )
    assert [text_of(answer) for answer in found[:5]] == ["first", "second", "again", "one", "yes"]
    assert found[5:] == [Failure(reason="not recorded")] * 2
    assert model.keyed_by_item is True


def test_logprobs_and_weights(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "2+2?", "text": "four", "logprobs": LOGPROBS},
        {"prompt": "3+3?", "text": "six"},
        WEIGHED,
    ]
    model = load(write(tmp_path / "r.jsonl", rows))
    assert model.access == {Access.TEXT, Access.LOGPROBS, Access.WEIGH}
    weigh = Weigh(messages=(user("2+2?"),), continuations=("4", "five"))
    found = ask(
        model,
        question("2+2?", top_logprobs=1),
        question("2+2?"),
        question("3+3?", top_logprobs=1),
        weigh,
        Weigh(messages=weigh.messages, continuations=("five", "4")),
    )
    assert isinstance(found[0], Reply)
    assert found[0].logprobs is not None
    assert found[0].logprobs[0].top == (("four", -0.5),)
    assert isinstance(found[1], Reply)
    assert found[1].logprobs is None
    assert found[2] == Failure(reason="recorded without log-probabilities")
    assert found[3] == Weights(logprobs=(-0.1, -3.0), tokens=(1, 2), greedy=(True, False))
    assert found[4] == Failure(reason="not recorded")
    no_weights = load(write(tmp_path / "plain.jsonl", rows[:2]))
    with pytest.raises(UnsupportedRequestError):
        ask(no_weights, weigh)


def test_parquet_says_the_same(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "2+2?"}]
    rows: list[dict[str, Any]] = [
        {"messages": turns, "text": "four", "replicate": 0, "score": 0.5},
        {"messages": turns, "text": "vier", "replicate": 1, "score": None},
    ]
    path = tmp_path / "r.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    model = load(path)
    asked = [question("2+2?"), question("2+2?", replicate=1), question("x")]
    expected = ask(load(write(tmp_path / "r.jsonl", rows)), *asked)
    assert ask(model, *asked) == expected
    assert ask(model, *asked) == expected, "a model may be entered again"
    as_json = [{**row, "messages": json.dumps(row["messages"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(as_json), path)
    assert ask(load(path), *asked) == expected
    before = load(path).identity
    pq.write_table(pa.Table.from_pylist(as_json[:1]), path)
    assert load(path).identity != before
    with pytest.raises(InputError, match=r"r\.parquet:2: .*'replicate' is no whole number"):
        rows[1]["replicate"] = -1
        pq.write_table(pa.Table.from_pylist(rows), path)
        load(path)


def test_another_file_behind_the_same_path_is_another_model(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [{"prompt": "?", "text": "a", "id": "x"}])
    stat = path.stat()
    first = load(path)
    write(path, [{"prompt": "?", "text": "b", "id": "x"}])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = load(path)
    assert first.identity != second.identity
    copy = write(tmp_path / "copy.jsonl", [{"prompt": "?", "text": "b", "id": "x"}])
    assert load(copy).identity == second.identity
    assert load(copy, "id").identity != second.identity


def test_a_file_overwritten_in_place_is_noticed(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", [{"prompt": "?", "text": "a"}])
    model = load(path)
    assert text_of(ask(model, question("?"))[0]) == "a"
    with path.open("r+") as handle:
        handle.write('{"prompt": "?", "text": "bbbb"}\n')
    with pytest.raises(InputError, match=r"r\.jsonl: changed since it was read; run again"):
        ask(model, question("?"))


BAD = {
    "empty": (b"", "holds no rows"),
    "blank": (b"\n \n", "holds no rows"),
    "utf-16": ('{"prompt": "?"}'.encode("utf-16"), ":1: not UTF-8 (byte 0xff at column 1)"),
    "latin-1": (
        b'{"prompt": "?", "text": "ok"}\n{"prompt": "caf\xe9", "text": "x"}',
        ":2: not UTF-8 (byte 0xe9 at column 16); save the file as UTF-8",
    ),
    "not json": (b"prompt,text\n", ":1: not JSON; write one JSON object per line"),
    "cut off": (b'{"prompt": "?", "text": "o', ":1: not JSON"),
    "deep": (b"[" * 100_000, ":1: not JSON"),
    "list": (b'["prompt"]', ":1: a JSON list"),
    "number": (b"7", ":1: a JSON number"),
    "no prompt": (b'{"text": "x"}', ":1: no 'messages' and no 'prompt'; add one"),
    "id instead": (b'{"id": "a", "text": "x"}', "or set recorded.match to id"),
    "no text": (b'{"prompt": "?"}', ":1: no 'text'"),
    "null text": (b'{"prompt": "?", "text": null}', ":1: 'text' is a null"),
    "number text": (b'{"prompt": "?", "text": 4}', ":1: 'text' is a number"),
    "prompt list": (b'{"prompt": ["?"], "text": "4"}', ":1: 'prompt' is a list"),
    "no messages": (b'{"messages": [], "text": "4"}', ":1: 'messages' is no list of messages"),
    "odd role": (
        b'{"messages": [{"role": "tool", "content": "x"}], "text": "4"}',
        ":1: a message without a known role and a text",
    ),
    "odd content": (
        b'{"messages": [{"role": "user", "content": [1]}], "text": "4"}',
        ":1: a message without a known role and a text",
    ),
    "replicate": (b'{"prompt": "?", "text": "4", "replicate": "1"}', "'replicate' is no whole"),
    "contradiction": (
        b'{"prompt": "?", "text": "4"}\n\n{"prompt": "!", "text": "4"}\n'
        b'{"prompt": "?", "text": "5"}\n',
        ":4: answers the same question as line 1, differently; keep one, or number them",
    ),
    "logprobs": (b'{"prompt": "?", "text": "4", "logprobs": [1]}', "'logprobs': a token is no"),
    "nan": (
        b'{"prompt": "?", "text": "4", "logprobs": [{"token": "4", "logprob": NaN}]}',
        "'logprobs': a log-probability is positive or NaN",
    ),
    "weights short": (
        b'{"prompt": "?", "continuations": ["a", "b"], "logprobs": [-1], "tokens": [1, 1]}',
        "'logprobs' has not one entry for each of 'continuations'",
    ),
    "weights nan": (
        b'{"prompt": "?", "continuations": ["a"], "logprobs": [NaN], "tokens": [1]}',
        "no finite log-probability",
    ),
    "weights tokens": (
        b'{"prompt": "?", "continuations": ["a"], "logprobs": [-1], "tokens": [0.5]}',
        "'tokens' holds something that is no count",
    ),
    "no continuations": (b'{"prompt": "?", "continuations": []}', "'continuations' is no list"),
}


@pytest.mark.parametrize("kind", sorted(BAD))
def test_bad_files_are_refused_with_place_and_mend(kind: str, tmp_path: Path) -> None:
    content, words = BAD[kind]
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert words in message
    assert "\n" not in message
    assert ";" in message


def test_bad_paths_and_bad_ids(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; correct the path"):
        load(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="a folder; name the JSONL"):
        load(tmp_path)
    (tmp_path / "bad.parquet").write_bytes(b'{"prompt": "?"}')
    with pytest.raises(InputError, match="not a Parquet file"):
        load(tmp_path / "bad.parquet")
    pq.write_table(pa.table({"prompt": ["?"], "text": [b"bytes"]}), tmp_path / "bytes.parquet")
    with pytest.raises(InputError, match="not a Parquet file with columns of text"):
        load(tmp_path / "bytes.parquet")
    for row in ({"text": "x"}, {"id": "", "text": "x"}, {"id": True, "text": "x"}):
        with pytest.raises(InputError, match="no 'id' with the item's id; add it"):
            load(write(tmp_path / "r.jsonl", [row]), "id")


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "?", "text": "a"}\r\n{"prompt": "!", "text": "b"}')
    found = ask(load(path), question("?"), question("!"))
    assert [text_of(answer) for answer in found] == ["a", "b"]


def test_lone_surrogates_become_what_the_journal_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(rb'{"prompt": "?", "text": "a\ud800b"}')
    assert text_of(ask(load(path), question("?"))[0]) == "a\ufffdb"


conversations = st.lists(st.text(max_size=6), min_size=1, max_size=3).map(tuple)


@given(
    replies=st.dictionaries(st.tuples(conversations, st.integers(0, 2)), st.text(), min_size=1),
    missing=conversations,
)
def test_everything_recorded_is_found_and_nothing_else(
    replies: dict[tuple[tuple[str, ...], int], str],
    missing: tuple[str, ...],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    def turns(texts: tuple[str, ...]) -> list[dict[str, str]]:
        return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(texts)]

    rows: list[dict[str, Any]] = [
        {"messages": turns(texts), "replicate": replicate, "text": reply}
        for (texts, replicate), reply in replies.items()
    ]
    model = load(write(tmp_path_factory.mktemp("r") / "r.jsonl", rows))

    def asked(texts: tuple[str, ...], replicate: int) -> Ask:
        speakers = (user, assistant)
        return Ask(
            messages=tuple(speakers[n % 2](t) for n, t in enumerate(texts)), replicate=replicate
        )

    found = ask(model, *(asked(*key) for key in replies), asked(missing, 3))
    assert [text_of(answer) for answer in found[:-1]] == list(replies.values())
    assert found[-1] == Failure(reason="not recorded")


def test_memory_grows_by_the_index_alone_and_looking_up_is_quick(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    count, padding = 20_000, "x" * 2_000
    with path.open("w") as handle:
        for number in range(count):
            row = {"prompt": f"{number}?", "text": f"{number}! {padding}"}
            handle.write(json.dumps(row) + "\n")
    assert path.stat().st_size > 40_000_000
    tracemalloc.start()
    try:
        model = load(path)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 32 * count + 200_000
    assert most < 120 * count + 500_000

    asked = [question(f"{number * 7919 % count}?") for number in range(5_000)]

    async def run() -> list[float]:
        """Rates of five rounds: other work on the machine slows some, so the best is judged."""
        rates = []
        async with model:
            for start in range(0, len(asked), 1000):
                began = time.process_time()
                async for index, answer in model.answer(asked[start : start + 1000]):
                    assert text_of(answer)[:6].startswith(
                        asked[start + index].messages[0].content[:-1] + "!"
                    )
                rates.append(1000 / (time.process_time() - began))
        return rates

    assert max(asyncio.run(run())) > 10_000


def test_scores_come_with_the_reply(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "q", "text": "4", "scores": {"acc": 1, "f1": 0.25}},
        {"id": "r", "text": "5"},
    ]
    path = write(tmp_path / "r.jsonl", rows)
    model = RecordedModel(path, RecordedOptions(match="id", about={"model": "small"}))
    assert model.access == {Access.TEXT, Access.SCORES}
    assert model.description["model"] == "small"
    scored, plain = ask(model, about("q"), about("r"))
    assert isinstance(scored, Reply) and scored.scores == (("acc", 1.0), ("f1", 0.25))
    assert answer_from_json(json.loads(json.dumps(answer_to_json(scored)))) == scored
    assert isinstance(plain, Reply) and "scores" not in answer_to_json(plain)


@pytest.mark.parametrize("scores", [[1.0], "1", {"acc": "1"}, {"acc": True}, {"acc": 1e16}])
def test_scores_that_are_none_are_refused(tmp_path: Path, scores: object) -> None:
    path = write(tmp_path / "r.jsonl", [{"id": "q", "text": "4", "scores": scores}])
    with pytest.raises(InputError, match=r"r\.jsonl:1: 'scores' is no object of numbers"):
        load(path, "id")
