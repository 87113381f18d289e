"""Functionals: against plain loops and scikit-learn, and what a weight means."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize
from sklearn.metrics import roc_auc_score, roc_curve

from tests.stats.data import answers
from ullage.stats import metrics
from ullage.stats.metrics import ECE_BINS, Functional

FloatArray = npt.NDArray[np.float64]

FUNCTIONALS = (
    metrics.ece,
    metrics.ece_plugin,
    metrics.smooth_ece,
    metrics.auroc,
    metrics.e_aurc,
    metrics.share_where,
    metrics.share_difference,
    metrics.tpr_at_low_fpr,
)


def plain(functional: Functional, values: FloatArray) -> float:
    return float(functional(values, np.ones((1, len(values))))[0])


@st.composite
def answered(draw: Any) -> tuple[FloatArray, FloatArray]:
    """Answers, with ties in confidence, and multiplicities."""
    n = draw(st.integers(6, 40))
    levels = st.one_of(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0]), st.floats(0.0, 1.0))
    confidence = draw(st.lists(levels, min_size=n, max_size=n))
    correct = draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n))
    weights = draw(st.lists(st.integers(0, 4), min_size=n, max_size=n).filter(any))
    return np.column_stack([confidence, correct]), np.array(weights, float)


@pytest.mark.parametrize("functional", FUNCTIONALS)
@given(data=answered())
def test_a_weight_is_that_many_rows(
    functional: Functional, data: tuple[FloatArray, FloatArray]
) -> None:
    values, weights = data
    weighted = functional(values, weights[None, :])[0]
    written_out = plain(functional, np.repeat(values, weights.astype(int), axis=0))
    np.testing.assert_allclose(weighted, written_out, atol=1e-9)


@pytest.mark.parametrize("functional", FUNCTIONALS)
@given(data=answered(), seed=st.integers(0, 1000))
def test_the_order_of_rows_does_not_matter(
    functional: Functional, data: tuple[FloatArray, FloatArray], seed: int
) -> None:
    values, weights = data
    order = np.random.default_rng(seed).permutation(len(values))
    one = functional(values, weights[None, :])
    np.testing.assert_allclose(one, functional(values[order], weights[None, order]), atol=1e-9)


@pytest.mark.parametrize("functional", FUNCTIONALS)
def test_replicates_do_not_touch_each_other(functional: Functional) -> None:
    rng = np.random.default_rng(4)
    values, weights = answers(rng, 60), rng.integers(0, 3, (20, 60)).astype(float)
    together = functional(values, weights)
    alone = [functional(values, row[None, :])[0] for row in weights]
    assert together.shape == (20,)
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_auroc_is_sklearns() -> None:
    rng = np.random.default_rng(1)
    values = answers(rng, 200)
    values[:, 0] = np.round(values[:, 0], 1)
    for weights in (np.ones(200), rng.integers(0, 4, 200).astype(float)):
        expected = roc_auc_score(values[:, 1], values[:, 0], sample_weight=weights)
        assert metrics.auroc(values, weights[None, :])[0] == pytest.approx(expected)


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_tpr_at_low_fpr_is_read_off_sklearns_curve(digits: int) -> None:
    rng = np.random.default_rng(5)
    member = rng.random(900) < 0.4
    values = np.column_stack(
        [np.round(rng.random(900) ** np.where(member, 0.2, 1), digits), member]
    )
    for weights in (np.ones(900), rng.integers(0, 4, 900).astype(float)):
        fpr, tpr, _ = roc_curve(
            values[:, 1], values[:, 0], sample_weight=weights, drop_intermediate=False
        )
        found = metrics.tpr_at_low_fpr(values, weights[None, :])[0]
        assert found == pytest.approx(tpr[fpr <= metrics.LOW_FPR + 1e-12].max())
    assert found < 0.5


def test_tpr_of_too_few_is_not_a_number() -> None:
    values = np.column_stack([np.linspace(0, 1, 149), np.arange(149) < 100])
    assert np.isnan(plain(metrics.tpr_at_low_fpr, values))
    assert plain(metrics.tpr_at_low_fpr, np.vstack([values, [0.5, 0.0]])) == 0.0
    nobody = np.column_stack([np.linspace(0, 1, 100), np.zeros(100)])
    assert np.isnan(plain(metrics.tpr_at_low_fpr, nobody))


def test_shares_are_means_over_a_part() -> None:
    rng = np.random.default_rng(6)
    values = (rng.random((200, 2)) < [0.3, 0.6]).astype(float)
    first, chosen = values[:, 0], values[:, 1] == 1.0
    assert plain(metrics.share_where, values) == pytest.approx(first[chosen].mean())
    gap = first[chosen].mean() - first[~chosen].mean()
    assert plain(metrics.share_difference, values) == pytest.approx(gap)
    assert np.isnan(plain(metrics.share_difference, values[chosen]))


def test_auroc_of_only_right_answers_is_not_a_number() -> None:
    values = np.column_stack([np.linspace(0, 1, 10), np.ones(10)])
    assert np.isnan(plain(metrics.auroc, values))


def test_plugin_ece_is_a_plain_loop() -> None:
    values = answers(np.random.default_rng(2), 40 * ECE_BINS)
    ordered = values[np.argsort(values[:, 0])]
    gaps = [abs(part[:, 0].mean() - part[:, 1].mean()) for part in np.split(ordered, ECE_BINS)]
    assert plain(metrics.ece_plugin, values) == pytest.approx(np.mean(gaps))


def test_an_item_on_a_cut_is_shared() -> None:
    """Seven items in five bins: 1.4 items each, worked out by hand from cumulative sums."""
    values = answers(np.random.default_rng(3), 7)
    ordered = values[np.argsort(values[:, 0])]
    running = np.concatenate([[0.0], np.cumsum(ordered[:, 0] - ordered[:, 1])])
    at_cuts = np.interp(np.arange(6) * 1.4, np.arange(8), running)
    assert plain(metrics.ece_plugin, values) == pytest.approx(np.abs(np.diff(at_cuts)).sum() / 7)


@pytest.mark.parametrize("items", [50, 200, 800])
def test_ece_has_little_bias_and_less_than_published_ece_at_its_worst(items: int) -> None:
    """Against the population's calibration error, for a calibrated and an overconfident model."""
    rng = np.random.default_rng(items)
    population = np.sort(rng.beta(3.0, 1.5, 100_000))
    found_bias, published_bias = [], []
    for power in (1.0, 1.5):
        truth = plain(metrics.ece_plugin, np.column_stack([population, population**power]))
        found, published = [], []
        for _ in range(300):
            confidence = rng.beta(3.0, 1.5, items)
            right = rng.random(items) < confidence**power
            values = np.column_stack([confidence, right.astype(float)])
            found.append(plain(metrics.ece, values))
            published.append(plain(metrics.ece_plugin, values))
        assert abs(np.mean(found) - truth) < 0.75 * np.std(found)
        found_bias.append(abs(np.mean(found) - truth))
        published_bias.append(np.mean(published) - truth)
    assert max(found_bias) < 0.5 * max(published_bias)


