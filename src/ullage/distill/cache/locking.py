"""One writer at a time."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from ullage.distill.cache.manifest import LOCK
from ullage.errors import InputError
from ullage.files import cannot_write


def lock(folder: Path) -> FileLock:
    """Make the folder where there is none, and hold it; the system lets go of a killed process.

    Raises:
        InputError: another process writes to it.
        UllageError: it cannot be written.
    """
    held = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"{folder}: another process is writing this cache; wait for it, or stop it"
        ) from None
    except OSError as error:
        raise cannot_write(folder / LOCK, error) from error
    return held
