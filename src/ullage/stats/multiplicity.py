"""Many targets, one statement: keeping the chance of any false claim small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (Holm 1979), in the order given.

    Claiming every hypothesis whose adjusted p is below alpha makes any false claim with probability
    at most alpha, however the tests depend on each other.

    Raises:
        ValueError: a p is NaN or outside [0, 1].
    """
    raw = np.asarray(p, dtype=np.float64)
    if not np.all((raw >= 0.0) & (raw <= 1.0)):
        raise ValueError(f"p-values must lie in [0, 1]; got {list(p)}")
    order = np.argsort(raw, kind="stable")
    steps = raw[order] * np.arange(len(raw), 0, -1)
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
