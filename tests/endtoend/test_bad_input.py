"""Done-when 8: every kind of bad input is one line that says what, where and what would do.

Each case starts from an audit that works and breaks one thing. The command must end with the exit
code of DESIGN §8, print exactly one line on standard error and nothing else, and leave no
half-written file behind.
"""

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.command import Ullage

CONFIG = """\
name: good
scenario: scenario.yaml
arms:
  teacher: {model: "recorded:teacher.jsonl"}
  student: {model: "recorded:student.jsonl"}
  teacher_again: {enabled: false}
tasks:
  - {name: sums, file: items.jsonl, rule: {kind: exact}}
planning: {items: 40}
"""
SCENARIO = """\
name: good
title: Good
use: Being broken in one place at a time.
targets:
  - {probe: sums, metric: score, margin: 0.2, severity: must, reason: It is only a test.}
"""
ITEMS = 40


@dataclass(frozen=True)
class Case:
    """One thing wrong."""

    name: str
    spoil: Callable[[Path], object]
    says: tuple[str, ...]
    """All of these are in the line: the place, what was found, what would do."""
    command: tuple[str, ...] = ("audit", "ullage.yaml")
    code: int = 2
    asked: bool = False
    """Whether it is spoilt after the audit came to its end."""


def good(folder: Path) -> None:
    (folder / "ullage.yaml").write_text(CONFIG)
    (folder / "scenario.yaml").write_text(SCENARIO)
    rows = [
        {"id": f"q{n}", "messages": [{"role": "user", "content": f"{n}+1?"}], "reference": f"{n}"}
        for n in range(ITEMS)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for arm in ("teacher", "student"):
        replies = [{"messages": row["messages"], "text": row["reference"]} for row in rows]
        (folder / f"{arm}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in replies))


def replace(file: str, old: str, new: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new, 1))

    return spoil


def write(file: str, data: str | bytes) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)

    return spoil


def delete(file: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).unlink()


def append(file: str, line: str) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_text((folder / file).read_text() + line)


def folder_in_place_of(file: str) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / file).unlink()
        (folder / file).mkdir()

    return spoil


RUN = Path("runs", "good")


