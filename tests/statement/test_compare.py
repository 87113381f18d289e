"""Two statements side by side: what is called a change, what is refused, and how it is shown."""

from __future__ import annotations

import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.support import statements
from tests.support.statements import HOSTILE
from ullage.cli import app
from ullage.errors import InputError
from ullage.statement.compare import Change, Comparison, compare, labels
from ullage.statement.compare_terminal import render
from ullage.statement.document import Statement, Verdict
from ullage.statement.store import to_bytes

P, L, D = Verdict.PRESERVED, Verdict.LOST, Verdict.DEGRADED
I, U, N = Verdict.INCONCLUSIVE, Verdict.UNMEASURED, Verdict.NEVER_HAD  # noqa: E741


def about(verdicts: dict[str, Verdict], *, student: str = "full", **changes: Any) -> Statement:
    """A statement about a student, with these verdicts; `agreement.accuracy` is the headline."""
    findings = [
        statements.finding(name, verdict, headline=name == "agreement.accuracy")
        for name, verdict in verdicts.items()
    ]
    made = statements.statement(findings, name=student, **changes)
    arms = made.arms | {"student": statements.arm(student)}
    return made.model_copy(update={"arms": arms})


KEPT = about({"agreement.accuracy": P, "clarification.contrast": P, "abstention.contrast": D})
SCRUBBED = about(
    {"agreement.accuracy": P, "clarification.contrast": L, "abstention.contrast": P},
    student="scrubbed",
)


def shown(comparison: Comparison, width: int = 80, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, write_through=True) as pipe:
        render(comparison, Console(file=pipe, width=width))
        return raw.getvalue().decode(encoding)


def change(first: Verdict, second: Verdict) -> Change:
    (target,) = compare(about({"a.b": first}), about({"a.b": second})).targets
    return target.change


TABLE = {
    P: {P: "unchanged", D: "worse", L: "newly lost", I: "no longer known", N: "changed"},
    D: {P: "repaired", D: "unchanged", L: "newly lost", I: "no longer known", N: "changed"},
    L: {P: "repaired", D: "better", L: "unchanged", I: "no longer known", N: "changed"},
    I: {P: "now known", D: "worse", L: "newly lost", I: "unchanged", N: "now known"},
    N: {P: "changed", D: "worse", L: "newly lost", I: "no longer known", N: "unchanged"},
}


@pytest.mark.parametrize(("first", "second"), list(product(TABLE, TABLE)))
def test_what_every_pair_of_verdicts_is_called(first: Verdict, second: Verdict) -> None:
    assert change(first, second) == TABLE[first][second]


@pytest.mark.parametrize("verdict", [P, D, L, N])
def test_unmeasured_is_as_unknown_as_inconclusive(verdict: Verdict) -> None:
    assert change(verdict, U) == change(verdict, I)
    assert change(U, verdict) == change(I, verdict)
    assert change(I, U) == change(U, I) == Change.CHANGED


def test_the_story_is_told_headline_first() -> None:
    compared = compare(KEPT, SCRUBBED, labels=("full", "scrubbed"))
    assert compared.summary == (
        "Headline: preserved in both.",
        "Lost in scrubbed and not in full: clarification.contrast (1 of 2 other targets).",
        "A loss in full, repaired in scrubbed: abstention.contrast.",
    )
    assert [(target.target, target.change) for target in compared.targets] == [
        ("agreement.accuracy", Change.UNCHANGED),
        ("clarification.contrast", Change.NEWLY_LOST),
        ("abstention.contrast", Change.REPAIRED),
    ]
    assert compared.counts["newly lost"] == compared.counts["repaired"] == 1
    assert sum(compared.counts.values()) == 3
    lost = compared.targets[1]
    assert lost.first is not None and lost.second is not None
    assert lost.second.loss == SCRUBBED.findings[1].loss
    assert (lost.first.verdict, lost.second.verdict) == (P, L)
    assert compared.differences == ()


def test_a_headline_that_moved_is_said() -> None:
    second = about({"agreement.accuracy": I, "x.accuracy": P}, student="s")
    first = about({"agreement.accuracy": P, "x.accuracy": P})
    assert compare(first, second).summary == (
        "Headline: preserved in A, inconclusive in B.",
        "Of 1 other target none is lost in B that is not lost in A.",
    )


def test_a_statement_against_itself_has_not_changed() -> None:
    every = statements.every_verdict()
    compared = compare(every, every)
    assert {target.change for target in compared.targets} == {Change.UNCHANGED}
    assert compared.differences == ("the student is the same model in both",)


def other_teacher(statement: Statement) -> Statement:
    return statement.model_copy(
        update={"arms": statement.arms | {"teacher": statements.arm("another")}}
    )


def other_margin(statement: Statement) -> Statement:
    targets = statement.scenario.targets
    moved = targets[0].model_copy(update={"margin": 0.5})
    scenario = statement.scenario.model_copy(update={"targets": (moved, *targets[1:])})
    return statement.model_copy(update={"scenario": scenario})


def fewer_targets(statement: Statement) -> Statement:
    scenario = statement.scenario.model_copy(update={"targets": statement.scenario.targets[:-1]})
    update = {"scenario": scenario, "findings": statement.findings[:-1]}
    return statement.model_copy(update=update)


