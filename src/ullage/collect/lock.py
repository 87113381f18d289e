"""One process at a time per run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ullage.errors import InputError


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the operating system lets go of it however the process ends.

    Raises:
        InputError: another process holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{folder}: another ullage is at work in this run folder; wait for it, stop it, or "
            "use another --run NAME"
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror}); check its permissions or set `runs`"
        ) from error
    try:
        yield
    finally:
        lock.release()