def finish(folder: Path) -> Path:
    """Let the audit of a folder come to its end."""
    done = started(folder, "audit", "ullage.yaml")
    assert done.returncode == 0, done.stderr
    return folder / RUN


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an audit that came to its end."""
    folder = tmp_path_factory.mktemp("finished")
    good(folder)
    finish(folder)
    return folder


def score_nan(folder: Path) -> None:
    path = folder / RUN / "scores.parquet"
    table = pq.read_table(path)
    beside = pq.read_metadata(path).metadata
    values = table["value"].to_pylist()
    values[3] = float("nan")
    spoilt = table.set_column(5, "value", pa.array(values, type=pa.float64()))
    with pq.ParquetWriter(path, spoilt.schema) as writer:
        writer.write_table(spoilt)
        writer.add_key_value_metadata({"ullage.uses": beside[b"ullage.uses"]})


def journal_damaged(folder: Path) -> None:
    path = folder / RUN / "replies.jsonl"
    data = bytearray(path.read_bytes())
    data[300] ^= 4
    path.write_bytes(data)


ITEM = '{"id": "q0", "messages": [{"role": "user", "content": "x"}], "reference": "1"}\n'
READ = ("statement", "show", "runs/good")
JUDGE = ("audit", "ullage.yaml", "--from", "judge")

CASES = [
    Case("no file", delete("ullage.yaml"), ("ullage.yaml", "ullage init")),
    Case("a folder", folder_in_place_of("ullage.yaml"), ("ullage.yaml", "folder")),
    Case("empty file", write("ullage.yaml", ""), ("ullage.yaml", "empty")),
    Case("not UTF-8", write("ullage.yaml", b"name: \xff\xfe"), ("ullage.yaml", "UTF-8")),
    Case("not YAML", write("ullage.yaml", "arms: [}"), ("ullage.yaml:1",)),
    Case("not a mapping", write("ullage.yaml", "- 1\n"), ("ullage.yaml:1", "a list", "expected")),
    Case(
        "unknown key",
        replace("ullage.yaml", "planning:", "planing:"),
        ("ullage.yaml:9", "planing", "did you mean 'planning'"),
    ),
    Case(
        "unknown nested key",
        replace("ullage.yaml", '{model: "recorded:teacher', '{modle: "recorded:teacher'),
        ("ullage.yaml:4", "arms.teacher.modle", "did you mean 'model'"),
    ),
    Case("twice the same key", append("ullage.yaml", "name: again\n"), ("ullage.yaml:10", "name")),
    Case("wrong type", replace("ullage.yaml", "items: 40", "items: many"), ("planning.items",)),
    Case("below zero", replace("ullage.yaml", "items: 40", "items: -4"), ("planning.items",)),
    Case(
        "no student",
        replace("ullage.yaml", '  student: {model: "recorded:student.jsonl"}\n', ""),
        ("arms", "student"),
    ),
    Case(
        "unknown kind of model",
        replace("ullage.yaml", "recorded:teacher", "recoded:teacher"),
        ("arms.teacher.model", "recoded"),
    ),
    Case(
        "options of another kind",
        replace("ullage.yaml", 'teacher.jsonl"}', 'teacher.jsonl", hf: {dtype: float32}}'),
        ("arms.teacher", "hf"),
    ),
    Case(
        "unknown scenario",
        replace("ullage.yaml", "scenario.yaml", "support-asistant"),
        ("support-asistant", "support-assistant"),
    ),
    Case("no scenario file", delete("scenario.yaml"), ("scenario.yaml",)),
    Case(
        "negative margin",
        replace("scenario.yaml", "margin: 0.2", "margin: -0.2"),
        ("scenario.yaml:5", "margin"),
    ),
    Case(
        "margin that is no number",
        replace("scenario.yaml", "margin: 0.2", "margin: .nan"),
        ("scenario.yaml:5", "margin"),
    ),
    Case(
        "no reason",
        replace("scenario.yaml", ", reason: It is only a test.", ""),
        ("scenario.yaml:5", "reason"),
    ),
    Case(
        "unknown severity",
        replace("scenario.yaml", "severity: must", "severity: mus"),
        ("scenario.yaml:5", "severity"),
    ),
    Case(
        "unknown probe",
        replace("scenario.yaml", "probe: sums", "probe: clarificaton"),
        ("clarificaton", "clarification"),
    ),
    Case(
        "unknown metric",
        replace("scenario.yaml", "metric: score", "metric: scroe"),
        ("scroe", "score"),
    ),
    Case("no items", delete("items.jsonl"), ("items.jsonl",)),
    Case("empty items", write("items.jsonl", ""), ("items.jsonl", "no item", "write one")),
    Case("items not UTF-8", write("items.jsonl", b"\xff\n"), ("items.jsonl", "UTF-8")),
    Case("items not JSON", append("items.jsonl", "{oops\n"), ("items.jsonl:41", "JSON")),
    Case("item not an object", append("items.jsonl", "[1]\n"), ("items.jsonl:41",)),
    Case(
        "item without a question",
        append("items.jsonl", '{"reference": "1"}\n'),
        ("items.jsonl:41", "messages"),
    ),
    Case("item twice", append("items.jsonl", ITEM), ("items.jsonl:41", "q0")),
    Case(
        "item without a reference",
        append("items.jsonl", '{"messages": [{"role": "user", "content": "x"}]}\n'),
        ("items.jsonl:41", "reference"),
    ),
    Case("no recording", delete("teacher.jsonl"), ("teacher.jsonl",)),
    Case("empty recording", write("student.jsonl", ""), ("student.jsonl", "no rows", "write one")),
    Case("recording not JSON", append("student.jsonl", "nope\n"), ("student.jsonl:41", "JSON")),
    Case(
        "recording contradicts itself",
        append(
            "student.jsonl", '{"messages": [{"role": "user", "content": "0+1?"}], "text": "z"}\n'
        ),
        ("student.jsonl:41",),
    ),
    Case(
        "no such local model",
        replace("ullage.yaml", "recorded:student.jsonl", "hf:./nowhere"),
        ("nowhere",),
    ),
    Case(
        "unset key variable",
        replace(
            "ullage.yaml",
            '{model: "recorded:student.jsonl"}',
            '{model: "openai:x", openai: {base_url: "http://127.0.0.1:9/v1", '
            "api_key_env: ULLAGE_NOT_SET}}",
        ),
        ("ULLAGE_NOT_SET",),
    ),
    Case(
        "override of nothing",
        lambda _: None,
        ("arms.studnet", "did you mean"),
        ("audit", "ullage.yaml", "-o", "arms.studnet.model=x"),
    ),
    Case(
        "override without a value",
        lambda _: None,
        ("seed",),
        ("audit", "ullage.yaml", "-o", "seed"),
    ),
    Case("unknown option", lambda _: None, ("--nope",), ("audit", "--nope")),
    Case("unknown command", lambda _: None, ("adit",), ("adit",)),
    Case("judge before scoring", lambda _: None, ("plan.json",), JUDGE),
    Case("a score that is no number", score_nan, ("scores.parquet", "finite"), JUDGE, asked=True),
    Case("damaged journal", journal_damaged, ("replies.jsonl:", "damaged"), asked=True),
    Case(
        "damaged scores",
        write("runs/good/scores.parquet", b"PAR1 no"),
        ("scores.parquet",),
        JUDGE,
        asked=True,
    ),
    Case(
        "another configuration",
        replace("scenario.yaml", "margin: 0.2", "margin: 0.3"),
        ("margin", "0.2", "0.3", "--run"),
        asked=True,
    ),
    Case(
        "another margin after asking, judged again",
        replace("scenario.yaml", "margin: 0.2", "margin: 0.3"),
        ("margin", "0.2", "0.3", "--run"),
        JUDGE,
        asked=True,
    ),
    Case(
        "other items after asking",
        replace("items.jsonl", '"reference": "0"', '"reference": "9"'),
        ("items of sums", "sha256", "--run"),
        asked=True,
    ),
    Case("no statement", lambda _: None, ("runs/good",), READ),
    Case(
        "empty statement",
        write("runs/good/statement.json", ""),
        ("statement.json", "empty"),
        READ,
        asked=True,
    ),
    Case(
        "statement cut off",
        write("runs/good/statement.json", '{"kind": "ull'),
        ("statement.json", "JSON"),
        READ,
        asked=True,
    ),
    Case(
        "something else than a statement",
        write("runs/good/statement.json", "{}"),
        ("statement.json",),
        ("gate", "runs/good"),
        asked=True,
    ),
    Case(
        "runs is a file",
        write("runs", "not a folder"),
        ("runs",),
    ),
    Case("init over a file", lambda _: None, ("ullage.yaml", "--force"), ("init",)),
    Case(
        "init with no such scenario",
        lambda _: None,
        ("moderation",),
        ("init", "new.yaml", "--scenario", "moderaton"),
    ),
]


def started(
    folder: Path, *arguments: str, limit: int | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, which may write files of so many bytes only."""

    def shrink() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "ullage.cli", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        preexec_fn=shrink,
    )


