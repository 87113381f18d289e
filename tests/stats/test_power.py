"""Planning: the textbook's table, and that planned power is what the intervals deliver."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from tests.stats.data import arms_of, correlated_differences, families_of
from ullage.stats.intervals import mean_difference
from ullage.stats.power import (
    flip_rate,
    intraclass_correlation,
    items_for_non_inferiority,
    items_from_standard_error,
    joint_power,
    power_of_non_inferiority,
    textbook_items,
)

TABLE = {
    0.02: (1546, 3091, 4637),
    0.03: (687, 1374, 2061),
    0.05: (247, 495, 742),
}
"""Connor's formula at one-sided 5 % and 80 % power, for flip rates .1, .2, .3."""


@pytest.mark.parametrize("margin", TABLE)
def test_the_textbook_formula_gives_the_textbook_table(margin: float) -> None:
    found = tuple(textbook_items(margin, rate, level=0.90) for rate in (0.1, 0.2, 0.3))
    assert found == TABLE[margin]


@pytest.mark.parametrize("margin", TABLE)
@pytest.mark.parametrize("level", [0.90, 0.95])
def test_careful_plans_ask_somewhat_more_than_the_textbook(margin: float, level: float) -> None:
    for rate in (0.1, 0.2, 0.3):
        textbook = textbook_items(margin, rate, level=level)
        found = items_for_non_inferiority(margin, rate, level=level)
        assert textbook < found < 1.2 * textbook


@pytest.mark.parametrize(
    ("margin", "rate", "size", "correlation"),
    [
        (0.05, 0.02, 1, 0.0),
        (0.05, 0.10, 1, 0.0),
        (0.20, 0.30, 1, 0.0),
        (0.10, 0.20, 10, 0.05),
        (0.15, 0.20, 20, 0.10),
        (0.10, 0.10, 5, 0.30),
    ],
)
def test_planned_items_deliver_the_planned_power(
    margin: float, rate: float, size: int, correlation: float
) -> None:
    items = items_for_non_inferiority(
        margin, rate, power=0.8, family_size=size, intraclass_correlation=correlation
    )
    rng = np.random.default_rng([items, size])
    family = families_of(items, size)
    shown, lost_or_degraded = 0, 0
    runs = 600
    for _ in range(runs):
        nothing = correlated_differences(rng, family, rate, correlation)
        shown += mean_difference(*arms_of(nothing), family).high < margin
        loss = min(2 * margin, 0.999)
        planted = correlated_differences(rng, family, max(rate, loss), correlation, loss=loss)
        lost_or_degraded += mean_difference(*arms_of(planted), family).low > 0.0
    error = np.sqrt(0.8 * 0.2 / runs)
    assert shown / runs >= 0.8 - 2 * error
    assert lost_or_degraded / runs >= 0.95


@pytest.mark.parametrize("size", [1, 10])
def test_a_true_loss_of_the_margin_is_preserved_at_most_as_often_as_promised(size: int) -> None:
    rng = np.random.default_rng(size)
    family = families_of(400, size)
    shown, runs = 0, 1000
    for _ in range(runs):
        differences = correlated_differences(rng, family, 0.2, 0.1 * (size > 1), loss=0.1)
        shown += mean_difference(*arms_of(differences), family).high < 0.1
    assert shown / runs <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / runs)


