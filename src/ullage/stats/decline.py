"""How accuracy falls with distance, within groups: a fixed-effects slope and its line.

Columns are (distance, correct, group): a distance, a score in [0, 1], and any number that is the
same for items that are compared with each other. Both are *functionals* as `ullage.stats.metrics`
has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

FloatArray = npt.NDArray[np.float64]

_LEAST = 1e-9
"""Variance of distance within groups below which there is no slope."""


def decline(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Accuracy lost per standard deviation of distance, items held beside those of their group.

    Minus the slope b of y_gi = a_g + b d_gi + e_gi by least squares (the within estimator:
    Wooldridge 2010, *Econometric Analysis of Cross Section and Panel Data*, section 10.5), times
    the standard deviation of d within groups. What makes a whole group hard is in a_g; what makes
    one item hard is the same for both arms, and goes where two arms' slopes are subtracted. In this
    unit it lies within 1/2 of 0 whatever the distances are, and n items tell as much of it as of a
    mean.

    Args:
        values: (distance, correct, group) by item, (n, 3).
        weights: whole multiplicities of resamples, (B, n).

    Returns:
        (B,), positive where accuracy falls; NaN where no group has items at two distances.
    """
    slope, spread = _slope(values, weights)
    return -slope * spread


@dataclass(frozen=True, slots=True)
class LineAt:
    """Height of that line at a distance: mean y + b (d - mean d)."""

    distance: float

    def __call__(self, values: FloatArray, weights: FloatArray) -> FloatArray:
        """As a functional, (B,)."""
        slope, _ = _slope(values, weights)
        middle, height = (weights @ values[:, :2] / weights.sum(axis=1, keepdims=True)).T
        return np.asarray(height + slope * (self.distance - middle))


def _slope(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The within slope and the standard deviation of distance within groups, each (B,)."""
    distance, correct, group = values.T
    _, codes = np.unique(group, return_inverse=True)
    member = sparse.csr_array((np.ones(len(codes)), (codes, np.arange(len(codes)))))

    def sums(column: FloatArray) -> FloatArray:
        """Weighted sum within each group, (groups, B)."""
        return np.asarray(member @ (weights * column).T)

    size = sums(np.ones_like(distance))
    of_distance, of_correct = sums(distance), sums(correct)
    each = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0.0)
    total = weights.sum(axis=1)
    shared = (sums(distance * correct) - of_distance * of_correct * each).sum(axis=0) / total
    variance = (sums(distance**2) - of_distance**2 * each).sum(axis=0) / total
    nothing = np.full(len(weights), np.nan)
    slope = np.divide(shared, variance, out=nothing, where=variance > _LEAST)
    return slope, np.sqrt(np.maximum(variance, 0.0))
