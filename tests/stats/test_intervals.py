"""Intervals of means: against other implementations, invariances, and what they may never do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint
from statsmodels.stats.weightstats import DescrStatsW

from tests.stats.data import arms_of, correlated_differences, families_of
from ullage.stats.families import MIN_FAMILIES, Families, TooFewError
from ullage.stats.intervals import Interval, mean, mean_difference
from ullage.stats.score import (
    UNSEEN_EVENTS,
    constrained_variance,
    effective_size,
    paired_ends,
)


def ends(interval: Interval) -> list[float]:
    return [interval.low, interval.estimate, interval.high]


@st.composite
def paired(draw: Any) -> tuple[Any, Any, Any]:
    """Teacher and student scores in [0, 1] and families, of any shape that is accepted."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=MIN_FAMILIES, max_size=20))
    family = np.repeat(np.arange(len(sizes)), sizes)
    levels = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    scores = st.lists(levels, min_size=len(family), max_size=len(family)).map(np.array)
    return draw(scores), draw(scores), family


@given(paired())
def test_swapping_the_arms_negates_the_interval(data: Any) -> None:
    teacher, student, family = data
    one = mean_difference(teacher, student, family)
    other = mean_difference(student, teacher, family).negated()
    np.testing.assert_allclose(ends(one), ends(other), atol=1e-9)


@given(paired(), st.floats(0.1, 50.0), st.floats(-10.0, 10.0))
def test_units_do_not_matter(data: Any, scale: float, shift: float) -> None:
    teacher, student, family = data
    bounds = (shift, shift + scale)
    moved_teacher = np.clip(teacher * scale + shift, *bounds)
    moved_student = np.clip(student * scale + shift, *bounds)
    plain = mean_difference(teacher, student, family)
    moved = mean_difference(moved_teacher, moved_student, family, bounds=bounds)
    np.testing.assert_allclose(np.array(ends(plain)) * scale, ends(moved), atol=1e-6 * scale)
    plain, moved = mean(teacher, family), mean(moved_teacher, family, bounds=bounds)
    np.testing.assert_allclose(np.array(ends(plain)) * scale + shift, ends(moved), atol=1e-6)


@given(paired())
def test_counting_failures_mirrors_counting_successes(data: Any) -> None:
    scores, _, family = data
    successes, failures = mean(scores, family), mean(1.0 - scores, family)
    np.testing.assert_allclose(ends(successes), 1.0 - np.array(ends(failures))[::-1], atol=1e-9)


@given(paired(), st.randoms(use_true_random=False))
def test_order_of_items_and_names_of_families_do_not_matter(data: Any, random: Any) -> None:
    teacher, student, family = data
    order = np.array(random.sample(range(len(family)), len(family)))
    names = np.array([f"family {(7 * label) % 31}" for label in family])
    one = mean_difference(teacher, student, family)
    other = mean_difference(teacher[order], student[order], names[order])
    np.testing.assert_allclose(ends(one), ends(other), atol=1e-9)


@given(paired())
def test_an_interval_has_width_holds_its_estimate_and_stays_in_bounds(data: Any) -> None:
    teacher, student, family = data
    for found, (least, most) in (
        (mean(teacher, family), (0.0, 1.0)),
        (mean_difference(teacher, student, family), (-1.0, 1.0)),
    ):
        assert least <= found.low <= found.estimate <= found.high <= most
        assert found.standard_error > 0.0
        assert found.high - found.low > 1.0 / len(family) ** 2


@given(paired(), st.floats(-1.5, 1.5))
def test_p_agrees_with_the_interval(data: Any, threshold: float) -> None:
    found = mean_difference(*data)
    assert (found.p_greater(threshold) < 0.025) == (found.low > threshold)
    assert (found.negated().p_greater(threshold) < 0.025) == (-found.high > threshold)


