"""Chains and frontiers: what each step took, and which students nothing cheaper beats."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.support import statements
from tests.support.statements import EVERYTHING
from ullage.cli import app
from ullage.errors import InputError
from ullage.statement.chain import Chain, chain, summary
from ullage.statement.compare import Difference, Pairing
from ullage.statement.document import ArmValue, Estimate, Statement, Verdict
from ullage.statement.frontier import Cost, Frontier, frontier
from ullage.statement.frontier_page import to_html
from ullage.statement.lineage_terminal import render_chain, render_frontier
from ullage.statement.standing import picture
from ullage.statement.store import to_bytes

P, L = Verdict.PRESERVED, Verdict.LOST
TARGETS = ("agreement.accuracy", "clarification.contrast")


def estimate(value: float, half: float = 0.02) -> Estimate:
    return Estimate(
        estimate=value, low=value - half, high=value + half, method="x", items=200, families=40
    )


def about(
    losses: tuple[float, float],
    *,
    student: str,
    teacher: str = "teacher",
    derived: tuple[float, float] | None = None,
) -> Statement:
    """A statement about a student with these losses, and what was made of it."""
    findings = []
    for at, (name, loss) in enumerate(zip(TARGETS, losses, strict=True)):
        finding = statements.finding(name, L if loss > 0.1 else P, headline=at == 0)
        values = {arm: ArmValue(value=v, items=200, errors=0) for arm, v in
                  {"teacher": 0.9, "student": 0.9 - loss}.items()}  # fmt: skip
        changes: dict[str, Any] = {"loss": estimate(loss), "values": values, "chance": None}
        changes["other_losses"] = {}
        if derived is not None:
            changes["derived_loss"] = estimate(derived[at])
            changes["other_losses"] = {"derived": estimate(loss + derived[at])}
            values["derived"] = ArmValue(value=0.9 - loss - derived[at], items=200, errors=0)
        findings.append(finding.model_copy(update=changes))
    made = statements.statement(findings, name=student)
    arms = {
        "teacher": statements.arm(teacher, description={"weight_bytes": 4_000_000_000}),
        "student": statements.arm(student, description={"weight_bytes": 500_000_000}),
    }
    if derived is not None:
        arms["derived"] = statements.arm(f"{student}-int8", description={"weight_bytes": 1_000})
    return made.model_copy(update={"arms": arms})


def losses(told: Chain, target: str) -> list[tuple[float, str] | None]:
    (one,) = [t for t in told.targets if t.target == target]
    steps = [None if s is None else (round(s.estimate, 9), s.basis) for s in one.steps]
    return [*steps, None if one.whole is None else (round(one.whole.estimate, 9), one.whole.basis)]


def test_a_derived_arm_is_a_step_of_its_own() -> None:
    told = chain([("s", about((0.01, 0.3), student="s", derived=(0.2, 0.0)))])
    assert told.steps == ("teacher → s", "s → s, derived")
    assert losses(told, TARGETS[0]) == [(0.01, "judged"), (0.2, "judged"), (0.21, "judged")]
    assert losses(told, TARGETS[1]) == [(0.3, "judged"), (0.0, "judged"), (0.3, "judged")]
    assert [target.taken_by for target in told.targets] == [1, 0]
    assert summary(told) == [
        "teacher → s took most of what clarification.contrast lost.",
        "s → s, derived took most of what agreement.accuracy lost.",
    ]


def test_a_statement_about_the_student_as_teacher_goes_on() -> None:
    first = about((0.05, 0.3), student="s")
    told = chain([("s", first), ("tiny", about((0.0, 0.2), student="tiny", teacher="s"))])
    assert losses(told, TARGETS[1]) == [(0.3, "judged"), (0.2, "judged"), None]
    last = about((0.0, 0.1), student="least", teacher="tiny")
    assert len(chain([("s", first), ("tiny", about((0.0, 0.2), student="tiny", teacher="s")),
                      ("least", last)]).steps) == 3  # fmt: skip


def test_another_student_of_the_same_teacher_is_the_difference() -> None:
    one, other = about((0.05, 0.3), student="s"), about((0.1, 0.35), student="q")
    told = chain([("s", one), ("q", other)])
    assert losses(told, TARGETS[0]) == [(0.05, "judged"), (0.05, "two intervals"), (0.1, "judged")]
    known = Difference(
        estimate=0.04, low=0.03, high=0.05, method="x", pairing=Pairing.REPLIES, items=9, families=3
    )
    told = chain([("s", one), ("q", other)], [{TARGETS[0]: known}])
    assert losses(told, TARGETS[0]) == [(0.05, "judged"), (0.04, "same replies"), (0.1, "judged")]
    assert told.targets[0].taken_by == 0
    assert told.targets[0].steps[1] is not None and told.targets[0].steps[1].low == 0.03


def test_what_is_no_chain_is_one_line() -> None:
    one = about((0.05, 0.3), student="s")
    with pytest.raises(InputError, match="one step only"):
        chain([("s", one)])
    stranger = about((0.0, 0.2), student="x", teacher="nobody")
    with pytest.raises(InputError, match=r"x does not go on where s ends: .* different models"):
        chain([("s", one), ("x", stranger)])
    with pytest.raises(InputError, match="has an arm `derived`"):
        chain(
            [("s", about((0, 0), student="s", derived=(0, 0))), ("q", about((0, 0), student="q"))]
        )


def front(*entries: tuple[str, float | None, float]) -> Frontier:
    made = []
    for name, size, loss in entries:
        told = about((0.0, loss), student=name)
        silent: dict[str, Any] = {"adapter": "hf"}
        description = silent if size is None else {"weight_bytes": int(size)}
        student = told.arms["student"].model_copy(update={"description": description})
        made.append((name, told.model_copy(update={"arms": told.arms | {"student": student}})))
    return frontier(made)


def test_the_frontier_is_what_nothing_cheaper_beats() -> None:
    made = front(("small", 1e6, 0.4), ("worse", 2e6, 0.5), ("middle", 5e6, 0.2), ("same", 5e6, 0.2))
    best = {entry.label: entry.on_frontier for entry in made.entries}
    assert best == {"small": True, "worse": False, "middle": True, "same": True, "teacher": True}
    assert [entry.label for entry in made.entries] == [
        "small",
        "worse",
        "middle",
        "same",
        "teacher",
    ]
    kept = {entry.label: entry.capability for entry in made.entries}
    assert kept["teacher"] == 1.0
    statement = about((0.0, 0.2), student="middle")
    (standing,) = [s for s in picture(statement).standings if s.arm == "student"]
    assert kept["middle"] == standing.capability
    assert {entry.label: entry.lost for entry in made.entries}["worse"] == 1


def test_costs() -> None:
    priced = about((0.0, 0.2), student="a")
    arms = {name: arm.model_copy(update={"money": 2.0, "replies": 100, "completion_tokens": 700})
            for name, arm in priced.arms.items()}  # fmt: skip
    made = frontier([("a", priced.model_copy(update={"arms": arms}))], Cost.MONEY)
    assert {entry.cost for entry in made.entries} == {20.0}
    made = frontier([("a", priced.model_copy(update={"arms": arms}))], Cost.TOKENS)
    assert {entry.cost for entry in made.entries} == {7.0}
    unpriced = {name: arm.model_copy(update={"money": None}) for name, arm in priced.arms.items()}
    with pytest.raises(InputError, match="does not tell what its student costs"):
        frontier([("a", priced.model_copy(update={"arms": unpriced}))], Cost.MONEY)
    derived = frontier([("a", about((0.0, 0.2), student="a", derived=(0.0, 0.0)))])
    assert [e.label for e in derived.entries] == ["a, derived", "a", "teacher"]
    assert derived.entries[0].lost is None


def test_where_one_does_not_tell_its_size_the_next_cost_is_taken() -> None:
    made = front(("a", 1e6, 0.2), ("b", None, 0.1))
    assert made.cost == Cost.TOKENS
    assert all(entry.cost is not None for entry in made.entries)


def test_other_teachers_are_refused() -> None:
    one, other = about((0.0, 0.2), student="a"), about((0.0, 0.2), student="b", teacher="nobody")
    with pytest.raises(InputError, match="a and b cannot be held against each other"):
        frontier([("a", one), ("b", other)])


def test_hostile_names_are_shown_and_never_obeyed() -> None:
    one = about((0.0, 0.2), student="a")
    made = frontier([(EVERYTHING, one), ("b", one)])
    page = to_html(made)
    for banned in ("<script>alert", 'onerror="', "<b onmouseover", "\x1b", "\u202e"):
        assert banned not in page
    for told in (made, chain([(EVERYTHING, one), ("b", about((0.1, 0.2), student="b"))])):
        out = io.StringIO()
        console = Console(file=out, width=100, force_terminal=False)
        if isinstance(told, Chain):
            render_chain(told, console)
        else:
            render_frontier(told, console)
        assert "\x1b" not in out.getvalue()
        assert "\u202e" not in out.getvalue()
        assert json.loads(told.to_json())["kind"] == told.kind


def test_the_commands(tmp_path: Path) -> None:
    places = []
    for name, loss in (("first", 0.05), ("second", 0.3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "statement.json").write_bytes(to_bytes(about((0.0, loss), student=name)))
        places.append(str(folder))
    run = CliRunner().invoke(app, ["statement", "chain", *places])
    assert run.exit_code == 0, run.output
    assert "first → second took most of what clarification.contrast lost." in run.output
    told = CliRunner().invoke(app, ["statement", "chain", *places, "--json"])
    assert Chain.model_validate_json(told.stdout).models == ("teacher", "first", "second")
    page = tmp_path / "front.html"
    run = CliRunner().invoke(app, ["statement", "frontier", *places, "--html", str(page)])
    assert run.exit_code == 0, run.output
    assert "on the frontier" in run.output
    assert "500M" in run.output
    assert page.read_text().startswith("<!DOCTYPE html>")
    told = CliRunner().invoke(app, ["statement", "frontier", *places, "--cost", "tokens", "--json"])
    assert Frontier.model_validate_json(told.stdout).cost == Cost.TOKENS
    refused = CliRunner().invoke(app, ["statement", "frontier", *places, "--cost", "money"])
    assert isinstance(refused.exception, InputError)
