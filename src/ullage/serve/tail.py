"""Files that grow line by line, each line read once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")

_CHUNK = 1 << 22


@dataclass(slots=True)
class _Tail(Generic[T]):
    """What was made of a file so far."""

    state: T
    inode: int = 0
    offset: int = 0


class Tails(Generic[T]):
    """What was made of the whole lines of some files.

    Args:
        start: what is made of none.
        take: adds a line to it.
    """

    def __init__(self, start: Callable[[], T], take: Callable[[T, bytes], None]) -> None:
        self._start = start
        self._take = take
        self._tails: dict[Path, _Tail[T]] = {}
        self._lock = Lock()

    @contextmanager
    def read(self, path: Path) -> Iterator[T]:
        """What is made of a file as it is now, which is held still meanwhile.

        A file that another was put in place of, or that was cut, is read anew.
        """
        with self._lock:
            yield self._read_on(path)

    def _read_on(self, path: Path) -> T:
        tail = self._tails.setdefault(path, _Tail(self._start()))
        with path.open("rb") as file:
            found = path.stat()
            if found.st_ino != tail.inode or found.st_size < tail.offset:
                tail = self._tails[path] = _Tail(self._start(), found.st_ino)
            file.seek(tail.offset)
            rest = b""
            while chunk := file.read(_CHUNK):
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()  # still being written, or cut by the chunk
                for line in lines:
                    tail.offset += len(line) + 1
                    self._take(tail.state, line)
        return tail.state
