"""Items of one template or source stand or fall together: the partition statistics rest on."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
FamilyLabels = Sequence[Hashable] | npt.NDArray[np.generic]
"""One hashable label per item."""

MIN_FAMILIES = 6
"""Fewest families an interval is reported for.

With five, even unanimity shows nothing at 95 %: the exact sign test gives p = 2 / 2**5 = 0.06.
"""


class TooFewError(ValueError):
    """Too few families (or too uniform data) for an honest interval; says how many are needed."""


@dataclass(frozen=True, slots=True)
class Families:
    """Items grouped by family, numbered in the order of their sorted labels."""

    codes: IntArray
    """(n,) family of each item, 0..count-1."""
    sizes: FloatArray
    """(count,) items in each family."""

    @classmethod
    def of(cls, family: FamilyLabels, items: int, *, at_least: int = MIN_FAMILIES) -> Families:
        """Group `items` items by `family`, one label each.

        Raises:
            ValueError: the labels are not one per item.
            TooFewError: fewer than `at_least` families.
        """
        labels = np.asarray(family)
        if labels.shape != (items,):
            raise ValueError(f"one family per item: {items} items, family {labels.shape}")
        if labels.dtype == object:
            labels = labels.astype(str)
        _, codes = np.unique(labels, return_inverse=True)
        sizes = np.bincount(codes).astype(np.float64)
        if len(sizes) < at_least:
            raise TooFewError(
                f"{len(sizes)} families ({items} items) cannot bound an error; "
                f"at least {at_least} families are needed"
            )
        return cls(codes, sizes)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.sizes)

    @property
    def typical_size(self) -> float:
        """Items in the family of an item drawn at random."""
        return float((self.sizes**2).sum() / self.sizes.sum())

    def sums(self, values: FloatArray) -> FloatArray:
        """Sum of `values` (n,) within each family, (count,)."""
        total = np.bincount(self.codes, weights=values, minlength=self.count)
        return total.astype(np.float64)

    def degrees_of_freedom(self) -> float:
        """Satterthwaite's, for the CR2 variance of the item-weighted mean; count-1 if sizes agree.

        Bell & McCaffrey (2002), for the intercept-only model, under the less favourable of two
        working models: items independent, and items of a family identical.
        """
        share = self.sizes / self.sizes.sum()
        scale = 1.0 / (1.0 - share)
        # tr(M)^2 / tr(M^2), with M the covariance of the scaled family residual sums.
        off = share**2 * scale
        squared = (share**2).sum() + off.sum() ** 2 - (off**2).sum()
        independent = 1.0 / squared
        square = (share**2).sum()
        weight = share * np.sqrt(scale)
        rows = weight**2
        # M_gh = w_g w_h (delta_gh - share_g - share_h + square)
        diagonal = rows * (1.0 - 2.0 * share + square)
        moments = [(rows * share**power).sum() for power in range(3)]
        full = (
            2.0 * moments[0] * moments[2]
            + 2.0 * moments[1] ** 2
            + square**2 * moments[0] ** 2
            - 4.0 * square * moments[0] * moments[1]
        )
        same = (rows**2 * (square - 2.0 * share) ** 2).sum()
        identical = diagonal.sum() ** 2 / (full - same + (diagonal**2).sum())
        return float(min(independent, identical, self.count - 1.0))
