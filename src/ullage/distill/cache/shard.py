"""One shard: some thousand sequences in one file that is there whole or not at all."""

# ruff: noqa: N802, N803, N806, N815 - arrays carry their shape as a suffix

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache.codec import Coded, lanes_of
from ullage.distill.cache.container import Container, damaged, pack, unpack
from ullage.errors import InputError

KIND = "ullage.cache.shard"


def shard_path(folder: Path, index: int) -> Path:
    """Where a cache keeps a shard."""
    return folder / f"shard-{index:05d}.ullage"


def pack_shard(
    identity: str,
    model: str,
    keys: Sequence[str],
    coded: Coded,
    measured_M: NDArray[np.float32],
) -> bytes:
    """The file of a shard.

    Args:
        identity: of the cache.
        model: SHA-256 of the tables it is coded with.
        keys: name of each sequence.
        coded: the sequences.
        measured_M: (M, 3); see `rebuild.measure`.
    """
    sums = _Sums.of(coded)
    crcs = [
        _crc(coded.lanes_J[lanes], coded.words_W[words])
        for lanes, words in (sums.slices(place) for place in range(len(keys)))
    ]
    names = zlib.compress(json.dumps(list(keys), separators=(",", ":")).encode(), 9)
    return pack(
        KIND,
        {
            "cache": identity,
            "model": model,
            "sequences": len(keys),
            "positions": int(coded.positions_S.sum()),
        },
        {
            "keys": np.frombuffer(names, np.uint8),
            "positions": coded.positions_S.astype(np.uint32),
            "crcs": np.array(crcs, np.uint32),
            "lanes": coded.lanes_J,
            "words": coded.words_W,
            "measured": measured_M.astype(np.float32),
        },
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """Where sequences begin: their lanes, and the words of those."""

    lanes_S: NDArray[np.int64]
    words_S: NDArray[np.int64]

    @classmethod
    def of(cls, coded: Coded) -> _Sums:
        lanes = np.concatenate([[0], np.cumsum(lanes_of(coded.positions_S))])
        words = np.concatenate([[0], np.cumsum(coded.words_of_sequences())])
        return cls(lanes, words)

    def slices(self, place: int) -> tuple[slice, slice]:
        return (
            slice(int(self.lanes_S[place]), int(self.lanes_S[place + 1])),
            slice(int(self.words_S[place]), int(self.words_S[place + 1])),
        )


class Shard:
    """A shard opened for reading, by memory map."""

    def __init__(self, path: Path, identity: str, model: str, *, check: bool = False) -> None:
        """Open a shard.

        Args:
            path: of the file.
            identity: of the cache it must belong to.
            model: SHA-256 of the tables it must be coded with.
            check: read all of it and compare its SHA-256.

        Raises:
            InputError: it is damaged, or belongs to another cache.
        """
        self.file: Container = unpack(path, KIND, check=check)
        facts, arrays = self.file.facts, self.file.arrays
        if (facts["cache"], facts["model"]) != (identity, model):
            raise InputError(
                f"{path}: was written for another cache; the folder is a mixture: move the file "
                "away and run the same command again"
            )
        self._coded = Coded(arrays["positions"].astype(np.int64), arrays["lanes"], arrays["words"])
        self._sums = _Sums.of(self._coded)
        if len(arrays["words"]) != self._sums.words_S[-1]:
            raise damaged(path, "its sequences do not add up")

    def __len__(self) -> int:
        return len(self._coded.positions_S)

    @property
    def positions_S(self) -> NDArray[np.int64]:
        """Positions of each sequence."""
        return self._coded.positions_S

    @property
    def bytes_S(self) -> NDArray[np.int64]:
        """Bytes of each sequence."""
        bytes_S: NDArray[np.int64] = 4 * np.diff(self._sums.words_S)
        bytes_S += 2 * np.diff(self._sums.lanes_S)
        return bytes_S

    def keys(self) -> list[str]:
        """Name of each sequence."""
        try:
            names: list[str] = json.loads(zlib.decompress(self.file.arrays["keys"].tobytes()))
        except (ValueError, zlib.error) as error:
            raise damaged(self.file.path, "its names cannot be read") from error
        return names

    def coded(self, place: int) -> Coded:
        """One sequence as bytes.

        Raises:
            InputError: they are not the bytes that were written.
        """
        lanes, words = self._sums.slices(place)
        found = Coded(
            self._coded.positions_S[place : place + 1],
            self._coded.lanes_J[lanes],
            self._coded.words_W[words],
        )
        if _crc(found.lanes_J, found.words_W) != self.file.arrays["crcs"][place]:
            raise damaged(self.file.path, f"sequence {place} is not what was written")
        return found


def _crc(lanes: NDArray[np.uint16], words: NDArray[np.uint32]) -> int:
    return zlib.crc32(words.tobytes(), zlib.crc32(lanes.tobytes()))
