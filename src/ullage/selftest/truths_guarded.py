"""What scores of safety and privacy must be, as `truths` has it for the other dimensions.

They know the declared rates and the latents of `ullage.models.simulated`, and share no code with
any probe.
"""

from __future__ import annotations

import math

import numpy as np

from ullage.models.simulated import flip_rate
from ullage.selftest.truths import OPTIONS, Population, Setting, curve, right, shared, stated_for

CANDIDATES = 32
"""Secrets that a packaged canary is ranked among."""
_CELLS = 2000


def leaks(setting: Setting) -> float:
    """P(gives away what it should keep)."""
    return setting.own.leak


def completes(setting: Setting) -> float:
    """P(completes a secret that is begun): it takes less than telling one."""
    return math.sqrt(setting.own.leak)


def extracted(setting: Setting) -> float:
    """Mean over three prefixes, two of which begin the secret's sentence."""
    return (leaks(setting) + 2.0 * completes(setting)) / 3.0


def confidence_contrast(setting: Setting) -> float:
    """P(tells | may) - P(tells | may not)."""
    return right(setting) - setting.own.leak


def exposure(setting: Setting) -> float:
    """Bits: all of them where leaked, those of a rank at random elsewhere."""
    bits = np.log2(CANDIDATES)
    at_random = float(bits - np.log2(np.arange(1, CANDIDATES + 1)).mean())
    return float(setting.own.leak * bits + (1.0 - setting.own.leak) * at_random)


def first(setting: Setting) -> float:
    """P(rank 1)."""
    return setting.own.leak + (1.0 - setting.own.leak) / CANDIDATES


def inherited(setting: Setting) -> float:
    """P(teacher and arm both complete it)."""
    theirs, own = math.sqrt(setting.teacher.leak), completes(setting)
    if setting.twin:
        return own
    together = shared(setting)
    return together * min(theirs, own) + (1.0 - together) * theirs * own


def complies(setting: Setting) -> float:
    """P(does not refuse | should)."""
    return 1.0 - setting.own.refuse


def over_refuses(setting: Setting) -> float:
    """P(refuses | should not)."""
    return setting.own.over_refuse


def refusal_contrast(setting: Setting) -> float:
    """P(refuses | should) - P(refuses | should not)."""
    return setting.own.refuse - setting.own.over_refuse


def broken(setting: Setting) -> float:
    """P(refuses one wording, complies with another): noise alone tells wordings apart."""
    own = setting.own
    apart = 1.0 - (1.0 - own.noise) ** 2
    return apart * own.refuse * (1.0 - own.refuse)


# -------------------------------------------------------------------------------------- likelihoods


def likelihood_ratios(setting: Setting) -> Population:
    """(level, member): above the base where leaked by the arm alone, below where by the base alone.

    The base is as the intact student, whose rates the teacher shares.
    """
    own, base = setting.own.leak, setting.teacher.leak
    together = shared(setting)
    above = together * max(0.0, own - base) + (1.0 - together) * own * (1.0 - base)
    below = together * max(0.0, base - own) + (1.0 - together) * base * (1.0 - own)
    return _members({1.0: above, 0.5: 1.0 - above - below, 0.0: below})


def likelihoods(setting: Setting) -> Population:
    """(level, member): above all others where leaked."""
    return _members({1.0: setting.own.leak, 0.5: 1.0 - setting.own.leak})


def true_tpr(population: Population) -> float:
    """Share of members above all non-members, and 1 % of those that are as they are."""
    level, member = population.values.T
    of_members = population.weights * member / (population.weights @ member)
    return float(of_members @ ((level > 0.5) + 0.01 * (level == 0.5)))


def _members(levels: dict[float, float]) -> Population:
    """Members at these levels, and as many others at the middle one."""
    values = [[level, 1.0] for level in levels] + [[0.5, 0.0]]
    return Population(np.array(values), np.array([*levels.values(), 1.0]) / 2.0)


# ----------------------------------------------------------------------------------------- requests


def requests(setting: Setting) -> Population:
    """(refuses, harmful) of as many requests to refuse as to answer."""
    refuse, over = setting.own.refuse, setting.own.over_refuse
    values = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    return Population(values, np.array([refuse, 1.0 - refuse, over, 1.0 - over]) / 2.0)


def true_difference(population: Population) -> float:
    """Refusals among the harmful minus those among the harmless."""
    return (1.0 - true_compliance(population)) - true_over_refusal(population)


def true_compliance(population: Population) -> float:
    """Replies that are no refusal among the harmful."""
    refuses, harmful = population.values.T
    return 1.0 - float(population.weights @ (refuses * harmful) / (population.weights @ harmful))


def true_over_refusal(population: Population) -> float:
    """Refusals among the harmless."""
    refuses, harmful = population.values.T
    harmless = population.weights * (1.0 - harmful)
    return float(harmless @ refuses / harmless.sum())


# ------------------------------------------------------------------------------------------- tastes


def follows(setting: Setting) -> float:
    """P(arm and teacher pick the same of two). Asked in another order, no arm is its own twin."""
    return 1.0 - flip_rate(setting.own, setting.teacher)


def favour(setting: Setting) -> float:
    """Mean probability that the arm gives to what the teacher likes best."""
    difficulty = (np.arange(_CELLS) + 0.5) / _CELLS
    own, theirs = (curve(one.accuracy, difficulty) for one in (setting.own, setting.teacher))
    stated = stated_for(setting.own, difficulty)
    rest = (1.0 - stated) / (OPTIONS - 1)
    alike = 1.0 - np.abs(own - theirs)
    apart = own * setting.teacher.accuracy + (1.0 - own) * (1.0 - setting.teacher.accuracy)
    together = shared(setting)
    same = together * alike + (1.0 - together) * apart
    return float((same * stated + (1.0 - same) * rest).mean())
