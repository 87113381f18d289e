"""Learning a cache's tables from its first positions."""

# ruff: noqa: N803, N806, N815 - arrays carry their shape as a suffix

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ullage.distill.cache import values
from ullage.distill.cache.about import Compressor
from ullage.distill.cache.codec import (
    FLOOR_CONTEXTS,
    TAIL_CONTEXTS,
    Columns,
    floor_context,
    tail_context,
)
from ullage.distill.cache.given import Distributions, members, to_columns
from ullage.distill.cache.model import (
    LENGTHS,
    Model,
    encode_lengths,
    encode_tail,
    encode_tails,
    length_levels,
)
from ullage.distill.cache.rans import Table

_POSITIONS_OF_GROUP = 240
"""Positions per group: with fewer, a group's tables cost more than they save."""
_MOST_GROUPS = 128
_COMMON = 8192
"""Tokens that groups are told apart by."""
_MOST_TABLE = 1 << 23
"""Groups times vocabulary, at most: 64 MiB of cumulative lengths in a reader."""
_ROUNDS = 10
_PRIOR_KEPT = 20.0
_PRIOR_TAIL = 30.0
"""Positions that a group's tables lean on all groups together with."""


@dataclass(frozen=True, slots=True)
class Sample:
    """First positions of a teacher, of which tables are made."""

    kept: Distributions
    deep_ids_ND: NDArray[np.int32]
    """The likeliest tokens that are not kept, far down; −1 where there are none."""
    deep_probs_ND: NDArray[np.float32]
    tail_V: NDArray[np.float64]
    """Sum over the positions of all that is not kept, by token; 0 only where the teacher excludes
    a token."""

    def __len__(self) -> int:
        return len(self.kept)

    @classmethod
    def joined(cls, parts: Sequence[Sample], k: int) -> Sample:
        """One after another; at least one."""
        return cls(
            Distributions.joined([part.kept for part in parts], k),
            np.concatenate([part.deep_ids_ND for part in parts]),
            np.concatenate([part.deep_probs_ND for part in parts]),
            np.sum([part.tail_V for part in parts], axis=0),
        )


def fit(sample: Sample, compressor: Compressor) -> Model:
    """Tables for positions like these; the same sample gives the same tables."""
    columns = to_columns(sample.kept, compressor, None)
    kept_NV = members(columns.tokens_NK, columns.used_NK, len(sample.tail_V))
    base_V = _base(kept_NV)
    group_N, groups = _cluster(kept_NV, base_V)
    sums_GV = _sums(kept_NV, group_N, groups)
    sizes_G = np.bincount(group_N, minlength=groups)
    base_codes_V = encode_lengths(base_V)
    codes_GV = encode_lengths(_leaning(sums_GV, sizes_G, base_V))
    # What was never kept in a group is less likely there than anywhere, by one factor: written as
    # one difference of codes, it takes no room.
    never = encode_lengths(_leaning(np.zeros((groups, 1)), sizes_G, np.full(1, 0.01)))
    shift_G = never.astype(np.int64) - encode_lengths(np.full(1, 0.01))
    shifted_GV = np.clip(base_codes_V + shift_G, 0, LENGTHS - 1).astype(np.uint8)
    codes_GV = np.where(sums_GV > 0, codes_GV, shifted_GV)
    tail_codes_V = encode_tail(sample.tail_V)
    model = Model(
        length_levels(),
        base_codes_V,
        codes_GV,
        tail_codes_V,
        encode_tails(_tails(sample, group_N, groups), tail_codes_V),
        {},
    )
    columns = to_columns(sample.kept, compressor, model)
    tables = {
        name: Table.from_counts(counts)
        for name, counts in _counts(columns, compressor, model.groups).items()
    }
    return replace(model, tables=tables)


def _base(kept_NV: sparse.csr_array) -> NDArray[np.float64]:
    """Probability of being kept anywhere, half an observation added to every token."""
    positions, vocabulary = kept_NV.shape
    counts_V = np.asarray(kept_NV.sum(axis=0), np.float64)
    members_each = max(counts_V.sum() / max(positions, 1), 1.0)
    base_V: NDArray[np.float64] = (counts_V + 0.5) / (positions + 0.5 * vocabulary / members_each)
    return base_V


