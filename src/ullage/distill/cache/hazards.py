"""Sets of tokens as numbers that an entropy coder can write.

A position's set is read off the vocabulary from token 0 upwards: token v is in it with a
probability π_v of its own, independently. Give every token a length h_v = −ln(1 − π_v) and lay the
lengths end to end. The distance from one member to the next is then exponentially distributed
whatever the tokens are, so the same cumulative curve turns every distance into an interval. A
member costs about −log₂ π_v bits, and the order of the members costs nothing (log₂ 64! is 37
bytes).

Lengths are integers in units of 2⁻¹⁸ nat and the curve is a fixed table of integers, so both sides
agree to the last bit. Nothing here branches on data: numbers are looked up for all lanes at once.
"""

# ruff: noqa: N803, N806 - arrays carry their shape as a suffix

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache.rans import ALL, Lanes, Popper, Pusher

UNIT = 1 << 18
"""Lengths in one nat."""
BITS = 30
"""Precision of intervals."""

_STEP_BITS = 10
_STEPS = 9 * 256
_WINDOW = _STEPS << _STEP_BITS
"""Nine nats: a longer way to the next member is taken in strides of this."""
_MANTISSA = 52 - 10


def _curve() -> NDArray[np.int64]:
    """Interval ends at multiples of 2⁻⁸ nat: (1 − e⁻ˣ) of the room, and 1 for every unit.

    The 1 keeps every interval open, however unlikely a token. Integers only: e^(−1/256) is 60-bit
    fixed point, and no library's exp is asked.
    """
    factor = 1148426689630428644
    room = (1 << BITS) - _WINDOW
    left = 1 << 60
    points = []
    for step in range(_STEPS + 1):
        points.append(((((1 << 60) - left) * room) >> 60) + (step << _STEP_BITS))
        left = (left * factor) >> 60
    return np.array(points, np.int64)


_CURVE = _curve()
_RISE = np.diff(_CURVE, append=_CURVE[-1] + 1)
_STRIDE_LOW = int(_CURVE[-1])
_STRIDE_WIDTH = (1 << BITS) - _STRIDE_LOW


