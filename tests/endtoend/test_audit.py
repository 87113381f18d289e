"""A whole audit on simulated arms: what is planted is found, and every step can be run again."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from ullage.audit import Step, run_audit, set_up
from ullage.cli import app
from ullage.config import load
from ullage.errors import InputError
from ullage.pilot import pilot_audit
from ullage.plan import Plan
from ullage.planning import plan_only
from ullage.run_folder import read_part
from ullage.scores import read_scores
from ullage.statement.compare import Change, Comparison, Pairing
from ullage.statement.document import Statement, Verdict
from ullage.stats.intervals import mean_difference

CONFIG = """
name: simulated
scenario: support-assistant
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1, default: {accuracy: 0.95, noise: 0.02}}}
  student:
    model: "simulated:s"
    simulated: {seed: 2, default: {accuracy: 0.95, noise: 0.02, clarify: 0.4}}
  base: {model: "simulated:b", simulated: {seed: 3, default: {accuracy: 0.2, clarify: 0.1}}}
planning: {items: 160}
"""


def audit(folder: Path, text: str = CONFIG, *, begin: Step = Step.COLLECT) -> Statement:
    (folder / "ullage.yaml").write_text(text)
    return asyncio.run(run_audit(set_up(load(folder / "ullage.yaml")), begin=begin))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Statement]:
    folder = tmp_path_factory.mktemp("audit")
    return folder, audit(folder)


def test_the_planted_loss_is_lost_and_the_headline_is_kept(
    finished: tuple[Path, Statement],
) -> None:
    findings = {finding.id: finding for finding in finished[1].findings}
    lost = {name for name, f in findings.items() if f.verdict is Verdict.LOST}
    assert lost == {"clarification.contrast", "clarification.recovers"}
    assert findings["agreement.accuracy"].verdict is Verdict.PRESERVED
    assert finished[1].exit_code == 1
    assert finished[1].joint.counts["lost"] == 2


def test_every_file_of_the_run_folder_is_there(finished: tuple[Path, Statement]) -> None:
    run = finished[0] / "runs" / "simulated"
    names = {path.name for path in run.iterdir()} - {"lock"}
    assert names == {
        "config.yaml",
        "plan.json",
        "replies.jsonl",
        "scores.parquet",
        "findings.json",
        "statement.json",
        "statement.html",
        "statement.md",
    }


@pytest.mark.parametrize("step", list(Step))
def test_each_step_again_gives_the_same_bytes(finished: tuple[Path, Statement], step: Step) -> None:
    run = finished[0] / "runs" / "simulated"
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    audit(finished[0], begin=step)
    for name, data in before.items():
        assert (run / name).read_bytes() == data, name


def test_the_loss_is_the_difference_of_the_scores(finished: tuple[Path, Statement]) -> None:
    """The whole way from table to finding, against a few lines of numpy."""
    table = pq.read_table(finished[0] / "runs" / "simulated" / "scores.parquet").to_pylist()
    rows = [r for r in table if r["probe"] == "clarification" and r["metric"] == "contrast"]
    by_arm = {
        arm: {r["item"]: r["value"] for r in rows if r["arm"] == arm}
        for arm in ("teacher", "student", "base")
    }
    items = sorted(by_arm["teacher"])
    family = {r["item"]: r["family"] for r in rows}
    codes = np.unique([family[item] for item in items], return_inverse=True)[1]
    teacher, student, base = (
        np.array([by_arm[arm][item] for item in items]) for arm in ("teacher", "student", "base")
    )
    finding = next(f for f in finished[1].findings if f.id == "clarification.contrast")
    assert finding.loss is not None
    assert finding.loss.estimate == pytest.approx(np.mean(teacher - student), abs=1e-12)
    expected = mean_difference(teacher, student, codes, bounds=(-1.0, 1.0))
    assert (finding.loss.low, finding.loss.high) == pytest.approx((expected.low, expected.high))
    assert finding.teacher_advantage is not None
    assert finding.teacher_advantage.estimate == pytest.approx(np.mean(teacher - base), abs=1e-12)
    assert finding.values["base"].value == pytest.approx(base.mean())


def test_lower_is_better_is_turned_round(finished: tuple[Path, Statement]) -> None:
    finding = next(f for f in finished[1].findings if f.id == "grounding-missing.unsupported")
    assert not finding.higher_is_better
    assert finding.loss is not None
    teacher, student = finding.values["teacher"].value, finding.values["student"].value
    assert finding.loss.estimate == pytest.approx(student - teacher)


def test_losses_have_examples_where_the_teacher_did_better(
    finished: tuple[Path, Statement],
) -> None:
    finding = next(f for f in finished[1].findings if f.id == "clarification.contrast")
    assert len(finding.examples) == 3
    assert len({example.family for example in finding.examples}) == 3
    for example in finding.examples:
        assert example.scores["teacher.contrast"] > example.scores["student.contrast"]
        assert example.prompt
        assert set(example.replies) == {"teacher", "teacher_again", "base", "student"}
        assert any(turn.role == "assistant" for turn in example.replies["student"])


def test_the_same_seed_gives_the_same_statement_elsewhere(
    finished: tuple[Path, Statement], tmp_path: Path
) -> None:
    assert audit(tmp_path) == finished[1]
    assert audit(tmp_path, CONFIG.replace("name: simulated", "name: other\nseed: 5")) != finished[1]


def test_missing_access_leaves_a_target_unmeasured_and_says_why(tmp_path: Path) -> None:
    rows = [{"id": "none", "text": "yes"}]
    (tmp_path / "student.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = CONFIG.replace("items: 160", "items: 60")
    start, end = text.index("  student:"), text.index("  base:")
    recorded = '  student: {model: "recorded:student.jsonl", recorded: {match: id}}\n'
    statement = audit(tmp_path, text[:start] + recorded + text[end:])
    findings = {finding.id: finding for finding in statement.findings}
    assert findings["confidence.auroc"].verdict is Verdict.UNMEASURED
    assert "weigh" in findings["confidence.auroc"].why
    assert "student" in findings["confidence.auroc"].why
    assert "use vote-confidence" in findings["confidence.auroc"].why
    # Nothing else was recorded either: that is trouble, not a score.
    assert findings["agreement.accuracy"].verdict is Verdict.INCONCLUSIVE
    assert findings["agreement.accuracy"].infrastructure
    assert "not recorded" in findings["agreement.accuracy"].why
    assert statement.exit_code == 4


def test_too_few_families_are_refused_rather_than_judged(tmp_path: Path) -> None:
    statement = audit(tmp_path, CONFIG.replace("items: 160", "items: 4"))
    assert {finding.verdict for finding in statement.findings} == {Verdict.UNMEASURED}
    assert "famil" in statement.findings[0].why or "items" in statement.findings[0].why
    assert statement.exit_code == 3


def test_a_begun_run_refuses_another_margin_but_takes_a_larger_budget(tmp_path: Path) -> None:
    small = CONFIG.replace("items: 160", "items: 40")
    audit(tmp_path, small)
    audit(tmp_path, small + "budget: {requests: 100000}\n")
    target = """