def _cluster(
    kept_NV: sparse.csr_array, base_V: NDArray[np.float64]
) -> tuple[NDArray[np.int64], int]:
    """Group positions by what is kept of them; returns the group of each, and their number.

    A mixture of independent Bernoulli variables with hard assignments (classification EM, Celeux
    and Govaert 1992) over the commonest tokens, from a fixed seed.
    """
    positions, vocabulary = kept_NV.shape
    groups = min(positions // _POSITIONS_OF_GROUP, _MOST_GROUPS, _MOST_TABLE // vocabulary)
    if groups < 2:
        return np.zeros(positions, np.int64), 1
    common = np.sort(np.argsort(-base_V, kind="stable")[:_COMMON])
    some_NC, base_C = kept_NV[:, common], base_V[common]
    seeds = np.random.default_rng(0).choice(positions, groups, replace=False)
    sums_GC, sizes_G = some_NC[seeds].toarray().astype(np.float64), np.ones(groups, np.int64)
    for _ in range(_ROUNDS):
        kept_GC = np.clip(_leaning(sums_GC, sizes_G, base_C), 1e-7, 1 - 1e-3)
        member_CG = np.ascontiguousarray(np.log(kept_GC / (1 - kept_GC)).T, np.float32)
        fit_NG = some_NC @ member_CG + np.log1p(-kept_GC).sum(axis=1).astype(np.float32)
        group_N = fit_NG.argmax(axis=1)
        sums_GC, sizes_G = _sums(some_NC, group_N, groups), np.bincount(group_N, minlength=groups)
    return group_N, groups


def _leaning(
    sums_GV: NDArray[np.float64],
    sizes_G: NDArray[np.floating | np.integer],
    base_V: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Probability of being kept by group, leaning on that of all groups."""
    return (sums_GV + _PRIOR_KEPT * base_V) / (sizes_G[:, None] + _PRIOR_KEPT)


def _sums(
    rows_NV: sparse.csr_array, group_N: NDArray[np.int64], groups: int
) -> NDArray[np.float64]:
    """Sum of the rows of each group, dense (G, V)."""
    positions = len(group_N)
    ones = np.ones(positions)
    which_GN = sparse.csr_array((ones, (group_N, np.arange(positions))), (groups, positions))
    sums_GV: NDArray[np.float64] = (which_GN @ rows_NV).toarray()
    return sums_GV


def _tails(sample: Sample, group_N: NDArray[np.int64], groups: int) -> NDArray[np.float64]:
    """Sum of what is not kept by group, leaning on all groups together.

    Tails weighted by their mass are what minimises the mean KL to them. Deep down, where no group
    was looked at by itself, a group has its own mass and the shape of all.
    """
    used_ND = sample.deep_ids_ND >= 0
    ends = np.concatenate([[0], np.cumsum(used_ND.sum(axis=1))])
    deep = (sample.deep_probs_ND[used_ND].astype(np.float64), sample.deep_ids_ND[used_ND], ends)
    shape = (len(used_ND), len(sample.tail_V))
    sums_GV = _sums(sparse.csr_array(deep, shape=shape), group_N, groups)
    below_V = np.maximum(sample.tail_V - sums_GV.sum(axis=0), 0)
    mass_G = np.bincount(group_N, np.exp(sample.kept.rest_N), groups) - sums_GV.sum(axis=1)
    below_GV = np.outer(np.maximum(mass_G, 0), below_V / max(below_V.sum(), 1e-30))
    return sums_GV + below_GV + sample.tail_V * (_PRIOR_TAIL / max(len(used_ND), 1))


def _counts(
    columns: Columns, compressor: Compressor, groups: int
) -> Mapping[str, NDArray[np.int64]]:
    """How often each symbol was seen in each context, (X, S)."""
    top = compressor.signal == "top"
    levels = values.depth_levels(compressor.step) if top else compressor.k
    floors = values.depth_levels(compressor.step)
    none_N = np.zeros(len(columns), np.int64)
    scale_N = columns.scale_N
    used_NK = columns.used_NK
    scales_U = np.broadcast_to(scale_N[:, None], used_NK.shape)[used_NK]
    seen = {
        "group": (none_N, columns.group_N, 1, groups),
        "count": (none_N, columns.count_N, 1, compressor.k + 1),
        "tail": (none_N, columns.tail_N, 1, values.TAIL_LEVELS),
        "floor": (tail_context(columns.tail_N), columns.floor_N, TAIL_CONTEXTS, floors),
        "scale": (floor_context(columns.floor_N), scale_N, FLOOR_CONTEXTS, values.SCALES),
        "level": (scales_U, columns.levels_NK[used_NK], values.SCALES, levels),
    }
    return {
        name: np.bincount(context * symbols + symbol, minlength=contexts * symbols).reshape(
            contexts, symbols
        )
        for name, (context, symbol, contexts, symbols) in seen.items()
    }
