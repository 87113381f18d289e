"""From the teacher's logits to what is kept of them; the only dense tensors a cache ever sees."""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ullage.distill.cache.about import About
from ullage.distill.cache.fit import Sample
from ullage.distill.cache.given import Distributions
from ullage.distill.divergences import tempered
from ullage.distill.sparse import Sampled, TopK
from ullage.errors import InputError

_Arrays = tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]

_TOGETHER = 1 << 25
"""Logits that are worked on at a time: 128 MiB of them."""
_DEEP = 512
"""Tokens below those kept that a position of the sample is looked at by itself."""


class Logits(Protocol):
    """A sequence's logits, computed when some positions of them are asked for; a tensor is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> torch.Tensor: ...


@dataclass(frozen=True, slots=True)
class Taken:
    """A sequence on its way to the disk."""

    key: str
    kept: Distributions
    measured_M: NDArray[np.int64]
    """Positions that reconstruction is measured at, and tables are not made of."""
    truth_MV: torch.Tensor
    """Log-probabilities there."""
    sample: Sample | None
    """Of the other positions, where tables are still to be made."""

    def __len__(self) -> int:
        return len(self.kept)


@torch.no_grad()
def take(
    key: str, logits: Logits, about: About, measured_M: NDArray[np.int64], *, sample: bool
) -> Taken:
    """What is kept of a sequence.

    Args:
        key: the sequence's name; also the seed of what is drawn.
        logits: (N, V), on any device, of any floating type; −inf for tokens the teacher excludes.
        about: of the cache.
        measured_M: positions whose whole distributions are wanted.
        sample: whether tables will be made of it.

    Raises:
        InputError: logits of another width, or that are not numbers.
    """
    kept, truth, samples = [], [torch.zeros(0, about.vocabulary)], []
    size = max(1, _TOGETHER // about.vocabulary)
    # A sequence of no positions is looked at, too: its sample says how wide the others are.
    for start in range(0, max(len(logits), 1), size):
        logits_nV = logits[start : start + size]
        _require_width(key, logits_nV, about)
        logits_nV = logits_nV.float()
        _require_numbers(key, start, logits_nV)
        part = _kept(logits_nV, about, f"{key}\x1f{start}")
        kept.append(part)
        measured_n = np.isin(np.arange(start, start + len(part)), measured_M)
        here = torch.from_numpy(measured_n).to(logits_nV.device)
        truth.append(_log_probs(logits_nV[here], about).cpu())
        if sample:
            samples.append(_sample(_log_probs(logits_nV[~here], about), part[~measured_n], about))
    k = about.compressor.k
    return Taken(
        key,
        Distributions.joined(kept, k),
        measured_M,
        torch.cat(truth),
        Sample.joined(samples, k) if sample else None,
    )


def _log_probs(logits_nV: torch.Tensor, about: About) -> torch.Tensor:
    return torch.log_softmax(tempered(logits_nV, about.temperature), dim=-1)


def _require_width(key: str, logits_nV: torch.Tensor, about: About) -> None:
    if logits_nV.ndim != 2 or logits_nV.shape[1] != about.vocabulary:
        raise InputError(
            f"row {key}: its logits have shape {tuple(logits_nV.shape)}, and the cache is of a "
            f"vocabulary of {about.vocabulary}; give (positions, {about.vocabulary})"
        )


def _require_numbers(key: str, start: int, logits_nV: torch.Tensor) -> None:
    bad = (~torch.isfinite(logits_nV.logsumexp(dim=-1))).nonzero()
    if bad.numel():
        raise InputError(
            f"row {key}: the teacher's logits at position {start + int(bad[0])} are not a "
            "distribution (not a number, or all −inf); check the teacher's weights and precision"
        )


def _numpy(tensor: torch.Tensor) -> NDArray[Any]:
    array: NDArray[Any] = tensor.cpu().numpy()
    return array


def _kept(logits_nV: torch.Tensor, about: About, seed: str) -> Distributions:
    top = about.compressor.signal == "top"
    ids_nK, logs_nK, rest_n = _top(logits_nV, about) if top else _drawn(logits_nV, about, seed)
    return Distributions(ids_nK, logs_nK, rest_n, np.zeros(len(ids_nK), np.int32))


def _top(logits_nV: torch.Tensor, about: About) -> _Arrays:
    top = TopK.of(logits_nV, about.compressor.k, about.temperature)
    ids_nK = top.ids_NK.int().masked_fill(top.log_probs_NK == -torch.inf, -1)
    missing = ((0, 0), (0, about.compressor.k - ids_nK.shape[1]))
    return (
        np.pad(_numpy(ids_nK), missing, constant_values=-1),
        np.pad(_numpy(top.log_probs_NK), missing, constant_values=-np.inf),
        _numpy(top.log_tail_N),
    )


def _drawn(logits_nV: torch.Tensor, about: About, seed: str) -> _Arrays:
    generator = torch.Generator(logits_nV.device)
    generator.manual_seed(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:7]))
    draws = about.compressor.k
    drawn = Sampled.draw(logits_nV, draws, about.temperature, generator=generator)
    entropy_n = torch.special.entr(_log_probs(logits_nV, about).exp()).sum(dim=1)
    return *_counted(_numpy(drawn.ids_NK)), -_numpy(entropy_n)


def _sample(log_p_nV: torch.Tensor, kept: Distributions, about: About) -> Sample:
    """With the likeliest of what is not kept, and the sum of all of it."""
    left_nV = log_p_nV.clone()
    if about.compressor.signal == "top":
        row, place = np.nonzero(kept.ids_NK >= 0)
        ids = kept.ids_NK[row, place].astype(np.int64)
        left_nV[torch.from_numpy(row), torch.from_numpy(ids)] = -torch.inf
    best = left_nV.topk(min(_DEEP, about.vocabulary), dim=-1)
    ids_nD = best.indices.int().masked_fill(best.values == -torch.inf, -1)
    tail_V = _numpy(left_nV.exp().sum(dim=0)).astype(np.float64)
    # Whatever the teacher does not exclude may come up in a tail one day.
    tail_V += 1e-12 * _numpy(log_p_nV.isfinite().sum(dim=0))
    return Sample(kept, _numpy(ids_nD), _numpy(best.values.exp()), tail_V)


def _counted(
    drawn_nK: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Different tokens of each row, and logs of their shares of its draws."""
    sorted_nK = np.sort(drawn_nK, axis=1)
    new_nK = np.diff(sorted_nK, axis=1, prepend=-1) != 0
    row_nK = np.broadcast_to(np.arange(len(sorted_nK))[:, None], sorted_nK.shape)
    place_nK = np.cumsum(new_nK, axis=1) - 1
    times_nK = np.zeros(sorted_nK.shape, np.float32)
    np.add.at(times_nK, (row_nK, place_nK), 1)
    ids_nK = np.full(sorted_nK.shape, -1, np.int32)
    ids_nK[row_nK[new_nK], place_nK[new_nK]] = sorted_nK[new_nK]
    shares_nK = np.log(
        times_nK / sorted_nK.shape[1],
        where=times_nK > 0,
        out=np.full(sorted_nK.shape, -np.inf, np.float32),
    )
    return ids_nK, shares_nK
