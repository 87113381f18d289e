"""Writing files so that they are whole or not there, and saying in one line why not."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ullage.errors import InfrastructureError, InputError, UllageError

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM, errno.EROFS}


def cache_home() -> Path:
    """The user's cache folder of Ullage (`XDG_CACHE_HOME`, else ``~/.cache``)."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache"
    return base / "ullage"


def write_whole(path: Path, data: bytes) -> None:
    """Write one file in one step: a reader sees the old file or the new one, never half of one.

    Raises:
        UllageError: see `cannot_write`; the old file, if there was one, is untouched.
    """
    write_together(path.parent, {path.name: data})


def write_together(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write several files of a folder: all of them, or none.

    Everything is stored beside its place before anything is put in it, so a full disk or a crash
    leaves what was there before. (Renames come one after another: a crash between two leaves each
    file whole, and writing again mends the set.)

    Raises:
        UllageError: see `cannot_write`.
    """
    waiting: dict[str, Path] = {}
    name = ""
    try:
        for name, data in contents.items():
            waiting[name] = _store_beside(folder, name, data)
        for name in contents:
            waiting[name].replace(folder / name)
            del waiting[name]
        _sync(folder)
    except OSError as error:
        raise cannot_write(folder / name, error) from error
    finally:
        for temporary in waiting.values():
            temporary.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> UllageError:
    """What to tell a person when writing `path` failed: `InputError` where they can mend it."""
    if error.errno in _NO_ROOM:
        return InputError(
            f"{path}: cannot be written, the disk is full; make room and run the same command "
            "again, nothing answered is lost"
        )
    if error.errno in _NOT_ALLOWED:
        return InputError(
            f"{path}: cannot be written ({error.strerror}); change its permissions, or name "
            "another folder"
        )
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return InputError(f"{path.parent}: is not a folder; make it, or name another")
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
        return InputError(f"{path}: a folder stands where a file goes; move it away")
    return InfrastructureError(f"{path}: cannot be written ({error.strerror}); check the disk")


def _store_beside(folder: Path, name: str, data: bytes) -> Path:
    """Write to a temporary file of the folder and make sure that the disk has it."""
    handle, text = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
    temporary = Path(text)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp makes it private; this is to be shared
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _sync(folder: Path) -> None:
    if os.name != "posix":
        return  # a folder cannot be opened there; renames are as durable as the system makes them
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
