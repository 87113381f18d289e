"""Work that takes longer than a page may: done once, in a thread, while pages say so."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ullage.errors import InputError, UllageError

T = TypeVar("T")

_WAIT_SECONDS = 1.5
"""A page waits so long for what is nearly there."""


@dataclass
class Task(Generic[T]):
    """Something that is being made."""

    what: str
    """What it is about, where it fails for no reason that was expected."""
    total: int = 0
    """Parts of it; 0 where nobody knows."""
    done: int = 0
    results: list[T] = field(default_factory=list)
    """One, once it is made."""
    problem: str = ""
    """Why there will be none."""
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self, make: Callable[[Task[T]], T]) -> None:
        """Make it."""
        try:
            self.results.append(make(self))
        except UllageError as error:
            self.problem = str(error)
        except Exception as error:  # said on the page; a thread has nobody else to tell
            self.problem = f"{self.what} ({type(error).__name__})"
            raise
        finally:
            self.ended.set()


class Tasks(Generic[T]):
    """Tasks that are under way, by what tells them apart."""

    def __init__(self) -> None:
        self._tasks: dict[Hashable, Task[T]] = {}
        self._lock = threading.Lock()

    def ask(
        self, key: Hashable, make: Callable[[Task[T]], T], *, what: str, total: int = 0
    ) -> T | Task[T]:
        """What a task made, or the task where it is not done yet; begun where nobody has.

        Whoever gets the result keeps it: asked again, it is made again.

        Args:
            key: tells it from others; another begins another.
            make: does it; may count how far it is.
            what: see `Task.what`.
            total: see `Task.total`.

        Raises:
            InputError: it failed.
        """
        with self._lock:
            task = self._tasks.get(key)
            if task is None:
                task = self._tasks[key] = Task(what, total)
                threading.Thread(target=task.run, args=(make,), daemon=True).start()
        if not task.ended.wait(_WAIT_SECONDS):
            return task
        with self._lock:
            if self._tasks.get(key) is task:
                del self._tasks[key]
        if task.problem:
            raise InputError(task.problem)
        return task.results[0]
