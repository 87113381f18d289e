"""What Ullage keeps in the user's cache folder: what is there, and away with it.

All of it can be made or fetched again. Nothing outside the folder is touched: links in it are not
followed, and what lies there that is not ours is left alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from ullage.errors import InputError

KINDS: Mapping[str, str] = {
    "selftest": "results of self-tests; without them `ullage selftest` tries everything again",
    "organisms": "students of the laboratory and their audits; made again in minutes each",
    "models": "models that were fetched for the demo; fetched again",
    "pages": "what `ullage serve` reads items from; made again when a run is opened",
}
"""The folders in it, and what each is for."""

_REMOVING = ".removing-"
_RESTS_S = 15 * 60
"""What takes several steps to write may be being written, if it changed so lately."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing in the cache: a file or a folder that is removed as a whole."""

    kind: str
    """One of `KINDS`."""
    path: Path
    folder: bool
    """Whether it is a folder."""
    bytes: int
    """Of all files in it."""
    changed: float
    """When anything in it last did, in seconds since 1970."""
    locks: tuple[Path, ...] = ()
    """Files in it and beside it that a process at work holds locked."""


def holdings(home: Path) -> list[Kept]:
    """What is kept in a cache folder, by kind and name; nothing where there is no such folder."""
    return [kept for kind in KINDS for kept in _of_kind(kind, home / kind)]


def in_use(kept: Kept, now: float | None = None) -> str:
    """Why something may be in use, in a few words; empty where nothing speaks for it.

    A lock tells for sure. What is a folder or half-written (its name begins with a dot) may be
    in the making without one, so it is taken to be while it changes.
    """
    for path in kept.locks:
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return "another ullage is at work in it"
        except OSError:
            continue  # may not be written: whoever tries to remove it is told
        lock.release()
    rests = (time.time() if now is None else now) - kept.changed
    name = kept.path.name
    if (
        (kept.folder or name.startswith("."))
        and not name.startswith(_REMOVING)
        and rests < _RESTS_S
    ):
        return f"changed less than {_RESTS_S // 60} minutes ago, so it may be in the making"
    return ""


def remove(kept: Kept) -> None:
    """Remove one thing. Under its name it is there as a whole or not at all, whatever happens.

    Raises:
        InputError: it cannot be removed.
    """
    path = kept.path
    try:
        if kept.folder:
            if not path.name.startswith(_REMOVING):
                path = path.rename(path.with_name(f"{_REMOVING}{path.name}"))
            shutil.rmtree(path)
        else:
            path.unlink()
    except FileNotFoundError:
        return  # somebody else was faster
    except OSError as error:
        raise InputError(
            f"{path}: cannot be removed ({error.strerror or error}); change its permissions"
        ) from error


def _of_kind(kind: str, place: Path) -> Iterator[Kept]:
    if place.is_symlink() or not place.is_dir():
        return
    paths = sorted(place.iterdir())
    # Locks are not removed: who waits for one would hold another than who comes next.
    beside = tuple(path for path in paths if path.suffix == ".lock" and not path.is_symlink())
    for path in paths:
        if path not in beside:
            size, changed, locks = _measure(path)
            folder = path.is_dir() and not path.is_symlink()
            yield Kept(kind, path, folder, size, changed, (*beside, *locks))


def _measure(path: Path) -> tuple[int, float, tuple[Path, ...]]:
    """Bytes, the latest change, and locks of a file or all of a folder; links are not followed."""
    size, changed, locks = 0, 0.0, []
    walk = () if path.is_symlink() else os.walk(path)
    inside = (Path(at) / name for at, folders, files in walk for name in folders + files)
    for one in (path, *inside):
        try:
            found = one.lstat()
        except FileNotFoundError:
            continue  # gone meanwhile
        changed = max(changed, found.st_mtime)
        if stat.S_ISREG(found.st_mode):
            size += found.st_size
            if one.name == "lock":
                locks.append(one)
    return size, changed, tuple(locks)
