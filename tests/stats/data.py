"""Simulated arms for the tests of statistics."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]


def families_of(items: int, size: int) -> IntArray:
    """Family labels of `items` items, `size` to a family."""
    return np.arange(items) // size


def correlated_differences(
    rng: np.random.Generator, family: IntArray, rate: float, correlation: float, loss: float = 0.0
) -> FloatArray:
    """Differences in {-1, 0, 1} of mean `loss`, mean square `rate`, correlated within families."""
    chances = [1.0 - rate, (rate + loss) / 2.0, (rate - loss) / 2.0]
    shared = rng.choice([0.0, 1.0, -1.0], p=chances, size=int(family.max()) + 1)[family]
    own = rng.choice([0.0, 1.0, -1.0], p=chances, size=len(family))
    return np.where(rng.random(len(family)) < np.sqrt(correlation), shared, own)


def arms_of(differences: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Teacher and student scores in [0, 1] with these differences."""
    return np.maximum(differences, 0.0), np.maximum(-differences, 0.0)


def answers(rng: np.random.Generator, items: int) -> FloatArray:
    """(confidence, correct) of an overconfident model."""
    confidence = rng.beta(3.0, 1.5, items)
    return np.column_stack([confidence, rng.random(items) < confidence**1.5]).astype(np.float64)
