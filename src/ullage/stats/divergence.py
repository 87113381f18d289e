"""How far apart two distributions are of which only the likeliest outcomes are known."""

from __future__ import annotations

import math
from collections.abc import Mapping

_ROUNDING = 1e-4
"""Less than this left over is nothing: log-probabilities come with four decimals."""


def lumped_kl(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """KL(first || second) in nats, with all that is not known of both as one outcome.

    Lumping outcomes can only lower it (log sum inequality: Cover & Thomas 2006, theorem 2.7.1), so
    the answer is at most the divergence of the whole distributions, and it is that divergence where
    all outcomes that matter are known.

    Args:
        first: natural-log probabilities of known outcomes; they sum to one at most.
        second: the same of the other distribution.
    """
    known = first.keys() & second.keys()
    total = 0.0
    rests = [1.0, 1.0]
    for outcome in sorted(known):
        p, q = math.exp(first[outcome]), math.exp(second[outcome])
        total += p * (first[outcome] - second[outcome])
        rests[0] -= p
        rests[1] -= q
    p, q = (max(rest, _ROUNDING) for rest in rests)
    return max(0.0, total + p * math.log(p / q))
