"""The writer's other half: tables, coding and files."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ullage.distill.cache import model as models
from ullage.distill.cache.codec import Coded, Columns, encode, joined, together
from ullage.distill.cache.describe import MEASURED, reconstruction
from ullage.distill.cache.fit import Sample, fit
from ullage.distill.cache.given import to_columns, to_distributions
from ullage.distill.cache.manifest import Manifest
from ullage.distill.cache.model import Model, read_model
from ullage.distill.cache.rebuild import as_signal, measure
from ullage.distill.cache.shard import Shard, pack_shard, shard_path
from ullage.distill.cache.taking import Taken
from ullage.distill.sparse import Background, TopK
from ullage.errors import InputError
from ullage.files import write_whole

_BLOCK = 8192
"""Positions that are coded together, about."""


@dataclass(slots=True)
class _Part:
    """A shard that is being filled."""

    waiting: list[Taken] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    coded: list[Coded] = field(default_factory=list)
    measured: list[NDArray[np.float32]] = field(default_factory=list)
    positions: int = 0
    coded_positions: int = 0


class Filling:
    """Takes sequences in order and writes shards; tables first, from the first sequences."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Make ready.

        Args:
            folder: of the cache.
            manifest: unfinished.
        """
        self._folder, self._manifest = folder, manifest
        self._part = _Part()
        self._sample: list[Taken] = []
        self._sampled = 0
        self._model: Model | None = None
        self._model_digest = ""
        if (folder / models.FILE).exists():
            model, file = read_model(folder, manifest.about.identity, check=True)
            self._use(model, file.digest)

    @property
    def needs_sample(self) -> bool:
        """Whether tables are still to be made."""
        return self._model is None

    def _use(self, model: Model, digest: str) -> None:
        self._model, self._model_digest = model, digest
        self._background = Background.of(torch.from_numpy(model.backgrounds_GV))

    def take(self, taken: Taken) -> None:
        """The next sequence."""
        if self._model is not None:
            self._keep(taken)
            return
        self._sample.append(taken)
        self._sampled += len(taken)
        if self._sampled >= self._manifest.layout.sample:
            self._fit()

    def finish(self) -> None:
        """Write what is left, and the manifest.

        Raises:
            InputError: a shard is missing.
        """
        if self._model is None:
            self._fit()
        self._encode()
        if self._part.keys:
            self._write()
        identity = self._manifest.about.identity
        shards: list[Shard] = []
        while (path := shard_path(self._folder, len(shards))).exists():
            shards.append(Shard(path, identity, self._model_digest))
        if len(list(self._folder.glob("shard-*.ullage"))) != len(shards):
            raise InputError(
                f"{shard_path(self._folder, len(shards))}: is missing, and its sequences were not "
                "given again; run the command that wrote the cache again"
            )
        self._manifest.finished(
            model=self._model_digest,
            shards=tuple(shard.file.digest for shard in shards),
            sequences=sum(map(len, shards)),
            positions=sum(int(shard.positions_S.sum()) for shard in shards),
            reconstruction=reconstruction(shards),
        ).write(self._folder)

    def _fit(self) -> None:
        """Make the tables, write them, and go on with what they were made of."""
        about = self._manifest.about
        samples = [taken.sample for taken in self._sample if taken.sample is not None]
        made = fit(Sample.joined(samples, about.compressor.k), about.compressor)
        data = made.bytes(about.identity)
        write_whole(self._folder / models.FILE, data)
        self._use(made, hashlib.sha256(data[:-32]).hexdigest())
        waiting, self._sample = self._sample, []
        for taken in waiting:
            self._keep(taken)

    def _keep(self, taken: Taken) -> None:
        part = self._part
        part.waiting.append(taken)
        part.positions += len(taken)
        full = part.positions >= self._manifest.layout.shard_positions
        if full or part.positions - part.coded_positions >= _BLOCK:
            self._encode()
        if full:
            self._write()

    def _encode(self) -> None:
        """Turn what is waiting into bytes, and measure what those give back."""
        part, waiting = self._part, self._part.waiting
        if not waiting or self._model is None:
            return
        compressor = self._manifest.about.compressor
        columns = joined([to_columns(one.kept, compressor, self._model) for one in waiting])
        part.coded.append(encode(columns, np.array([len(one) for one in waiting]), self._model))
        part.keys += [one.key for one in waiting]
        if compressor.signal == "top":
            part.measured.append(self._measure(waiting, columns, self._model))
        part.coded_positions = part.positions
        waiting.clear()

    def _measure(self, waiting: list[Taken], columns: Columns, model: Model) -> NDArray[np.float32]:
        about = self._manifest.about
        starts = np.cumsum([0, *map(len, waiting)])
        at = np.concatenate(
            [one.measured_M + start for one, start in zip(waiting, starts, strict=False)]
        )
        given = to_distributions(columns[at], about.compressor, model)
        top = as_signal(given, about, self._background)
        assert isinstance(top, TopK)  # noqa: S101 - draws are not measured
        return measure(torch.cat([one.truth_MV for one in waiting]), top)

    def _write(self) -> None:
        """Put the shard into the folder, whole, where one is missing or after the last."""
        part, self._part = self._part, _Part()
        data = pack_shard(
            self._manifest.about.identity,
            self._model_digest,
            part.keys,
            together(part.coded),
            np.concatenate([np.zeros((0, len(MEASURED)), np.float32), *part.measured]),
        )
        paths = (shard_path(self._folder, index) for index in itertools.count())
        write_whole(next(path for path in paths if not path.exists()), data)
