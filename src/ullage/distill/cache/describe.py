"""What is in a cache, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ullage.distill.cache.manifest import MEASURED
from ullage.distill.cache.shard import Shard


def reconstruction(shards: Sequence[Shard]) -> dict[str, Any] | None:
    """KL(teacher ‖ rebuilt) over the measured positions, in nats, by way of filling the tail.

    Mean and 99th percentile are of the positions where it is finite; `infinite` counts the others,
    where the teacher gave probability to a token that it excluded in the sample. None where
    nothing was measured: samples are unbiased, and no distribution by themselves.
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
            "infinite": len(measured) - len(finite),
        }
    return described
