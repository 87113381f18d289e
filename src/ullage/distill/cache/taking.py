"""From the teacher's logits to what is kept of them; the only tensors a cache ever sees."""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ullage.distill.cache.about import About
from ullage.distill.cache.kept import Kept
from ullage.errors import InputError

_TOGETHER = 1 << 25
"""Logits that are worked on at a time: 128 MiB of them."""
_DEEP = 512
"""Tokens below those kept that a position of the sample is looked at by itself."""


@dataclass(frozen=True, slots=True)
class Depths:
    """More of positions that tables will be made of."""

    ids_ND: NDArray[np.int32]
    probs_ND: NDArray[np.float32]
    tail_V: NDArray[np.float64]
    """Sum of all that is not kept, of positions that are not measured; see `fit.Sample`."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A sequence on its way to the disk."""

    key: str
    kept: Kept
    measured_M: NDArray[np.int64]
    """Positions that reconstruction is measured at, and tables are not made of."""
    truth_MV: torch.Tensor
    """Log-probabilities there."""
    depths: Depths | None

    def __len__(self) -> int:
        return len(self.kept)


@torch.no_grad()
def take(
    key: str, logits_NV: torch.Tensor, about: About, measured_M: NDArray[np.int64], *, deep: bool
) -> Taken:
    """What is kept of a sequence.

    Args:
        key: the sequence's name; also the seed of what is drawn.
        logits_NV: on any device, of any floating type; −inf for tokens the teacher excludes.
        about: of the cache.
        measured_M: positions whose whole distributions are wanted.
        deep: whether more is wanted than is kept.

    Raises:
        InputError: logits of another width, or that are not numbers.
    """
    if logits_NV.ndim != 2 or logits_NV.shape[1] != about.vocabulary:
        raise InputError(
            f"row {key}: its logits have shape {tuple(logits_NV.shape)}, and the cache is of a "
            f"vocabulary of {about.vocabulary}; give (positions, {about.vocabulary})"
        )
    wanted = torch.from_numpy(measured_M).to(logits_NV.device)
    truth_MV = _logprobs(logits_NV[wanted], about).cpu()
    parts, depths = [], []
    for start, logprobs_nV in _chunks(logits_NV, about):
        _require_numbers(key, start, logprobs_nV)
        if about.compressor.signal == "top":
            parts.append(_top(logprobs_nV, about.compressor.k))
        else:
            parts.append(_drawn(logprobs_nV, about.compressor.k, f"{key}\x1f{start}"))
        if deep:
            counted = np.ones(len(logprobs_nV), bool)
            here = measured_M - start
            counted[here[(here >= 0) & (here < len(counted))]] = False
            depths.append(_deep(logprobs_nV, parts[-1], about, counted))
    k = about.compressor.k
    kept = Kept(
        np.concatenate([np.zeros((0, k), np.int32), *(part.ids_NK for part in parts)]),
        np.concatenate([np.zeros((0, k), np.float32), *(part.logprobs_NK for part in parts)]),
        np.concatenate([np.zeros(0), *(part.tail_N for part in parts)]),
    )
    return Taken(key, kept, measured_M, truth_MV, _joined(depths, about) if deep else None)


def _logprobs(logits_NV: torch.Tensor, about: About) -> torch.Tensor:
    return torch.log_softmax(logits_NV.float() / about.temperature, dim=-1)


