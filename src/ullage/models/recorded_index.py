"""Finding a row of a recording on disk: 28 bytes of memory per row, however long the rows are."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tempfile
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ullage.errors import InputError
from ullage.models.recorded_rows import COLUMNS, Match, Row, RowError, parse_row
from ullage.models.types import Reply

MOST_ROW_BYTES = 64 * 2**20
_BOM = b"\xef\xbb\xbf"
_CHUNK = 2**20


class RecordedIndex:
    """The rows of a file, checked and indexed once, then read by offset."""

    def __init__(self, path: Path, match: Match) -> None:
        """Read the whole file once.

        A Parquet file is unpacked to JSON lines in an unnamed temporary file, since its rows cannot
        be read one by one.

        Raises:
            InputError: the file cannot be read, or a row is wrong, with its line.
        """
        self._path = path
        self._match = match
        self._handle, self.sha256 = _open(path)
        weakref.finalize(self, self._handle.close)
        digests, offsets, sizes = bytearray(), array("Q"), array("I")
        self.replies = self.weighings = self.with_logprobs = self.with_scores = 0
        offset = 0
        for number, line in enumerate(self._lines(), 1):
            if line.strip():
                row = self._checked(line, number)
                digests += row.digest
                offsets.append(offset)
                sizes.append(len(line))
                self._count(row)
            offset += len(line)
        if not offsets:
            raise InputError(f"{path}: holds no rows; write one JSON object per line")
        self._sort(digests, offsets, sizes)
        self._refuse_contradictions()
        self._stamp = self._stat()

    def find(self, digest: bytes) -> Row | None:
        """The row with that digest.

        Raises:
            InputError: the file was changed since it was indexed.
        """
        high, low = struct.unpack("<QQ", digest)
        at = int(self._high.searchsorted(np.uint64(high)))
        while at < len(self._high) and int(self._high[at]) == high:
            if int(self._low[at]) == low:
                return self._read(at)
            at += 1
        return None

    def refuse_if_changed(self) -> None:
        """Notice a file overwritten in place: its offsets, and its identity, hold no longer.

        Raises:
            InputError: it was.
        """
        if self._stat() != self._stamp:
            raise InputError(f"{self._path}: changed since it was read; run again")

    def _stat(self) -> tuple[int, int]:
        found = os.fstat(self._handle.fileno())
        return found.st_size, found.st_mtime_ns

    def _lines(self) -> Iterator[bytes]:
        self._handle.seek(0)
        number = 0
        while line := self._handle.readline(MOST_ROW_BYTES + 1):
            number += 1
            if len(line) > MOST_ROW_BYTES:
                raise InputError(f"{self._path}:{number}: a row over 64 MB; split or shorten it")
            yield line

    def _checked(self, line: bytes, number: int) -> Row:
        try:
            return parse_row(line.removeprefix(_BOM) if number == 1 else line, self._match)
        except RowError as error:
            raise InputError(f"{self._path}:{number}: {error}") from None

    def _count(self, row: Row) -> None:
        if isinstance(row.answer, Reply):
            self.replies += 1
            self.with_logprobs += row.answer.logprobs is not None
            self.with_scores += bool(row.answer.scores)
        else:
            self.weighings += 1

    def _sort(self, digests: bytearray, offsets: array[int], sizes: array[int]) -> None:
        pairs: npt.NDArray[np.uint64] = np.frombuffer(digests, "<u8").reshape(-1, 2)
        # Stable, so that of equal rows the first in the file comes first.
        order = np.lexsort((pairs[:, 1], pairs[:, 0]))
        self._high = np.ascontiguousarray(pairs[order, 0])
        self._low = np.ascontiguousarray(pairs[order, 1])
        self._offsets = np.frombuffer(offsets, np.uint64)[order]
        self._sizes = np.frombuffer(sizes, np.uint32)[order]

    def _refuse_contradictions(self) -> None:
        same = (self._high[1:] == self._high[:-1]) & (self._low[1:] == self._low[:-1])
        for at in np.flatnonzero(same):
            if self._read(int(at)).answer != self._read(int(at) + 1).answer:
                first, second = self._line_of(int(at)), self._line_of(int(at) + 1)
                raise InputError(
                    f"{self._path}:{second}: answers the same question as line {first}, "
                    "differently; keep one, or number them with 'replicate': 0, 1, …"
                )

    def _read(self, at: int) -> Row:
        offset = int(self._offsets[at])
        self._handle.seek(offset)
        line = self._handle.read(int(self._sizes[at]))
        try:
            return parse_row(line.removeprefix(_BOM) if offset == 0 else line, self._match)
        except RowError:
            raise InputError(f"{self._path}: changed since it was read; run again") from None

    def _line_of(self, at: int) -> int:
        self._handle.seek(0)
        left, lines = int(self._offsets[at]), 1
        while left > 0:
            chunk = self._handle.read(min(left, _CHUNK))
            lines += chunk.count(b"\n")
            left -= len(chunk)
        return lines


def _open(path: Path) -> tuple[IO[bytes], str]:
    """The file as JSON lines, and the hash of its own content."""
    try:
        handle = path.open("rb")
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; name the JSONL or Parquet file in it") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; correct the path after 'recorded:'") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from None
    if path.suffix != ".parquet":
        return handle, sha256
    handle.close()
    return _unpack(path), sha256


def _unpack(path: Path) -> IO[bytes]:
    spill: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        with pq.ParquetFile(path) as table:
            columns = [name for name in table.schema_arrow.names if name in COLUMNS]
            for batch in table.iter_batches(batch_size=512, columns=columns):
                for row in batch.to_pylist():
                    spill.write(json.dumps(_plain(row)).encode() + b"\n")
    except (pa.ArrowException, TypeError, ValueError):
        spill.close()
        raise InputError(
            f"{path}: not a Parquet file with columns of text, numbers and lists; write it again, "
            "or as JSONL"
        ) from None
    spill.flush()
    return spill


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A Parquet row as a JSON row: columns that are null are missing, `messages` may be JSON."""
    found = {name: value for name, value in row.items() if value is not None}
    if isinstance(found.get("messages"), str):
        found["messages"] = json.loads(found["messages"])
    return found
