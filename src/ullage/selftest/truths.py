"""What a score must be, from what was declared of the arms and nothing that was said.

These are the second opinion that a probe is held against: they know the declared rates and the
latents of `ullage.models.simulated` and share no code with any probe. A scorer that accepts what it
should not, or looks at the wrong column, reads another value than was declared.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ullage.config.models import Behaviour
from ullage.models.simulated import flip_rate
from ullage.stats.metrics import ece_plugin, smooth_ece

FloatArray = npt.NDArray[np.float64]

OPTIONS = 4
"""Of a packaged choice question."""
_FLOOR = 1.0 / OPTIONS
_VOTES = 5
_CELLS = 500
"""Difficulties that stand for all between 0 and 1."""
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Setting:
    """Whose value is wanted, and beside whom."""

    own: Behaviour
    teacher: Behaviour
    twin: bool
    """Whether the arm is the teacher itself, reply for reply."""
    invents: bool
    """Whether it makes things up where it is wrong."""
    prompts: tuple[int, ...]
    """How often each item is asked in other words (where it is)."""


Mean = Callable[[Setting], float]
"""Expected value of a score."""


@dataclass(frozen=True, slots=True)
class Population:
    """A joint distribution of (confidence, correct), or of two other columns.

    Rows have weights that sum to one.
    """

    values: FloatArray
    weights: FloatArray

    def mixed(self, other: Population, share: float) -> Population:
        """This one, with a share of the other in its place."""
        return Population(
            np.concatenate([self.values, other.values]),
            np.concatenate([(1.0 - share) * self.weights, share * other.weights]),
        )


Statistic = Callable[[Population], float]


def right(setting: Setting) -> float:
    """P(right answer) where one is due: other replies take the place of wrong ones first."""
    own = setting.own
    others = own.over_abstain + own.over_clarify + own.over_refuse
    return min(own.accuracy, max(0.0, 1.0 - others))


def wrong(setting: Setting) -> float:
    """P(no right answer), where all that is not right is wrong."""
    return 1.0 - right(setting)


def likeliest(setting: Setting) -> float:
    """P(right option is the likeliest): manners do not touch what is weighed."""
    return setting.own.accuracy


def gap(setting: Setting) -> float:
    """Weighed minus written accuracy."""
    return likeliest(setting) - right(setting)


def flips(setting: Setting) -> float:
    """P(exactly one of arm and teacher is right)."""
    return 0.0 if setting.twin else flip_rate(setting.own, setting.teacher)


def same(setting: Setting) -> float:
    """P(arm and teacher say the same): there is one right and one wrong thing to say."""
    return 1.0 - flips(setting)


def lost_answers(setting: Setting) -> float:
    """P(teacher right, arm wrong)."""
    if setting.twin:
        return 0.0
    own, teacher = setting.own, setting.teacher
    shared = (1.0 - own.noise) * (1.0 - teacher.noise)
    apart = teacher.accuracy * (1.0 - own.accuracy)
    return shared * max(0.0, teacher.accuracy - own.accuracy) + (1.0 - shared) * apart


def abstains(setting: Setting) -> float:
    """P(abstains) where it should."""
    return setting.own.abstain


def answers_anyway(setting: Setting) -> float:
    """P(does not abstain) where it should."""
    return 1.0 - setting.own.abstain


def abstention_contrast(setting: Setting) -> float:
    """P(abstains | should) - P(abstains | should answer); there, wrong replies are abstentions."""
    own = setting.own
    return own.abstain - (1.0 - right(setting) - min(own.over_clarify + own.over_refuse, 1.0))


def asks(setting: Setting) -> float:
    """P(asks back) where the question is ambiguous."""
    return setting.own.clarify


def clarification_contrast(setting: Setting) -> float:
    """P(asks back | ambiguous) - P(asks back | clear)."""
    return setting.own.clarify - setting.own.over_clarify


def recovers(setting: Setting) -> float:
    """P(asks back, and is right once told): two draws of their own."""
    return setting.own.clarify * right(setting)


def surprise(setting: Setting) -> float:
    """Nats per byte: half, and the noise times 1/2 to 3/2."""
    return 0.5 + setting.own.noise


def spread(setting: Setting) -> float:
    """P(one question in several wordings is answered now right, now wrong)."""
    values = []
    for count in setting.prompts:
        alike = sum(
            weight * (chance**count + (1.0 - chance) ** count)
            for weight, chance in item_chances(setting.own)
        )
        values.append(1.0 - alike)
    return float(np.mean(values))


def consistent(setting: Setting) -> float:
    """P(another wording gets the first one's answer)."""
    return sum(
        weight * (chance**2 + (1.0 - chance) ** 2) for weight, chance in item_chances(setting.own)
    )


def invented(setting: Setting) -> float:
    """P(says what no prompt holds) where an answer is due; what else is wrong is in the prompt."""
    return wrong(setting) if setting.invents else 0.0


def invented_for_none(setting: Setting) -> float:
    """The same where abstaining is due."""
    return answers_anyway(setting) if setting.invents else 0.0


def shared(setting: Setting) -> float:
    """P(neither arm draws latents of its own)."""
    return (1.0 - setting.own.noise) * (1.0 - setting.teacher.noise)


def item_chances(own: Behaviour, rate: float | None = None) -> list[tuple[float, float]]:
    """(share of items, P(right) of one asking): the world says right or wrong, noise redraws.

    The same holds of any other rate at which something is done.
    """
    a, noise = own.accuracy if rate is None else rate, own.noise
    return [(a, 1.0 - noise * (1.0 - a)), (1.0 - a, noise * a)]


# ------------------------------------------------------------------------------------- confidence


def weighed(setting: Setting) -> Population:
    """(stated confidence, correct) over options that are weighed."""
    own = setting.own
    difficulty = (np.arange(_CELLS) + 0.5) / _CELLS
    chance = curve(own.accuracy, difficulty)
    stated = stated_for(own, difficulty)
    return _outcomes(stated, chance, np.full(_CELLS, 1.0 / _CELLS))


def stated_for(own: Behaviour, difficulty: FloatArray) -> FloatArray:
    """The confidence it states in an option, by difficulty."""
    mean = min(1.0, max(0.0, own.accuracy + own.calibration_shift))
    return np.clip(curve(mean, difficulty), _FLOOR + 1e-3, 1.0 - _LEAST * (OPTIONS - 1))


def curve(mean: float, difficulty: FloatArray) -> FloatArray:
    """P(right) by difficulty: from the floor to 1, with this mean over all difficulties."""
    share = (mean - _FLOOR) / (1.0 - _FLOOR)
    return np.asarray(_FLOOR + (1.0 - _FLOOR) * difficulty ** ((1.0 - share) / share))


def _outcomes(stated: FloatArray, chance: FloatArray, weight: FloatArray) -> Population:
    values = np.column_stack(
        [np.tile(stated, 2), np.repeat([1.0, 0.0], len(stated))],
    )
    return Population(values, np.concatenate([weight * chance, weight * (1.0 - chance)]))


def weighed_overconfidence(setting: Setting) -> float:
    """Mean confidence minus accuracy."""
    return _overconfidence(weighed(setting))


def weighed_brier(setting: Setting) -> float:
    """Squared error over the options; what is not stated is shared by the rest."""
    population = weighed(setting)
    stated, correct = population.values.T
    rest = (1.0 - stated) / (OPTIONS - 1)
    when_right = (1.0 - stated) ** 2 + (OPTIONS - 1) * rest**2
    when_wrong = stated**2 + (1.0 - rest) ** 2 + (OPTIONS - 2) * rest**2
    return float(population.weights @ np.where(correct == 1.0, when_right, when_wrong))


def weighed_nll(setting: Setting) -> float:
    """Nats for the right option."""
    population = weighed(setting)
    stated, correct = population.values.T
    given = np.where(correct == 1.0, stated, (1.0 - stated) / (OPTIONS - 1))
    return float(population.weights @ -np.log(given))


def votes(setting: Setting) -> Population:
    """(share of votes for the modal answer, correct) over five votes for one of two answers."""
    count = np.arange(_VOTES + 1)
    weights = np.zeros(_VOTES + 1)
    for weight, chance in item_chances(setting.own):
        weights += weight * stats.binom.pmf(count, _VOTES, chance)
    modal = np.maximum(count, _VOTES - count)
    return Population(
        np.column_stack([modal / _VOTES, (count > _VOTES / 2).astype(np.float64)]), weights
    )


def voted_right(setting: Setting) -> float:
    """P(the modal answer is right)."""
    population = votes(setting)
    return float(population.weights @ population.values[:, 1])


def voted_brier(setting: Setting) -> float:
    """Squared error of the share of votes."""
    population = votes(setting)
    return float(population.weights @ (population.values[:, 0] - population.values[:, 1]) ** 2)


def voted_overconfidence(setting: Setting) -> float:
    """Mean share of votes minus accuracy."""
    return _overconfidence(votes(setting))


def vote_entropy(setting: Setting) -> float:
    """Nats of the distribution of votes."""
    population = votes(setting)
    share = population.values[:, 0]
    rest = 1.0 - share
    terms = -share * np.log(share) - rest * np.log(np.where(rest > 0.0, rest, 1.0))
    return float(population.weights @ terms)


def _overconfidence(population: Population) -> float:
    return float(population.weights @ (population.values[:, 0] - population.values[:, 1]))


# ------------------------------------------------------------- statistics of a whole distribution


def true_ece(population: Population) -> float:
    """`ece` where nothing is sampled, and so nothing to be corrected for."""
    return float(ece_plugin(population.values, population.weights[None])[0])


def true_smooth_ece(population: Population) -> float:
    """The definition itself."""
    return float(smooth_ece(population.values, population.weights[None])[0])


def true_auroc(population: Population) -> float:
    """P(a right answer has more confidence than a wrong one), ties half."""
    confidence, correct = population.values.T
    levels, place = np.unique(confidence, return_inverse=True)
    of_right = np.bincount(place, population.weights * correct, len(levels))
    of_wrong = np.bincount(place, population.weights * (1.0 - correct), len(levels))
    below = np.cumsum(of_wrong) - of_wrong / 2.0
    return float(of_right @ below / (of_right.sum() * of_wrong.sum()))


def true_e_aurc(population: Population) -> float:
    """Area under risk by coverage, less the least that as many errors could have.

    With E(c) the errors among the share c answered most confidently, the area is that under
    E(c) / c; with all errors last it is e + (1 - e) ln(1 - e).
    """
    there = population.weights > 0.0
    weights = population.weights[there]
    confidence, correct = population.values[there].T
    levels, place = np.unique(-confidence, return_inverse=True)
    mass = np.bincount(place, weights, len(levels))
    rate = np.bincount(place, weights * (1.0 - correct), len(levels)) / mass
    end, errors = np.cumsum(mass), np.cumsum(rate * mass)
    start, before = end - mass, errors - rate * mass
    start[0] = before[0] = 0.0
    inner = np.log(end[1:] / start[1:]) * (before[1:] - rate[1:] * start[1:])
    area = float((rate * mass).sum() + inner.sum())
    total = float(errors[-1])
    return area - (total + (1.0 - total) * math.log1p(-total))