def _cell(height: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the cell a height is in: cells are a 1,024th of what is left above them wide.

    Exponent and leading bits of a float, which holds integers this small exactly.
    """
    left = ((1 << BITS) - height).astype(np.float64)
    return (left.view(np.int64) >> _MANTISSA) - _FIRST_CELL


_FIRST_CELL = int(np.float64(_STRIDE_WIDTH).view(np.int64) >> _MANTISSA)


def _first_steps() -> NDArray[np.int64]:
    """Step of the curve at the lowest height of each cell. No cell holds the ends of two steps."""
    cells = np.arange(int(_cell(np.zeros(1, np.int64))[0]) + 1) + _FIRST_CELL
    most_left = (((cells + 1) << _MANTISSA) - 1).view(np.float64)
    lowest = np.maximum((1 << BITS) - np.floor(most_left).astype(np.int64), 0)
    return np.searchsorted(_CURVE, lowest, side="right") - 1


_FIRST_STEP = _first_steps()


def _forward(distance: NDArray[np.int64]) -> NDArray[np.int64]:
    """The curve at distances from 0 to the window."""
    step = distance >> _STEP_BITS
    within = distance & ((1 << _STEP_BITS) - 1)
    height: NDArray[np.int64] = _CURVE[step] + ((_RISE[step] * within) >> _STEP_BITS)
    return height


def _backward(height: NDArray[np.int64]) -> NDArray[np.int64]:
    """The greatest distance at which the curve is not above `height`, which is below its end."""
    step = _FIRST_STEP[_cell(height)]
    step += height >= _CURVE[step + 1]
    above = height - _CURVE[step] + 1
    return (step << _STEP_BITS) + ((above << _STEP_BITS) - 1) // _RISE[step]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Lengths of V tokens laid end to end, for each of G groups of positions."""

    vocabulary: int
    _stride: int
    """Places of a group: a power of two above V."""
    _starts: NDArray[Any]
    """(G·stride,): where each token starts, then where the last one ends, then the utmost. Half as
    wide where that is enough: what is looked up must stay near the processor."""

    @classmethod
    def of(cls, lengths_GV: NDArray[np.uint32]) -> Lengths:
        """Lengths in units, each at least 1, (G, V)."""
        groups, vocabulary = lengths_GV.shape
        stride = 1 << vocabulary.bit_length()
        ends_GV = np.cumsum(lengths_GV, axis=1, dtype=np.int64)
        dtype: Any = np.uint32 if ends_GV.max() + _WINDOW < 1 << 32 else np.int64
        starts = np.full((groups, stride), np.iinfo(dtype).max, dtype)
        starts[:, 0] = 0
        starts[:, 1 : vocabulary + 1] = ends_GV
        return cls(vocabulary, stride, starts.reshape(-1))

    @property
    def most_strides(self) -> int:
        """Windows that the vocabulary spans in any group: a set takes no more strides."""
        ends = self._starts.reshape(-1, self._stride)[:, self.vocabulary]
        return int(ends.max()) // _WINDOW

    def push_all(
        self,
        pusher: Pusher,
        tokens_LK: NDArray[np.int32],
        counts_L: NDArray[np.int64],
        groups_L: NDArray[np.int64],
        lanes: Lanes,
    ) -> None:
        """Write one set of each lane, last member first.

        Args:
            pusher: of the lanes.
            tokens_LK: members in ascending order, (L, K); anything after the first `counts_L`.
            counts_L: members of each set, (L,).
            groups_L: of each position, (L,).
            lanes: of these sets.
        """
        used_KL = np.arange(tokens_LK.shape[1])[:, None] < counts_L
        place_KL = groups_L * self._stride + np.where(used_KL, tokens_LK.T, 0)
        start_KL, end_KL = self._start(place_KL), self._start(place_KL + 1)
        before_KL = np.zeros_like(start_KL)
        before_KL[1:] = end_KL[:-1]
        strides_KL, near_KL = np.divmod(start_KL - before_KL, _WINDOW)
        low_KL = _forward(near_KL)
        width_KL = _forward(np.minimum(near_KL + end_KL - start_KL, _WINDOW)) - low_KL
        low_KL, width_KL = low_KL.astype(np.uint64), width_KL.astype(np.uint64)
        strides_KL[~used_KL] = 0
        whole_K = np.logical_and.reduce(used_KL, axis=1)
        far_K = np.logical_or.reduce(strides_KL > 0, axis=1)
        for member in range(len(used_KL) - 1, -1, -1):
            if whole_K[member]:
                pusher.push(low_KL[member], width_KL[member], BITS, lanes)
            else:
                here = np.flatnonzero(used_KL[member])
                pusher.push(low_KL[member, here], width_KL[member, here], BITS, among(lanes, here))
            while far_K[member] and (again := np.flatnonzero(strides_KL[member])).size:
                low = np.full(again.size, _STRIDE_LOW, np.uint64)
                width = np.full(again.size, _STRIDE_WIDTH, np.uint64)
                pusher.push(low, width, BITS, among(lanes, again))
                strides_KL[member, again] -= 1

    def pop_all(
        self,
        popper: Popper,
        counts_L: NDArray[np.int64],
        groups_L: NDArray[np.int64],
        tokens_KL: NDArray[np.int32],
    ) -> None:
        """Read one set of every lane into `tokens_KL`, in ascending order; the rest stays."""
        row_L = groups_L * self._stride
        at_L = np.zeros_like(row_L)
        least, most = (int(counts_L.min()), int(counts_L.max())) if counts_L.size else (0, 0)
        for member in range(most):
            if member < least:
                tokens_KL[member] = self._pop(popper, row_L, at_L, ALL)
            else:
                here = np.flatnonzero(counts_L > member)
                tokens_KL[member, here] = self._pop(popper, row_L, at_L, here)

    def _pop(
        self, popper: Popper, row_L: NDArray[np.int64], at_L: NDArray[np.int64], lanes: Lanes
    ) -> NDArray[np.int64]:
        """The next member of each lane; `at_L` moves to where it ends."""
        found = popper.peek(BITS, lanes)
        while (again := np.flatnonzero(found >= np.uint64(_STRIDE_LOW))).size:
            owners = among(lanes, again)
            low = np.full(again.size, _STRIDE_LOW, np.uint64)
            width = np.full(again.size, _STRIDE_WIDTH, np.uint64)
            popper.take(found[again], low, width, BITS, owners)
            at_L[owners] += _WINDOW
            found[again] = popper.peek(BITS, owners)
        at, row = at_L[lanes], row_L[lanes]
        place = self._find(row, at + _backward(found.astype(np.int64)))
        start, end = self._start(place), self._start(place + 1)
        begin = _forward(start - at)
        reach = _forward(np.minimum(end - at, _WINDOW)) - begin
        popper.take(found, begin.astype(np.uint64), reach.astype(np.uint64), BITS, lanes)
        at_L[lanes] = end
        return place - row

    def _start(self, place: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._starts[place].astype(np.int64, copy=False)

    def _find(self, row: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
        """The last place of each row that starts at or before a target.

        A binary search of all lanes in step: a mispredicted branch costs more than a look-up.
        """
        place, wanted = row.copy(), target.astype(self._starts.dtype)
        half = self._stride >> 1
        while half:
            place += half * (self._starts[place + half] <= wanted)
            half >>= 1
        return place


def among(lanes: Lanes, here: Lanes) -> Lanes:
    """Lanes numbered `here` among some lanes."""
    if isinstance(lanes, slice):
        return here
    return lanes[here]
