"""Positions to bytes and back.

A sequence is cut into lanes of `LANE` positions that are coded side by side (see `rans`). Within a
lane, each position is written as: its group, how many tokens are kept, the mass of the rest, the
deepest level, how far levels lie apart, its tokens, the commonest first, and a level for each.
"""

# ruff: noqa: N802, N803, N806, N815 - arrays carry their shape as a suffix

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache import hazards, values
from ullage.distill.cache.about import Compressor
from ullage.distill.cache.hazards import among
from ullage.distill.cache.model import Model
from ullage.distill.cache.rans import ALL, TABLE_BITS, Lanes, Popper, Pusher

LANE = 8
"""Positions of a lane. More of them waste fewer bytes on where lanes begin and end (8 a lane), and
decode more slowly."""
FLOOR_CONTEXTS = 16
TAIL_CONTEXTS = 1 + ((values.TAIL_LEVELS - 1) >> 4)

_BLOCK = 1 << 19
"""Ids that are coded together, about: the arrays in between stay in cache."""


@dataclass(frozen=True, slots=True)
class Columns:
    """N positions as whole numbers; what `encode` keeps and `decode` returns, exactly."""

    group_N: NDArray[np.int64]
    tail_N: NDArray[np.int64]
    """See `values.tail_to_level`."""
    floor_N: NDArray[np.int64]
    """The deepest level of a position."""
    count_N: NDArray[np.int64]
    """Tokens kept."""
    tokens_NK: NDArray[np.int32]
    """By their place in `Model.order_V`, ascending; −1 after the last."""
    levels_NK: NDArray[np.int64]
    """Levels above the floor, or times drawn less one; 0 after the last."""

    def __len__(self) -> int:
        return len(self.group_N)

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> Columns:
        return Columns(*(getattr(self, one.name)[rows] for one in fields(self)))

    @property
    def scale_N(self) -> NDArray[np.int64]:
        """See `values.scale_of`."""
        return values.scale_of(self.levels_NK, self.count_N)

    @property
    def used_NK(self) -> NDArray[np.bool_]:
        """Which places hold a token."""
        used: NDArray[np.bool_] = np.arange(self.tokens_NK.shape[1]) < self.count_N[:, None]
        return used


def joined(parts: list[Columns]) -> Columns:
    """Columns one after another."""
    return Columns(
        *(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(Columns))
    )


@dataclass(frozen=True, slots=True)
class Coded:
    """Sequences as bytes."""

    positions_S: NDArray[np.int64]
    """Of each sequence."""
    lanes_J: NDArray[np.uint16]
    """Words of each lane, sequence after sequence."""
    words_W: NDArray[np.uint32]
    """Of all lanes."""

    def words_of_sequences(self) -> NDArray[np.int64]:
        """Words of each sequence, (S,)."""
        ends = np.cumsum(lanes_of(self.positions_S))
        sums = np.concatenate([[0], np.cumsum(self.lanes_J, dtype=np.int64)])
        return np.diff(sums[ends], prepend=0)


def together(parts: list[Coded]) -> Coded:
    """Sequences one after another."""
    return Coded(
        np.concatenate([np.zeros(0, np.int64), *(part.positions_S for part in parts)]),
        np.concatenate([np.zeros(0, np.uint16), *(part.lanes_J for part in parts)]),
        np.concatenate([np.zeros(0, np.uint32), *(part.words_W for part in parts)]),
    )