targets:
  - {probe: agreement, metric: accuracy, margin: 0.3, reason: Wider than it was before.}
"""
    with pytest.raises(InputError, match=r"margin: 0\.05 then, 0\.3 now.*--run NAME"):
        audit(tmp_path, small + target)


def test_a_pilot_of_two_questions_says_nothing_and_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "ullage.yaml").write_text(
        CONFIG + "tasks: [{name: two, file: two.jsonl, rule: {kind: exact}}]\n"
        "targets: [{probe: two, metric: score, margin: 0.1, reason: There are no more.}]\n"
    )
    rows = [{"prompt": f"{n} + 1?", "reference": str(n + 1)} for n in range(2)]
    (tmp_path / "two.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loaded = load(tmp_path / "ullage.yaml")
    piloted = asyncio.run(plan_only(loaded, run=None, pilot=10))
    assert not piloted.targets["two.score"].piloted
    assert piloted.targets["agreement.accuracy"].piloted


def test_a_pilot_sets_n_from_how_often_arms_differ_and_is_not_asked_again(tmp_path: Path) -> None:
    text = CONFIG.replace("planning: {items: 160}", "planning: {max_items: 500}")
    (tmp_path / "ullage.yaml").write_text(text)
    loaded = load(tmp_path / "ullage.yaml")
    guessed = asyncio.run(plan_only(loaded, run=None, pilot=None))
    assert not (tmp_path / "runs").exists(), "planning alone writes nothing"
    piloted = asyncio.run(plan_only(loaded, run=None, pilot=60))
    accuracy = piloted.targets["agreement.accuracy"]
    assert accuracy.piloted
    assert not guessed.targets["agreement.accuracy"].piloted
    assert accuracy.flip_rate < guessed.targets["agreement.accuracy"].flip_rate
    assert accuracy.items < guessed.targets["agreement.accuracy"].items
    run = tmp_path / "runs" / "simulated"
    assert read_part(run / "plan.json", Plan) == piloted
    asked = (run / "replies.jsonl").read_bytes()
    statement = audit(tmp_path, text)
    assert (run / "replies.jsonl").read_bytes().startswith(asked)
    assert statement.probes["agreement"].items == piloted.probes["agreement"].items
    assert any("pilot" in note for note in statement.notes)


def test_a_pilot_cannot_tell_which_arm_is_better(tmp_path: Path) -> None:
    """Exchanging teacher and student gives the same pilot."""
    pilots = []
    for name, (teacher, student) in {"one": (0.95, 0.7), "other": (0.7, 0.95)}.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ullage.yaml").write_text(
            f"""
