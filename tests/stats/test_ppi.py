"""People's labels on some items: against dense formulas, and by how often the truth is covered."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.stats.families import Families, TooFewError
from ullage.stats.ppi import MIN_LABELLED, mean_difference, powered

FloatArray = npt.NDArray[np.float64]
Arrays = tuple[FloatArray, FloatArray, FloatArray]


def made(seed: int, items: int = 240, labelled: int = 90, families: int = 40) -> Arrays:
    """Judgements that lean and err, labels of some, families."""
    rng = np.random.default_rng(seed)
    family = np.arange(items) % families
    truth = rng.normal(size=items) + 0.5 * rng.normal(size=families)[family]
    judged = 0.7 * truth + 0.4 * rng.normal(size=items) + 0.3
    people = np.full(items, math.nan)
    some = rng.permutation(items)[:labelled]
    people[some] = truth[some]
    return judged, people, family.astype(float)


def dense(
    judged: FloatArray, people: FloatArray, family: FloatArray, power: float
) -> tuple[float, float]:
    """Estimate and variance item by item, with the whole matrix of who shares a family."""
    there = ~np.isnan(people)
    n, rest = int(there.sum()), int((~there).sum())
    residual = people[there] - power * judged[there]
    estimate = residual.mean() + power * judged[~there].mean()
    influence = np.empty(len(judged))
    influence[there] = (residual - residual.mean()) / n
    influence[~there] = power * (judged[~there] - judged[~there].mean()) / rest
    total = 0.0
    for i in range(len(judged)):
        for j in range(len(judged)):
            total += influence[i] * influence[j] * (family[i] == family[j])
    count = len(set(family))
    return float(estimate), total * count / (count - 1)


@pytest.mark.parametrize("seed", range(4))
def test_estimate_and_variance_are_those_of_the_dense_formula(seed: int) -> None:
    judged, people, family = made(seed)
    found = powered(judged, people, Families.of(family, len(judged)))
    estimate, variance = dense(judged, people, family, found.power)
    assert found.estimate == pytest.approx(estimate)
    assert found.variance == pytest.approx(variance)
    for other in (0.0, 0.3, 0.9, 1.0):
        assert found.variance <= dense(judged, people, family, other)[1] + 1e-12


def test_the_power_is_that_of_the_paper_where_items_are_independent() -> None:
    judged, people, _ = made(5)
    there = ~np.isnan(people)
    found = powered(judged, people, Families.of(np.arange(len(judged)), len(judged)))
    n, rest = there.sum(), (~there).sum()
    covariance = np.cov(people[there], judged[there], ddof=0)
    spread = (covariance[1, 1] / n + judged[~there].var() / rest) * n
    assert found.power == pytest.approx(covariance[0, 1] / spread)
    # ... which is the paper's, but for the two estimates of one variance that it pools.
    usual = covariance[0, 1] / ((1 + n / rest) * judged.var())
    assert found.power == pytest.approx(usual, rel=0.15)


def test_a_useless_judge_is_left_out_and_a_perfect_one_followed() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    people = np.where(np.arange(4000) < 400, truth, math.nan)
    families = Families.of(np.arange(4000), 4000)
    assert powered(rng.normal(size=4000), people, families).power < 0.15
    perfect = powered(truth, people, families)
    assert perfect.power == pytest.approx(0.9, abs=0.05)
    assert perfect.estimate == pytest.approx(truth.mean(), abs=0.02)


def test_where_all_is_labelled_the_judge_does_not_count() -> None:
    judged, _, family = made(2)
    truth = judged * 0.5 - 1.0
    found = powered(judged, truth, Families.of(family, len(judged)))
    assert found.estimate == pytest.approx(truth.mean())
    assert found.power == 0.0


def audit(
    rng: np.random.Generator, *, items: int, labelled: int, families: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Win rates against a teacher: the judge overrates the student. Truth, judge, people."""
    family = np.arange(items) % families
    easy = rng.normal(scale=0.5, size=families)[family]
    better = 1.0 / (1.0 + np.exp(-(easy - 0.4 + rng.logistic(size=items))))
    truth = np.round(2.0 * better) / 2.0
    flattered = rng.random(items) < 0.25
    judged = np.where(flattered, np.minimum(truth + 0.5, 1.0), truth)
    people = np.full(items, math.nan)
    some = rng.permutation(items)[:labelled]
    people[some] = truth[some]
    return truth, judged, people, family.astype(float)


def test_the_truth_is_covered_where_the_judge_alone_misses_it() -> None:
    big = audit(np.random.default_rng(99), items=400_000, labelled=1, families=400_000)
    loss = 0.5 - big[0].mean()
    assert 0.5 - big[1].mean() < loss - 0.05
    rng = np.random.default_rng(1)
    audits = 1000
    covered, widths, alone = 0, [], []
    for _ in range(audits):
        _, judged, people, family = audit(rng, items=300, labelled=100, families=50)
        half = np.full(300, 0.5)
        found = mean_difference(half, judged, half, people, family)
        covered += found.low <= loss <= found.high
        widths.append(found.high - found.low)
        ignored = mean_difference(half, half, half, people, family)
        alone.append(ignored.high - ignored.low)
    # Two standard errors of a share of 1,000 about 95 %: a normal interval with families may miss
    # by as much.
    assert 0.935 <= covered / audits <= 0.985
    # The judge is worth something: people alone leave more open.
    assert np.mean(widths) < 0.9 * np.mean(alone)


def test_a_judge_whom_nobody_corrects_is_not_taken_to_be_perfect() -> None:
    rng = np.random.default_rng(3)
    judged = rng.choice([0.0, 0.5, 1.0], size=200_000)
    half = np.full(len(judged), 0.5)
    people = np.where(np.arange(len(judged)) < 60, judged, math.nan)
    found = mean_difference(half, judged, half, people, np.arange(len(judged)))
    # Errors of half a unit on 3.7 / 60 of the items would go unseen one time in forty.
    assert found.high - found.estimate > 0.5 * 3.7 / 60
    same = np.where(np.arange(200) < 60, 0.5, math.nan)
    nothing = mean_difference(half[:200], half[:200], half[:200], same, np.arange(200))
    assert nothing.low < 0.0 < nothing.high


@given(st.integers(0, 10_000), st.floats(-3, 3), st.floats(0.1, 3))
def test_shift_and_scale_carry_over(seed: int, shift: float, scale: float) -> None:
    judged, people, family = made(seed, items=80, labelled=35, families=20)
    families = Families.of(family, len(judged))
    one = powered(judged, people, families)
    other = powered(scale * judged + shift, scale * people + shift, families)
    assert other.estimate == pytest.approx(scale * one.estimate + shift, abs=1e-9)
    assert other.variance == pytest.approx(scale**2 * one.variance)


def test_too_few_labels_are_refused_with_what_is_needed() -> None:
    half = np.full(100, 0.5)
    people = np.where(np.arange(100) < MIN_LABELLED - 1, 0.5, math.nan)
    with pytest.raises(TooFewError, match="people judged 29 items; at least 30 are needed"):
        mean_difference(half, half, half, people, np.arange(100))
    people[MIN_LABELLED - 1] = 0.5
    with pytest.raises(TooFewError, match="families"):
        mean_difference(half, half, half, people, np.arange(100) // 10)
    with pytest.raises(ValueError, match="outside"):
        mean_difference(half, half, half, people * 4, np.arange(100))