def other_scenario(statement: Statement) -> Statement:
    scenario = statement.scenario.model_copy(update={"name": "triage"})
    return statement.model_copy(update={"scenario": scenario})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (other_teacher, "their teachers are different models"),
        (other_margin, "another margin is set for agreement.accuracy"),
        (fewer_targets, "only one has the target abstention.contrast"),
        (other_scenario, "their scenarios are support-assistant and triage"),
    ],
)
def test_what_is_not_about_the_same_is_refused_unless_forced(changed: Any, said: str) -> None:
    second = changed(SCRUBBED)
    with pytest.raises(InputError, match=said) as caught:
        compare(KEPT, second)
    assert "\n" not in str(caught.value) and "--force" in str(caught.value)
    forced = compare(KEPT, second, force=True)
    assert said in forced.differences
    assert {target.target for target in forced.targets} == {f.id for f in KEPT.findings}
    assert said in " ".join(shown(forced).split())


def test_a_target_of_one_statement_only_is_not_judged_in_the_other() -> None:
    forced = compare(KEPT, fewer_targets(SCRUBBED), force=True)
    target = next(t for t in forced.targets if t.target == "abstention.contrast")
    assert target.change == Change.UNKNOWN and target.second is None
    back = compare(fewer_targets(SCRUBBED), KEPT, force=True)
    target = next(t for t in back.targets if t.target == "abstention.contrast")
    assert target.change == Change.WORSE and target.first is None
    assert "not judged" in shown(forced)


def test_other_items_and_versions_are_noted() -> None:
    second = SCRUBBED.model_copy(update={"ullage_version": "9"})
    (note,) = compare(KEPT, second).differences
    assert note == f"they were judged by Ullage {KEPT.ullage_version} and 9"
    name, record = next(iter(SCRUBBED.probes.items()))
    moved = SCRUBBED.probes | {name: record.model_copy(update={"source": "mine.jsonl sha256:1"})}
    second = SCRUBBED.model_copy(update={"probes": moved})
    assert compare(KEPT, second).differences == (f"other items were asked by {name}",)


@pytest.mark.parametrize("width", [60, 80, 140, 200])
def test_the_page_holds_everything_within_its_width(width: int) -> None:
    first = statements.every_verdict()
    second = first.model_copy(update={"findings": SCRUBBED.findings[1:2] + first.findings[1:]})
    compared = compare(first, second, labels=("full corpus", "s" * 90), force=True)
    text = shown(compared, width)
    assert max(map(len, text.splitlines())) <= width
    joined = "".join(text.split())
    for target in compared.targets:
        assert target.target in joined
        assert "".join(str(target.change).split()) in joined
    assert "✖lost" in joined and "Two students of one teacher" in text


def test_without_unicode_the_page_is_ascii() -> None:
    text = shown(compare(KEPT, SCRUBBED), encoding="ascii")
    assert text.isascii() and "X lost" in text and "A > B" in text


def test_json_is_canonical_and_reads_back() -> None:
    compared = compare(KEPT, SCRUBBED)
    text = compared.to_json()
    assert Comparison.model_validate_json(text) == compared
    assert json.loads(text)["kind"] == "ullage.statement-comparison"
    assert text == compare(KEPT, SCRUBBED).to_json()


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_names_do_nothing(what: str) -> None:
    name = HOSTILE[what].encode("utf-8", "replace").decode()
    compared = compare(KEPT, SCRUBBED.model_copy(update={"name": name}), labels=(name, "B"))
    for text in (shown(compared), shown(compared, 130), compared.to_json()):
        for char in ("\x1b", "\x9b", "\u202e", "\u2066", "\u200b", "\x00", "\x07"):
            assert char not in text


def test_labels_are_what_tells_them_apart() -> None:
    here, there = Path("runs/one/statement.json"), Path("runs/two/statement.json")
    assert labels(KEPT, SCRUBBED, (here, there)) == ("full", "scrubbed")
    assert labels(KEPT, KEPT, (here, there)) == ("one", "two")
    assert labels(KEPT, KEPT, (here, here)) == ("A", "B")


def test_the_command_takes_files_and_folders(tmp_path: Path) -> None:
    for statement in (KEPT, SCRUBBED):
        (tmp_path / statement.name).mkdir()
        (tmp_path / statement.name / "statement.json").write_bytes(to_bytes(statement))
    places = [str(tmp_path / "full"), str(tmp_path / "scrubbed" / "statement.json")]
    run = CliRunner().invoke(app, ["statement", "diff", *places])
    assert run.exit_code == 0
    assert "full → scrubbed" in run.output and "newly lost" in run.output
    run = CliRunner().invoke(app, ["statement", "diff", *places, "--json"])
    assert run.exit_code == 0
    assert Comparison.model_validate_json(run.output).second.label == "scrubbed"


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    for name, statement in (("a", KEPT), ("b", other_teacher(SCRUBBED))):
        (tmp_path / f"{name}.json").write_bytes(to_bytes(statement))
    places = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    run = CliRunner().invoke(app, ["statement", "diff", *places])
    assert isinstance(run.exception, InputError) and run.exception.exit_code == 2
    assert CliRunner().invoke(app, ["statement", "diff", "--force", *places]).exit_code == 0
