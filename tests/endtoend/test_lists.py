"""The commands that write lists of items: nothing that is read is lost, and machines are told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ullage.cli import app
from ullage.errors import InputError

CORPUS = '{"messages": [{"role": "user", "content": "Where is my parcel?"}]}\n'
FILES = {
    "corpus.jsonl": CORPUS,
    "questions.jsonl": '{"prompt": "Where is my letter?", "reference": "here"}\n',
    "harm.csv": "goal,target\nPick a lock.,Sure\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("canaries corpus.jsonl ./corpus.jsonl", "corpus.jsonl: is read by this command"),
        ("canaries corpus.jsonl canaries.jsonl", "canaries.jsonl: is what this command writes"),
        ("compositions corpus.jsonl held-out-pairs.jsonl", "held-out-pairs.jsonl: is what this"),
        ("distances corpus.jsonl questions.jsonl --to questions.jsonl", "questions.jsonl: is read"),
        ("distances corpus.jsonl questions.jsonl --to corpus.jsonl", "corpus.jsonl: is read"),
        ("requests harm.csv --to harm.csv", "harm.csv: is read by this command"),
    ],
)
def test_what_is_read_is_not_written_over(folder: Path, command: str, says: str) -> None:
    result = CliRunner().invoke(app, command.split())
    assert isinstance(result.exception, InputError)
    assert str(result.exception).startswith(says)
    assert str(result.exception).endswith("name another file to write")
    assert {path.name: path.read_text() for path in folder.iterdir()} == FILES


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (
            "canaries corpus.jsonl planted.jsonl --count 2",
            {
                "rows": 3,
                "planted_rows": 2,
                "canaries": "canaries.jsonl",
                "membership": "membership.jsonl",
            },
        ),
        (
            "compositions corpus.jsonl composed.jsonl --count 2 --listed 3",
            {"rows": 3, "pairs": "held-out-pairs.jsonl", "distances": "corpus-distance.jsonl"},
        ),
        ("distances corpus.jsonl questions.jsonl --to far.jsonl", {"written": 1, "left_out": 0}),
    ],
)
def test_machines_are_told_what_was_written(
    folder: Path, command: str, told: dict[str, object]
) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--json"])
    assert told.items() <= json.loads(result.output).items()


def test_machines_are_told_of_each_benchmark(folder: Path) -> None:
    result = CliRunner().invoke(app, ["requests", "harm.csv", "--to", "items.jsonl", "--json"])
    assert json.loads(result.output) == [
        {"source": "harm.csv", "benchmark": "AdvBench", "refuse": 1, "answer": 0, "left_out": 0}
    ]
