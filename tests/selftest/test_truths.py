"""The second opinion itself: against other libraries, and against arms asked directly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from ullage.config.models import Behaviour
from ullage.selftest import checks, truths
from ullage.selftest.damages import BASELINE, DAMAGES
from ullage.selftest.report import Trials
from ullage.selftest.truths import Population, Setting
from ullage.stats import metrics


def setting(own: Behaviour = BASELINE, *, twin: bool = False, invents: bool = False) -> Setting:
    return Setting(own, BASELINE, twin, invents, (4,))


def drawn(population: Population, items: int, seed: int = 0) -> truths.FloatArray:
    rng = np.random.default_rng(seed)
    return population.values[rng.choice(len(population.weights), items, p=population.weights)]


@pytest.mark.parametrize("kind", [truths.weighed, truths.votes])
def test_a_population_is_one(kind: Callable[[Setting], Population]) -> None:
    population = kind(setting())
    assert population.weights.sum() == pytest.approx(1.0)
    assert population.mixed(kind(setting()), 0.3).weights.sum() == pytest.approx(1.0)
    assert population.values.min() >= 0.0
    assert population.values.max() <= 1.0


def test_what_is_weighed_is_calibrated_and_as_right_as_declared() -> None:
    population = truths.weighed(setting())
    assert population.weights @ population.values[:, 1] == pytest.approx(0.8, abs=1e-3)
    assert truths.weighed_overconfidence(setting()) == pytest.approx(0.0, abs=2e-3)
    sure = setting(DAMAGES["certainty"].behaviour(BASELINE))
    assert truths.weighed_overconfidence(sure) == pytest.approx(0.2, abs=2e-3)


def test_auroc_is_sklearns() -> None:
    population = truths.weighed(setting())
    expected = roc_auc_score(
        population.values[:, 1], population.values[:, 0], sample_weight=population.weights
    )
    assert truths.true_auroc(population) == pytest.approx(expected)


def test_e_aurc_is_what_many_items_come_to() -> None:
    population = truths.weighed(setting()).mixed(truths.votes(setting()), 0.4)
    values = drawn(population, 200_000)
    sampled = metrics.e_aurc(values, np.ones((1, len(values))))[0]
    assert truths.true_e_aurc(population) == pytest.approx(sampled, abs=2e-3)


def test_votes_are_counted_as_drawn() -> None:
    rng = np.random.default_rng(1)
    noise, accuracy = BASELINE.noise, BASELINE.accuracy
    world = rng.random(100_000) < accuracy
    own = rng.random((100_000, 5)) < noise
    right = np.where(own, rng.random((100_000, 5)) < accuracy, world[:, None]).sum(axis=1)
    share = np.maximum(right, 5 - right) / 5
    found = setting()
    assert truths.voted_right(found) == pytest.approx((right > 2).mean(), abs=5e-3)
    assert truths.voted_brier(found) == pytest.approx(((share - (right > 2)) ** 2).mean(), abs=5e-3)
    assert truths.spread(Setting(BASELINE, BASELINE, False, False, (5,))) == pytest.approx(
        ((right > 0) & (right < 5)).mean(), abs=5e-3
    )


def test_manners_take_the_place_of_wrong_answers_first() -> None:
    assert truths.right(setting(BASELINE.model_copy(update={"over_abstain": 0.15}))) == 0.8
    less = setting(BASELINE.model_copy(update={"over_abstain": 0.3, "over_refuse": 0.2}))
    assert truths.right(less) == pytest.approx(0.5)
    assert truths.likeliest(less) == 0.8


def test_a_twin_differs_in_nothing() -> None:
    assert truths.flips(setting(twin=True)) == truths.lost_answers(setting(twin=True)) == 0.0
    assert truths.flips(setting()) > 2 * truths.lost_answers(setting()) - 1e-12 > 0.0


@pytest.mark.parametrize(("count", "of", "share"), [(3, 20, 0.05), (6, 20, 0.05), (25, 400, 0.025)])
def test_a_rate_is_too_high_as_the_exact_test_has_it(count: int, of: int, share: float) -> None:
    tail = binomtest(count, of, share, alternative="greater").pvalue
    assert checks.at_most("", count, of, share).passed == (tail >= checks.ALPHA)


@pytest.mark.parametrize(("count", "of"), [(16, 20), (8, 20), (7, 20), (290, 400), (280, 400)])
def test_a_rate_is_too_low_as_the_exact_test_has_it(count: int, of: int) -> None:
    tail = binomtest(count, of, 0.8, alternative="less").pvalue
    assert checks.at_least("", count, of, 0.8).passed == (tail >= checks.ALPHA)


def trials(**changes: float) -> Trials:
    fields: dict[str, float] = {
        "size": 1.0, "planted": 0.1, "share": 0.2, "audits": 400, "lost": 10, "degraded": 380,
        "preserved": 5, "other": 5, "bias": 0.0, "bias_error": 0.001, "covered": 380,
    }  # fmt: skip
    return Trials.model_validate(fields | changes)


def test_bias_is_held_to_a_tenth_of_the_margin_or_to_simulation() -> None:
    assert checks.unbiased(trials(bias=0.0099), 0.1).passed
    assert not checks.unbiased(trials(bias=-0.0101), 0.1).passed
    assert checks.unbiased(trials(bias=-0.0101, bias_error=0.003), 0.1).passed


def test_detection_is_promised_only_where_there_were_items_for_it() -> None:
    blind = {2.0: trials(size=2.0, lost=0, degraded=100)}
    assert not all(c.passed for c in checks.of_trials(blind, 0.1, enough=True, planned=True))
    assert all(c.passed for c in checks.of_trials(blind, 0.1, enough=False, planned=False))
