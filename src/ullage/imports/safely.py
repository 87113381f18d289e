"""Reading files that anybody may have made: JSON and zips within limits, one line where they break.

Nothing is ever unpacked to disk, and no name inside a file is used as a path.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Never

import pyarrow as pa

from ullage.errors import InputError
from ullage.statement.bounds import MOST_VALUES, too_wide
from ullage.statement.sanitise import visible

MOST_BYTES = 64 * 2**20
"""Of one JSON document: a results file, a line of samples, an entry of an archive."""
MOST_DIGITS = 300
"""Of one number: more would be beyond a double."""
MOST_ENTRIES = 500_000
"""Of one archive."""
MOST_RATIO = 1_000
"""Unpacked to packed, over an archive and over any entry of a megabyte or more. Logs of one prompt
asked ten thousand times reach a hundred."""
MOST_TOTAL = 64 * 2**30
"""Bytes that an archive unpacks to."""

_ZSTD = 93
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def parse_json(data: bytes, where: str) -> Any:
    """One JSON document.

    Args:
        data: its text in UTF-8.
        where: for the error: file, and line or entry.

    Raises:
        InputError: it is none, or larger, wider, deeper or longer in a number than a log's is.
    """
    if len(data) > MOST_BYTES:
        _too_large(where)
    if too_wide(data):
        raise InputError(f"{where}: JSON of over {MOST_VALUES:,} values; a log has fewer")
    try:
        return json.loads(data.decode("utf-8-sig"), parse_int=_whole, parse_float=_number)
    except RecursionError:
        raise InputError(f"{where}: JSON nested deeper than a log's; name a log") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: byte {error.start + 1} is not UTF-8; name a log") from None
    except json.JSONDecodeError as error:
        found = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise InputError(f"{where}: not JSON ({found}); is the log whole?") from None
    except ValueError as error:
        raise InputError(f"{where}: {error}; a log holds none") from None


def _whole(digits: str) -> int:
    _refuse_long(digits)
    return int(digits)


def _number(digits: str) -> float:
    _refuse_long(digits)
    return float(digits)


def _refuse_long(digits: str) -> None:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")


def read_json(path: Path) -> Any:
    """A file that is one JSON document.

    Raises:
        InputError: as `parse_json`, or it cannot be read.
    """
    with _opened(path) as stream:
        return parse_json(stream.read(MOST_BYTES + 1), str(path))


def read_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """The documents of a JSONL file, each with its place.

    Raises:
        InputError: as `parse_json`, or the file cannot be read.
    """
    with _opened(path) as stream:
        number = 0
        while line := stream.readline(MOST_BYTES + 1):
            number += 1
            if line.strip():
                where = f"{path}:{number}"
                yield where, parse_json(line, where)


def _opened(path: Path) -> IO[bytes]:
    try:
        if not path.is_file():  # a pipe or a device would never end
            raise InputError(f"{path}: is no file; name a log")
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a log") from None


def _too_large(where: str) -> Never:
    raise InputError(f"{where}: over {MOST_BYTES // 2**20} MB of JSON in one piece; split the log")


class Archive:
    """A zip of JSON documents, read entry by entry; its directory is checked before anything is."""

    def __init__(self, path: Path) -> None:
        """Read the directory.

        Raises:
            InputError: it is no zip, or one that no log is: of names that lead outside or come
                twice, of too many entries, or of entries that unpack to far more than they are.
        """
        self._path = path
        self._stream = _opened(path)
        try:
            with zipfile.ZipFile(self._stream) as directory:
                entries = directory.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, struct.error):
            self._stream.close()
            raise InputError(f"{path}: not a zip, or cut short; name a whole log") from None
        self._entries = {entry.filename: entry for entry in entries}
        try:
            self._refuse_hostile(entries)
        except InputError:
            self._stream.close()
            raise

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.close()

    @property
    def names(self) -> tuple[str, ...]:
        """Of all entries, in the archive's order."""
        return tuple(self._entries)

    def read(self, name: str) -> Any:
        """One entry as JSON.

        Raises:
            InputError: it is damaged, packed in a way that logs are not, or as `parse_json`.
        """
        return parse_json(self._unpacked(self._entries[name]), self._where(name))

    def _where(self, name: str) -> str:
        return f"{self._path}, {visible(name, limit=80)}"

    def _refuse_hostile(self, entries: list[zipfile.ZipInfo]) -> None:
        if len(entries) > MOST_ENTRIES:
            raise InputError(f"{self._path}: {len(entries):,} entries; a log has fewer")
        if len(self._entries) < len(entries):
            raise InputError(f"{self._path}: two entries of one name; a log has none such")
        for entry in entries:
            parts = entry.orig_filename.replace("\\", "/").split("/")
            if ".." in parts or not parts[0] or ":" in parts[0] or "\0" in entry.orig_filename:
                raise InputError(
                    f"{self._where(entry.orig_filename)}: a name that leads outside the archive; "
                    "this is no log that Inspect wrote"
                )
            if entry.file_size > 2**20:
                self._refuse_bomb(entry.file_size, entry.compress_size)
        self._refuse_bomb(sum(entry.file_size for entry in entries), self._path.stat().st_size)

    def _refuse_bomb(self, unpacked: int, packed: int) -> None:
        if unpacked > MOST_TOTAL or unpacked > MOST_RATIO * max(packed, 1):
            raise InputError(
                f"{self._path}: unpacks to {unpacked / max(packed, 1):,.0f} times its size "
                f"({unpacked:,} bytes); a log does not"
            )

    def _unpacked(self, entry: zipfile.ZipInfo) -> bytes:
        """The bytes of an entry, never more than a document may have, whatever its header says."""
        where = self._where(entry.filename)
        if entry.flag_bits & 1:
            raise InputError(f"{where}: is encrypted; name the log as Inspect wrote it")
        if entry.file_size > MOST_BYTES:
            _too_large(where)
        try:
            packed = self._packed(entry)
            if entry.compress_type == zipfile.ZIP_STORED:
                data = packed
            else:
                codec = {zipfile.ZIP_DEFLATED: None, _ZSTD: "zstd"}[entry.compress_type]
                data = _inflate(packed) if codec is None else _unzstd(packed)
        except KeyError:
            raise InputError(
                f"{where}: packed by method {entry.compress_type}; deflate and zstd can be read"
            ) from None
        except (OSError, ValueError, struct.error):
            raise InputError(f"{where}: is damaged; copy the log again") from None
        if len(data) > MOST_BYTES:
            _too_large(where)
        if len(data) != entry.file_size:
            raise InputError(f"{where}: is not as long as the archive says; copy the log again")
        return data

    def _packed(self, entry: zipfile.ZipInfo) -> bytes:
        # Not `ZipFile.open`: before Python 3.14 it knows no zstd, which Inspect packs with.
        self._stream.seek(entry.header_offset)
        magic, name, extra = _LOCAL_HEADER.unpack(self._stream.read(_LOCAL_HEADER.size))
        if magic != b"PK\x03\x04":
            raise ValueError
        self._stream.seek(name + extra, 1)
        packed = self._stream.read(min(entry.compress_size, 2 * MOST_BYTES))
        if len(packed) != entry.compress_size:
            raise ValueError
        return packed


def _inflate(packed: bytes) -> bytes:
    import zlib

    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, MOST_BYTES + 1)
    except zlib.error as error:
        raise ValueError from error


def _unzstd(packed: bytes) -> bytes:
    # pa.ArrowInvalid is a ValueError.
    with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
        return bytes(stream.read(MOST_BYTES + 1))
