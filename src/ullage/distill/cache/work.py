"""The writer's other half: tables, coding and files, on a thread of its own."""

from __future__ import annotations

import hashlib
import queue
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ullage.distill.cache import model as models
from ullage.distill.cache.codec import Coded, Columns, encode, joined, together
from ullage.distill.cache.describe import reconstruction
from ullage.distill.cache.fit import Sample, fit
from ullage.distill.cache.kept import Kept, to_columns, to_distributions
from ullage.distill.cache.manifest import MEASURED, Manifest
from ullage.distill.cache.model import Model, read_model
from ullage.distill.cache.rebuild import measure
from ullage.distill.cache.shard import Shard, pack_shard, shard_path
from ullage.distill.cache.taking import Taken
from ullage.errors import InputError
from ullage.files import write_whole

_BLOCK = 8192
"""Positions that are coded together, about."""
_WAIT = 0.1
"""Seconds after which a caller that waits for room looks whether the thread still lives."""


@dataclass(slots=True)
class _Part:
    """A shard that is being filled."""

    waiting: list[Taken] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    coded: list[Coded] = field(default_factory=list)
    measured: list[NDArray[np.float32]] = field(default_factory=list)
    positions: int = 0
    coded_positions: int = 0


class Worker(threading.Thread):
    """Takes sequences in order and writes shards; whatever it fails with is kept for the caller."""

    def __init__(self, folder: Path, manifest: Manifest, free: list[int], depth: int) -> None:
        """Make ready.

        Args:
            folder: of the cache.
            manifest: unfinished.
            free: numbers of the next shards; after the last, one more each time.
            depth: sequences that may wait.
        """
        super().__init__(name="ullage-cache", daemon=True)
        self.error: BaseException | None = None
        self._folder, self._manifest = folder, manifest
        self._queue: queue.Queue[Taken | None] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._free = free
        self._part = _Part()
        self._model: Model | None = None
        self._model_digest = ""
        self._sample: list[Taken] = []
        self._sampled = 0
        if (folder / models.FILE).exists():
            self._model, file = read_model(folder, manifest.about.identity, check=True)
            self._model_digest = file.digest

    @property
    def needs_sample(self) -> bool:
        """Whether tables are still to be made."""
        return self._model is None

    def put(self, taken: Taken | None) -> None:
        """Hand over a sequence, or None for the end; waits where too many are waiting.

        Raises:
            BaseException: whatever the thread failed with.
        """
        while True:
            if self.error is not None:
                raise self.error
            try:
                self._queue.put(taken, timeout=_WAIT)
            except queue.Full:
                continue
            return

    def finish(self) -> None:
        """Have everything written, and wait for it.

        Raises:
            BaseException: whatever the thread failed with.
        """
        self.put(None)
        self.join()
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Stop without writing what is unfinished."""
        self._stopped.set()
        self.join()

    def run(self) -> None:
        """Work until the end or a failure."""
        try:
            while not self._stopped.is_set():
                try:
                    taken = self._queue.get(timeout=_WAIT)
                except queue.Empty:
                    continue
                if taken is None:
                    self._finish()
                    return
                self._take(taken)
        except BaseException as error:
            self.error = error

    def _take(self, taken: Taken) -> None:
        if self._model is not None:
            self._keep(taken)
            return
        self._sample.append(taken)
        self._sampled += len(taken)
        if self._sampled >= self._manifest.layout.sample:
            self._fit()

    def _fit(self) -> None:
        """Make the tables, write them, and go on with what they were made of."""
        made = fit(_sample_of(self._sample), self._manifest.about.compressor)
        data = made.bytes(self._manifest.about.identity)
        write_whole(self._folder / models.FILE, data)
        self._model, self._model_digest = made, hashlib.sha256(data[:-32]).hexdigest()
        sample, self._sample = self._sample, []
        for taken in sample:
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
        starts = np.cumsum([0, *map(len, waiting)])
        at = np.concatenate(
            [one.measured_M + start for one, start in zip(waiting, starts, strict=False)]
        )
        given = to_distributions(columns[at], self._manifest.about.compressor, model)
        return measure(torch.cat([one.truth_MV for one in waiting]), given, model)

    def _write(self) -> None:
        """Put the shard into the folder, whole."""
        part, self._part = self._part, _Part()
        index = self._free.pop(0)
        if not self._free:
            self._free.append(index + 1)
        measured = np.concatenate([np.zeros((0, len(MEASURED)), np.float32), *part.measured])
        data = pack_shard(
            self._manifest.about.identity,
            self._model_digest,
            part.keys,
            together(part.coded),
            measured,
        )
        write_whole(shard_path(self._folder, index), data)

    def _finish(self) -> None:
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


def _sample_of(sequences: list[Taken]) -> Sample:
    """All positions of some sequences that are not measured."""
    chosen = []
    for one in sequences:
        counted = np.ones(len(one), bool)
        counted[one.measured_M] = False
        chosen.append(counted)
    depths = [one.depths for one in sequences if one.depths is not None]
    pairs = list(zip(sequences, chosen, strict=True))
    return Sample(
        Kept(
            np.concatenate([one.kept.ids_NK[counted] for one, counted in pairs]),
            np.concatenate([one.kept.logprobs_NK[counted] for one, counted in pairs]),
            np.concatenate([one.kept.tail_N[counted] for one, counted in pairs]),
        ),
        np.concatenate([deep.ids_ND[here] for deep, here in zip(depths, chosen, strict=True)]),
        np.concatenate([deep.probs_ND[here] for deep, here in zip(depths, chosen, strict=True)]),
        np.sum([deep.tail_V for deep in depths], axis=0),
    )