def test_smooth_ece_is_its_definition() -> None:
    """Against the integral of the reflected-Gaussian smoothing on a fine grid, by root finding."""
    rng = np.random.default_rng(6)
    grid = (np.arange(2000) + 0.5) / 2000
    for items in (40, 300):
        values = answers(rng, items)
        residual = values[:, 1] - values[:, 0]

        def norm(sigma: float, at: FloatArray = values[:, 0], by: FloatArray = residual) -> float:
            images = [at + 2 * k for k in range(-3, 4)] + [2 * k - at for k in range(-3, 4)]
            kernel = sum(
                np.exp(-((grid[:, None] - image) ** 2) / (2 * sigma**2)) for image in images
            )
            return float(np.abs(kernel @ by).mean() / (sigma * np.sqrt(2 * np.pi) * len(at)))

        expected = optimize.brentq(lambda s, f=norm: f(s) - s, 0.01, 1.0)
        assert plain(metrics.smooth_ece, values) == pytest.approx(expected, abs=1e-3)


def test_e_aurc_is_a_plain_loop() -> None:
    values = answers(np.random.default_rng(7), 120)

    def area(wrong: FloatArray) -> float:
        return float(np.mean([wrong[: k + 1].mean() for k in range(len(wrong))]))

    wrong = 1.0 - values[np.argsort(-values[:, 0]), 1]
    assert plain(metrics.e_aurc, values) == pytest.approx(area(wrong) - area(np.sort(wrong)))


def test_e_aurc_of_ties_is_the_mean_over_their_orders() -> None:
    rng = np.random.default_rng(8)
    values = answers(rng, 30)
    values[:, 0] = np.round(values[:, 0] * 2) / 2

    def one_order() -> float:
        order = rng.permutation(30)
        by_confidence = order[np.argsort(-values[order, 0], kind="stable")]
        wrong = 1.0 - values[by_confidence, 1]
        return float(np.mean(np.cumsum(wrong) / np.arange(1, 31)))

    best = float(np.mean(np.cumsum(np.sort(1.0 - values[:, 1])) / np.arange(1, 31)))
    orders = [one_order() - best for _ in range(4000)]
    error = np.std(orders) / np.sqrt(len(orders))
    assert abs(plain(metrics.e_aurc, values) - np.mean(orders)) < 4 * error


def test_a_perfect_ordering_has_no_excess_and_the_reverse_the_most() -> None:
    confidence = np.linspace(0.1, 0.9, 20)
    best = np.column_stack([confidence, confidence > 0.5]).astype(float)
    assert plain(metrics.e_aurc, best) == pytest.approx(0.0, abs=1e-12)
    assert plain(metrics.e_aurc, np.column_stack([1 - confidence, best[:, 1]])) > 0.3


def test_e_aurc_wants_whole_weights() -> None:
    with pytest.raises(ValueError, match="whole"):
        metrics.e_aurc(answers(np.random.default_rng(0), 5), np.full((1, 5), 0.5))
