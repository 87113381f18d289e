"""Entropy coding for many short streams at once, in numpy.

Range asymmetric numeral systems (Duda 2013, arXiv 1311.2540) with a 64-bit state and 32-bit words.
Python is too slow for a symbol at a time, so a thousand streams (lanes) advance together: each call
moves one symbol of every lane. Everything is integers; what was written on one machine is read on
any other.
"""

# ruff: noqa: N803, N815 - arrays carry their shape as a suffix

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Lanes = slice | NDArray[np.intp]
"""Which lanes a call is about."""

ALL: Lanes = slice(None)
TABLE_BITS = 14
"""Probabilities of a `Table` are multiples of 2⁻¹⁴."""

_LOW = np.uint64(1 << 32)
"""The state stays at or above it, and below 2⁶⁴."""
_WORD = np.uint64(32)
_WORD_MASK = np.uint64((1 << 32) - 1)


class Pusher:
    """Writes lanes, last symbol first."""

    def __init__(self, lanes: int, words: int) -> None:
        """Start empty lanes.

        Args:
            lanes: streams.
            words: 32-bit words that no stream exceeds.
        """
        self._state = np.full(lanes, _LOW)
        self._words = np.zeros((lanes, words), np.uint32)
        self._start = np.full(lanes, words)

    def push(
        self,
        low: NDArray[np.uint64],
        width: NDArray[np.uint64],
        bits: int,
        lanes: Lanes = ALL,
    ) -> None:
        """Put one symbol before what each lane holds.

        Args:
            low: start of the symbol's interval in [0, 2^bits).
            width: length of the interval, from 1 to 2^bits − 1.
            bits: precision, at most 31.
            lanes: of these symbols.
        """
        state = self._state[lanes]
        full = np.flatnonzero(state >= width << np.uint64(64 - bits))
        if full.size:
            owners = full if isinstance(lanes, slice) else lanes[full]
            self._start[owners] -= 1
            self._words[owners, self._start[owners]] = state[full] & _WORD_MASK
            state[full] >>= _WORD
        high, rest = np.divmod(state, width)
        self._state[lanes] = (high << np.uint64(bits)) + rest + low

    def close(self) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
        """All lanes one after the other, and the number of words of each."""
        for part in (self._state & _WORD_MASK, self._state >> _WORD):
            self._start -= 1
            self._words[np.arange(len(part)), self._start] = part
        width = self._words.shape[1]
        used = np.arange(width) >= self._start[:, None]
        return self._words[used], width - self._start


class Popper:
    """Reads lanes, first symbol first."""

    def __init__(self, words: NDArray[np.uint32], starts: NDArray[np.int64]) -> None:
        """Open lanes.

        Args:
            words: of all lanes.
            starts: where in them each lane begins.
        """
        self._words = words.astype(np.uint64)
        self._state = (self._words[starts] << _WORD) | self._words[starts + 1]
        self._next = starts + 2

    def narrow(self, keep: NDArray[np.intp]) -> None:
        """Go on with these lanes only; they are counted anew from 0."""
        self._state, self._next = self._state[keep], self._next[keep]

    def peek(self, bits: int, lanes: Lanes = ALL) -> NDArray[np.uint64]:
        """A number in [0, 2^bits) of each lane; its next symbol's interval is the one around it."""
        return self._state[lanes] & np.uint64((1 << bits) - 1)

    def take(
        self,
        at: NDArray[np.uint64],
        low: NDArray[np.uint64],
        width: NDArray[np.uint64],
        bits: int,
        lanes: Lanes = ALL,
    ) -> None:
        """Step past the symbol that `peek` found.

        Args:
            at: what `peek` returned.
            low: start of the interval around it.
            width: its length.
            bits: as given to `peek`.
            lanes: as given to `peek`.
        """
        state = width * (self._state[lanes] >> np.uint64(bits)) + (at - low)
        short = np.flatnonzero(state < _LOW)
        if short.size:
            owners = short if isinstance(lanes, slice) else lanes[short]
            state[short] = (state[short] << _WORD) | self._words[self._next[owners]]
            self._next[owners] += 1
        self._state[lanes] = state


@dataclass(frozen=True, slots=True)
class Table:
    """Probabilities of S symbols in each of X contexts."""

    starts_XS: NDArray[np.uint16]
    """Start of each symbol's interval in [0, 2^TABLE_BITS)."""
    _starts: NDArray[np.uint64]
    _widths: NDArray[np.uint64]
    _symbols: NDArray[np.uint16]
    """By context and number: the symbol whose interval holds it."""

    @classmethod
    def from_starts(cls, starts_XS: NDArray[np.uint16]) -> Table:
        """A table as it is kept in files."""
        contexts, symbols = starts_XS.shape
        ends = np.full((contexts, symbols), 1 << TABLE_BITS)
        ends[:, :-1] = starts_XS[:, 1:]
        widths = ends - starts_XS
        which = np.repeat(
            np.tile(np.arange(symbols, dtype=np.uint16), contexts), widths.reshape(-1)
        )
        flat = starts_XS.astype(np.uint64).reshape(-1)
        return cls(starts_XS, flat, widths.astype(np.uint64).reshape(-1), which)

    @classmethod
    def from_counts(cls, counts_XS: NDArray[np.int64]) -> Table:
        """Probabilities from how often each symbol was seen; none is 0.

        Contexts lean on all of them together with the weight of a few observations. A symbol that
        never occurs is appended: no interval may be the whole.
        """
        counts = np.pad(counts_XS.astype(np.float64), ((0, 0), (0, 1)))
        together = counts.sum(axis=0) + 0.1
        counts += 8 * together / together.sum()
        room = (1 << TABLE_BITS) - counts.shape[1]
        widths = 1 + (counts / counts.sum(axis=1, keepdims=True) * room).astype(np.int64)
        likeliest = widths.argmax(axis=1)
        widths[np.arange(len(widths)), likeliest] += (1 << TABLE_BITS) - widths.sum(axis=1)
        starts = np.cumsum(widths, axis=1) - widths
        return cls.from_starts(starts.astype(np.uint16))

    def push(
        self,
        pusher: Pusher,
        symbols: NDArray[np.int64],
        contexts: NDArray[np.int64] | int = 0,
        lanes: Lanes = ALL,
    ) -> None:
        """Write one symbol of each lane."""
        place = contexts * self.starts_XS.shape[1] + symbols
        pusher.push(self._starts[place], self._widths[place], TABLE_BITS, lanes)

    def pop(
        self, popper: Popper, contexts: NDArray[np.int64] | int = 0, lanes: Lanes = ALL
    ) -> NDArray[np.int64]:
        """Read one symbol of each lane."""
        at = popper.peek(TABLE_BITS, lanes)
        shift = np.int64(1 << TABLE_BITS)
        symbols = self._symbols[at.astype(np.int64) + contexts * shift].astype(np.int64)
        place = contexts * self.starts_XS.shape[1] + symbols
        popper.take(at, self._starts[place], self._widths[place], TABLE_BITS, lanes)
        return symbols