@given(
    st.floats(0.01, 0.3),
    st.floats(0.01, 0.5),
    st.integers(1, 20),
    st.floats(0.0, 0.5),
    st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_plan_is_the_fewest_items_with_that_power(
    margin: float, rate: float, size: int, correlation: float, power: float
) -> None:
    conditions = {"family_size": float(size), "intraclass_correlation": correlation}
    items = items_for_non_inferiority(margin, rate, power=power, **conditions)
    assert power_of_non_inferiority(items, margin, rate, **conditions) >= power
    assert power_of_non_inferiority(items - 1, margin, rate, **conditions) < power


def test_what_costs_items() -> None:
    plain = items_for_non_inferiority(0.05, 0.1)
    assert items_for_non_inferiority(0.05, 0.1, power=0.9) > plain
    assert items_for_non_inferiority(0.05, 0.1, level=0.99) > plain
    assert items_for_non_inferiority(0.04, 0.1) > plain
    assert items_for_non_inferiority(0.05, 0.2) > plain
    clustered = items_for_non_inferiority(0.05, 0.1, family_size=10.0, intraclass_correlation=0.05)
    assert clustered > 1.4 * plain


def test_arms_that_never_flip_still_need_items() -> None:
    items = items_for_non_inferiority(0.05, 0.0)
    same = np.ones(items)
    assert mean_difference(same, same, np.arange(items)).high < 0.05
    assert mean_difference(same[1:], same[1:], np.arange(items - 1)).high >= 0.05


def test_a_handful_of_families_has_no_power_and_a_huge_margin_all() -> None:
    assert power_of_non_inferiority(100, 0.1, 0.1, family_size=25.0) == 0.0
    assert power_of_non_inferiority(50, 1.5, 0.1) == 1.0


def test_impossible_plans_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 100,000,000"):
        items_for_non_inferiority(1e-6, 0.3)
    with pytest.raises(ValueError, match="margin"):
        items_for_non_inferiority(0.0, 0.3)
    with pytest.raises(ValueError, match="flip_rate"):
        items_for_non_inferiority(0.1, float("nan"))
    with pytest.raises(ValueError, match="power"):
        items_for_non_inferiority(0.1, 0.1, power=1.0)


def test_items_from_a_standard_error_agree_with_the_plan() -> None:
    rng = np.random.default_rng(0)
    differences = correlated_differences(rng, np.arange(400), 0.2, 0.0)
    found = mean_difference(*arms_of(differences), np.arange(400))
    needed = items_from_standard_error(400, found.standard_error, 0.05)
    planned = items_for_non_inferiority(0.05, flip_rate(differences))
    assert needed == pytest.approx(planned, rel=0.1)
    assert items_from_standard_error(400, 0.5, 1e-6) is None


def test_joint_power() -> None:
    product, bound = joint_power([0.8] * 8)
    assert product == pytest.approx(0.8**8)
    assert bound == 0.0
    product, bound = joint_power([0.99, 0.98])
    assert product == pytest.approx(0.9702)
    assert bound == pytest.approx(0.97)
    with pytest.raises(ValueError, match="powers"):
        joint_power([1.2])


def test_flip_rate_does_not_know_the_direction() -> None:
    differences = np.array([1.0, -1.0, 0.0, 0.0, 0.5])
    assert flip_rate(differences) == flip_rate(-differences) == pytest.approx(0.45)
    with pytest.raises(ValueError, match="finite"):
        flip_rate([np.nan])
    with pytest.raises(ValueError, match="at least one"):
        flip_rate([])


def test_intraclass_correlation_is_that_of_a_random_effects_model() -> None:
    rng = np.random.default_rng(0)
    family = families_of(600, 10)
    values = rng.normal(0.0, 0.6, 60)[family] + rng.normal(0.0, 1.0, 600)
    fit = sm.MixedLM(values, np.ones(600), groups=family).fit(reml=True)
    between = float(np.asarray(fit.cov_re)[0, 0])
    expected = between / (between + fit.scale)
    assert intraclass_correlation(values, family) == pytest.approx(expected, rel=1e-3)


def test_intraclass_correlation_at_its_ends() -> None:
    family = families_of(40, 4)
    assert intraclass_correlation(family.astype(float), family) == 1.0
    assert intraclass_correlation(np.tile([1.0, -1.0], 20), family) == 0.0
    assert intraclass_correlation(np.zeros(40), family) == 0.0
    assert intraclass_correlation(np.arange(40.0), np.arange(40)) == 0.0
    with pytest.raises(ValueError, match="finite"):
        intraclass_correlation([np.nan, 1.0], [0, 0])
