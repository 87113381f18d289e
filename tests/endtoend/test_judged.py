"""An audit with a model as judge: from the configuration to a verdict that says who judged."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ullage.audit import Step, run_audit, set_up
from ullage.config import load
from ullage.errors import InputError
from ullage.plan import Plan
from ullage.run_folder import read_part
from ullage.statement.document import Finding, Statement, Verdict

ARMS = """
name: judged
scenario: own.yaml
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1, default: {accuracy: 0.9}}}
  student: {model: "simulated:s", simulated: {seed: 2, default: {accuracy: ACCURACY}}}
JUDGE
planning: {items: 200}
"""
SCENARIO = """
name: own
title: Letters
use: Letters to customers.
targets:
  - {probe: soft-instructions, metric: as-good, margin: 0.05, severity: must,
     reason: One worse letter in ten is noticed.}
  - {probe: agreement, metric: accuracy, margin: 0.1, severity: may_lose,
     reason: What a rule can score stands beside it.}
"""
JUDGE = '  judge: {model: "simulated:j", simulated: {seed: 3, default: {judge: 1.0, noise: 0.0}}}'


def audit(
    folder: Path, judge: str = JUDGE, *, accuracy: float = 0.9, begin: Step = Step.COLLECT
) -> tuple[Finding, Statement]:
    (folder / "own.yaml").write_text(SCENARIO)
    text = ARMS.replace("ACCURACY", str(accuracy)).replace("JUDGE", judge)
    (folder / "ullage.yaml").write_text(text)
    statement = asyncio.run(run_audit(set_up(load(folder / "ullage.yaml")), begin=begin))
    return statement.findings[0], statement


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finding, Statement]:
    folder = tmp_path_factory.mktemp("judged")
    return folder, *audit(folder, accuracy=0.4)


def test_a_student_that_writes_worse_is_seen(lost: tuple[Path, Finding, Statement]) -> None:
    _, finding, statement = lost
    assert finding.verdict is Verdict.LOST
    assert finding.values["teacher"].value == 0.5
    assert finding.loss is not None
    assert finding.loss.low < 0.25 < finding.loss.high
    assert "agrees with the labels of 48 of 48 shipped pairs" in finding.why
    assert "no labels correct it, so that its own error is not in the interval" in finding.why
    assert statement.arms["judge"].replies > 96
    assert "judge" not in finding.values


def test_the_judge_is_an_arm_that_is_asked_once(lost: tuple[Path, Finding, Statement]) -> None:
    folder, _, statement = lost
    run = folder / "runs" / "judged"
    lines = [json.loads(line) for line in (run / "replies.jsonl").read_text().splitlines()]
    judge = statement.arms["judge"].identity
    verdicts = [line["key"] for line in lines if line["model"] == judge]
    assert len(verdicts) == len(set(verdicts)) == statement.arms["judge"].replies
    plan = read_part(run / "plan.json", Plan)
    assert plan.probes["soft-instructions-judge"].arms == ("judge",)
    assert "judge" not in plan.probes["soft-instructions"].arms
    # Two verdicts on every reply that may differ, and both orders of the shipped pairs, at most.
    judged = len(plan.probes["soft-instructions"].arms) - 1
    assert plan.arms["judge"].requests == 2 * (judged * 200 + 48)
    assert statement.arms["judge"].replies <= plan.arms["judge"].requests


def test_an_equal_student_is_shown_to_be(tmp_path: Path) -> None:
    finding, _ = audit(tmp_path)
    assert finding.verdict is Verdict.PRESERVED


@pytest.mark.parametrize(
    ("judge", "why"),
    [
        ("", "no rule can score soft-instructions, and there is no arm 'judge' to do it"),
        (JUDGE.replace("judge: 1.0", "judge: 0.3"), "is not shown to agree on 70%"),
        (
            '  judge: {model: "simulated:s", simulated: {seed: 2, default: {accuracy: 0.9}}}',
            "the judge is the student itself, and models prefer their own words",
        ),
    ],
)
def test_without_a_fit_judge_nothing_is_measured(tmp_path: Path, judge: str, why: str) -> None:
    finding, statement = audit(tmp_path, judge)
    assert finding.verdict is Verdict.UNMEASURED
    assert why in finding.why
    assert "\n" not in finding.why
    assert statement.exit_code == 3


def labels_of(run: Path, count: int, worse: float) -> list[dict[str, object]]:
    """What a careful reader says of the first items: as the judge did, but for those it praised."""
    rows = pq.read_table(run / "scores.parquet").to_pylist()
    mine = [row for row in rows if (row["metric"], row["arm"]) == ("as-good", "student")]
    return [
        {
            "probe": "soft-instructions",
            "item": row["item"],
            "arm": "student",
            "label": max(0.0, row["value"] - worse * (place % 4 == 0)),
        }
        for place, row in enumerate(mine[:count])
    ]


def write(run: Path, labels: list[dict[str, object]]) -> None:
    (run / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in labels))


def test_labels_move_the_estimate_and_are_told(tmp_path: Path) -> None:
    before, _ = audit(tmp_path)
    run = tmp_path / "runs" / "judged"
    replies = (run / "replies.jsonl").read_bytes()
    assert before.loss is not None
    write(run, labels_of(run, 120, worse=0.5))
    after, _ = audit(tmp_path, begin=Step.SCORE)
    assert after.loss is not None
    assert after.loss.estimate == pytest.approx(before.loss.estimate + 0.12, abs=0.06)
    assert after.loss.method == "clustered prediction-powered t"
    assert "people's labels on 120 items correct it" in after.why
    assert after.verdict is not Verdict.PRESERVED
    write(run, labels_of(run, 10, worse=0.5))
    few, _ = audit(tmp_path, begin=Step.SCORE)
    assert few.loss == before.loss
    assert "people's labels on 10 items are too few to correct it" in few.why
    assert (run / "replies.jsonl").read_bytes() == replies


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"label": 2}, "label 2 is no number from 0 to 1; give 1 where the reply is better"),
        ({"label": True}, "label True is no number"),
        ({"label": "better"}, "label 'better' is no number"),
        ({"item": "nowhere"}, "arm 'student' was not asked item 'nowhere' of soft-instructions"),
        ({"arm": "judge"}, "arm 'judge' was not asked item"),
        ({"probe": "agreement"}, "'agreement' is no probe of this run that a model judges"),
        ({"item": None}, "key 'item' is missing"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(
    lost: tuple[Path, Finding, Statement], change: dict[str, object], why: str
) -> None:
    run = lost[0] / "runs" / "judged"
    (label,) = labels_of(run, 1, worse=0.0)
    scores = (run / "scores.parquet").read_bytes()
    write(run, [{**label, **change}])
    try:
        with pytest.raises(InputError) as caught:
            audit(lost[0], accuracy=0.4, begin=Step.SCORE)
        write(run, [label, label])
        with pytest.raises(InputError, match=r"labels\.jsonl:2: .* is labelled twice; keep one"):
            audit(lost[0], accuracy=0.4, begin=Step.SCORE)
    finally:
        (run / "labels.jsonl").unlink()
    assert why in str(caught.value)
    assert "labels.jsonl:1" in str(caught.value)
    assert (run / "scores.parquet").read_bytes() == scores


def test_the_page_has_people_label_blind(
    lost: tuple[Path, Finding, Statement], tmp_path: Path
) -> None:
    folder, run = tmp_path / "copy", tmp_path / "copy" / "runs" / "judged"
    shutil.copytree(lost[0], folder)
    (run / "labels.jsonl").unlink(missing_ok=True)
    before = (run / "replies.jsonl").read_bytes()
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "judge-model.md").read_text("utf-8")
    script = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)[0]
    (folder / "label.py").write_text(script.replace("runs/letters", "runs/judged"), "utf-8")
    command = [sys.executable, "label.py"]
    said = subprocess.run(
        command, cwd=folder, input="1\n" * 100, capture_output=True, text=True, check=True
    ).stdout
    assert "[1] " in said
    assert not re.search("teacher|student|score", said)
    assert (run / "replies.jsonl").read_bytes() == before, "nobody is asked again"
    rows = [json.loads(line) for line in (run / "labels.jsonl").read_text().splitlines()]
    assert len({row["item"] for row in rows}) == 100
    assert {row["label"] for row in rows} == {0.0, 0.5, 1.0}, "who stands first is drawn"
    statement = asyncio.run(run_audit(set_up(load(folder / "ullage.yaml")), begin=Step.SCORE))
    assert "people's labels on 100 items correct it" in statement.findings[0].why
