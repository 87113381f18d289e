"""Intervals of statistics that are no means."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.stats import bootstrap

from tests.stats.data import answers, families_of
from ullage.stats import metrics, resampling
from ullage.stats.families import TooFewError
from ullage.stats.intervals import functional, functional_difference, mean_difference


def pair(items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A teacher and a student that flips a tenth of its answers."""
    rng = np.random.default_rng(seed)
    teacher = answers(rng, items)
    flips = rng.random(items) < 0.1
    return teacher, np.column_stack([teacher[:, 0], np.abs(teacher[:, 1] - flips)])


def test_the_error_is_scipys_bootstrap_error() -> None:
    teacher, student = pair(300)

    def difference(rows: np.ndarray) -> float:
        rows = rows.astype(int)
        one = np.ones((1, len(rows)))
        return float((metrics.auroc(teacher[rows], one) - metrics.auroc(student[rows], one))[0])

    expected = bootstrap(
        (np.arange(300),),
        difference,
        n_resamples=2000,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(0),
    ).standard_error
    found = functional_difference(metrics.auroc, teacher, student, np.arange(300))
    assert found.standard_error == pytest.approx(expected, rel=0.06)


def overconfidence(values: metrics.FloatArray, weights: metrics.FloatArray) -> metrics.FloatArray:
    gap: metrics.FloatArray = weights @ (values[:, 0] - values[:, 1]) / weights.sum(axis=1)
    return gap


def test_a_mean_in_disguise_gets_the_interval_of_a_mean() -> None:
    teacher, student = pair(1000)
    family = families_of(1000, 5)
    # Same confidences: the gaps differ by the difference in accuracy, with its sign turned.
    gaps = functional_difference(overconfidence, teacher, student, family, bounds=(-1.0, 1.0))
    accuracy = mean_difference(teacher[:, 1], student[:, 1], family).negated()
    assert gaps.estimate == pytest.approx(accuracy.estimate)
    assert gaps.low == pytest.approx(accuracy.low, abs=0.003)
    assert gaps.high == pytest.approx(accuracy.high, abs=0.003)


@pytest.mark.parametrize("statistic", [metrics.ece, metrics.auroc, metrics.e_aurc])
def test_seed_decides_and_swapping_the_arms_negates(statistic: metrics.Functional) -> None:
    teacher, student = pair(200)
    family = families_of(200, 4)
    one = functional_difference(statistic, teacher, student, family, resamples=300)
    again = functional_difference(statistic, teacher, student, family, resamples=300)
    other = functional_difference(statistic, student, teacher, family, resamples=300).negated()
    seeded = functional_difference(statistic, teacher, student, family, resamples=300, seed=1)
    assert one == again
    assert one.low != seeded.low
    np.testing.assert_allclose([one.low, one.high], [other.low, other.high], atol=1e-12)


def test_the_size_of_a_chunk_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student = pair(100)
    whole = functional_difference(metrics.ece, teacher, student, np.arange(100), resamples=500)
    monkeypatch.setattr(resampling, "CHUNK", 1700)
    parts = functional_difference(metrics.ece, teacher, student, np.arange(100), resamples=500)
    assert whole.low == pytest.approx(parts.low, abs=1e-12)


def test_memory_is_bounded() -> None:
    teacher, student = pair(20_000)
    tracemalloc.start()
    functional_difference(metrics.ece, teacher, student, np.arange(20_000), resamples=100)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6  # all weights at once would take 16 MB, and as much again for each step


@pytest.mark.parametrize("statistic", [metrics.ece, metrics.smooth_ece, metrics.e_aurc])
def test_equal_arms_are_not_certainty(statistic: metrics.Functional) -> None:
    teacher, _ = pair(100)
    wide = functional_difference(statistic, teacher, teacher, families_of(100, 5), resamples=200)
    narrow = functional_difference(statistic, teacher, teacher, np.arange(100), resamples=200)
    assert wide.estimate == narrow.estimate == 0.0
    assert wide.high == -wide.low > narrow.high == -narrow.low > 0.03


def test_a_perfect_score_is_not_certainty() -> None:
    confidence = np.linspace(0.01, 0.99, 60)
    perfect = np.column_stack([confidence, confidence > 0.4]).astype(float)
    found = functional(metrics.auroc, perfect, np.arange(60), resamples=300)
    assert found.estimate == found.high == 1.0
    assert found.low < 0.97


def test_bounds_hold_the_estimate_and_the_interval() -> None:
    rng = np.random.default_rng(11)
    confidence = rng.random(60)
    calibrated = np.column_stack([confidence, rng.random(60) < confidence]).astype(float)
    found = functional(metrics.ece, calibrated, np.arange(60), resamples=300)
    assert 0.0 <= found.low <= found.estimate <= found.high <= 1.0


def test_families_are_resampled_whole() -> None:
    """Ten copies of each item carry no more than one, and show that families move as one."""
    teacher, student = pair(60)
    one = functional_difference(metrics.ece_plugin, teacher, student, np.arange(60))
    ten = functional_difference(
        metrics.ece_plugin,
        np.repeat(teacher, 10, axis=0),
        np.repeat(student, 10, axis=0),
        np.repeat(np.arange(60), 10),
    )
    assert one.standard_error <= ten.standard_error < 1.15 * one.standard_error
    assert ten.families == 60
    assert ten.items == 600


def test_an_undefined_statistic_is_refused() -> None:
    right = np.column_stack([np.linspace(0, 1, 30), np.ones(30)])
    with pytest.raises(TooFewError, match="not defined on these 30 items"):
        functional(metrics.auroc, right, np.arange(30))
    right[4, 1] = 0.0
    assert functional(metrics.auroc, right, np.arange(30)).families == 30
    with pytest.raises(TooFewError, match="5 families"):
        functional(metrics.auroc, right, np.arange(30) // 6)


def test_bad_tables_are_refused() -> None:
    teacher, student = pair(20)
    with pytest.raises(ValueError, match="paired"):
        functional_difference(metrics.ece, teacher, student[:19], np.arange(20))
    student[0, 0] = np.nan
    with pytest.raises(ValueError, match="student: 1 values are not finite"):
        functional_difference(metrics.ece, teacher, student, np.arange(20))
    with pytest.raises(ValueError, match="items by columns"):
        functional(metrics.ece, np.zeros((2, 2, 2)), np.arange(2))
