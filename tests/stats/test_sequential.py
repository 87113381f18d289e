"""Intervals that hold at every look: against plain loops, and by simulation over all times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tests.stats.data import FloatArray, IntArray, arms_of, correlated_differences, families_of
from ullage.stats import intervals
from ullage.stats.families import MIN_FAMILIES, TooFewError
from ullage.stats.sequential import LOOKING, asked_in_full, mean, mean_difference

NEEDED = 2.0 / (0.05 * LOOKING)
"""Capital that rules out a mean."""


def most_capital(values: FloatArray, family: IntArray, at: float) -> float:
    """Largest capital at the end of any family of betting that the mean is above `at`, in loops."""
    names = list(dict.fromkeys(family.tolist()))
    seen: list[FloatArray] = []
    capital, most, largest = 1.0, 0.0, 0
    for name in names:
        mine = values[family == name]
        largest = max(largest, len(mine))
        before = np.concatenate(seen) if seen else np.array([])
        design = float(largest)
        if len(seen) > 1:
            rest = [(one - before.mean()).sum() ** 2 for one in seen]
            bound = sum(rest) * len(seen) / stats.chi2.ppf(0.2, len(seen) - 1)
            own = ((before - before.mean()) ** 2).sum()
            design = min(max((bound + 0.05 * largest) / (own + 0.05), 1.0), largest)
        centre = (0.5 + before.sum()) / (1 + len(before))
        variance = (0.25 + ((before - centre) ** 2).sum()) / (1 + len(before))
        worth = (len(before) + len(mine)) / design
        stake = min(math.sqrt(2.0 * math.log(NEEDED) / (variance * 2.0 * worth)), 0.75 / at)
        for value in mine:
            capital *= (1.0 + stake * (value - at)) ** (1.0 / design)
        most = max(most, capital)
        seen.append(mine)
    return most


@st.composite
def scored(draw: Any) -> tuple[Any, Any]:
    sizes = draw(st.lists(st.integers(1, 6), min_size=MIN_FAMILIES, max_size=25))
    family = np.repeat(np.arange(len(sizes)), sizes)
    levels = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    scores = st.lists(levels, min_size=len(family), max_size=len(family)).map(np.array)
    return draw(scores), family


@given(scored(), st.floats(0.02, 0.98))
@settings(max_examples=50)
def test_capital_is_that_of_a_plain_loop(data: Any, at: float) -> None:
    values, family = data
    found = mean(values, family).p_greater(at)
    assert found == pytest.approx(
        min(1.0, 1.0 / LOOKING / max(1.0, most_capital(values, family, at))), rel=1e-9
    )


def test_the_ends_are_those_of_a_grid_of_means() -> None:
    rng = np.random.default_rng(3)
    family = families_of(120, 6)
    values = rng.choice([0.0, 0.5, 1.0], p=[0.1, 0.2, 0.7], size=120)
    grid = np.linspace(0.005, 0.995, 199)
    kept = [
        at
        for at in grid
        if most_capital(values, family, at) < NEEDED
        and most_capital(1.0 - values, family, 1.0 - at) < NEEDED
    ]
    found = mean(values, family)
    assert found.low == pytest.approx(kept[0], abs=0.005)
    assert found.high == pytest.approx(kept[-1], abs=0.005)
    # And the grid's set has no holes: it is an interval.
    assert len(kept) == round((kept[-1] - kept[0]) / 0.005) + 1


@pytest.mark.parametrize(("size", "correlation"), [(1, 0.0), (8, 0.02), (8, 0.5), (8, 1.0)])
def test_the_truth_is_inside_at_all_times(size: int, correlation: float) -> None:
    rng = np.random.default_rng(size + int(10 * correlation))
    family = families_of(320, size)
    missed = 0
    audits = 400
    for _ in range(audits):
        differences = correlated_differences(rng, family, 0.2, correlation, loss=0.1)
        found = mean_difference(*arms_of(differences), family)
        # The capital is the largest at any time: the truth is out if it ever was.
        missed += found.p_greater(0.1) < 0.025 or found.negated().p_greater(-0.1) < 0.025
    # A hundredth is what looking may miss; what may be seen of that with one chance in 10,000.
    assert missed <= stats.binom.isf(1e-4, audits, 0.05 * LOOKING)


def test_looking_at_the_usual_interval_misses_what_this_one_does_not() -> None:
    """The test of the test: the same looks with an interval that is meant for one look."""
    rng = np.random.default_rng(0)
    family = families_of(320, 1)
    looks = range(20, 321, 20)
    missed = 0
    for _ in range(100):
        teacher, student = arms_of(correlated_differences(rng, family, 0.2, 0.0, loss=0.1))
        ends = [intervals.mean_difference(teacher[:n], student[:n], family[:n]) for n in looks]
        missed += any(not one.low <= 0.1 <= one.high for one in ends)
    assert missed > 10


def test_bets_are_decided_by_the_families_before() -> None:
    rng = np.random.default_rng(1)
    family = families_of(60, 5)
    values = rng.random(60)
    changed = np.concatenate([values[:30], rng.random(30)])
    for n in (30, 35):
        one, other = mean(values[:n], family[:n]).bets, mean(changed, family).bets
        np.testing.assert_allclose(one.stakes[:30], other.stakes[:30])
        np.testing.assert_allclose(one.designs[:n], other.designs[:n])


def test_families_that_move_as_one_are_worth_one_item_each() -> None:
    family = families_of(130, 13)
    differences = np.where(family % 10 < 3, 1.0, 0.0)
    together = mean_difference(*arms_of(differences), family)
    alone = mean_difference(*arms_of(differences), np.arange(130))
    assert together.low < -0.1 < 0.1 < alone.low


@given(scored(), st.floats(0.1, 50.0), st.floats(-10.0, 10.0))
@settings(max_examples=30)
def test_units_and_direction_do_not_matter(data: Any, scale: float, shift: float) -> None:
    values, family = data
    bounds = (shift, shift + scale)
    plain = mean(values, family)
    moved = mean(np.clip(values * scale + shift, *bounds), family, bounds=bounds)
    turned = mean(1.0 - values, family)
    for end in ("low", "high", "estimate"):
        assert getattr(plain, end) * scale + shift == pytest.approx(getattr(moved, end), abs=1e-5)
    assert (1.0 - plain.high, 1.0 - plain.low) == pytest.approx((turned.low, turned.high), abs=1e-6)
    assert plain.negated().p_greater(-0.7) == pytest.approx(turned.p_greater(0.3), rel=1e-6)


@given(scored())
@settings(max_examples=30)
def test_the_interval_holds_its_estimate_and_agrees_with_its_p(data: Any) -> None:
    values, family = data
    found = mean(values, family)
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0
    assert found.low < found.high
    if 0.001 < found.low < found.estimate:
        assert found.p_greater(found.low - 0.001) < 0.025 < found.p_greater(found.low + 0.001)


def test_asked_in_full_is_the_usual_interval_a_little_wider() -> None:
    rng = np.random.default_rng(5)
    family = families_of(300, 6)
    teacher, student = arms_of(correlated_differences(rng, family, 0.2, 0.02))
    usual = intervals.mean_difference(teacher, student, family)
    found = asked_in_full(
        lambda level: intervals.mean_difference(teacher, student, family, level=level)
    )
    assert found.level == usual.level
    ratio = stats.t.isf(0.02, usual.degrees_of_freedom) / stats.t.isf(
        0.025, usual.degrees_of_freedom
    )
    assert (found.high - found.low) / (usual.high - usual.low) == pytest.approx(ratio, abs=0.01)
    assert found.p_greater(found.low) == pytest.approx(0.025)


def test_what_cannot_be_bet_on_is_refused() -> None:
    with pytest.raises(TooFewError, match="5 families"):
        mean(np.ones(10), families_of(10, 2))
    with pytest.raises(ValueError, match="within"):
        mean(np.full(10, 1.5), np.arange(10))
    with pytest.raises(ValueError, match="paired"):
        mean_difference(np.ones(10), np.ones(9), np.arange(10))
