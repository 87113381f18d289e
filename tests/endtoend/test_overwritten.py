"""Done-when 4 for folders: a checkpoint overwritten in place is another model."""

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.errors import InputError
from ullage.statement.document import Statement

pytest.importorskip("torch")

from tests.support.tiny import build_tiny_model

pytestmark = pytest.mark.local

CONFIG = """
name: folders
scenario: scenario.yaml
arms:
  teacher: {model: "hf:teacher"}
  student: {model: "hf:student"}
  teacher_again: {enabled: false}
tasks: [{name: words, file: items.jsonl, rule: {kind: contains}, max_tokens: 6}]
planning: {items: 10}
"""
SCENARIO = """
name: folders
title: Folders
use: Telling models apart by what they are.
targets:
  - {probe: words, metric: score, margin: 0.5, reason: The scores themselves do not matter.}
"""


def audit(folder: Path, run: str) -> Statement:
    return asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"), run)))


def student_texts(folder: Path, run: str, statement: Statement) -> list[str]:
    identity = statement.arms["student"].identity
    lines = (folder / "runs" / run / "replies.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    return [record["answer"]["text"] for record in records if record["model"] == identity]


def test_an_overwritten_folder_never_answers_for_the_old_one(tmp_path: Path) -> None:
    for name, seed in (("teacher", 1), ("student", 2), ("other", 3)):
        build_tiny_model(tmp_path / name, seed=seed)
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}."}], "reference": "a"}
        for n in range(10)
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "ullage.yaml").write_text(CONFIG)
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    first = audit(tmp_path, "first")

    weights = tmp_path / "student" / "model.safetensors"
    before = weights.stat()
    shutil.copyfile(tmp_path / "other" / "model.safetensors", weights)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights.stat().st_size == before.st_size
    with pytest.raises(InputError, match="arm student is another model than when this run began"):
        audit(tmp_path, "first")
    second = audit(tmp_path, "second")
    assert first.arms["student"].identity != second.arms["student"].identity
    assert first.arms["teacher"].identity == second.arms["teacher"].identity
    old = student_texts(tmp_path, "first", first)
    new = student_texts(tmp_path, "second", second)
    assert len(old) == len(new) == 10
    assert old != new
