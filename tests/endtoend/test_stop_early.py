"""Audits that stop asking once the verdicts are in."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ullage.audit import Step, run_audit, set_up
from ullage.cli import app
from ullage.config import load
from ullage.config.models import Budget
from ullage.errors import InfrastructureError
from ullage.judge import settled
from ullage.plan import Plan
from ullage.planning import plan_only
from ullage.probes.registry import resolve
from ullage.rounds import MOST_ROUNDS, Rounds, rounds_of_items
from ullage.run_folder import read_part
from ullage.scores import ProbeScores, read_scores
from ullage.statement.document import Finding, Statement, Verdict

SCENARIO = """
name: early
title: Early
use: Simulated arms.
targets:
  - {probe: clarification, metric: asks, margin: 0.1, severity: must, reason: A clear loss.}
  - {probe: abstention, metric: abstains, margin: 0.1, severity: must, reason: A close call.}
  - {probe: confidence, metric: ece, margin: 0.1, reason: This is no mean of items.}
  - {probe: confidence, metric: accuracy, margin: 0.4, reason: This one would soon be in.}
"""
CONFIG = """
name: early
scenario: scenario.yaml
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1, default: {accuracy: 0.95, noise: 0.2}}}
  student:
    model: "simulated:s"
    simulated: {seed: 2, default: {accuracy: 0.95, noise: 0.2, clarify: 0.3, abstain: 0.8}}
