from __future__ import annotations

import pytest

from tests.support import statements
from ullage.statement.document import ArmValue, Finding, Verdict
from ullage.statement.standing import Standing, picture
from ullage.statement.words import places


def target(
    name: str,
    values: dict[str, float],
    *,
    chance: float | None = None,
    higher: bool = True,
    verdict: Verdict = Verdict.PRESERVED,
    headline: bool = False,
) -> Finding:
    changes = {
        "values": {arm: ArmValue(value=v, items=100, errors=0) for arm, v in values.items()},
        "chance": chance,
        "higher_is_better": higher,
    }
    return statements.finding(name, verdict, changes=changes, headline=headline)


def standings(*findings: Finding, arms: tuple[str, ...]) -> dict[str, Standing]:
    drawn = picture(statements.statement(findings, arms=arms))
    return {standing.arm: standing for standing in drawn.standings}


def test_axes_are_the_means_they_say_they_are() -> None:
    found = standings(
        target("a.a", {"teacher": 0.9, "student": 0.8}, headline=True),
        target("b.b", {"teacher": 0.2, "student": 0.4}, headline=True, higher=False),
        target("c.c", {"teacher": 0.9, "student": 0.5}, chance=0.1),
        target("d.d", {"teacher": 0.2, "student": 0.4}, higher=False),
        arms=("teacher", "student"),
    )
    assert found["teacher"].performance == pytest.approx((0.9 + 0.8) / 2)
    assert found["student"].performance == pytest.approx((0.8 + 0.6) / 2)
    assert found["teacher"].capability == 1.0
    assert found["student"].capability == pytest.approx((0.4 / 0.8 + 0.6 / 0.8) / 2)


def test_no_gain_pays_for_a_loss() -> None:
    found = standings(
        target("a.a", {"teacher": 0.5, "student": 1.0}),
        target("b.b", {"teacher": 0.8, "student": 0.4}),
        arms=("teacher", "student"),
    )
    assert found["student"].capability == pytest.approx((1.0 + 0.5) / 2)


def test_what_cannot_be_a_share_is_left_out_and_counted() -> None:
    drawn = picture(
        statements.statement(
            [
                target("a.a", {"teacher": 2.5, "student": 3.0}),
                target("b.b", {"teacher": 0.1, "student": 0.2}, chance=0.3),
                target("c.c", {"teacher": 0.5, "student": 0.2}, verdict=Verdict.NEVER_HAD),
                target("d.d", {"teacher": 0.9}),
                target("e.e", {"teacher": 0.9, "student": 0.9}),
                statements.finding("f.f", Verdict.UNMEASURED),
            ]
        )
    )
    assert (drawn.headline_targets, drawn.other_targets, drawn.left_out) == (0, 1, 5)
    assert all(standing.performance is None for standing in drawn.standings)


def test_an_arm_that_missed_targets_says_how_many_it_has() -> None:
    found = standings(
        target("a.a", {"teacher": 1.0, "student": 0.5, "base": 0.25}),
        target("b.b", {"teacher": 1.0, "student": 0.5}),
        arms=("teacher", "student", "base", "control"),
    )
    assert (found["base"].other_targets, found["base"].capability) == (1, 0.25)
    assert (found["control"].other_targets, found["control"].capability) == (0, None)


@pytest.mark.parametrize(
    ("low", "high", "margin", "digits"),
    [
        (-0.01, 0.02, 0.05, 3),
        (-0.1, 0.04996, 0.05, 5),
        (0.0003, 0.2, 0.05, 4),
        (-1.0, 40.0, 30.0, 0),
        (-1.0, 2.0, 0.5, 2),
    ],
)
def test_rounding_never_hides_the_verdict(
    low: float, high: float, margin: float, digits: int
) -> None:
    middle, half = (low + high) / 2, (high - low) / 2
    loss = statements.estimate(middle, half).model_copy(update={"low": low, "high": high})
    finding = statements.finding("a.a", Verdict.PRESERVED, margin=margin, changes={"loss": loss})
    assert places(finding) == digits