def _chunks(logits_NV: torch.Tensor, about: About) -> Iterator[tuple[int, torch.Tensor]]:
    size = max(1, _TOGETHER // about.vocabulary)
    for start in range(0, logits_NV.shape[0], size):
        yield start, _logprobs(logits_NV[start : start + size], about)


def _require_numbers(key: str, start: int, logprobs_nV: torch.Tensor) -> None:
    bad = (~torch.isfinite(logprobs_nV.amax(dim=-1))).nonzero()
    if bad.numel():
        raise InputError(
            f"row {key}: the teacher's logits at position {start + int(bad[0])} are not a "
            "distribution (not a number, or all −inf); check the teacher's weights and precision"
        )


def _numpy(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def _top(logprobs_nV: torch.Tensor, k: int) -> Kept:
    positions, vocabulary = logprobs_nV.shape
    best = logprobs_nV.topk(min(k + 1, vocabulary), dim=-1)
    logprobs_nK, ids_nK = best.values[:, :k], best.indices[:, :k].int()
    tail_n = np.maximum(1 - np.exp(_numpy(logprobs_nK).astype(np.float64)).sum(axis=1), 1e-9)
    # Nothing else has any probability: rounding must not say otherwise.
    nothing = vocabulary <= k or _numpy(best.values[:, -1] == -torch.inf)
    ids_nK = ids_nK.masked_fill(logprobs_nK == -torch.inf, -1)
    missing = ((0, 0), (0, k - ids_nK.shape[1]))
    return Kept(
        np.pad(_numpy(ids_nK), missing, constant_values=-1),
        np.pad(_numpy(logprobs_nK), missing, constant_values=-np.inf),
        np.where(nothing, 0.0, tail_n) if positions else np.zeros(0),
    )


def _drawn(logprobs_nV: torch.Tensor, draws: int, seed: str) -> Kept:
    generator = torch.Generator(logprobs_nV.device)
    generator.manual_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7]))
    probs_nV = logprobs_nV.exp()
    drawn_nK = np.sort(_numpy(probs_nV.multinomial(draws, True, generator=generator)), axis=1)
    new_nK = np.diff(drawn_nK, axis=1, prepend=-1) != 0
    row_nK = np.arange(len(drawn_nK))[:, None]
    place_nK = np.cumsum(new_nK, axis=1) - 1
    times_nK = np.zeros(drawn_nK.shape)
    np.add.at(times_nK, (row_nK, place_nK), 1)
    ids_nK = np.full(drawn_nK.shape, -1, np.int32)
    ids_nK[np.broadcast_to(row_nK, drawn_nK.shape)[new_nK], place_nK[new_nK]] = drawn_nK[new_nK]
    logs_nK = np.log(times_nK, where=times_nK > 0, out=np.full(drawn_nK.shape, -np.inf))
    return Kept(ids_nK, logs_nK.astype(np.float32), np.zeros(len(drawn_nK)))


def _deep(
    logprobs_nV: torch.Tensor, kept: Kept, about: About, counted_n: NDArray[np.bool_]
) -> Depths:
    """The likeliest of what is not kept, and the sum of all of it."""
    left_nV = logprobs_nV.clone()
    if about.compressor.signal == "top":
        row, place = np.nonzero(kept.ids_NK >= 0)
        ids = kept.ids_NK[row, place].astype(np.int64)
        left_nV[torch.from_numpy(row), torch.from_numpy(ids)] = -torch.inf
    best = left_nV.topk(min(_DEEP, about.vocabulary), dim=-1)
    ids_nD = best.indices.int().masked_fill(best.values == -torch.inf, -1)
    counted = torch.from_numpy(counted_n).to(logprobs_nV.device)
    tail_V = _numpy(left_nV[counted].exp().sum(dim=0)).astype(np.float64)
    # Whatever the teacher does not exclude may come up in a tail one day.
    tail_V += 1e-12 * _numpy(logprobs_nV[counted].isfinite().sum(dim=0))
    return Depths(_numpy(ids_nD), _numpy(best.values.exp()), tail_V)


def _joined(depths: list[Depths], about: About) -> Depths:
    deep = min(_DEEP, about.vocabulary)
    return Depths(
        np.concatenate([np.zeros((0, deep), np.int32), *(part.ids_ND for part in depths)]),
        np.concatenate([np.zeros((0, deep), np.float32), *(part.probs_ND for part in depths)]),
        np.sum([np.zeros(about.vocabulary), *(part.tail_V for part in depths)], axis=0),
    )
