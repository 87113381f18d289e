"""What a cache lost of its teacher, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullage.distill.cache.shard import Shard

MEASURED = ("tail_mass", "kept", "rebuilt")
"""What is measured at a position: the probability of all that is not kept; KL(teacher to cache) in
nats of the numbers that are kept, with the tail as one outcome; and of the distribution that a
student is given, with the tail shared out."""


def reconstruction(shards: Sequence[Shard]) -> dict[str, Any] | None:
    """Mean and 99th percentile of each of `MEASURED` over the positions that were measured.

    They are of the positions where it is finite; `infinite` counts the others, where the teacher
    gave probability to a token that it excluded before. None where nothing was measured: draws are
    unbiased, and no distribution by themselves.
    """
    measured = np.concatenate(
        [np.zeros((0, len(MEASURED)), np.float32)]
        + [shard.file.arrays["measured"] for shard in shards]
    ).astype(np.float64)
    if not len(measured):
        return None
    described: dict[str, Any] = {"unit": "nats per position", "positions": len(measured)}
    for column, name in enumerate(MEASURED):
        finite = measured[np.isfinite(measured[:, column]), column]
        described[name] = {
            "mean": round(float(finite.mean()), 6) if len(finite) else None,
            "p99": round(float(np.quantile(finite, 0.99)), 6) if len(finite) else None,
        }
    described["infinite"] = int((~np.isfinite(measured)).any(axis=1).sum())
    return described