def refused(done: subprocess.CompletedProcess[str], code: int, says: tuple[str, ...]) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("ullage: ")]
    assert len(lines) == 1, done.stderr
    assert done.stderr.splitlines()[-1] == lines[0]
    for part in says:
        assert part in lines[0], lines[0]


def test_the_audit_that_is_spoilt_works(tmp_path: Path) -> None:
    good(tmp_path)
    assert finish(tmp_path).joinpath("statement.json").exists()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_is_one_line(
    tmp_path: Path,
    case: Case,
    finished: Path,
    ullage: Ullage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if case.asked:
        shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
        assert ullage("audit", "ullage.yaml", cwd=tmp_path).returncode == 0, "the copy is whole"
    else:
        good(tmp_path)
    monkeypatch.delenv("ULLAGE_NOT_SET", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    case.spoil(tmp_path)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    done = ullage(*case.command, cwd=tmp_path)
    refused(done, case.code, case.says)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()} - {p.name for p in before}
    assert not [name for name in left if name.startswith(".") or name.endswith(".partial")]
    assert "statement.json" not in left


def test_there_are_at_least_thirty_kinds() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 30


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    good(tmp_path)
    tmp_path.chmod(0o555)
    try:
        refused(started(tmp_path, "audit", "ullage.yaml"), 2, ("runs", "cannot be made"))
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="has no /sys")
def test_a_folder_that_nobody_may_write(tmp_path: Path) -> None:
    """The superuser may write anywhere but here."""
    good(tmp_path)
    done = started(tmp_path, "audit", "ullage.yaml", "-o", "runs=/sys/kernel/ullage")
    refused(done, 2, ("/sys/kernel/ullage", "cannot be made", "set `runs`"))


@pytest.mark.parametrize("limit", [2_000, 9_000, 14_000])
def test_a_full_disk_loses_nothing_and_the_run_goes_on_afterwards(
    tmp_path: Path, limit: int
) -> None:
    good(tmp_path)
    done = started(tmp_path, "audit", "ullage.yaml", limit=limit)
    refused(done, 2, ("cannot be written, the disk is full", "make room"))
    assert not (tmp_path / "runs" / "good" / "statement.html").exists()
    assert finish(tmp_path).joinpath("statement.json").exists()
