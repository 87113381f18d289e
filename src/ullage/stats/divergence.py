"""How far apart two distributions are of which only the likeliest outcomes are known."""

from __future__ import annotations

import math
from collections.abc import Mapping

_ROUNDING = 1e-4
"""Less than this left over is nothing: log-probabilities come with four decimals."""


def least_kl(first: Mapping[str, float], second: Mapping[str, float], ceiling: float) -> float:
    """The least KL(first || second), in nats, that what is known of the two allows.

    It is the divergence itself where all outcomes that matter are known of both, and never more.
    What is unknown of both is one outcome: lumping can only lower it (log sum inequality; Cover &
    Thomas 2006, section 2.7). Outcomes known of the first alone get as much of what is left of
    the second as is best for them, up to the ceiling: in proportion, as in water-filling.

    Args:
        first: natural-log probabilities of some outcomes; they sum to one at most.
        second: the same of the other distribution.
        ceiling: the most, as a natural log, that any outcome not in `second` can have there.
    """
    total, mass, left = 0.0, 1.0, 1.0
    for outcome in sorted(first.keys() & second.keys()):
        share = math.exp(first[outcome])
        total += share * (first[outcome] - second[outcome])
        mass, left = mass - share, left - math.exp(second[outcome])
    for logprob in sorted((first[one] for one in first.keys() - second.keys()), reverse=True):
        share, most = math.exp(logprob), math.exp(ceiling)
        if share * left <= most * mass:
            break
        total += share * (logprob - ceiling)
        left, mass = left - most, mass - share
    mass, left = max(mass, _ROUNDING), max(left, _ROUNDING)
    return max(0.0, total + mass * math.log(mass / left))
