"""Intervals that hold however often one looks, so that asking may stop once a verdict is in.

Betting (Waudby-Smith & Ramdas 2024, JRSS B 86:1): whoever bets on every family that the mean is
above m, with money that families before it decided on, does not expect to gain if it is not. So
that the capital ever grows 1/α-fold is rarer than α (Ville 1939), whenever one looks, and the means
against which no bet has grown that far are an interval: their hedged capital, one
half of it bet on either side.

Items of a family are no independent bets. Families are bet on whole and in random order, and a
family multiplies the capital by (prod_i (1 + λ(x_i - m)))^(1/d): with d the size of the family that
is less than the mean of its factors, and so exact whatever the items have in common; with d its
design effect it is so to second order in λ. d is an upper bound from the families before, and the
family's size while little is known.

Looking spends a fifth of the error. The rest is kept for what has been asked in full, whose
interval is then the usual one at a little higher level (`asked_in_full`). What either misses is
together no more than was promised, and a target that is asked in full has lost next to no power.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from ullage.stats.families import Families, FamilyLabels
from ullage.stats.intervals import Interval
from ullage.stats.score import UNSEEN_EVENTS

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

LOOKING = 0.2
"""Share of the error that looking spends."""

_CAUTION = 0.2
"""Chance that the bound on the design effect is too low. With the plain estimate, simulated
families of 13 with an intraclass correlation of 0.4 have looking err four times as often as it
may."""
_STAKE = 0.75
"""Share of the capital that one item may cost at most (the paper's c)."""
_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class _Bets:
    """What was bet on every item, and what came, in the order of asking."""

    values: FloatArray
    """(n,) scaled to [0, 1], families together."""
    stakes: FloatArray
    """(n,) λ of the item's family, before the cap that m sets."""
    designs: FloatArray
    """(n,) d of the item's family."""
    starts: IntArray
    """(families,) where each begins."""

    def flipped(self) -> _Bets:
        """The same bets on 1 - value."""
        return replace(self, values=1.0 - self.values)

    def most(self, mean: float) -> float:
        """Largest log capital, at the end of any family, of betting that the truth is above `mean`.

        It falls with `mean`.
        """
        stakes = np.minimum(self.stakes, _STAKE / mean)
        gains = np.log1p(stakes * (self.values - mean)) / self.designs
        return float(np.cumsum(np.add.reduceat(gains, self.starts)).max())

    def lower_end(self, needed: float) -> float:
        """The smallest mean that the capital has not outgrown `exp(needed)` against."""
        if self.most(_TINY) < needed:
            return 0.0
        if self.most(1.0 - _TINY) >= needed:
            return 1.0
        return float(optimize.brentq(lambda at: self.most(at) - needed, _TINY, 1.0 - _TINY))


@dataclass(frozen=True, slots=True, kw_only=True)
class AnytimeInterval(Interval):
    """An interval that holds at every look at once."""

    bets: _Bets
    bounds: tuple[float, float]

    def p_greater(self, threshold: float) -> float:
        """One-sided p of "the truth is at most `threshold`", however often it was looked at.

        Below ``(1 - level) / 2`` exactly when the capital bet against the threshold is large enough
        for ``low > threshold``.
        """
        low, high = self.bounds
        at = (threshold - low) / (high - low)
        if not 0.0 < at < 1.0:
            return float(at >= 1.0)
        return min(1.0, math.exp(-max(0.0, self.bets.most(at))) / LOOKING)

    def negated(self) -> AnytimeInterval:
        """The interval of minus the quantity."""
        return replace(
            self,
            estimate=-self.estimate,
            low=-self.high,
            high=-self.low,
            bets=self.bets.flipped(),
            bounds=(-self.bounds[1], -self.bounds[0]),
        )


def mean(
    values: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> AnytimeInterval:
    """Interval of the mean over items, at any time.

    Args:
        values: one per item, in the order of asking, (n,).
        family: label of each item's family, (n,); families are bet on as they first appear.
        bounds: smallest and largest value an item can have.
        level: two-sided confidence of looking and asking in full together.

    Raises:
        TooFewError: fewer families than an honest interval needs.
        ValueError: values are NaN or outside the bounds, or shapes disagree.
    """
    data = np.asarray(values, dtype=np.float64)
    low, high = bounds
    if not (np.isfinite(data).all() and (data >= low).all() and (data <= high).all()):
        raise ValueError(f"values must be finite numbers within {bounds}")
    families = Families.of(family, len(data))
    bets = _bets((data - low) / (high - low), families, level)
    needed = math.log(2.0 / ((1.0 - level) * LOOKING))
    estimate = float(data.mean())
    ends = bets.lower_end(needed), 1.0 - bets.flipped().lower_end(needed)
    below, above = (low + (high - low) * end for end in ends)
    quantile = float(stats.norm.isf((1.0 - level) * LOOKING / 2.0))
    return AnytimeInterval(
        estimate=estimate,
        # The truth that earlier families spoke for may lie to one side of where all of them do.
        low=min(below, estimate),
        high=max(above, estimate),
        standard_error=abs(above - below) / (2.0 * quantile),
        families=families.count,
        items=len(data),
        level=level,
        method="anytime betting",
        bets=bets,
        bounds=bounds,
    )


def mean_difference(
    teacher: npt.ArrayLike,
    student: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> AnytimeInterval:
    """Interval of mean(teacher - student) over paired items, at any time.

    Args:
        teacher: one value per item, in the order of asking, (n,).
        student: its values on the same items, (n,).
        family: label of each item's family, (n,); families are bet on as they first appear.
        bounds: smallest and largest value one arm can have on an item.
        level: two-sided confidence of looking and asking in full together.

    Raises:
        TooFewError: fewer families than an honest interval needs.
        ValueError: values are NaN or outside the bounds, or shapes disagree.
    """
    first, second = (np.asarray(arm, dtype=np.float64) for arm in (teacher, student))
    if first.shape != second.shape:
        raise ValueError(f"arms must be paired: {first.shape} and {second.shape}")
    width = bounds[1] - bounds[0]
    return mean(first - second, family, bounds=(-width, width), level=level)


def level_in_full(level: float = 0.95) -> float:
    """The level of the interval of what was looked at and then asked in full."""
    return 1.0 - (1.0 - level) * (1.0 - LOOKING)


def asked_in_full(interval: Callable[[float], Interval], level: float = 0.95) -> Interval:
    """The usual interval of what was looked at and then asked in full.

    Args:
        interval: makes it, given a level.
        level: two-sided confidence of looking and asking in full together, which it then has.
    """
    return replace(interval(level_in_full(level)), level=level)


def _bets(values: FloatArray, families: Families, level: float) -> _Bets:
    """Bets on every family, each decided by the families before it alone."""
    _, first = np.unique(families.codes, return_index=True)
    rank = np.argsort(np.argsort(first))[families.codes]
    order = np.argsort(rank, kind="stable")
    values, sizes = values[order], families.sizes[np.argsort(first)]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.intp)
    sums, squares = (np.add.reduceat(values**power, starts) for power in (1, 2))
    items = _before(sizes)
    total = _before(sums)
    centre = total / np.maximum(items, 1.0)
    spread = np.maximum(_before(squares) - items * centre**2, 0.0)
    between = (
        _before(sums**2) - 2.0 * centre * _before(sums * sizes) + centre**2 * _before(sizes**2)
    )
    designs = _designs(between, spread, sizes)
    # Items as many independent ones would be, this family's among them; a bet for a verdict when as
    # much again has been asked is larger than the paper's for one at any time to come.
    worth = (items + sizes) / designs
    variance = _shrunk_variance(total, _before(squares), items)
    needed = math.log(2.0 / ((1.0 - level) * LOOKING))
    stakes = np.sqrt(2.0 * needed / (variance * 2.0 * worth))
    repeats = sizes.astype(np.intp)
    return _Bets(values, np.repeat(stakes, repeats), np.repeat(designs, repeats), starts)


def _before(values: FloatArray) -> FloatArray:
    """Sum of the values before each."""
    return np.concatenate([[0.0], np.cumsum(values)[:-1]])


def _shrunk_variance(total: FloatArray, squares: FloatArray, items: FloatArray) -> FloatArray:
    """Variance of an item, with one at 1/2 and the largest variance there is to begin with."""
    centre = (0.5 + total) / (1.0 + items)
    return (0.25 + squares - 2.0 * centre * total + items * centre**2) / (1.0 + items)


def _designs(between: FloatArray, spread: FloatArray, sizes: FloatArray) -> FloatArray:
    """Upper bound on the design effect from the families before each, at most the largest size.

    Between families, the sum of squares is about a chi-square times its expectation. As in
    `score.effective_size` the belief that families move as one is worth a few events: a flip of
    the difference is 1/2 in these units.
    """
    largest = np.maximum.accumulate(sizes)
    seen = np.arange(len(sizes), dtype=np.float64)
    # None and one tell nothing of how families differ.
    quantile = stats.chi2.ppf(_CAUTION, np.maximum(seen - 1.0, 1.0))
    squares = between * seen / quantile
    events = UNSEEN_EVENTS / 4.0
    estimate = (squares + events * largest) / (spread + events)
    return np.where(seen < 2.0, largest, np.clip(estimate, 1.0, largest))