def lanes_of(positions_S: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lanes of each sequence."""
    return -(-positions_S // LANE)


def encode(columns: Columns, positions_S: NDArray[np.int64], model: Model) -> Coded:
    """Write sequences.

    Args:
        columns: of all their positions, in order.
        positions_S: how many of them each sequence has.
        model: of the cache.
    """
    first_J, length_J = _lanes(positions_S)
    at_once = max(1, _BLOCK // (LANE * columns.tokens_NK.shape[1]))
    words, lengths = [], []
    for start in range(0, len(first_J), at_once):
        here = slice(start, start + at_once)
        block = _encode_lanes(columns, first_J[here], length_J[here], model)
        words.append(block[0])
        lengths.append(block[1])
    return Coded(
        positions_S,
        np.concatenate([np.zeros(0, np.int64), *lengths]).astype(np.uint16),
        np.concatenate([np.zeros(0, np.uint32), *words]),
    )


def _lanes(positions_S: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First position and number of positions of every lane."""
    lanes_S = lanes_of(positions_S)
    first_lane_S = np.cumsum(lanes_S) - lanes_S
    within_J = np.arange(lanes_S.sum()) - np.repeat(first_lane_S, lanes_S)
    start_J = np.repeat(np.cumsum(positions_S) - positions_S, lanes_S)
    length_J = np.minimum(np.repeat(positions_S, lanes_S) - within_J * LANE, LANE)
    return start_J + within_J * LANE, length_J


def _encode_lanes(
    columns: Columns, first_J: NDArray[np.int64], length_J: NDArray[np.int64], model: Model
) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    pusher = Pusher(len(first_J), _most_words(columns.tokens_NK.shape[1], model))
    for step in range(LANE - 1, -1, -1):
        lanes: Lanes = ALL
        if (length_J <= step).any():
            lanes = np.flatnonzero(length_J > step)
        _push_position(pusher, columns[first_J[lanes] + step], model, lanes)
    return pusher.close()


def _most_words(k: int, model: Model) -> int:
    """Words that no lane exceeds: no symbol takes more bits than its precision."""
    bits = len(model.tables) * TABLE_BITS + k * (TABLE_BITS + hazards.BITS)
    bits += model.lengths.most_strides * TABLE_BITS
    return 8 + LANE * (bits // 32 + 1)


def _push_position(pusher: Pusher, here: Columns, model: Model, lanes: Lanes) -> None:
    """Write one position of each lane, last symbol first."""
    tables, scale_L = model.tables, here.scale_N
    whole = bool((here.count_N == here.tokens_NK.shape[1]).all())
    for place in range(int(here.count_N.max(initial=0)) - 1, -1, -1):
        used: Lanes = ALL if whole else np.flatnonzero(here.count_N > place)
        level = here.levels_NK[used, place]
        tables["level"].push(pusher, level, scale_L[used], among(lanes, used))
    model.lengths.push_all(pusher, here.tokens_NK, here.count_N, here.group_N, lanes)
    tables["scale"].push(pusher, scale_L, floor_context(here.floor_N), lanes)
    tables["floor"].push(pusher, here.floor_N, tail_context(here.tail_N), lanes)
    tables["tail"].push(pusher, here.tail_N, 0, lanes)
    tables["count"].push(pusher, here.count_N, 0, lanes)
    tables["group"].push(pusher, here.group_N, 0, lanes)


def tail_context(tail_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Context of the floor."""
    return np.right_shift(tail_N, 4)


def floor_context(floor_N: NDArray[np.int64]) -> NDArray[np.int64]:
    """Context of the scale."""
    return np.minimum(np.right_shift(floor_N, 2), FLOOR_CONTEXTS - 1)


def decode(coded: Coded, model: Model, compressor: Compressor) -> Columns:
    """Read sequences; the inverse of `encode`."""
    first_J, length_J = _lanes(coded.positions_S)
    found = _empty(int(coded.positions_S.sum()), compressor.k)
    begin_J = np.cumsum(coded.lanes_J, dtype=np.int64) - coded.lanes_J
    popper = Popper(coded.words_W, begin_J)
    for step in range(LANE):
        if (length_J <= step).any():
            keep = np.flatnonzero(length_J > step)
            popper.narrow(keep)
            first_J, length_J = first_J[keep], length_J[keep]
        if not len(first_J):
            break
        _pop_position(popper, found, first_J + step, model)
    return found


def _empty(positions: int, k: int) -> Columns:
    group_N, tail_N, floor_N, count_N = np.zeros((4, positions), np.int64)
    tokens_NK = np.full((positions, k), -1, np.int32)
    return Columns(group_N, tail_N, floor_N, count_N, tokens_NK, np.zeros((positions, k), np.int64))


def _pop_position(popper: Popper, found: Columns, at_L: NDArray[np.int64], model: Model) -> None:
    """Read one position of every lane."""
    tables = model.tables
    found.group_N[at_L] = group_L = tables["group"].pop(popper)
    found.count_N[at_L] = count_L = tables["count"].pop(popper)
    found.tail_N[at_L] = tail_L = tables["tail"].pop(popper)
    found.floor_N[at_L] = floor_L = tables["floor"].pop(popper, tail_context(tail_L))
    scale_L = tables["scale"].pop(popper, floor_context(floor_L))
    shape = (found.tokens_NK.shape[1], len(at_L))
    tokens_KL, levels_KL = np.full(shape, -1, np.int32), np.zeros(shape, np.int64)
    model.lengths.pop_all(popper, count_L, group_L, tokens_KL)
    least, most = int(count_L.min()), int(count_L.max())
    for place in range(most):
        if place < least:
            levels_KL[place] = tables["level"].pop(popper, scale_L)
        else:
            used = np.flatnonzero(count_L > place)
            levels_KL[place, used] = tables["level"].pop(popper, scale_L[used], used)
    found.tokens_NK[at_L], found.levels_NK[at_L] = tokens_KL.T, levels_KL.T
