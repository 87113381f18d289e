"""What a trial comes to: from its log, by the house's own intervals and verdicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support import statements
from tests.support.signed import write_statement
from tests.support.trials import log_of, write_trial
from ullage.cli import app
from ullage.stats.intervals import mean_difference
from ullage.trial.design import Side, TrialTask, couple_of, sitting
from ullage.trial.log import Answered, Asked, Begun, Ended, Joined, Log, Outcome
from ullage.trial.report import LEFT_AFTER, Report, help_, pairs_of, reached, report

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)
PROTOCOL = {
    "seed": 3,
    "margins": {"reached": 0.15, "help": 0.2},
    "reason": "A clerk who is left alone calls a colleague.",
    "errors": 0.02,
    "teacher": "simulated:t",
    "student": "simulated:s",
}
TASKS = [TrialTask(f"t{n}", f"f{n % 8}", "Find it.") for n in range(16)]

Does = Callable[[int, TrialTask, Side], tuple[Outcome, int | None]]


def trial(path: Path, people: int, does: Does) -> list[Ended]:
    """The log of people who worked all tasks, ended as `does` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    log, ended = Log(path, PROTOCOL, NOW), []
    for person in range(1, people + 1):
        log.append(Joined(at=NOW, person=person, name=f"p{person}"))
        for one in sitting(TASKS, 3, person):
            outcome, own = does(person, one.task, one.arm)
            event = Ended(
                at=NOW, person=person, task=one.task.id, family=one.task.family, arm=one.arm,
                outcome=outcome, own=own, turns=1, open=False,
            )  # fmt: skip
            log.append(event)
            ended.append(event)
    log.close()
    return ended


def at_random(reaches: dict[Side, float], seed: int = 0) -> Does:
    draw = Random(seed)

    def does(person: int, task: TrialTask, arm: Side) -> tuple[Outcome, int | None]:
        if draw.random() < reaches[arm]:
            return draw.choice(("yes", "partly")), draw.randrange(0, 60, 10)
        return draw.choice((("no", 80), ("abandoned", None)))

    return does


def verdicts(told: Report) -> dict[str, str]:
    return {one.measure: one.verdict for one in told.judged}


def test_the_interval_is_that_of_the_pairs(tmp_path: Path) -> None:
    """The wider of those by families and by couples, found here from the log's lines alone."""
    path = tmp_path / "log.jsonl"
    trial(path, 14, at_random({"teacher": 0.8, "student": 0.6}))
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    ended = [line for line in lines if line["kind"] == "ended"]
    points = {"yes": 1.0, "partly": 0.5, "no": 0.0, "abandoned": 0.0}
    told = report(path, NOW)
    assert told.pairs == 7 * 16 and told.unpaired == 0
    values: list[Callable[[dict[str, Any]], float]] = [
        lambda line: points[line["outcome"]],
        lambda line: 0.0 if line["own"] is None else 1 - line["own"] / 100,
    ]
    for one, value in zip(told.judged, values, strict=True):
        halves = {
            arm: {(couple_of(x["person"]), x["task"]): x for x in ended if x["arm"] == arm}
            for arm in ("teacher", "student")
        }
        keys = sorted(halves["teacher"])
        teacher, student = ([value(halves[arm][key]) for key in keys] for arm in halves)
        ways = {
            "families": mean_difference(
                teacher, student, [halves["teacher"][key]["family"] for key in keys]
            ),
            "couples": mean_difference(teacher, student, [str(key[0]) for key in keys]),
        }
        wider = max(ways, key=lambda name: ways[name].high - ways[name].low)
        assert one.loss is not None and one.clustered_by == wider
        assert (one.loss.low, one.loss.high) == pytest.approx((ways[wider].low, ways[wider].high))
        assert one.loss.estimate == pytest.approx(sum(teacher) / 112 - sum(student) / 112)
        assert one.caution == ""


@pytest.mark.parametrize(
    ("reaches", "people", "verdict"),
    [
        ({"teacher": 0.9, "student": 0.9}, 40, "preserved"),
        ({"teacher": 1.0, "student": 0.1}, 16, "lost"),
        ({"teacher": 0.5, "student": 0.5}, 2, "inconclusive"),
    ],
)
def test_verdicts_are_those_of_a_target(
    tmp_path: Path, reaches: dict[Side, float], people: int, verdict: str
) -> None:
    path = tmp_path / "log.jsonl"

    def does(person: int, task: TrialTask, arm: Side) -> tuple[Outcome, int | None]:
        got = draw(person, task, arm)
        return ("yes", 0) if got[0] in ("yes", "partly") else got

    draw = at_random(reaches)
    trial(path, people, does)
    told = report(path, NOW)
    assert set(verdicts(told).values()) == {verdict}
    for one in told.judged:
        assert (one.more_trials is not None) <= (verdict == "inconclusive")
        if one.more_trials is not None:
            assert one.more_trials > 0 and one.more_trials % 2 == 0


