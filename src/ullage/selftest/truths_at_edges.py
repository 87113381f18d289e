"""What a score must be where one question is put in two dresses, and of texts against memory.

As in `truths`, from what was declared and the latents of `ullage.models.simulated`; nothing of a
probe is used.
"""

from __future__ import annotations

import numpy as np

from ullage.selftest.truths import Population, Setting, item_chances, right, wrong

_FACTS = 3
"""That a text tells of a thing. A wrong report has one of them, one against it, and one made up."""


def breaks(setting: Setting) -> float:
    """P(right plainly, wrong in other dress): noise alone tells the two apart."""
    return sum(weight * chance * (1.0 - chance) for weight, chance in item_chances(setting.own))


def lost_in_middle(setting: Setting) -> float:
    """P(right at both ends, wrong in the middle)."""
    return sum(weight * chance**2 * (1.0 - chance) for weight, chance in item_chances(setting.own))


def told(setting: Setting) -> float:
    """Share of the facts that are reported; of what a wrong report says as many are right."""
    return right(setting) + wrong(setting) / _FACTS


def followed(setting: Setting) -> Population:
    """(follows the text, knows the thing): two draws of their own."""
    return _independent(right(setting), right(setting))


def remembered(setting: Setting) -> Population:
    """(answers from memory, knows the thing): who does not follow the text does."""
    return _independent(wrong(setting), right(setting))


def _independent(does: float, knows: float) -> Population:
    values = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    shares = (does * knows, (1 - does) * knows, does * (1 - knows), (1 - does) * (1 - knows))
    return Population(values, np.array(shares))


def where_known(population: Population) -> float:
    """P(first | second)."""
    first, second = population.values.T
    known = population.weights * second
    return float(known @ first / known.sum())
