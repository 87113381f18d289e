r"""The one file format of a cache: a JSON header that names arrays, the arrays, and a SHA-256.

    bytes 0–7     "ULLAGE\r\n"
    bytes 8–11    length of the header, little-endian
    header        {"kind", "format", "facts": {...}, "arrays": {name: {"dtype", "shape", "at"}}}
    arrays        each at its place ("at" counts from the end of the header), on multiples of 8
    last 32       SHA-256 of everything before

Arrays are read where they lie, by memory map. Nothing in a file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache.about import FORMAT
from ullage.errors import InputError

_MAGIC = b"ULLAGE\r\n"
_LEAD = len(_MAGIC) + 4
_DIGEST = 32
_DTYPES = {"<f4", "<u4", "<i4", "<i8", "<u2", "|u1"}


@dataclass(frozen=True, slots=True)
class Container:
    """A file read: its facts, and its arrays as views of the file."""

    path: Path
    facts: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    digest: str
    """SHA-256 that the file says of itself, hexadecimal."""
    size: int


def pack(kind: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The bytes of a file; the same arguments give the same bytes."""
    entries, parts, at = {}, [], 0
    for name, array in arrays.items():
        little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        data = little.tobytes()
        entries[name] = {"dtype": little.dtype.str, "shape": list(little.shape), "at": at}
        parts.append(data + bytes(-len(data) % 8))
        at += len(parts[-1])
    header = json.dumps(
        {"kind": kind, "format": FORMAT, "facts": dict(facts), "arrays": entries},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    header += b" " * (-(_LEAD + len(header)) % 8)
    body = b"".join([_MAGIC, len(header).to_bytes(4, "little"), header, *parts])
    return body + hashlib.sha256(body).digest()


def unpack(path: Path, kind: str, *, check: bool = False) -> Container:
    """Open a file.

    Args:
        path: of the file.
        kind: what it must be.
        check: read all of it and compare its SHA-256.

    Raises:
        InputError: it cannot be read, is cut off, is damaged, or is something else.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); it is part of a teacher cache: restore "
            "it, or make the cache anew"
        ) from error
    if data[: len(_MAGIC)] != _MAGIC:
        raise InputError(f"{path}: is not part of a teacher cache, or its beginning is damaged")
    if check and hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise damaged(path, "its bytes are not those that were written")
    return _parsed(path, kind, data, size)


def _parsed(path: Path, kind: str, data: mmap.mmap | bytes, size: int) -> Container:
    try:
        start = _LEAD + int.from_bytes(data[len(_MAGIC) : _LEAD], "little")
        header = json.loads(data[_LEAD:start])
        found, version = header["kind"], header["format"]
        if found == kind and version != FORMAT:
            raise InputError(
                f"{path}: is of format {version}, and this version reads {FORMAT}; make the cache "
                "anew, or use the version of Ullage that made it"
            )
        if found != kind:
            raise InputError(f"{path}: is a {found} where a {kind} is expected; move it away")
        arrays = {name: _array(data, start, entry) for name, entry in header["arrays"].items()}
        ends = [entry["at"] + _padded(entry) for entry in header["arrays"].values()]
        end = start + max(ends, default=0)
        if size != end + _DIGEST:
            raise damaged(path, "it is cut off")
        return Container(path, header["facts"], arrays, data[-_DIGEST:].hex(), size)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, "its header or its length is not what was written") from error


def _padded(entry: Mapping[str, Any]) -> int:
    """Bytes that an array takes, up to the next multiple of 8."""
    length: int = math.prod(entry["shape"]) * np.dtype(entry["dtype"]).itemsize
    return -(-length // 8) * 8


def _array(data: mmap.mmap | bytes, start: int, entry: Mapping[str, Any]) -> NDArray[Any]:
    if entry["dtype"] not in _DTYPES:
        raise ValueError(entry["dtype"])
    count = math.prod(entry["shape"])
    if count == 0:
        return np.zeros(entry["shape"], entry["dtype"])
    found = np.frombuffer(data, entry["dtype"], count, start + entry["at"])
    return found.reshape(entry["shape"])


def damaged(path: Path, what: str) -> InputError:
    """What to say of a file that is not as it was written."""
    return InputError(
        f"{path}: is damaged ({what}); remove it and run the same command again, or restore it"
    )
