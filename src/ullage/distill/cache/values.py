"""Probabilities as small whole numbers, and back.

A log-probability x nats below 0 is kept to within a share of 1 + x: what hardly counts in a
divergence is kept coarsely. The tail, which is one number, is kept as log-odds.
"""

# ruff: noqa: N803, N806 - arrays carry their shape as a suffix

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

DEEPEST = 60.0
"""Nats below 0 that are told apart; e⁻⁶⁰ and less are one."""

_TAIL_STEPS = 8
"""Steps of log-odds in one nat: a KL of at most 5·10⁻⁴."""
_TAIL_REACH = 14
"""Log-odds that are told apart: tails of 10⁻⁶ to 1 − 10⁻⁶."""
TAIL_LEVELS = 2 + 2 * _TAIL_STEPS * _TAIL_REACH
SCALES = 16
"""Contexts that levels are written in, by how far a position's members lie apart."""


def depth_levels(step: float) -> int:
    """How many levels a log-probability can have."""
    return round(math.log1p(DEEPEST) / step) + 1


def to_levels(logprobs: NDArray[np.floating], step: float) -> NDArray[np.int64]:
    """Level of each log-probability; 0 is probability 1, and −inf is the deepest.

    Level y stands for x = e^(y·step) − 1 nats below 0, so the error is at most (e^(step/2) − 1) of
    1 + x.
    """
    depth = np.clip(-np.asarray(logprobs, np.float64), 0.0, DEEPEST)
    levels: NDArray[np.int64] = np.rint(np.log1p(depth) / step).astype(np.int64)
    return levels


def from_levels(levels: NDArray[np.int64], step: float) -> NDArray[np.float64]:
    """Log-probabilities of levels."""
    logprobs: NDArray[np.float64] = -np.expm1(levels * step)
    return logprobs


def tail_to_level(mass: NDArray[np.float64]) -> NDArray[np.int64]:
    """Level of a tail's mass; 0 is kept for no tail at all."""
    inside = np.clip(mass, 1e-12, 1 - 1e-12)
    odds = np.clip(np.log(inside / (1 - inside)), -_TAIL_REACH, _TAIL_REACH)
    level = 1 + np.rint((odds + _TAIL_REACH) * _TAIL_STEPS).astype(np.int64)
    return np.where(mass > 0, level, 0)


def tail_from_level(level: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log mass of the tail, −inf where there is none, and log mass of everything else."""
    odds = (level - 1) / _TAIL_STEPS - _TAIL_REACH
    none = level == 0
    tail = np.where(none, -np.inf, -np.logaddexp(0, -odds))
    return tail, np.where(none, 0.0, -np.logaddexp(0, odds))


def normalised(
    logprobs_NK: NDArray[np.float64], used_NK: NDArray[np.bool_], mass_N: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-probabilities moved so that they sum to a log mass; −inf where nothing is used."""
    masked_NK = np.where(used_NK, logprobs_NK, -np.inf)
    top_N = masked_NK.max(axis=1, initial=-DEEPEST)
    total_N = top_N + np.log(np.exp(masked_NK - top_N[:, None]).sum(axis=1))
    moved_NK: NDArray[np.float64] = masked_NK + (mass_N - total_N)[:, None]
    return moved_NK


def scale_of(levels_NK: NDArray[np.int64], counts_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Context of each position: the mean of its levels, in steps of 2^0.4."""
    mean_N = levels_NK.sum(axis=1) / np.maximum(counts_N, 1)
    scale_N: NDArray[np.int64] = np.rint((np.log2(mean_N + 0.5) + 1) * 2.5).astype(np.int64)
    return np.clip(scale_N, 0, SCALES - 1)
