"""Intervals that respect families and never collapse.

Means get a score interval (`ullage.stats.score`) with t quantiles; other statistics are resampled
by family, both arms together. `docs/statistics.md` gives the reasons and the measured coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from ullage.stats.families import Families, FamilyLabels, TooFewError
from ullage.stats.metrics import Functional
from ullage.stats.resampling import Statistic, uncertainty
from ullage.stats.score import effective_size, one_sample_ends, paired_ends

__all__ = [
    "Interval",
    "TooFewError",
    "functional",
    "functional_difference",
    "mean",
    "mean_difference",
]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its two-sided interval."""

    estimate: float
    low: float
    high: float
    standard_error: float
    """Half the interval's width over the quantile of t: never 0."""
    families: int
    """Independent units it rests on."""
    items: int
    level: float
    method: str
    degrees_of_freedom: float = math.inf
    """Of the t distribution its tails follow."""

    def p_greater(self, threshold: float) -> float:
        """One-sided p of "the truth is at most `threshold`", by inverting this interval.

        Below ``(1 - level) / 2`` exactly when ``low > threshold``. At other levels each side of the
        interval is stretched about the estimate by the ratio of t quantiles.
        """
        tail = (1.0 - self.level) / 2.0
        quantile = float(stats.t.isf(tail, self.degrees_of_freedom))
        above = self.estimate >= threshold
        side = self.estimate - self.low if above else self.high - self.estimate
        gap = abs(self.estimate - threshold)
        if side <= 0.0:
            # The estimate sits on a bound of what is possible, and so does this end.
            beyond = 0.0 if gap > 0.0 else 0.5
        else:
            beyond = float(stats.t.sf(quantile * gap / side, self.degrees_of_freedom))
        return beyond if above else 1.0 - beyond

    def negated(self) -> Interval:
        """The interval of minus the quantity."""
        return replace(self, estimate=-self.estimate, low=-self.high, high=-self.low)


