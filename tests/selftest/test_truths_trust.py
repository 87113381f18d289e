"""The second opinion on trust: against many items, and arms drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ullage.selftest import truths, truths_trust
from ullage.selftest.damages import BASELINE
from ullage.selftest.truths import Setting
from ullage.stats.confidence import selective_accuracy

WEAK = BASELINE.model_copy(update={"accuracy": 0.6, "noise": 0.4})
ITEMS = 200_000


def setting(*, twin: bool = False) -> Setting:
    return Setting(WEAK, BASELINE, twin, False, (4,))


def drawn(tries: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """Whether each try at each item is right: the world's word, or one of its own."""
    rng = np.random.default_rng(1)
    world = rng.random((ITEMS, 1)) < WEAK.accuracy
    own = rng.random((ITEMS, tries)) < WEAK.noise
    fresh = rng.random((ITEMS, tries)) < WEAK.accuracy
    return np.where(own, fresh, world)


def test_selective_accuracy_is_what_many_items_come_to() -> None:
    population = truths.weighed(setting()).mixed(truths.votes(setting()), 0.4)
    rng = np.random.default_rng(0)
    rows = rng.choice(len(population.weights), ITEMS, p=population.weights)
    sampled = selective_accuracy(population.values[rows], np.ones((1, ITEMS)))[0]
    assert truths_trust.true_selective_accuracy(population) == pytest.approx(sampled, abs=5e-3)


def test_samples_are_counted_as_drawn() -> None:
    right = drawn(6)
    counts = right.sum(axis=1)
    shares = np.stack([counts, 6 - counts]) / 6
    most = np.where(counts == 3, right[:, 0], counts > 3)
    found = setting()
    assert truths_trust.samples(found).weights.sum() == pytest.approx(1)
    assert truths_trust.usually_right(found) == pytest.approx(most.mean(), abs=5e-3)
    nats = stats.entropy(shares).mean()
    assert truths_trust.sample_entropy(found) == pytest.approx(nats, abs=5e-3)


def test_what_is_stated_is_as_drawn() -> None:
    right, knows = drawn(2).T
    said = np.where(knows, 1.0, 0.6)
    found = setting()
    assert truths_trust.stated(found).weights.sum() == pytest.approx(1)
    over = (said - right).mean()
    assert truths_trust.stated_overconfidence(found) == pytest.approx(over, abs=5e-3)
    squared = ((said - right) ** 2).mean()
    assert truths_trust.stated_brier(found) == pytest.approx(squared, abs=5e-3)


def test_flips_are_losses_and_gains() -> None:
    found = setting()
    both = truths.lost_answers(found) + truths_trust.gained_answers(found)
    assert both == pytest.approx(truths.flips(found))
    assert truths_trust.gained_answers(setting(twin=True)) == 0


def test_two_arms_texts_are_as_drawn() -> None:
    rng = np.random.default_rng(2)
    shared = rng.random(ITEMS) < (1 - WEAK.noise) * (1 - BASELINE.noise)
    one, other = rng.random((2, ITEMS))
    own = 0.5 + WEAK.noise * (0.5 + one)
    teacher = 0.5 + BASELINE.noise * (0.5 + np.where(shared, one, other))
    p, q = np.exp(-teacher), np.exp(-own)
    found = setting()
    kl = stats.entropy(np.stack([p, 1 - p]), np.stack([q, 1 - q])).mean()
    assert truths_trust.divergence(found) == pytest.approx(kl, abs=1e-3)
    alike = ((p > 0.5) == (q > 0.5)).mean()
    assert truths_trust.same_likeliest(found) == pytest.approx(alike, abs=5e-3)
    apart = np.minimum(np.abs(own - teacher) / np.log(2), 1).mean()
    assert truths_trust.bits_apart(found) == pytest.approx(apart, abs=2e-3)
    assert truths_trust.bits(found) == pytest.approx((own / np.log(2)).mean(), abs=2e-3)
    twin = Setting(BASELINE, BASELINE, True, False, (4,))
    assert truths_trust.divergence(twin) == truths_trust.bits_apart(twin) == 0
