"""The slope of accuracy on distance, against statsmodels and against its own definition."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ullage.stats.decline import LineAt, decline

FloatArray = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def sample(seed: int, size: int = 90, groups: int = 4) -> FloatArray:
    """(distance, correct, group), with groups that differ in both."""
    rng = np.random.default_rng(seed)
    group = rng.integers(0, groups, size)
    distance = np.clip(rng.random(size) * 0.6 + 0.1 * group, 0.0, 1.0)
    correct = rng.random(size) < 0.9 - 0.5 * distance - 0.05 * group
    return np.column_stack([distance, correct, group / 7.0])


def by_statsmodels(values: FloatArray, weights: FloatArray) -> tuple[float, float, float]:
    """Decline, and the mean group's line at 0 and at 1, with a dummy for each group."""
    distance, correct, group = np.repeat(values, weights.astype(int), axis=0).T
    dummies = (group[:, None] == np.unique(group)).astype(float)
    fit = sm.OLS(correct, np.column_stack([distance, dummies])).fit()
    slope, levels = fit.params[0], fit.params[1:]
    inner = distance - dummies @ (dummies.T @ distance / dummies.sum(axis=0))
    level = float(dummies.mean(axis=0) @ levels)
    return -slope * float(np.sqrt((inner**2).mean())), level, level + slope


@pytest.mark.parametrize("seed", range(6))
def test_it_is_the_fixed_effects_regression_of_statsmodels(seed: int) -> None:
    values = sample(seed)
    weights = np.random.default_rng(seed).integers(0, 4, (5, len(values))).astype(float)
    found = decline(values, weights)
    near, far = LineAt(0.0)(values, weights), LineAt(1.0)(values, weights)
    for row, weight in enumerate(weights):
        expected = by_statsmodels(values, weight)
        assert (found[row], near[row], far[row]) == pytest.approx(expected, abs=1e-10)


def test_with_one_group_it_is_scipys_line() -> None:
    values = sample(3)
    values[:, 2] = 0.5
    fit = stats.linregress(values[:, 0], values[:, 1])
    (found,) = decline(values, np.ones((1, len(values))))
    assert found == pytest.approx(-fit.slope * values[:, 0].std(), abs=1e-12)


@given(st.integers(0, 10_000), st.floats(0.1, 50.0), st.floats(-5.0, 5.0))
def test_units_of_distance_and_levels_of_groups_do_not_matter(
    seed: int, scale: float, shift: float
) -> None:
    values = sample(seed, size=40)
    ones = np.ones((1, len(values)))
    other = values.copy()
    other[:, 0] = shift + scale * other[:, 0]
    other[:, 1] += 3.0 * other[:, 2]
    assert decline(other, ones)[0] == pytest.approx(decline(values, ones)[0], abs=1e-7)
    assert abs(decline(values, ones)[0]) <= 0.5


def test_a_difference_of_arms_is_the_slope_of_their_difference() -> None:
    """What makes one item hard goes with it."""
    teacher, student = sample(1), sample(1)
    student[:, 1] = sample(2)[:, 1]
    ones = np.ones((1, len(teacher)))
    apart = teacher.copy()
    apart[:, 1] = teacher[:, 1] - student[:, 1]
    difference = decline(teacher, ones) - decline(student, ones)
    assert decline(apart, ones) == pytest.approx(difference, abs=1e-12)


def test_without_two_distances_in_a_group_there_is_none() -> None:
    values = np.array([[0.0, 1.0, 0.1], [0.0, 0.0, 0.1], [1.0, 0.0, 0.2]])
    assert np.isnan(decline(values, np.ones((1, 3)))).all()
    assert np.isnan(LineAt(0.5)(values, np.ones((1, 3)))).all()