scenario: scenario.yaml
arms:
  teacher: {{model: "simulated:a", simulated: {{seed: 4, default: {{accuracy: {teacher}}}}}}}
  student: {{model: "simulated:a", simulated: {{seed: 4, default: {{accuracy: {student}}}}}}}
"""
        )
        (folder / "scenario.yaml").write_text(
            "name: s\ntitle: S\nuse: Piloting.\ntargets:\n  - {probe: agreement, metric: accuracy, "
            "margin: 0.1, reason: Symmetric by design.}\n"
        )
        setup = set_up(load(folder / "ullage.yaml"))
        with setup.folder.locked():
            from ullage.audit import open_arms

            async def pilot() -> object:
                return await pilot_audit(setup, await open_arms(setup.loaded), 80)  # noqa: B023

            pilots.append(asyncio.run(pilot()))
    assert pilots[0] == pilots[1]


def test_scores_are_read_back_aligned(finished: tuple[Path, Statement]) -> None:
    scores = read_scores(finished[0] / "runs" / "simulated" / "scores.parquet")
    table = scores.probes["abstention"]
    assert len(table.items) == len(set(table.items)) == 160
    assert table.columns("student", ("contrast", "abstains")).shape == (160, 2)
    assert np.isnan(table.columns("student", ("nothing",))).all()
    assert not table.errors["student"].any()


def test_two_runs_are_compared_on_the_same_replies(finished: tuple[Path, Statement]) -> None:
    """The difference of two students, from the command, against a few lines of numpy."""
    first = finished[0] / "runs" / "simulated"
    other = CONFIG.replace("name: simulated", "name: repaired").replace(", clarify: 0.4", "")
    audit(finished[0], other)
    second = finished[0] / "runs" / "repaired"
    done = CliRunner().invoke(app, ["statement", "diff", str(first), str(second), "--json"])
    assert done.exit_code == 0, done.exception
    compared = Comparison.model_validate_json(done.stdout)
    moved = {target.target: target for target in compared.targets}
    assert {t.difference.pairing for t in moved.values() if t.difference} == {Pairing.REPLIES}
    target = moved["clarification.recovers"]
    assert target.change == Change.REPAIRED
    scores = [read_scores(run / "scores.parquet") for run in (first, second)]
    asked = [one.probes["clarification"] for one in scores]
    students = [probe.values["student", "recovers"] for probe in asked]
    both = np.isfinite(students).all(axis=0)
    assert asked[0].items == asked[1].items and target.difference is not None
    expected = np.mean(students[0][both] - students[1][both])
    assert target.difference.estimate == pytest.approx(expected, abs=1e-12)
    assert target.difference.high < 0.0
    assert target.difference.items == both.sum()
    # Without its scores, a statement is compared by its intervals.
    (second / "scores.parquet").unlink()
    done = CliRunner().invoke(app, ["statement", "diff", str(first), str(second), "--json"])
    alone = Comparison.model_validate_json(done.stdout)
    assert {t.difference.pairing for t in alone.targets if t.difference} == {Pairing.APART}