def mean(
    values: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Interval:
    """Interval of the mean over items.

    Args:
        values: one per item, (n,).
        family: label of each item's family, (n,).
        bounds: smallest and largest value an item can have.
        level: two-sided confidence.

    Raises:
        TooFewError: fewer families than an honest interval needs.
        ValueError: values are NaN or outside the bounds, or shapes disagree.
    """
    low, high = _check_bounds(bounds, level)
    data = _check_values("values", values, (low, high))
    families = Families.of(family, len(data))
    df = families.degrees_of_freedom()
    quantile = float(stats.t.isf((1.0 - level) / 2.0, df))
    scaled = (data - low) / (high - low)
    average = min(max(float(scaled.mean()), 0.0), 1.0)
    size = effective_size(scaled, average * (1.0 - average), families)
    ends = one_sample_ends(average, size, quantile)
    return _interval(
        float(data.mean()),
        (low + (high - low) * ends[0], low + (high - low) * ends[1]),
        quantile,
        families=families,
        level=level,
        method="clustered score",
        df=df,
    )


def mean_difference(
    teacher: npt.ArrayLike,
    student: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Interval:
    """Interval of mean(teacher - student) over paired items.

    Args:
        teacher: one value per item, (n,).
        student: its values on the same items, (n,).
        family: label of each item's family, (n,).
        bounds: smallest and largest value one arm can have on an item.
        level: two-sided confidence.

    Raises:
        TooFewError: fewer families than an honest interval needs.
        ValueError: values are NaN or outside the bounds, or shapes disagree.
    """
    low, high = _check_bounds(bounds, level)
    data_t = _check_values("teacher", teacher, (low, high))
    data_s = _check_values("student", student, (low, high))
    if data_t.shape != data_s.shape:
        raise ValueError(f"arms must be paired: {data_t.shape} and {data_s.shape}")
    families = Families.of(family, len(data_t))
    df = families.degrees_of_freedom()
    quantile = float(stats.t.isf((1.0 - level) / 2.0, df))
    width = high - low
    difference = (data_t - data_s) / width
    gain = float(np.maximum(difference, 0.0).mean())
    loss = float(np.maximum(-difference, 0.0).mean())
    size = effective_size(difference, gain + loss - (gain - loss) ** 2, families)
    ends = paired_ends(gain, loss, size, quantile)
    return _interval(
        (gain - loss) * width,
        (width * ends[0], width * ends[1]),
        quantile,
        families=families,
        level=level,
        method="clustered paired score",
        df=df,
    )


def functional(
    functional: Functional,
    values: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of a statistic that is not a mean, from whole families resampled.

    Args:
        functional: ``(values (n, k), weights (B, n)) -> (B,)``.
        values: columns of one arm, (n, k) or (n,).
        family: label of each item's family, (n,).
        bounds: smallest and largest value the statistic can have.
        level: two-sided confidence.
        resamples: how many.
        seed: the same seed gives the same interval.

    Raises:
        TooFewError: fewer families than needed, or the statistic is not defined on these values.
        ValueError: values are NaN, or shapes disagree.
    """
    low, high = _check_bounds(bounds, level)
    table = _check_table("values", values)
    return _resampled(
        lambda weights: functional(table, weights),
        family,
        len(table),
        bounds=(low, high),
        width=high - low,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def functional_difference(
    functional: Functional,
    teacher: npt.ArrayLike,
    student: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of functional(teacher) - functional(student), resampling both arms jointly.

    Args:
        functional: ``(values (n, k), weights (B, n)) -> (B,)``.
        teacher: its columns, (n, k) or (n,).
        student: its columns on the same items.
        family: label of each item's family, (n,).
        bounds: smallest and largest value the statistic of one arm can have.
        level: two-sided confidence.
        resamples: how many.
        seed: the same seed gives the same interval.

    Raises:
        TooFewError: fewer families than needed, or the statistic is not defined on these values.
        ValueError: values are NaN, or shapes disagree.
    """
    low, high = _check_bounds(bounds, level)
    table_t, table_s = _check_table("teacher", teacher), _check_table("student", student)
    if table_t.shape != table_s.shape:
        raise ValueError(f"arms must be paired: {table_t.shape} and {table_s.shape}")
    return _resampled(
        lambda weights: functional(table_t, weights) - functional(table_s, weights),
        family,
        len(table_t),
        bounds=(low - high, high - low),
        width=high - low,
        level=level,
        resamples=resamples,
        seed=seed,
    )


def _resampled(
    statistic: Statistic,
    family: FamilyLabels,
    items: int,
    *,
    bounds: tuple[float, float],
    width: float,
    level: float,
    resamples: int,
    seed: int,
) -> Interval:
    """Interval with the bootstrap's error and t quantiles, shifted by the families' skew."""
    families = Families.of(family, items)
    estimate = float(statistic(np.ones((1, items)))[0])
    if not math.isfinite(estimate):
        raise TooFewError(f"the statistic is not defined on these {items} items; more are needed")
    df = families.degrees_of_freedom()
    quantile = float(stats.t.isf((1.0 - level) / 2.0, df))
    around = uncertainty(
        statistic,
        families,
        estimate,
        width=width,
        quantile=quantile,
        normal=float(stats.norm.isf((1.0 - level) / 2.0)),
        resamples=resamples,
        seed=seed,
    )
    low = min(estimate + around.shift - quantile * around.error, estimate)
    high = max(estimate + around.shift + quantile * around.error, estimate)
    # A debiased statistic may stray beyond what the truth can be; what is reported does not.
    inside = np.clip([estimate, low, high], *bounds)
    return _interval(
        float(inside[0]),
        (float(inside[1]), float(inside[2])),
        quantile,
        families=families,
        level=level,
        method="family bootstrap t",
        df=df,
    )


def _interval(
    estimate: float,
    ends: tuple[float, float],
    quantile: float,
    *,
    families: Families,
    level: float,
    method: str,
    df: float,
) -> Interval:
    return Interval(
        estimate=estimate,
        low=ends[0],
        high=ends[1],
        standard_error=(ends[1] - ends[0]) / (2.0 * quantile),
        families=families.count,
        items=len(families.codes),
        level=level,
        method=method,
        degrees_of_freedom=df,
    )


def _check_bounds(bounds: tuple[float, float], level: float) -> tuple[float, float]:
    low, high = float(bounds[0]), float(bounds[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"bounds must be finite and rising; got {bounds}")
    if not 0.5 <= level < 1.0:
        raise ValueError(f"level must lie in [0.5, 1); got {level}")
    return low, high


def _check_values(name: str, values: npt.ArrayLike, bounds: tuple[float, float]) -> FloatArray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1:
        raise ValueError(f"{name}: one value per item; got shape {data.shape}")
    if not np.isfinite(data).all():
        raise ValueError(f"{name}: {int((~np.isfinite(data)).sum())} values are not finite numbers")
    if len(data) and (data.min() < bounds[0] or data.max() > bounds[1]):
        raise ValueError(
            f"{name}: values reach from {data.min():g} to {data.max():g}, outside {bounds}"
        )
    return data


def _check_table(name: str, values: npt.ArrayLike) -> FloatArray:
    table = np.asarray(values, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2:
        raise ValueError(f"{name}: items by columns; got shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError(
            f"{name}: {int((~np.isfinite(table)).sum())} values are not finite numbers"
        )
    return table
