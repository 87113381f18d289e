"""The journal keeps every answer, whatever happens to the process that writes it."""

import json
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.collect.journal import Journal, Record
from ullage.collect.offsets import OffsetIndex
from ullage.errors import InfrastructureError, InputError
from ullage.models.types import (
    Answer,
    Ask,
    Failure,
    Reply,
    TokenLogprob,
    Usage,
    Weights,
    request_key,
    user,
)

NASTY = "line\nbreak \u2028 \u202e rtl \x1b[31m \x00 \U0001f600 <script> \ud800 end"


def record(number: int, text: str = "hello") -> Record:
    request = Ask(messages=(user(f"question {number}"),))
    key = request_key("model:a", request)
    return Record(key, "model:a", request, Reply(text=text, usage=Usage(prompt_tokens=3)))


def test_answers_come_back_as_they_went_in(tmp_path: Path) -> None:
    ask = Ask(messages=(user(NASTY),), top_logprobs=2)
    logprobs = (TokenLogprob(token="a", logprob=-0.5, top=(("a", -0.5), ("b", -1.25))),)
    answers: dict[str, Answer] = {
        "0" * 32: Reply(text=NASTY, finish_reason="length", logprobs=logprobs, fingerprint="fp"),
        "1" * 32: Weights(logprobs=(-1.5, -2.25), tokens=(1, 2), greedy=(True, False)),
        "2" * 32: Failure(reason="timeout"),
    }
    with Journal(tmp_path / "r.jsonl") as journal:
        journal.append(Record(key, "m", ask, answer) for key, answer in answers.items())
    with Journal(tmp_path / "r.jsonl") as journal:
        assert {key: journal.get(key) for key in answers} == answers
        assert journal.get("f" * 32) is None
        assert list(journal.answers()) == [("m", answer) for answer in answers.values()]


def test_last_record_of_a_key_counts(tmp_path: Path) -> None:
    first = record(1)
    with Journal(tmp_path / "r.jsonl") as journal:
        journal.append([first._replace(answer=Failure(reason="http 500"))])
        journal.append([first])
        assert journal.get(first.key) == first.answer
    with Journal(tmp_path / "r.jsonl") as journal:
        assert journal.get(first.key) == first.answer
        assert len(journal) == 1


def test_a_torn_last_record_is_cut_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with Journal(path) as journal:
        journal.append([record(1), record(2)])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        with Journal(path) as journal:
            assert journal.get(record(1).key) == record(1).answer
            assert journal.get(record(2).key) is None
            journal.append([record(3)])
        with Journal(path) as journal:
            assert journal.get(record(3).key) == record(3).answer
            assert len(journal) == 2


def test_any_changed_byte_before_the_last_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with Journal(path) as journal:
        journal.append([record(1), record(2), record(3)])
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for place in random.Random(0).sample(range(second, whole.index(b"\n", second)), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"r\.jsonl:[23]: the record is damaged"):
            Journal(path)


def test_each_line_carries_the_crc_of_what_precedes_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "r.jsonl") as journal:
        journal.append([record(1)])
    line = (tmp_path / "r.jsonl").read_bytes()
    assert json.loads(line)["crc"] == f"{zlib.crc32(line[: line.rindex(b',')]):08x}"


def test_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        Journal(tmp_path / "nowhere" / "r.jsonl")


FILL_DISK = """
import resource, signal, sys
from pathlib import Path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
from tests.collect.test_journal import record
from ullage.collect.journal import Journal
from ullage.errors import InputError
journal = Journal(Path(sys.argv[1]))
for number in range(1000):
    try:
        journal.append([record(number)])
    except InputError as error:
        print(number, error)
        break
"""


def test_a_full_disk_loses_nothing_and_leaves_no_half_record(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FILL_DISK, str(path)], capture_output=True, text=True, check=True
    )
    failed_at, message = done.stdout.split(maxsplit=1)
    assert "the disk is full" in message
    assert "\n" not in message.strip()
    assert path.read_bytes().endswith(b"}\n")
    with Journal(path) as journal:
        assert len(journal) == int(failed_at) > 3


def test_writing_to_a_read_only_journal_is_a_programming_error(tmp_path: Path) -> None:
    Journal(tmp_path / "r.jsonl").close()
    journal = Journal(tmp_path / "r.jsonl", read_only=True)
    with pytest.raises(ValueError, match="read-only"):
        journal.append([record(1)])


def test_fsync_failing_is_reported_and_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    with Journal(tmp_path / "r.jsonl") as journal:
        journal.append([record(1)])
        size = journal.path.stat().st_size
        monkeypatch.setattr(os, "fsync", broken)
        with pytest.raises(InfrastructureError, match="Input/output error"):
            journal.append([record(2)])
        assert journal.path.stat().st_size == size
        assert journal.get(record(2).key) is None


@given(
    entries=st.lists(
        st.tuples(st.binary(min_size=16, max_size=16), st.integers(0, 2**40)), max_size=60
    ),
    repeat=st.lists(st.integers(0, 59), max_size=30),
)
def test_offsets_agree_with_a_dict(entries: list[tuple[bytes, int]], repeat: list[int]) -> None:
    entries += [(entries[i][0], place) for place, i in enumerate(repeat) if i < len(entries)]
    index, plain = OffsetIndex(), dict[bytes, int]()
    for place, (digest, offset) in enumerate(entries):
        index.add(digest, offset)
        plain[digest] = offset
        if place % 7 == 0:
            len(index)  # merges
    assert {digest: index.find(digest) for digest in plain} == plain
    assert len(index) == len(plain)
    assert index.find(b"\xff" * 16) == plain.get(b"\xff" * 16)


def test_offsets_stay_small() -> None:
    script = (
        "import resource, os\n"
        "from ullage.collect.offsets import OffsetIndex\n"
        "index = OffsetIndex()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for place in range(1_000_000): index.add(os.urandom(16), place)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    kib = int(done.stdout)
    assert kib < 180 * 1024, "a dict of a million digests takes over 200 MB"
