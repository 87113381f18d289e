"""What a score must be where trust is measured: texts weighed by two arms, and answers when sure.

As in `truths`, from what was declared; nothing of a probe is used.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from ullage.config.models import Behaviour
from ullage.selftest.truths import (
    FloatArray,
    Population,
    Setting,
    item_chances,
    lost_answers,
    shared,
)

_CELLS = 400
"""Difficulties that stand for all between 0 and 1."""
_SAMPLES = 6
_COVERAGE = 0.7
_SURE, _UNSURE = 1.0, 0.6
"""What is stated by who knows the answer, and by who does not."""


# ------------------------------------------------------------------------------ fidelity of texts


def gained_answers(setting: Setting) -> float:
    """P(teacher wrong, arm right): the flips that lose none."""
    swapped = Setting(setting.teacher, setting.own, setting.twin, setting.invents, setting.prompts)
    return lost_answers(swapped)


def bits(setting: Setting) -> float:
    """Bits per byte: half a nat, and the noise times 1/2 to 3/2."""
    return (0.5 + setting.own.noise) / math.log(2.0)


def bits_apart(setting: Setting) -> float:
    """Mean absolute difference in bits per byte from the teacher, one at most."""
    return _of_both(
        setting, lambda own, teacher: np.minimum(np.abs(own - teacher) / math.log(2.0), 1.0)
    )


def divergence(setting: Setting) -> float:
    """KL of the teacher's next word from the arm's: the text's, or the one other there is."""

    def kl(own: FloatArray, teacher: FloatArray) -> FloatArray:
        p, q = np.exp(-teacher), np.exp(-own)
        return np.asarray(p * (own - teacher) + (1.0 - p) * np.log((1.0 - p) / (1.0 - q)))

    return _of_both(setting, kl)


def same_likeliest(setting: Setting) -> float:
    """P(to both, or to neither, the text's next word is likelier than the other one)."""
    even = math.log(2.0)
    return _of_both(setting, lambda own, teacher: (own < even) == (teacher < even))


def _of_both(
    setting: Setting, score: Callable[[FloatArray, FloatArray], npt.NDArray[np.generic]]
) -> float:
    """Mean of a score of both arms' surprise, over difficulties that they share or do not."""
    difficulty = (np.arange(_CELLS) + 0.5) / _CELLS
    own, teacher = (_surprise(arm, difficulty) for arm in (setting.own, setting.teacher))
    alike = 1.0 if setting.twin else shared(setting)
    apart = score(own[:, None], teacher[None, :])
    return float(alike * score(own, teacher).mean() + (1.0 - alike) * apart.mean())


def _surprise(own: Behaviour, difficulty: FloatArray) -> FloatArray:
    """Nats for a piece of text, by difficulty."""
    return np.asarray(0.5 + own.noise * (0.5 + difficulty))


# ------------------------------------------------------------------------------ answers when sure


def true_selective_accuracy(population: Population) -> float:
    """P(right) among the share answered that has the most confidence; ties at their rate."""
    confidence, correct = population.values.T
    levels, place = np.unique(-confidence, return_inverse=True)
    left, right = _COVERAGE, 0.0
    for level in range(len(levels)):
        here = place == level
        mass = float(population.weights[here].sum())
        taken = min(mass, left)
        if taken > 0.0:
            right += taken * float(population.weights[here] @ correct[here]) / mass
        left -= taken
    return right / _COVERAGE


def samples(setting: Setting) -> Population:
    """(one minus the entropy over its most, correct) over samples of one of two answers."""
    count = np.arange(_SAMPLES + 1)
    weights = np.zeros(_SAMPLES + 1)
    for weight, chance in item_chances(setting.own):
        weights += weight * stats.binom.pmf(count, _SAMPLES, chance)
    share = count / _SAMPLES
    nats = stats.entropy(np.stack([share, 1.0 - share]))
    sure = np.round(1.0 - nats / math.log(_SAMPLES), 9)
    # Where votes are even, the first sample decides, and it is right as often as not.
    even = np.where(count * 2 == _SAMPLES, 0.5, 1.0)
    values = np.column_stack([np.tile(sure, 2), np.repeat([1.0, 0.0], _SAMPLES + 1)])
    most = np.where(count * 2 >= _SAMPLES, even, 0.0)
    return Population(values, np.concatenate([weights * most, weights * (1.0 - most)]))


def usually_right(setting: Setting) -> float:
    """P(what most samples say is right)."""
    population = samples(setting)
    return float(population.weights @ population.values[:, 1])


def sample_entropy(setting: Setting) -> float:
    """Nats of the distribution of samples over the two answers."""
    population = samples(setting)
    return float(population.weights @ (1.0 - population.values[:, 0])) * math.log(_SAMPLES)


def states(setting: Setting) -> float:
    """P(states a confidence): whatever else it does is no statement."""
    own = setting.own
    return max(0.0, 1.0 - own.over_abstain - own.over_clarify - own.over_refuse)


def stated(setting: Setting) -> Population:
    """(confidence stated, correct): it is sure where a second try would be right."""
    weights = np.zeros(4)
    for weight, chance in item_chances(setting.own):
        other = 1.0 - chance
        weights += weight * np.array(
            [chance * chance, chance * other, other * chance, other * other]
        )
    values = np.array([[_SURE, 1.0], [_UNSURE, 1.0], [_SURE, 0.0], [_UNSURE, 0.0]])
    return Population(values, weights)


def stated_brier(setting: Setting) -> float:
    """Squared error of the confidence stated."""
    population = stated(setting)
    return float(population.weights @ (population.values[:, 0] - population.values[:, 1]) ** 2)


def stated_overconfidence(setting: Setting) -> float:
    """Mean confidence stated minus accuracy."""
    population = stated(setting)
    return float(population.weights @ (population.values[:, 0] - population.values[:, 1]))
