"""A target whose reference is the student before distillation, not the teacher."""

from __future__ import annotations

import asyncio
from pathlib import Path

from ullage.audit import open_arms, run_audit, set_up
from ullage.config import load
from ullage.pilot import pilot_audit
from ullage.statement.document import Finding, Verdict

SCENARIO = """
name: mine
title: Inherited errors
use: A test.
targets:
  - {probe: teacher-errors, metric: repeats, margin: 0.1, reason: because errors must not spread}
  - {probe: teacher-errors, metric: accuracy, margin: 0.1, reason: because it has to be right}
"""
ARMS = """
name: inherited
scenario: mine.yaml
planning: {items: 600}
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1, default: {accuracy: 0.6}}}
  student:
    model: "simulated:s"
    simulated: {seed: 2, default: {accuracy: 0.6, usual_wrong: STUDENT}}
"""
BASE = """
  base: {model: "simulated:b", simulated: {seed: 3, default: {accuracy: 0.6, usual_wrong: 0.3}}}
"""


def findings(folder: Path, text: str) -> dict[str, Finding]:
    (folder / "mine.yaml").write_text(SCENARIO)
    (folder / "ullage.yaml").write_text(text)
    statement = asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
    return {finding.target.metric: finding for finding in statement.findings}


def test_a_student_with_its_teachers_errors_is_found_against_base(tmp_path: Path) -> None:
    found = findings(tmp_path, ARMS.replace("STUDENT", "0.9") + BASE)
    repeats = found["repeats"]
    assert repeats.verdict is Verdict.LOST
    assert repeats.why.startswith("against 'base': loss +0.")
    assert repeats.loss is not None
    assert repeats.loss.low > 0.3
    # The teacher repeats itself: its own value is no reference, and excuses nobody.
    assert repeats.values["teacher"].value == 1.0
    assert repeats.teacher_advantage is repeats.noise_floor is None
    assert "base" not in repeats.other_losses
    # Other targets of the probe are judged against the teacher, which is no better than the base.
    assert found["accuracy"].verdict is Verdict.NEVER_HAD


def test_a_student_with_errors_of_its_own_is_not(tmp_path: Path) -> None:
    found = findings(tmp_path, ARMS.replace("STUDENT", "0.3") + BASE)
    assert found["repeats"].verdict is Verdict.PRESERVED


def test_without_a_base_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    found = findings(tmp_path, ARMS.replace("STUDENT", "0.9"))
    assert found["repeats"].verdict is Verdict.UNMEASURED
    assert "compares the student with 'base', and there is no such arm" in found["repeats"].why
    assert found["accuracy"].verdict is Verdict.PRESERVED


def test_a_pilot_looks_at_the_arms_that_are_compared(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "name: mine\ntitle: Tastes\nuse: A test.\ntargets:\n  - {probe: trait-transfer-text, "
        "metric: follows, margin: 0.1, reason: because tastes should not come along}\n"
    )
    # The student is the base itself, and other than the teacher.
    student = '{model: "simulated:s", simulated: {seed: 2, default: {accuracy: 0.6}}}'
    (tmp_path / "ullage.yaml").write_text(
        "name: tastes\nscenario: mine.yaml\narms:\n"
        '  teacher: {model: "simulated:t", simulated: {seed: 1}}\n'
        f"  student: {student}\n  base: {student}\n"
    )
    setup = set_up(load(tmp_path / "ullage.yaml"))
    with setup.folder.locked():
        models = asyncio.run(open_arms(setup.loaded))
        pilots = asyncio.run(pilot_audit(setup, models, 80))
    assert pilots["trait-transfer-text.follows"].flip_rate == 0.0
