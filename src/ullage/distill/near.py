"""Texts that are nearly the same: MinHash to find candidates, exact overlap to decide.

Broder 1997, *On the resemblance and containment of documents*: two texts are as alike as the
Jaccard index of their sets of word shingles, and the chance that a random order of all shingles has
the same first one in both is that index. Signatures are cut into bands (Leskovec et al., *Mining of
Massive Datasets*, §3.4); texts that share a band are compared shingle by shingle, so what is called
alike is alike, and what is missed is missed with a probability that the bands bound.
"""

# ruff: noqa: N803, N806 - arrays carry their shape as a suffix

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SHINGLE = 3
"""Words in a shingle: short enough for a question of ten words to have several."""

_HASHES = 128
_MISSED = 0.01
"""Largest chance to overlook a pair that is exactly as alike as the threshold."""

_WORD = re.compile(
    # Scripts that put no spaces between words are compared by character.
    r"[぀-ヿ㐀-鿿가-힯]|[^\W\d_぀-ヿ㐀-鿿가-힯]+|\d+"
)

UInts = npt.NDArray[np.uint64]


Band = tuple[int, bytes, tuple[str, ...], str]
"""Number, minima, and what must be equal: the text's numbers and its kind."""


@dataclass(slots=True)
class NearTexts:
    """A growing collection that knows which of its texts another is nearly the same as.

    Texts with other numbers in them are never alike: "17 plus 4" and "17 plus 5" are two questions,
    however long the sentence around them is. Nor are texts of another kind, or too short for a
    shingle.
    """

    threshold: float
    """Jaccard index from which two texts are called alike, in (0, 1]."""
    _kept: list[frozenset[int]] = field(default_factory=list)
    _buckets: dict[Band, list[int]] = field(default_factory=lambda: defaultdict(list))
    _codes: dict[str, int] = field(default_factory=dict)

    def admit(self, text: str, kind: str = "") -> bool:
        """Add a text unless one nearly the same is there; whether it was added."""
        shingles, bands = self._read(text, kind)
        if self._finds(shingles, bands):
            return False
        self._kept.append(shingles)
        for band in bands:
            self._buckets[band].append(len(self._kept) - 1)
        return True

    def holds(self, text: str, kind: str = "") -> bool:
        """Whether one nearly the same is there."""
        return self._finds(*self._read(text, kind))

    def _finds(self, shingles: frozenset[int], bands: list[Band]) -> bool:
        candidates = {index for band in bands for index in self._buckets.get(band, ())}
        return any(jaccard(shingles, self._kept[one]) >= self.threshold for one in candidates)

    def _read(self, text: str, kind: str) -> tuple[frozenset[int], list[Band]]:
        """The text's shingles and bands; none where it is too short."""
        words = _WORD.findall(text.casefold())
        if len(words) < SHINGLE:
            return frozenset(), []
        shingles = shingle_codes(np.array([self._code(word) for word in words], dtype=np.uint64))
        numbers = tuple(sorted(word for word in words if word.isdecimal()))
        rows, signature = band_rows(self.threshold), minhash(shingles)
        bands = [
            (band, signature[band * rows : (band + 1) * rows].tobytes(), numbers, kind)
            for band in range(_HASHES // rows)
        ]
        return frozenset(shingles.tolist()), bands

    def _code(self, word: str) -> int:
        if word not in self._codes:
            hashed = hashlib.blake2b(word.encode(), digest_size=8).digest()
            self._codes[word] = int.from_bytes(hashed)
        return self._codes[word]


def shingle_codes(words_N: UInts) -> UInts:
    """A code for each run of `SHINGLE` words, of at least as many word codes: (N − 2,)."""
    count = len(words_N) - SHINGLE + 1
    codes_S = np.zeros(count, dtype=np.uint64)
    for place in range(SHINGLE):
        codes_S = codes_S * _MIXER + words_N[place : place + count]
    return codes_S


def minhash(shingles_S: UInts) -> UInts:
    """The signature of a set of shingle codes: `_HASHES` minima of as many orders, (H,)."""
    mixed_HS = shingles_S[None, :] * _FACTORS_H[:, None] + _SHIFTS_H[:, None]
    # The high half is the well-mixed one of a multiplication modulo 2^64.
    lowest: UInts = (mixed_HS >> np.uint64(32)).min(axis=1)
    return lowest


@lru_cache
def band_rows(threshold: float) -> int:
    """Rows in a band: as many as still overlook a pair at the threshold with 1 % at most."""
    rows = 1
    while rows < _HASHES:
        bands = _HASHES // (rows + 1)
        if (1 - threshold ** (rows + 1)) ** bands > _MISSED:
            break
        rows += 1
    return rows


def jaccard(one: frozenset[int], other: frozenset[int]) -> float:
    """Share of all shingles that both have; 0 where there are none."""
    common = len(one & other)
    every = len(one) + len(other) - common
    return common / every if every else 0.0


_draw = np.random.Generator(np.random.PCG64(1997))
_MIXER = np.uint64(0x9E3779B97F4A7C15)
_FACTORS_H = _draw.integers(0, 2**63, _HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_SHIFTS_H = _draw.integers(0, 2**63, _HASHES, dtype=np.uint64)
