"""Statistics of confidence beside those of `metrics`: selective accuracy, and entropy of votes."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ullage.stats.metrics import FloatArray, pools

COVERAGE = 0.7
"""Share of questions that `selective_accuracy` has answered."""


def selective_accuracy(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Accuracy on the share `COVERAGE` of items with the most confidence: answer only when sure.

    One minus the selective risk at that coverage (El-Yaniv & Wiener 2010, JMLR 11:1605; Geifman &
    El-Yaniv 2017, arXiv 1705.08500). A functional as those of `metrics`, of columns
    (confidence, correct). Of items of one confidence at the threshold as many are answered as there
    is room for, at the rate at which all of them are right.
    """
    mass, right = pools(-values[:, 0], weights, values[:, 1])
    reached = np.cumsum(mass, axis=1)
    room = COVERAGE * reached[:, -1:] - (reached - mass)
    share = np.divide(room, mass, out=np.zeros_like(mass), where=mass > 0.0).clip(0.0, 1.0)
    return np.asarray((right * share).sum(axis=1) / (COVERAGE * reached[:, -1]))


def entropy(counts: Iterable[int]) -> float:
    """Entropy in nats of the shares that counts are of their sum."""
    there = [count for count in counts if count > 0]
    total = sum(there)
    return math.fsum(count / total * math.log(total / count) for count in there)
