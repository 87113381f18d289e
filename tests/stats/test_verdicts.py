"""The order of the rules, and that every sentence carries its numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.stats.intervals import Interval
from ullage.stats.verdicts import Judgement, decide

MARGIN = 0.05
VERDICTS = {"lost", "degraded", "never_had", "preserved", "inconclusive"}


def between(low: float, high: float) -> Interval:
    middle = (low + high) / 2
    return Interval(middle, low, high, (high - low) / 4, 50, 200, 0.95, "by hand")


def judge(
    low: float,
    high: float,
    *,
    holm: float = 0.001,
    teacher: Interval | None = None,
    chance: Interval | None = None,
) -> Judgement:
    return decide(
        between(low, high),
        MARGIN,
        p_lost_holm=holm,
        teacher_advantage=teacher,
        chance_advantage=chance,
    )


NOT_BETTER = between(-0.02, 0.04)
BETTER = between(0.10, 0.30)
UNCLEAR = between(-0.02, 0.30)


@pytest.mark.parametrize(
    ("low", "high", "holm", "teacher", "chance", "verdict"),
    [
        (0.06, 0.20, 0.010, None, None, "lost"),
        (0.06, 0.20, 0.030, None, None, "degraded"),  # Holm does not let it be called lost
        (0.01, 0.20, 1.0, None, None, "degraded"),
        (0.01, 0.04, 1.0, None, None, "preserved"),  # a loss, but shown to be within the margin
        (-0.02, 0.04, 1.0, None, None, "preserved"),
        (-0.02, 0.20, 1.0, None, None, "inconclusive"),
        (-0.20, -0.10, 1.0, None, None, "preserved"),  # a gain
        (-0.02, 0.05, 1.0, None, None, "inconclusive"),  # up to the margin is not below it
        (0.0, 0.20, 1.0, None, None, "inconclusive"),
        (-0.02, 0.04, 1.0, NOT_BETTER, None, "never_had"),
        (-0.02, 0.20, 1.0, NOT_BETTER, BETTER, "never_had"),
        (-0.02, 0.20, 1.0, BETTER, NOT_BETTER, "never_had"),
        (-0.02, 0.20, 1.0, UNCLEAR, UNCLEAR, "inconclusive"),  # the excuse must be shown
        (-0.02, 0.04, 1.0, UNCLEAR, UNCLEAR, "preserved"),
        (0.06, 0.20, 0.010, NOT_BETTER, NOT_BETTER, "lost"),  # a shown loss is not excused
        (0.01, 0.20, 1.0, NOT_BETTER, NOT_BETTER, "degraded"),
    ],
)
def test_the_first_rule_that_holds_decides(
    low: float,
    high: float,
    holm: float,
    teacher: Interval | None,
    chance: Interval | None,
    verdict: str,
) -> None:
    assert judge(low, high, holm=holm, teacher=teacher, chance=chance).verdict == verdict


finite = st.floats(-1.0, 1.0)


@given(finite, finite, st.floats(0.0, 1.0))
def test_nothing_is_preserved_or_lost_that_is_not_shown(a: float, b: float, holm: float) -> None:
    low, high = sorted((a, b))
    found = judge(low, high, holm=holm)
    assert found.verdict in VERDICTS
    assert (found.verdict == "preserved") <= (high < MARGIN)
    assert (found.verdict == "lost") <= (low > MARGIN and holm < 0.025)
    assert (found.verdict == "inconclusive") <= (low <= 0.0 and high >= MARGIN)


def test_the_sentence_has_the_numbers() -> None:
    assert judge(0.06, 0.20, holm=0.0123).why == (
        "loss +0.130, 95 % interval [+0.060, +0.200]: all of it above the margin 0.05 "
        "(Holm p 0.012)"
    )
    assert judge(0.06, 0.20, holm=0.04).why.endswith("and above it not after Holm (p 0.04)")
    never = judge(-0.02, 0.2, chance=NOT_BETTER).why
    assert "over chance" in never
    assert "+0.040" in never


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan")])
def test_a_margin_is_positive(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        decide(
            between(0.0, 0.1),
            margin,
            p_lost_holm=1.0,
            teacher_advantage=None,
            chance_advantage=None,
        )
