"""Reading a cache ahead of who needs it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from ullage.distill.cache.given import Distributions
from ullage.distill.cache.reader import CacheReader

_TOGETHER = 32_768
"""Positions that are decoded at once. Lanes are decoded in step, so some hundred positions take as
long as some ten thousand; of those, 16 MB at k = 64."""

Awaited = tuple[Future[list[Distributions]], int]
"""Sequences that are decoded together, and which of them is meant."""


class Ahead:
    """Decodes sequences on a thread of its own, in the order in which they will be asked for."""

    def __init__(self, reader: CacheReader) -> None:
        self._reader = reader
        self._thread = ThreadPoolExecutor(1, "ullage-cache-ahead")
        self._groups: list[list[int]] = []
        self._place: dict[str, tuple[int, int]] = {}
        self._decoded: dict[int, Future[list[Distributions]]] = {}

    def expect(self, keys: Iterable[str]) -> None:
        """Say what will be asked for, in order; forgets what was expected before."""
        self._decoded.clear()
        self._place.clear()
        self._groups = [[]]
        positions = 0
        for key in keys:
            index = self._reader.index_of[key]
            if positions >= _TOGETHER:
                self._groups.append([])
                positions = 0
            self._place[key] = (len(self._groups) - 1, len(self._groups[-1]))
            self._groups[-1].append(index)
            positions += int(self._reader.positions[index])

    def ask(self, keys: list[str]) -> list[Awaited]:
        """Some sequences; what is expected after them is begun, too."""
        if not all(key in self._place for key in keys):
            self.expect(keys)
        return [self._ask(*self._place[key]) for key in keys]

    def _ask(self, group: int, place: int) -> Awaited:
        for wanted in (group, group + 1):
            if wanted < len(self._groups) and wanted not in self._decoded:
                read = self._thread.submit(self._reader.read, self._groups[wanted])
                self._decoded[wanted] = read
        # A batch may reach over an end, and nobody goes back further.
        self._decoded.pop(group - 2, None)
        return self._decoded[group], place
