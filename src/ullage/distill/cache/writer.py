"""Writing a cache while the teacher works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ullage.distill.cache.about import About, differences
from ullage.distill.cache.locking import lock
from ullage.distill.cache.manifest import FILE, LOCK, Layout, Manifest, read_manifest
from ullage.distill.cache.model import read_model
from ullage.distill.cache.shard import Shard
from ullage.errors import InputError

if TYPE_CHECKING:
    from ullage.distill.cache.taking import Logits, Taken

SHARD_POSITIONS = 65_536
"""What a killed writer loses at most; 4 MB at k = 64."""
SAMPLE = 16_384
_MEASURE_EVERY = 32
_MEASURED_LOGITS = 1 << 25
"""Of whole distributions in memory at a time: 128 MiB."""


class CacheWriter:
    """Keeps what a teacher says of sequences, in order, and goes on where an earlier one stopped.

    Logits are reduced where they are; everything else happens on a thread. A shard is there whole
    or not at all, so a killed process loses at most the sequences of the shard it was filling: ask
    ``key in writer`` before asking the teacher. The same sequences in the same order give the same
    bytes, however often it was killed.

        with CacheWriter(folder, about) as writer:
            for key, ids in rows:
                if key not in writer:
                    writer.add(key, teacher(ids))
    """

    def __init__(
        self,
        folder: Path,
        about: About,
        *,
        shard_positions: int = SHARD_POSITIONS,
        sample: int = SAMPLE,
        queue: int = 8,
    ) -> None:
        """Begin a cache, or open one to go on.

        Args:
            folder: of this cache alone; `About.folder` names one. Made where there is none.
            about: what will be in it.
            shard_positions: a shard is closed by the sequence that brings it to so many.
            sample: first positions, from which tables are learnt before anything is written.
            queue: sequences that may wait for the thread.

        Layout is that of the beginning: a cache that is gone on with keeps its own.

        Raises:
            InputError: the folder holds something else, another cache, or damage; or another
                process writes to it.
            UllageError: it cannot be written.
        """
        self._folder, self._about = folder, about
        # Here and not above: asking what is in a cache needs no torch.
        from ullage.distill.cache.filling import Filling

        self._keys: set[str] = set()
        self._start = 0
        self._sampled = 0
        self._closed = False
        self._queue = queue
        self._waiting: deque[Future[None]] = deque()
        self._failed = False
        self._lock = lock(folder)
        try:
            self._manifest = self._begin(Layout(shard_positions, sample, _stride(about)))
            self._know()
            self._filling = Filling(folder, self._manifest)
        except BaseException:
            self._lock.release()
            raise
        self._needs_sample = self._filling.needs_sample
        self._thread = ThreadPoolExecutor(1, "ullage-cache")

    def _begin(self, layout: Layout) -> Manifest:
        if layout.shard_positions < 1 or layout.sample < 1:
            raise InputError("shard_positions and sample: use numbers above 0")
        begun = (self._folder / FILE).exists()
        for left in self._folder.glob(".*.part" if begun else f".{FILE}.*.part"):
            left.unlink(missing_ok=True)  # of a process that was killed while writing
        if not begun:
            others = sorted(path.name for path in self._folder.iterdir() if path.name != LOCK)
            if others:
                raise InputError(
                    f"{self._folder}: holds {others[0]} and no teacher cache; name an empty folder"
                )
            manifest = Manifest(self._about, layout)
            manifest.write(self._folder)
            return manifest
        found = read_manifest(self._folder)
        if found.about != self._about:
            what = ", ".join(differences(found.about, self._about))
            raise InputError(
                f"{self._folder}: holds a cache of something else (other {what}); name another "
                "folder, or remove this one"
            )
        return found

    def _know(self) -> None:
        """Learn what is there."""
        paths = sorted(self._folder.glob("shard-*.ullage"))
        digests = []
        if paths:
            _, model = read_model(self._folder, self._about.identity)
            for path in paths:
                shard = Shard(path, self._about.identity, model.digest, check=True)
                self._keys.update(shard.keys())
                digests.append(shard.file.digest)
        if self.complete and tuple(digests) != self._manifest.shards:
            # A damaged shard was taken away: its sequences are asked for again.
            self._manifest = Manifest(self._about, self._manifest.layout)
            self._manifest.write(self._folder)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do: an earlier writer was closed."""
        return self._manifest.complete

    def add(self, key: str, logits: Logits) -> None:
        """Keep what the teacher says of one sequence.

        Args:
            key: names the sequence; not yet in the cache.
            logits: at the positions that are learnt, (N, V), −inf for tokens that the teacher
                excludes; N may be 0. Asked for some positions at a time.

        Raises:
            InputError: the logits are no distribution or of another width.
            UllageError: what the thread failed with, at this or an earlier sequence.
            ValueError: the key is there already, or the cache is complete.
        """
        from ullage.distill.cache.taking import take

        if key in self._keys:
            raise ValueError(f"{key}: is in the cache already")
        if self._closed or self.complete:
            raise ValueError(f"{key}: cannot be added, the cache is complete")
        layout = self._manifest.layout
        sample = self._needs_sample and self._sampled < layout.sample
        measured = layout.measured(self._start, len(logits))
        taken = take(key, logits, self._about, measured, sample=sample)
        self._later(self._filling.take, taken)
        self._keys.add(key)
        self._start += len(logits)
        self._sampled += len(logits)
        if self._start >= layout.shard_positions:
            self._start = 0

    def close(self) -> None:
        """Write what is left and declare the cache complete.

        Raises:
            InputError: nothing was ever added.
            UllageError: what the thread failed with.
        """
        if self._closed:
            return
        try:
            if self.complete:
                return
            if not self._keys:
                raise InputError(
                    f"{self._folder}: nothing was added to the cache; give it sequences"
                )
            self._later(self._filling.finish)
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.abort()

    def abort(self) -> None:
        """Stop; the cache stays unfinished, and whole shards stay in it."""
        self._closed = True
        self._thread.shutdown(cancel_futures=True)
        self._lock.release()

    def _later(self, job: Callable[..., None], *arguments: Taken) -> None:
        """Have the thread do it, once no more than `queue` jobs wait; what failed is raised."""
        self._waiting.append(self._thread.submit(self._do, job, *arguments))
        while len(self._waiting) > self._queue:
            self._waiting.popleft().result()

    def _do(self, job: Callable[..., None], *arguments: Taken) -> None:
        # What follows a sequence that failed must not be written as if nothing were missing.
        if self._failed:
            return
        self._failed = True
        job(*arguments)
        self._failed = False

    def __enter__(self) -> CacheWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def _stride(about: About) -> int:
    """One position in so many is measured, fewer where the vocabulary is large."""
    per_row = -(-about.vocabulary * 8192 // (_MEASURE_EVERY * _MEASURED_LOGITS))
    return _MEASURE_EVERY * max(1, per_row)