def test_somebody_generous_favours_neither_arm(tmp_path: Path) -> None:
    """Each odd person always gets there, each even one never: the loss is none."""
    path = tmp_path / "log.jsonl"
    trial(path, 4, lambda person, task, arm: ("yes", 0) if person % 2 else ("no", 100))
    for one in report(path, NOW).judged:
        assert one.loss is not None and one.loss.estimate == pytest.approx(0.0)


def test_few_people_and_few_families_are_said(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    trial(path, 2, at_random({"teacher": 0.5, "student": 0.5}))
    judged = report(path, NOW).judged
    assert {one.clustered_by for one in judged} == {"families"}
    assert all("in these people's hands" in one.caution for one in judged)
    trial(tmp_path / "one.jsonl", 1, at_random({"teacher": 0.5, "student": 0.5}))
    alone = report(tmp_path / "one.jsonl", NOW)
    assert (alone.pairs, alone.unpaired) == (0, 16)
    assert set(verdicts(alone).values()) == {"unmeasured"}
    assert "0 pairs cannot bound an error" in alone.judged[0].why


def test_measures_of_one_trial() -> None:
    def ended(outcome: Outcome, own: int | None) -> Ended:
        return Ended(
            at=NOW, person=1, task="t", family="f", arm="student", outcome=outcome, own=own,
            turns=1, open=False,
        )  # fmt: skip

    assert [reached(ended(one, 0)) for one in ("yes", "partly", "no")] == [1.0, 0.5, 0.0]
    assert [help_(ended("yes", own)) for own in (0, 30, 100)] == pytest.approx([1.0, 0.7, 0.0])
    gone = ended("abandoned", None)
    assert (reached(gone), help_(gone)) == (0.0, 0.0)


def test_who_leaves_without_a_word_gave_up_after_a_day(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = Log(path, PROTOCOL, NOW)
    first, second = (sitting(TASKS, 3, person)[0] for person in (1, 2))
    for person, one in ((1, first), (2, second)):
        task = one.task
        log.append(Joined(at=NOW, person=person, name=f"p{person}"))
        log.append(Begun(at=NOW, person=person, task=task.id, family=task.family, arm=one.arm))
        log.append(Asked(at=NOW, person=person, task=task.id, text="Where?"))
    log.append(Answered(at=NOW, person=1, task=first.task.id, text="There.", seconds=1.0))
    log.close()
    soon = report(path, NOW + LEFT_AFTER - timedelta(seconds=1))
    assert (soon.left, soon.unanswered, soon.unpaired) == (0, 0, 0)
    later = report(path, NOW + LEFT_AFTER)
    assert (later.left, later.unanswered, later.unpaired) == (1, 1, 1)
    assert later.outcomes[first.arm] == {"abandoned": 1}


def test_too_many_trials_without_an_answer_judge_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    ended = trial(path, 4, lambda person, task, arm: ("yes", 0))
    log = Log(path, PROTOCOL, NOW)
    log.append(Joined(at=NOW, person=5, name="p5"))
    for one in sitting(TASKS, 3, 5)[:4]:
        event = ended[0].model_copy(
            update={"person": 5, "task": one.task.id, "arm": one.arm, "turns": 0, "open": True}
        )
        log.append(event)
    log.close()
    told = report(path, NOW)
    assert told.unanswered == 4 and told.pairs == len(pairs_of(ended)) == 32
    assert set(verdicts(told).values()) == {"inconclusive"}
    assert "have no answer" in told.judged[0].why


def test_the_command_tells_it(tmp_path: Path) -> None:
    file = write_trial(tmp_path)
    missing = CliRunner().invoke(app, ["trial", "report", str(file)])
    assert "No such file" in str(missing.exception)
    trial(log_of(file), 4, at_random({"teacher": 1.0, "student": 0.0}))
    told = CliRunner().invoke(app, ["trial", "report", str(file)])
    assert told.exit_code == 0
    assert "4 people, 32 pairs" in told.output and "LOST" in told.output
    assert "There is no statement beside it yet." in told.output
    found = json.loads(CliRunner().invoke(app, ["trial", "report", str(file), "--json"]).output)
    assert found["pairs"] == 32 and found["judged"][0]["verdict"] == "lost"


def test_the_statement_beside_it_is_named_and_untouched(tmp_path: Path) -> None:
    file = write_trial(tmp_path)
    trial(log_of(file), 2, at_random({"teacher": 1.0, "student": 0.0}))
    statement = statements.every_verdict()
    arms = {
        side: statement.arms[side].model_copy(update={"identity": PROTOCOL[side]})
        for side in ("teacher", "student")
    }
    same = statement.model_copy(update={"arms": {**statement.arms, **arms}})
    for one, said in ((same, "which it does not alter"), (statement, "is about other models")):
        write_statement(tmp_path / "runs" / "desk", one)
        path = tmp_path / "runs" / "desk" / "statement.json"
        before = path.read_bytes()
        told = CliRunner().invoke(app, ["trial", "report", str(file)])
        assert said in told.output and path.read_bytes() == before
