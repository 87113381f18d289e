"""Reading a finished cache: any sequences, in any order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache.about import About
from ullage.distill.cache.codec import Coded, decode, together
from ullage.distill.cache.container import damaged
from ullage.distill.cache.given import Distributions, to_distributions
from ullage.distill.cache.manifest import read_manifest
from ullage.distill.cache.model import read_model
from ullage.distill.cache.shard import Shard, shard_path
from ullage.errors import InputError


class CacheReader:
    """A finished cache. Files are mapped, not read: opening is cheap, whatever their size."""

    def __init__(self, folder: Path, *, about: About | None = None) -> None:
        """Open a cache.

        Args:
            folder: of the cache.
            about: what it must hold; left out, anything.

        Raises:
            InputError: there is no cache, it is unfinished, damaged, or of something else.
        """
        self.manifest = read_manifest(folder)
        self.about = self.manifest.about
        identity = self.about.identity
        if about is not None and about.identity != identity:
            raise InputError(
                f"{folder}: holds a cache of something else ({identity[:23]}, not "
                f"{about.identity[:23]}); make the cache anew in another folder"
            )
        if not self.manifest.complete:
            raise InputError(
                f"{folder}: the cache is unfinished; run the command that was writing it again"
            )
        self._model, model = read_model(folder, identity)
        _require_same(model.path, model.digest, self.manifest.model)
        self._shards = []
        for index, digest in enumerate(self.manifest.shards):
            shard = Shard(shard_path(folder, index), identity, model.digest)
            _require_same(shard.file.path, shard.file.digest, digest)
            self._shards.append(shard)
        self._first = np.cumsum([0, *map(len, self._shards)]).tolist()

    def __len__(self) -> int:
        return int(self._first[-1])

    @cached_property
    def keys(self) -> list[str]:
        """Names of the sequences, in order."""
        return [key for shard in self._shards for key in shard.keys()]  # noqa: SIM118 - a shard is no dict

    @cached_property
    def index_of(self) -> dict[str, int]:
        """By name, which sequence it is."""
        return {key: index for index, key in enumerate(self.keys)}

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """Of each sequence."""
        return np.concatenate([shard.positions_S for shard in self._shards])

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """Bytes of each sequence."""
        return np.concatenate([shard.bytes_S for shard in self._shards])

    @property
    def backgrounds(self) -> NDArray[np.float32]:
        """What tails of each group are like, (G, V); 0 for tokens the teacher excludes."""
        return self._model.backgrounds_GV

    def __getitem__(self, index: int) -> Distributions:
        return self.read([index])[0]

    def read(self, indices: Sequence[int]) -> list[Distributions]:
        """Some sequences. Many together are decoded several times as fast as one by one.

        Raises:
            IndexError: there is no such sequence.
            InputError: a sequence is damaged.
        """
        if not indices:
            return []
        coded = together([self._coded(index) for index in indices])
        compressor = self.about.compressor
        columns = decode(coded, self._model, compressor)
        found = to_distributions(columns, compressor, self._model)
        ends = np.cumsum(coded.positions_S)
        return [
            found[slice(int(end - positions), int(end))]
            for end, positions in zip(ends, coded.positions_S, strict=True)
        ]

    def _coded(self, index: int) -> Coded:
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        shard = bisect_right(self._first, index) - 1
        return self._shards[shard].coded(index - self._first[shard])


def _require_same(path: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise damaged(path, "it is not the file that the manifest names")
