"""How many items would show that nothing was lost (planned before anything is asked)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from ullage.stats.families import MIN_FAMILIES, Families, FamilyLabels
from ullage.stats.score import UNSEEN_EVENTS, largest_shown_mean

MAX_ITEMS = 100_000_000
"""More than this is reported as an error rather than planned."""


def textbook_items(
    margin: float, flip_rate: float, *, power: float = 0.8, level: float = 0.95
) -> int:
    """Items by the large-sample formula n = (z_level + z_power)² ψ / δ², rounded.

    Connor (1987) for paired proportions, with independent items and a true loss of 0. The interval
    that verdicts use is more careful in small samples: plan with `items_for_non_inferiority`.
    """
    _check(margin, flip_rate, level, 1.0, 0.0)
    z = stats.norm.isf((1.0 - level) / 2.0) + stats.norm.isf(1.0 - power)
    return max(1, round(float(z) ** 2 * flip_rate / margin**2))


def power_of_non_inferiority(
    items: int,
    margin: float,
    flip_rate: float,
    *,
    level: float = 0.95,
    family_size: float = 1.0,
    intraclass_correlation: float = 0.0,
) -> float:
    """Probability that `items` show a loss below `margin` when nothing was lost.

    "Show" is ``mean_difference(...).high < margin`` at this two-sided `level`, so the one-sided
    error is ``(1 - level) / 2``. The flips are taken to be as many in either direction.

    Args:
        items: how many are asked.
        margin: δ, in units of the metric's range.
        flip_rate: ψ, mean squared difference between the arms (share of flips for 0/1 scores).
        level: two-sided confidence of the interval.
        family_size: items per family.
        intraclass_correlation: of the differences within a family.

    Raises:
        ValueError: an argument is out of range.
    """
    _check(margin, flip_rate, level, family_size, intraclass_correlation)
    families = items / family_size
    if families < MIN_FAMILIES:
        return 0.0
    design = 1.0 + (family_size - 1.0) * intraclass_correlation
    error = math.sqrt(flip_rate * design / items)
    # The interval's own view of the design effect, which leans on what was not seen.
    events = items * flip_rate
    seen = (events * design + UNSEEN_EVENTS * family_size) / (events + UNSEEN_EVENTS)
    quantile = float(stats.t.isf((1.0 - level) / 2.0, families - 1.0))
    reachable = largest_shown_mean(margin, flip_rate, items / seen, quantile)
    if error == 0.0 or math.isinf(reachable):
        return float(reachable > 0.0)
    # Sums of flips are whole numbers, and the last one shown may lie up to one below `reachable`;
    # with half of that the planned power holds wherever the steps fall.
    distance = (reachable - 0.5 / items) / error
    if family_size > 1.0:
        # The design effect is estimated from as many families, which blurs the limit (the normal
        # approximation to the noncentral t, Johnson & Welch 1940).
        distance /= math.sqrt(1.0 + quantile**2 / (2.0 * (families - 1.0)))
    return float(stats.norm.cdf(distance))


def items_for_non_inferiority(
    margin: float,
    flip_rate: float,
    *,
    power: float = 0.8,
    level: float = 0.95,
    family_size: float = 1.0,
    intraclass_correlation: float = 0.0,
) -> int:
    """Fewest items whose `power_of_non_inferiority` reaches `power`.

    Raises:
        ValueError: an argument is out of range, or no practical number of items is enough.
    """
    if not 0.0 < power < 1.0:
        raise ValueError(f"power must lie in (0, 1); got {power}")

    def enough(items: int) -> bool:
        reached = power_of_non_inferiority(
            items,
            margin,
            flip_rate,
            level=level,
            family_size=family_size,
            intraclass_correlation=intraclass_correlation,
        )
        return reached >= power

    high = max(2, math.ceil(8 * family_size))
    while not enough(high):
        high *= 2
        if high > MAX_ITEMS:
            raise ValueError(f"a margin of {margin:g} would need more than {MAX_ITEMS:,} items")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def items_from_standard_error(
    items: int, standard_error: float, margin: float, *, power: float = 0.8, level: float = 0.95
) -> int | None:
    """Items that would show a loss of 0 below `margin`, given how uncertain `items` left us.

    The standard error falls with the root of the items, so n' = n ((z_level + z_power) SE / δ)².

    Returns:
        The number, or None where it is more than `MAX_ITEMS` or the standard error is unknown.
    """
    z = float(stats.norm.isf((1.0 - level) / 2.0) + stats.norm.isf(1.0 - power))
    needed = items * (z * standard_error / margin) ** 2
    return math.ceil(needed) if needed <= MAX_ITEMS else None


def joint_power(powers: Sequence[float]) -> tuple[float, float]:
    """Power to show all targets at once: (if independent, whatever their dependence).

    The first is the product, the second Bonferroni's lower bound ``1 - sum(1 - power)``.
    """
    values = np.asarray(powers, dtype=np.float64)
    if not np.all((values >= 0.0) & (values <= 1.0)):
        raise ValueError(f"powers must lie in [0, 1]; got {list(powers)}")
    return float(values.prod()), float(max(0.0, 1.0 - (1.0 - values).sum()))


def flip_rate(differences: npt.ArrayLike) -> float:
    """Mean squared difference, the ψ of planning: the share of flips for 0/1 scores.

    It does not know the direction of a difference, so a pilot may look at it.

    Raises:
        ValueError: there is none, or one is NaN.
    """
    data = np.asarray(differences, dtype=np.float64)
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("flip_rate: differences must be finite numbers, at least one")
    return float(np.mean(data**2))


def intraclass_correlation(differences: npt.ArrayLike, family: FamilyLabels) -> float:
    """Correlation of differences within a family, clipped to [0, 1].

    The one-way ANOVA estimator for unequal sizes (Donner 1986). 0 where no family has
    two items or nothing varies.

    Raises:
        ValueError: a difference is NaN, or there is not one family per item.
    """
    data = np.asarray(differences, dtype=np.float64)
    if data.size == 0 or not np.isfinite(data).all():
        raise ValueError("intraclass_correlation: differences must be finite numbers")
    families = Families.of(family, len(data), at_least=1)
    items, count = len(data), families.count
    if count < 2 or count == items:
        return 0.0
    means = families.sums(data) / families.sizes
    between = float((families.sizes * (means - data.mean()) ** 2).sum()) / (count - 1)
    within = float(((data - means[families.codes]) ** 2).sum()) / (items - count)
    typical = (items - float((families.sizes**2).sum()) / items) / (count - 1)
    total = between + (typical - 1.0) * within
    return min(max((between - within) / total, 0.0), 1.0) if total > 0.0 else 0.0


def _check(
    margin: float, flip_rate: float, level: float, family_size: float, correlation: float
) -> None:
    checks = (
        (margin > 0.0, f"margin must be positive; got {margin}"),
        (0.0 <= flip_rate <= 1.0, f"flip_rate must lie in [0, 1]; got {flip_rate}"),
        (0.5 <= level < 1.0, f"level must lie in [0.5, 1); got {level}"),
        (family_size >= 1.0, f"family_size must be at least 1; got {family_size}"),
        (
            0.0 <= correlation <= 1.0,
            f"intraclass_correlation must lie in [0, 1]; got {correlation}",
        ),
    )
    for holds, message in checks:
        if not holds:
            raise ValueError(message)
