"""A student and what quantising it made of it: two arms, two losses, one account."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.statement.document import Statement
from ullage.stats.intervals import mean_difference

pytest.importorskip("torch")

from tests.support.tiny import build_tiny_model

pytestmark = pytest.mark.local

CONFIG = """
name: derived
scenario: scenario.yaml
arms:
  teacher: {{model: "hf:teacher"}}
  student: {{model: "hf:student"}}
  derived: {{model: "hf:student", hf: {{quantise: {how}}}}}
  teacher_again: {{enabled: false}}
tasks: [{{name: words, file: items.jsonl, rule: {{kind: f1}}, max_tokens: 12}}]
planning: {{items: 60}}
"""
SCENARIO = """
name: derived
title: Derived
use: Telling distillation and quantisation apart.
targets:
  - {probe: words, metric: score, margin: 0.5, reason: The scores themselves do not matter.}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that is its teacher: all that is lost, quantising took."""
    folder = tmp_path_factory.mktemp("derived")
    for name in ("teacher", "student"):
        build_tiny_model(folder / name, seed=1)
    spoken = "the capital of France is Paris 0 1 2 3 4 é A B"
    rows = [{"prompt": f"Say {n}.", "reference": spoken, "family": f"f{n % 20}"} for n in range(60)]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scenario.yaml").write_text(SCENARIO)
    return folder


def audit(folder: Path, how: str, run: str | None = None) -> Statement:
    (folder / "ullage.yaml").write_text(CONFIG.format(how=how))
    return asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"), run or how)))


@pytest.mark.parametrize("how", ["dynamic-int8", "rounded-int4"])
def test_the_students_loss_and_the_quantised_ones_are_told_apart(folder: Path, how: str) -> None:
    statement = audit(folder, how)
    arms = statement.arms
    assert arms["derived"].description["quantise"] == how
    assert arms["derived"].identity != arms["student"].identity == arms["teacher"].identity

    (finding,) = statement.findings
    assert finding.loss is not None and finding.derived_loss is not None
    assert finding.loss.estimate == 0.0
    assert finding.derived_loss.estimate == finding.other_losses["derived"].estimate

    table = pq.read_table(folder / "runs" / how / "scores.parquet").to_pylist()
    scores = {arm: {r["item"]: r["value"] for r in table if r["arm"] == arm} for arm in arms}
    families = {r["item"]: r["family"] for r in table}
    items = sorted(families)
    student, derived = (
        np.array([scores[arm][item] for item in items]) for arm in ("student", "derived")
    )
    codes = np.unique([families[item] for item in items], return_inverse=True)[1]
    want = mean_difference(student, derived, codes, bounds=(0.0, 1.0))
    got = finding.derived_loss
    assert (got.estimate, got.low, got.high) == pytest.approx((want.estimate, want.low, want.high))
    assert (student != derived).any()


def test_no_reply_of_one_answers_for_the_other(folder: Path) -> None:
    audit(folder, "rounded-int4", "apart")
    journal = folder / "runs" / "apart" / "replies.jsonl"
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    statement = Statement.model_validate_json(
        (folder / "runs" / "apart" / "statement.json").read_bytes()
    )
    texts = {
        role: [r["answer"]["text"] for r in records if r["model"] == statement.arms[role].identity]
        for role in ("student", "derived")
    }
    assert len(texts["student"]) == len(texts["derived"]) == 60
    assert texts["student"] != texts["derived"]


def test_the_page_shows_both(folder: Path) -> None:
    audit(folder, "dynamic-int8", "shown")
    page = (folder / "runs" / "shown" / "statement.html").read_text()
    assert "derived against student" in page and "dynamic-int8" in page