planning: {items: 300, stop_early: true}
"""


def audit(
    folder: Path, text: str = CONFIG, *, run: str | None = None, begin: Step = Step.COLLECT
) -> Statement:
    (folder / "scenario.yaml").write_text(SCENARIO)
    (folder / "ullage.yaml").write_text(text)
    return asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"), run), begin=begin))


def finding_of(statement: Statement, target: str) -> Finding:
    return next(finding for finding in statement.findings if finding.id == target)


@pytest.fixture(scope="module")
def early(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Statement]:
    folder = tmp_path_factory.mktemp("early")
    return folder, audit(folder)


def test_a_clear_loss_is_asked_in_part_and_told_so(early: tuple[Path, Statement]) -> None:
    folder, statement = early
    finding = finding_of(statement, "clarification.asks")
    assert finding.verdict is Verdict.LOST
    assert finding.loss is not None
    assert finding.power is not None
    assert finding.loss.method == "anytime betting"
    assert finding.power.planned_items == 300
    asked = statement.probes["clarification"].items
    assert asked == finding.loss.items < 150
    assert finding.why.endswith(f"asking stopped at {asked} of 300 items, where the verdict was in")
    assert any(f"clarification at {asked} of 300 items" in note for note in statement.notes)
    # Nothing of the rest was asked of any arm.
    of_probe = read_scores(folder / "runs" / "early" / "scores.parquet").probes["clarification"]
    assert len(of_probe.items) == asked
    journal = (folder / "runs" / "early" / "replies.jsonl").read_text()
    everything = audit(folder, CONFIG.replace("stop_early: true", "stop_early: false"), run="full")
    asked_in_full = (folder / "runs" / "full" / "replies.jsonl").read_text()
    assert len(journal.splitlines()) < 0.85 * len(asked_in_full.splitlines())
    assert finding_of(everything, "clarification.asks").verdict is Verdict.LOST
    assert not any("stop" in note for note in everything.notes)


def test_what_is_not_clear_is_asked_in_full(early: tuple[Path, Statement]) -> None:
    finding = finding_of(early[1], "abstention.abstains")
    assert finding.loss is not None
    assert finding.loss.items == 300
    assert finding.loss.method == "clustered paired score"
    assert "stopped" not in finding.why


def test_a_probe_with_a_target_that_is_no_mean_is_asked_in_full(
    early: tuple[Path, Statement],
) -> None:
    assert finding_of(early[1], "confidence.accuracy").verdict is Verdict.PRESERVED
    assert early[1].probes["confidence"].items == 300
    (note,) = (note for note in early[1].notes if note.startswith("Asked in full"))
    assert "no mean of items" in note
    assert note.endswith(": confidence.")


@pytest.mark.parametrize("step", list(Step))
def test_each_step_again_gives_the_same_bytes(early: tuple[Path, Statement], step: Step) -> None:
    run = early[0] / "runs" / "early"
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    audit(early[0], begin=step)
    for name, data in before.items():
        assert (run / name).read_bytes() == data, name


def test_an_interrupted_audit_stops_where_it_would_have(
    early: tuple[Path, Statement], tmp_path: Path
) -> None:
    for limit in (150, 1000):
        with pytest.raises(InfrastructureError, match=r"budget\.requests"):
            audit(tmp_path, f"{CONFIG}budget: {{requests: {limit}}}\n")
    resumed = audit(tmp_path)
    assert resumed.replies_digest == early[1].replies_digest
    assert resumed.findings == early[1].findings
    run = "runs/early/replies.jsonl"
    answers = [(folder / run).read_text().splitlines() for folder in (tmp_path, early[0])]
    assert sorted(answers[0]) == sorted(answers[1])


def test_rounds_are_whole_families_and_hold_every_planned_item(
    early: tuple[Path, Statement],
) -> None:
    plan = read_part(early[0] / "runs" / "early" / "plan.json", Plan)
    loaded = load(early[0] / "ullage.yaml")
    probes = resolve(loaded.config, loaded.root)
    share = plan.probes["clarification"]
    rounds = rounds_of_items(probes["clarification"], share, plan.seed)
    items = [
        item for item, _ in zip(probes["clarification"].items(plan.seed), rounds, strict=False)
    ]
    of_family: dict[str, set[int]] = {}
    for item, number in zip(items, rounds, strict=True):
        of_family.setdefault(item.family, set()).add(int(number))
    assert all(len(numbers) == 1 for numbers in of_family.values())
    assert 1 < len(set(rounds.tolist())) <= MOST_ROUNDS
    # The order is the seed's, and not the one they come in.
    firsts = [min(numbers) for numbers in of_family.values()]
    assert firsts != sorted(firsts)
    assert (rounds_of_items(probes["clarification"], share, plan.seed + 1) != rounds).any()
    begun = Rounds(plan, probes)
    assert begun.count("student") == begun.count_new("student") == len(list(begun.new("student")))
    assert len(list(begun.all("student"))) == begun.count("student") < 3 * 300


def test_the_plan_is_for_the_interval_that_will_be_used(tmp_path: Path) -> None:
    planned = {}
    for early in ("true", "false"):
        (tmp_path / "scenario.yaml").write_text(SCENARIO)
        text = CONFIG.replace("items: 300, stop_early: true", f"stop_early: {early}")
        (tmp_path / "ullage.yaml").write_text(text)
        planned[early] = asyncio.run(
            plan_only(load(tmp_path / "ullage.yaml"), run=None, pilot=None)
        )
    more, usual = (planned[early].targets["abstention.abstains"] for early in ("true", "false"))
    assert usual.items < more.items < 1.15 * usual.items
    same = "confidence.ece"
    assert planned["true"].targets[same] == planned["false"].targets[same]
    assert planned["true"].probes["abstention"].stops_early
    assert not planned["true"].probes["confidence"].stops_early


def rows_of(losses: int, of: int) -> ProbeScores:
    """As many items, each its own family, on the first of which the student alone fails."""
    fails = np.arange(of) < losses
    # Spread out, as a random order would have them.
    fails = fails[np.argsort((np.arange(of) * 0.618) % 1.0)]
    return ProbeScores(
        items=[str(index) for index in range(of)],
        family_names=[str(index) for index in range(of)],
        family=np.arange(of),
        values={("teacher", "asks"): np.ones(of), ("student", "asks"): np.where(fails, 0.0, 1.0)},
        errors={role: np.zeros(of, dtype=bool) for role in ("teacher", "student")},
        reasons={role: Counter() for role in ("teacher", "student")},
    )


def test_asking_ends_with_what_no_further_answer_should_change(
    early: tuple[Path, Statement],
) -> None:
    plan = read_part(early[0] / "runs" / "early" / "plan.json", Plan)
    loaded = load(early[0] / "ullage.yaml")
    probe = resolve(loaded.config, loaded.root)["clarification"]
    targets = [target for target in loaded.scenario.targets if target.probe == probe.name]

    def is_settled(scores: ProbeScores, of: int = 1) -> bool:
        return settled(targets, plan, Budget(), probe, scores, of=of)

    assert is_settled(rows_of(55, 250))
    # The loss is above the margin, and might not be after the adjustment for so many targets.
    assert not is_settled(rows_of(55, 250), of=10**6)
    # There is a loss, and it may be within the margin or beyond it.
    assert not is_settled(rows_of(35, 250))
    assert is_settled(rows_of(2, 250))
    failed = rows_of(2, 250)
    failed.errors["student"][:10] = True
    assert not is_settled(failed)


def test_a_flag_asks_for_it(tmp_path: Path) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    (tmp_path / "ullage.yaml").write_text(
        CONFIG.replace("items: 300, stop_early: true", "items: 80")
    )
    result = CliRunner().invoke(app, ["audit", str(tmp_path / "ullage.yaml"), "--stop-early"])
    assert result.exit_code == 1, result.output
    assert "stop_early: true" in (tmp_path / "runs" / "early" / "config.yaml").read_text()