@given(paired(), st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_p_rises_with_the_threshold(data: Any, one: float, other: float) -> None:
    found = mean_difference(*data)
    low, high = sorted((one, other))
    assert 0.0 <= found.p_greater(low) <= found.p_greater(high) <= 1.0


@pytest.mark.parametrize("size", [1, 5, 20])
def test_nothing_seen_is_not_certainty(size: int) -> None:
    """No flip among n families: what 97.5 % of zero-event samples exclude, and not much less."""
    family = families_of(40 * size, size)
    found = mean_difference(np.ones(40 * size), np.ones(40 * size), family)
    exact = 1.0 - 0.025 ** (1.0 / 40)
    assert found.estimate == 0.0
    assert exact <= found.high <= 1.35 * exact
    assert found.low == pytest.approx(-found.high)


def test_more_families_narrow_it_more_items_per_family_do_not_when_nothing_was_seen() -> None:
    few, many, larger = (
        mean_difference(np.ones(n), np.ones(n), families_of(n, size)).high
        for n, size in ((40, 1), (400, 1), (400, 10))
    )
    assert many < few / 5
    assert larger == pytest.approx(few)


def test_the_constrained_variance_is_at_the_likeliest_rates() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        gain, loss, _ = rng.dirichlet([1.0, 1.0, 3.0])
        truth = float(rng.uniform(-0.8, 0.8))

        def unlikelihood(rare: float, g: float = gain, n: float = loss, t: float = truth) -> float:
            up, down = (rare + t, rare) if t >= 0 else (rare, rare - t)
            rest = 1.0 - up - down
            return -float(g * np.log(up) + n * np.log(down) + (1.0 - g - n) * np.log(rest))

        top = (1.0 - abs(truth)) / 2.0
        rare = optimize.minimize_scalar(
            unlikelihood, bounds=(1e-12, top - 1e-12), method="bounded", options={"xatol": 1e-12}
        ).x
        expected = 2.0 * rare + abs(truth) - truth**2
        assert constrained_variance(truth, gain, loss) == pytest.approx(expected, rel=1e-4)


def test_the_ends_are_where_the_score_test_just_rejects() -> None:
    gain, loss, size, quantile = 0.12, 0.04, 150.0, 1.98
    for end in paired_ends(gain, loss, size, quantile):
        total = size + 0.1
        up, down = (gain * size + 0.05) / total, (loss * size + 0.05) / total
        distance = abs(up - down - end) / np.sqrt(constrained_variance(end, up, down) / total)
        assert distance == pytest.approx(quantile, rel=1e-6)


@pytest.mark.parametrize("size", [1, 4, 10])
def test_the_variance_is_statsmodels_cluster_robust_one(size: int) -> None:
    rng = np.random.default_rng(size)
    family = families_of(400, size)
    difference = correlated_differences(rng, family, 0.3, 0.3, loss=0.1)
    fit = sm.OLS(difference, np.ones(len(family))).fit(
        cov_type="cluster", cov_kwds={"groups": family}
    )
    binomial = float(np.mean(difference**2) - np.mean(difference) ** 2)
    size_found = effective_size(difference, binomial, Families.of(family, len(family)))
    # Undo the belief in unseen events, which is not part of the variance.
    events = len(family) * binomial
    squares = (len(family) / size_found) * (events + UNSEEN_EVENTS) - UNSEEN_EVENTS * size
    assert squares / len(family) ** 2 == pytest.approx(fit.bse[0] ** 2, rel=1e-9)


def test_large_samples_of_single_items_get_the_t_interval() -> None:
    rng = np.random.default_rng(3)
    teacher, student = rng.random(5000), rng.random(5000)
    found = mean_difference(teacher, student, np.arange(5000))
    expected = DescrStatsW(teacher - student).tconfint_mean()
    np.testing.assert_allclose([found.low, found.high], expected, atol=2e-4)


@pytest.mark.parametrize("hits", [0, 3, 40, 250, 499])
def test_a_share_gets_wilsons_interval(hits: int) -> None:
    found = mean(np.arange(500) < hits, np.arange(500))
    expected = proportion_confint(hits, 500, alpha=0.05, method="wilson")
    np.testing.assert_allclose([found.low, found.high], expected, atol=4e-4)


def test_degrees_of_freedom_are_satterthwaites() -> None:
    rng = np.random.default_rng(1)
    for sizes in (np.full(10, 20), rng.integers(1, 30, 12), np.array([100] + [2] * 9)):
        items = int(sizes.sum())
        families = Families.of(np.repeat(np.arange(len(sizes)), sizes), items)
        scale = np.diag(1.0 / np.sqrt(1.0 - sizes / items))
        centre = np.eye(len(sizes)) - np.outer(np.ones(len(sizes)), sizes / items)
        root = np.diag(sizes) @ centre
        working = (np.diag(sizes) - np.outer(sizes, sizes) / items, root @ root.T)
        expected = []
        for covariance in working:
            scaled = scale @ covariance @ scale
            expected.append(np.trace(scaled) ** 2 / np.trace(scaled @ scaled))
        assert families.degrees_of_freedom() == pytest.approx(min(expected), rel=1e-9)


def test_correlated_families_widen_the_interval() -> None:
    rng = np.random.default_rng(2)
    family = families_of(1000, 20)
    teacher, student = arms_of(correlated_differences(rng, family, 0.2, 0.6))
    clustered = mean_difference(teacher, student, family).standard_error
    naive = mean_difference(teacher, student, np.arange(1000)).standard_error
    assert clustered > 2.0 * naive


@pytest.mark.parametrize(
    ("rates", "items"), [((2, 4, 5, 8, 12, 20), 200), ((2, 4, 5, 8, 12, 20), 1000)]
)
def test_exact_coverage_of_one_sided_flips(rates: tuple[int, ...], items: int) -> None:
    """By summing over every outcome: all flips are losses, items are independent."""
    quantile = float(stats.t.isf(0.025, items - 1))
    counts = np.arange(80)
    limits = np.array([paired_ends(c / items, 0.0, items - 1.0, quantile) for c in counts])
    for expected in rates:
        truth = expected / items
        chance = stats.binom.pmf(counts, items, truth)
        assert chance[(limits[:, 0] <= truth) & (truth <= limits[:, 1])].sum() > 0.935
        assert chance[limits[:, 1] < truth].sum() <= 0.025


@settings(max_examples=20)
@given(st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_higher_levels_are_wider(level: float) -> None:
    scores = np.arange(100) < 30
    narrow = mean(scores, np.arange(100), level=level)
    wide = mean(scores, np.arange(100), level=level + 0.005)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_too_few_families_are_refused_with_both_numbers() -> None:
    with pytest.raises(TooFewError, match=r"3 families \(60 items\).* at least 6 families"):
        mean(np.ones(60), families_of(60, 20))
    assert mean(np.ones(60), families_of(60, 10)).families == 6


def test_no_items_are_too_few() -> None:
    with pytest.raises(TooFewError, match="0 families"):
        mean([], [])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1.5, -0.1])
def test_values_that_cannot_be_are_refused(bad: float) -> None:
    values = np.full(20, 0.5)
    values[3] = bad
    with pytest.raises(ValueError, match=r"finite|outside"):
        mean(values, np.arange(20))
    with pytest.raises(ValueError, match="student"):
        mean_difference(np.full(20, 0.5), values, np.arange(20))


def test_shapes_bounds_and_levels_are_checked() -> None:
    values, family = np.full(20, 0.5), np.arange(20)
    with pytest.raises(ValueError, match="paired"):
        mean_difference(values, values[:19], family)
    with pytest.raises(ValueError, match="one family per item"):
        mean(values, family[:19])
    with pytest.raises(ValueError, match="one value per item"):
        mean(values[:, None], family)
    with pytest.raises(ValueError, match="bounds"):
        mean(values, family, bounds=(0.0, np.inf))
    with pytest.raises(ValueError, match="level"):
        mean(values, family, level=1.0)
