"""What a cache knows of its teacher beforehand: which tokens, in what company, how likely.

Positions fall into G groups of a kind (after "the", in the middle of a word, at the end of a
sentence, ...). Each group has a probability of being kept for every token, which makes ids cheap,
and a mean distribution of what is not kept, which is what the tail is rebuilt from.
"""

# ruff: noqa: N802, N803, N806, N815 - arrays carry their shape as a suffix

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache import hazards
from ullage.distill.cache.container import Container, damaged, pack, unpack
from ullage.distill.cache.rans import Table
from ullage.errors import InputError

FILE = "model.ullage"
KIND = "ullage.cache.model"
TABLES = ("group", "count", "tail", "floor", "scale", "level")

LENGTHS = 64
"""Different lengths that a token can have."""

_LEAST, _MOST = 4e-6, 0.995
"""Probabilities of being kept that are told apart."""
_TAIL_BITS = 42
_TAIL_CODES = 6
"""Backgrounds reach down 42 octaves, in 6 steps each; a code of 0 is none at all."""


@dataclass(frozen=True)
class Model:
    """Tables that encoder and decoder share."""

    lengths_L: NDArray[np.uint32]
    """Length of each of `LENGTHS` codes, in `hazards.UNIT`."""
    length_codes_V: NDArray[np.uint8]
    """Of all groups together."""
    length_codes_GV: NDArray[np.uint8]
    tail_codes_V: NDArray[np.uint8]
    """What is not kept, on a logarithmic scale, of all groups together."""
    tail_codes_GV: NDArray[np.uint8]
    tables: dict[str, Table]
    """Of the other symbols of a position, by `TABLES`."""

    @property
    def groups(self) -> int:
        """G."""
        return int(self.length_codes_GV.shape[0])

    @property
    def vocabulary(self) -> int:
        """V."""
        return int(self.length_codes_GV.shape[1])

    @cached_property
    def order_V(self) -> NDArray[np.int64]:
        """Token ids, those most often kept first: the codec numbers tokens by their place in it.

        Nearly all that is looked up then lies together. It follows from the codes, so it is not
        stored.
        """
        return common_first(self.length_codes_V)

    @cached_property
    def rank_V(self) -> NDArray[np.int64]:
        """Place of each token id in `order_V`."""
        rank_V = np.empty_like(self.order_V)
        rank_V[self.order_V] = np.arange(self.vocabulary)
        return rank_V

    @cached_property
    def lengths(self) -> hazards.Lengths:
        """Of tokens by their place in `order_V`, for the entropy coder."""
        return hazards.Lengths.of(self.lengths_L[self.length_codes_GV[:, self.order_V]])

    @cached_property
    def backgrounds_GV(self) -> NDArray[np.float32]:
        """Distribution of the tail by group, (G, V); 0 where the teacher excludes a token."""
        return decode_tail(self.tail_codes_GV)

    @cached_property
    def costs(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Nats that a set costs by group: for every member (V, G), and for any set (G,)."""
        length_L = self.lengths_L / hazards.UNIT
        member_L = -np.log(-np.expm1(-length_L)) - length_L
        whole_G = length_L[self.length_codes_GV].sum(axis=1)
        member_VG = np.ascontiguousarray(member_L.astype(np.float32)[self.length_codes_GV].T)
        return member_VG, whole_G.astype(np.float32)

    def _squeezed(
        self, codes_V: NDArray[np.uint8], codes_GV: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Groups as differences from the whole: mostly one number, above all of rare tokens."""
        return _squeezed((codes_GV - codes_V)[:, self.order_V])

    def bytes(self, identity: str) -> bytes:
        """The file, for the cache of this identity."""
        return pack(
            KIND,
            {"cache": identity, "groups": self.groups, "vocabulary": self.vocabulary},
            {
                "lengths": self.lengths_L,
                "length_codes": _squeezed(self.length_codes_V),
                "length_differences": self._squeezed(self.length_codes_V, self.length_codes_GV),
                "tail_codes": _squeezed(self.tail_codes_V),
                "tail_differences": self._squeezed(self.tail_codes_V, self.tail_codes_GV),
                **{f"table_{name}": self.tables[name].starts_XS for name in TABLES},
            },
        )


def read_model(folder: Path, identity: str, *, check: bool = False) -> tuple[Model, Container]:
    """The model of a cache.

    Raises:
        InputError: it is not there, is damaged, or belongs to another cache.
    """
    file = unpack(folder / FILE, KIND, check=check)
    if file.facts["cache"] != identity:
        raise InputError(
            f"{file.path}: belongs to another cache ({file.facts['cache'][:23]}); the folder is "
            "a mixture: remove it and make the cache anew"
        )
    shape = (file.facts["groups"], file.facts["vocabulary"])
    try:
        lengths_V = _spread(file.arrays["length_codes"], shape[1:])
        tail_V = _spread(file.arrays["tail_codes"], shape[1:])
        back_V = np.argsort(common_first(lengths_V))
        model = Model(
            file.arrays["lengths"],
            lengths_V,
            lengths_V + _spread(file.arrays["length_differences"], shape)[:, back_V],
            tail_V,
            tail_V + _spread(file.arrays["tail_differences"], shape)[:, back_V],
            {name: Table.from_starts(file.arrays[f"table_{name}"]) for name in TABLES},
        )
    except (KeyError, ValueError, zlib.error) as error:
        raise damaged(file.path, "its tables are not what was written") from error
    return model, file


def length_levels() -> NDArray[np.uint32]:
    """Lengths that stand for probabilities of being kept, evenly spaced on a logarithmic scale."""
    ends = -np.log1p(-np.array([_LEAST, _MOST])) * hazards.UNIT
    levels = np.geomspace(ends[0], ends[1], LENGTHS)
    return np.maximum(np.rint(levels), 1).astype(np.uint32)


def encode_lengths(kept_GV: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Codes of probabilities of being kept."""
    low, high = np.log(-np.log1p(-np.array([_LEAST, _MOST])))
    length = np.log(-np.log1p(-np.clip(kept_GV, _LEAST, _MOST)))
    codes_GV: NDArray[np.uint8] = np.rint((length - low) / (high - low) * (LENGTHS - 1)).astype(
        np.uint8
    )
    return codes_GV


def encode_tail(mass_V: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Codes of a distribution; 0 for exactly nothing."""
    share = mass_V / max(mass_V.sum(), np.finfo(float).tiny)
    octaves = np.log2(np.maximum(share, 2.0**-_TAIL_BITS)) + _TAIL_BITS
    return np.where(mass_V > 0, 1 + np.rint(octaves * _TAIL_CODES), 0).astype(np.uint8)


def encode_tails(mass_GV: NDArray[np.float64], codes_V: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes of distributions that differ by whole octaves from one whose codes are given.

    Nearer than that they are not known from a sample, and sameness takes no room.
    """
    whole_V = np.maximum(decode_tail(codes_V[None])[0], 2.0**-126)
    share = mass_GV / np.maximum(mass_GV.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    octaves = np.rint(np.log2(np.maximum(share, 2.0**-_TAIL_BITS) / whole_V))
    moved = np.clip(codes_V + octaves * _TAIL_CODES, 1, 1 + _TAIL_BITS * _TAIL_CODES)
    return np.where(codes_V > 0, moved, 0).astype(np.uint8)


def decode_tail(codes_GV: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Distributions of codes, each summing to 1."""
    level = np.exp2((np.arange(256) - 1) / _TAIL_CODES - _TAIL_BITS)
    level[0] = 0
    mass_GV = level[codes_GV]
    total = np.maximum(mass_GV.sum(axis=-1, keepdims=True), level[1])
    share: NDArray[np.float64] = mass_GV / total
    return share.astype(np.float32)


def common_first(codes_V: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Token ids by falling code, those of one code by their number."""
    return np.argsort(255 - codes_V, kind="stable")


def _squeezed(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.compress(codes.tobytes(), 9), np.uint8)


def _spread(data: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(zlib.decompress(data.tobytes()), np.uint8).reshape(shape)
