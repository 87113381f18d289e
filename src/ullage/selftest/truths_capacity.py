"""What scores of capacity must be, as `truths` has it for the other dimensions.

They know the declared rates of `ullage.models.simulated` and share no code with any probe. What was
taught is right as often as `accuracy` says, what was not as often as `transfer` does.
"""

from __future__ import annotations

import numpy as np

from ullage.selftest.truths import Population, Setting, right

_DISTANCES = (0.0, 0.5, 1.0)
"""Each is as often asked at; only at the first is everything taught."""


def carries_over(setting: Setting) -> float:
    """P(right | not taught)."""
    return setting.own.transfer


def shortfall(setting: Setting) -> float:
    """P(right | taught) - P(right | not taught)."""
    return right(setting) - setting.own.transfer


def right_at_any_distance(setting: Setting) -> float:
    """P(right), over all distances."""
    return float(np.mean(_rates(setting)))


def by_distance(setting: Setting) -> Population:
    """(distance, correct)."""
    rates = np.array(_rates(setting))
    values = np.column_stack([np.tile(_DISTANCES, 2), np.repeat([1.0, 0.0], len(_DISTANCES))])
    return Population(values, np.concatenate([rates, 1.0 - rates]) / len(_DISTANCES))


def fall(population: Population) -> float:
    """Accuracy lost per standard deviation of distance, by the normal equations of a line."""
    distance, correct = population.values.T
    design = np.column_stack([np.ones_like(distance), distance])
    weighted = design * population.weights[:, None]
    slope = np.linalg.solve(design.T @ weighted, weighted.T @ correct)[1]
    return float(-slope * np.std(_DISTANCES))


def _rates(setting: Setting) -> list[float]:
    return [right(setting) if at == 0.0 else carries_over(setting) for at in _DISTANCES]
