"""How uncertain a statistic is that is not a mean: whole families resampled, and left out in turn.

A bootstrap over families gives the variance. Leaving each family out gives its influence, and the
influences tell two things that a variance does not: how lopsided the error is, and how large the
jumps are that it is made of. Both matter where a few families decide, and vanish where many do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ullage.stats.families import Families, TooFewError

FloatArray = npt.NDArray[np.float64]
Statistic = Callable[[FloatArray], FloatArray]
"""Weights of items, (B, n), to values, (B,)."""

CHUNK = 16_000
"""Most entries of a weight matrix held at once: 128 KB stay in cache, and the allocator reuses them
where it would map larger ones anew for every step, which takes as long as the arithmetic."""

MOST_LEFT_OUT = 400
"""Above so many families none is left out: what it would correct is below what can be measured."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """What surrounds an estimate."""

    error: float
    """Standard error; never 0."""
    shift: float
    """How far the middle of the interval lies from the estimate."""


def uncertainty(
    statistic: Statistic,
    families: Families,
    estimate: float,
    *,
    width: float,
    quantile: float,
    normal: float,
    resamples: int,
    seed: int,
) -> Uncertainty:
    """Standard error and skew of a statistic, in its own units.

    Args:
        statistic: of item weights.
        families: the partition.
        estimate: the statistic at weights of one.
        width: range of the statistic of one arm: the most that all families together can change.
        quantile: of the t distribution that the interval uses.
        normal: the same of the normal distribution.
        resamples: draws of families with replacement.
        seed: of these draws.

    Raises:
        TooFewError: the statistic is undefined on most resamples.
    """
    count, items = families.count, len(families.codes)
    draws = bootstrap(statistic, families, resamples, seed)
    draws = draws[np.isfinite(draws)]
    if len(draws) <= resamples / 2:
        raise TooFewError(
            f"the statistic is not defined on most resamples of {count} families; "
            f"more of them are needed"
        )
    variance = float(draws.var(ddof=1)) * count / (count - 1.0)
    shift = jump = 0.0
    if count <= MOST_LEFT_OUT:
        shift, jump = _skew_and_jump(influences(statistic, families, estimate))
    # Jumps larger than one item's make the variance itself uncertain: two more of them are added,
    # unless the wide quantile of few families already allows for as much.
    item = width / items
    rare = variance + 2.0 * max(jump - item**2, 0.0)
    variance = max(variance, (normal / quantile) ** 2 * rare)
    # Where nothing varied, nothing is known: the interval is that of families which may move as one
    # and did not (Wilson's, at 0 of `count`). Forgotten, by e for each, as events are seen.
    unseen = width * quantile / (count + quantile**2)
    variance += unseen**2 * math.exp(-variance / item**2)
    return Uncertainty(math.sqrt(variance), shift * quantile**2 / 4.0)


def bootstrap(statistic: Statistic, families: Families, resamples: int, seed: int) -> FloatArray:
    """The statistic on draws of families with replacement (Efron 1979), (resamples,)."""
    rng = np.random.default_rng(seed)
    count = families.count
    rows = max(1, CHUNK // len(families.codes))
    parts = []
    for start in range(0, resamples, rows):
        taken = min(rows, resamples - start)
        drawn = rng.integers(0, count, (taken, count)) + np.arange(taken)[:, None] * count
        times = np.bincount(drawn.ravel(), minlength=taken * count).astype(np.float64)
        parts.append(statistic(times.reshape(taken, count)[:, families.codes]))
    return np.concatenate(parts)


def influences(statistic: Statistic, families: Families, estimate: float) -> FloatArray:
    """What each family adds to the estimate, centred, by leaving it out (Tukey's jackknife).

    Families without which the statistic is undefined are left out of the answer.
    """
    count = families.count
    rows = max(1, CHUNK // len(families.codes))
    parts = []
    for start in range(0, count, rows):
        out = np.arange(start, min(start + rows, count))
        parts.append(statistic((families.codes != out[:, None]).astype(np.float64)))
    added = (estimate - np.concatenate(parts)) * (count - 1.0) / count
    added = added[np.isfinite(added)]
    return np.asarray(added - added.mean())


def _skew_and_jump(added: FloatArray) -> tuple[float, float]:
    """Third and fourth moment of the influences over their second; 0 where nothing varies.

    For a sum of rare jumps of one size these are the size (signed by the balance of directions) and
    its square. A score interval shifts by quantile² / 2 of it; half of that was measured to be best
    where the influences are themselves estimates.
    """
    squares = float((added**2).sum())
    if squares <= np.finfo(np.float64).tiny:
        return 0.0, 0.0
    return float((added**3).sum()) / squares, float((added**4).sum()) / squares
