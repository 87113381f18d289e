"""A map from 16-byte digests to file offsets that costs 24 bytes an entry, not 200.

Journals and recordings are looked up by content address and may hold millions of lines; a dict of
them would outgrow the score table.
"""

from __future__ import annotations

import numpy as np

_RECENT = 32_768
"""Entries kept in a plain dict before they are merged into the sorted arrays."""

_DTYPE = np.dtype([("high", ">u8"), ("low", ">u8"), ("offset", "<i8")])


class OffsetIndex:
    """Digest to offset; the last offset added for a digest counts."""

    def __init__(self) -> None:
        self._recent: dict[bytes, int] = {}
        self._sorted = np.empty(0, dtype=_DTYPE)
        self._high = np.empty(0, dtype=np.uint64)

    def __len__(self) -> int:
        self._merge()
        return len(self._sorted)

    def add(self, digest: bytes, offset: int) -> None:
        """Remember that the entry of `digest` (16 bytes) starts at `offset`."""
        self._recent[digest] = offset
        if len(self._recent) >= _RECENT:
            self._merge()

    def find(self, digest: bytes) -> int | None:
        """The offset last added for `digest`, or None."""
        recent = self._recent.get(digest)
        if recent is not None:
            return recent
        high, low = int.from_bytes(digest[:8]), int.from_bytes(digest[8:])
        place = int(np.searchsorted(self._high, np.uint64(high)))
        while place < len(self._high) and int(self._high[place]) == high:
            if int(self._sorted[place]["low"]) == low:
                return int(self._sorted[place]["offset"])
            place += 1
        return None

    def _merge(self) -> None:
        if not self._recent:
            return
        fresh = np.empty(len(self._recent), dtype=_DTYPE)
        keys = np.frombuffer(b"".join(self._recent), dtype=[("high", ">u8"), ("low", ">u8")])
        fresh["high"], fresh["low"] = keys["high"], keys["low"]
        fresh["offset"] = np.fromiter(self._recent.values(), dtype=np.int64, count=len(fresh))
        both = np.concatenate([self._sorted, fresh])
        # A stable sort keeps the newer of two entries behind the older.
        both = both[np.lexsort((np.arange(len(both)), both["low"], both["high"]))]
        newer_follows = np.zeros(len(both), dtype=bool)
        newer_follows[:-1] = (both["high"][1:] == both["high"][:-1]) & (
            both["low"][1:] == both["low"][:-1]
        )
        self._sorted = both[~newer_follows]
        self._high = self._sorted["high"].astype(np.uint64)
        self._recent = {}
