"""Distributions, between the teacher's numbers and the whole numbers of the codec."""

# ruff: noqa: N803, N806, N815 - arrays carry their shape as a suffix

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ullage.distill.cache import values
from ullage.distill.cache.about import Compressor
from ullage.distill.cache.codec import Columns
from ullage.distill.cache.model import Model


@dataclass(frozen=True, slots=True)
class Distributions:
    """N positions: as the teacher gave them, or as they are read again."""

    ids_NK: NDArray[np.int32]
    """Different tokens in no order that means anything; −1 where fewer than K are kept, last."""
    logprobs_NK: NDArray[np.float32]
    """Of a top: log-probabilities. Of a sample: logs of how large a share of the draws each was.
    −inf where the id is −1."""
    rest_N: NDArray[np.float32]
    """Of a top: log-probability of all other tokens together, −inf where there is nothing else. Of
    a sample: Σ p log p of the whole distribution."""
    group_N: NDArray[np.int32]
    """Whose background the tail has; of no meaning before it is written."""

    def __len__(self) -> int:
        return len(self.ids_NK)

    def __getitem__(self, rows: slice | NDArray[np.bool_]) -> Distributions:
        return Distributions(*(getattr(self, one.name)[rows] for one in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Distributions], k: int) -> Distributions:
        """One after another; K where there are none."""
        none, one = np.zeros((0, k)), np.zeros(0)
        return cls(
            np.concatenate([none.astype(np.int32), *(part.ids_NK for part in parts)]),
            np.concatenate([none.astype(np.float32), *(part.logprobs_NK for part in parts)]),
            np.concatenate([one.astype(np.float32), *(part.rest_N for part in parts)]),
            np.concatenate([one.astype(np.int32), *(part.group_N for part in parts)]),
        )


def to_columns(exact: Distributions, compressor: Compressor, model: Model | None) -> Columns:
    """Quantise, and put each position into its cheapest group.

    Without a model, tokens are numbered by their ids and all positions are in the first group.
    """
    positions = len(exact)
    numbers_NK = exact.ids_NK if model is None else model.rank_V[exact.ids_NK]
    numbers_NK = np.where(exact.ids_NK < 0, np.iinfo(np.int32).max, numbers_NK)
    order_NK = np.argsort(numbers_NK, axis=1)
    ids_NK = np.take_along_axis(exact.ids_NK, order_NK, axis=1)
    tokens_NK = np.where(ids_NK < 0, -1, np.take_along_axis(numbers_NK, order_NK, axis=1))
    logprobs_NK = np.take_along_axis(exact.logprobs_NK, order_NK, axis=1).astype(np.float64)
    used_NK = ids_NK >= 0
    if compressor.signal == "top":
        depth_NK = np.where(used_NK, values.to_levels(logprobs_NK, compressor.step), 0)
        floor_N = depth_NK.max(axis=1, initial=0)
        levels_NK = np.where(used_NK, floor_N[:, None] - depth_NK, 0)
        tail_N = values.tail_to_level(np.exp(exact.rest_N.astype(np.float64)))
    else:
        drawn_NK = np.rint(np.exp(logprobs_NK) * compressor.k).astype(np.int64)
        levels_NK = np.where(used_NK, drawn_NK - 1, 0)
        floor_N = values.to_levels(exact.rest_N, compressor.step)
        tail_N = np.zeros(positions, np.int64)
    group_N = np.zeros(positions, np.int64) if model is None else _groups(ids_NK, used_NK, model)
    tokens_NK = tokens_NK.astype(np.int32)
    return Columns(group_N, tail_N, floor_N, used_NK.sum(axis=1), tokens_NK, levels_NK)


def to_distributions(columns: Columns, compressor: Compressor, model: Model) -> Distributions:
    """What a student is given: shares that sum to 1, those of a top with its tail."""
    rest_N, mass_N = values.tail_from_level(columns.tail_N)
    used_NK = columns.used_NK
    if compressor.signal == "top":
        depth_NK = columns.floor_N[:, None] - columns.levels_NK
        raw_NK = values.from_levels(depth_NK, compressor.step)
    else:
        raw_NK = np.log(columns.levels_NK + 1.0)
        rest_N = values.from_levels(columns.floor_N, compressor.step)
    logprobs_NK = values.normalised(raw_NK, used_NK, mass_N)
    ids_NK = np.where(used_NK, model.order_V[columns.tokens_NK], -1)
    return Distributions(
        ids_NK.astype(np.int32),
        logprobs_NK.astype(np.float32),
        rest_N.astype(np.float32),
        columns.group_N.astype(np.int32),
    )


def members(
    ids_NK: NDArray[np.int32], used_NK: NDArray[np.bool_], vocabulary: int
) -> sparse.csr_array:
    """Sets as a 0/1 matrix, (N, V)."""
    ends = np.concatenate([[0], np.cumsum(used_NK.sum(axis=1))])
    ids = ids_NK[used_NK]
    ones = np.ones(len(ids), np.float32)
    return sparse.csr_array((ones, ids, ends), shape=(len(ids_NK), vocabulary))


def _groups(
    ids_NK: NDArray[np.int32], used_NK: NDArray[np.bool_], model: Model
) -> NDArray[np.int64]:
    member_VG, whole_G = model.costs
    cost_NG = members(ids_NK, used_NK, model.vocabulary) @ member_VG + whole_G
    group_N: NDArray[np.int64] = cost_NG.argmin(axis=1).astype(np.int64)
    return group_N
