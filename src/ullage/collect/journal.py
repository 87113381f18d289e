"""The journal: every reply ever received, append-only, one JSON object a line.

A record is on disk (fsync) before anything is computed from it, so killing the process loses at
most replies still on the wire. Each line ends in a CRC of what precedes it:

    {"key":"<32 hex>","model":"<identity>","request":{…},"answer":{…},"crc":"<8 hex>"}

``answer`` is a reply, weights, or ``{"failure": reason}``; the last record of a key counts, so a
failure that is asked again and answered is an answer. Only a digest and an offset per record stay
in memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from ullage.collect.offsets import OffsetIndex
from ullage.errors import InputError
from ullage.files import cannot_write
from ullage.models.types import (
    Answer,
    Failure,
    Reply,
    Request,
    Weights,
    answer_from_json,
    answer_to_json,
    request_payload,
)

_HEAD = b'{"key":"'
_KEY = slice(len(_HEAD), len(_HEAD) + 32)
_CRC_TAIL = len(b',"crc":"00000000"}\n')


_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class Record(NamedTuple):
    """One question and its answer, about to be journaled."""

    key: str
    model: str
    request: Request
    answer: Answer


def _encode(record: Record) -> bytes:
    if isinstance(record.answer, Failure):
        answer: dict[str, Any] = {"failure": record.answer.reason}
    else:
        answer = answer_to_json(record.answer)
    body = _to_json(
        {
            "key": record.key,
            "model": record.model,
            "request": request_payload(record.request),
            "answer": answer,
        }
    ).encode("ascii")[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def _decode(answer: dict[str, Any]) -> Answer:
    if "failure" in answer:
        return Failure(reason=answer["failure"])
    return answer_from_json(answer)


def _is_whole(line: bytes) -> bool:
    body = line[:-_CRC_TAIL]
    return line.startswith(_HEAD) and line[-_CRC_TAIL:] == b',"crc":"%08x"}\n' % zlib.crc32(body)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class Journal:
    """Replies on disk, looked up by request key.

    Opening verifies every record. A torn last record (the process or machine died while writing)
    is cut off; damage anywhere else is an `InputError` that names the line, because silently
    asking again would change what was judged.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._index = OffsetIndex()
        self._writer: int | None = None
        try:
            if not read_only:
                self._writer = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._reader: IO[bytes] = path.open("rb")
        except OSError as error:
            raise InputError(
                f"{path}: cannot be opened ({error.strerror}); check the folder and its permissions"
            ) from error
        self._end = self._scan()
        if self._writer is not None:
            os.ftruncate(self._writer, self._end)

    def _scan(self) -> int:
        """Index every whole record; returns where the last one ends."""
        offset = 0
        size = os.fstat(self._reader.fileno()).st_size
        for number, line in enumerate(self._reader, start=1):
            if not _is_whole(line):
                if offset + len(line) == size:
                    break
                raise InputError(
                    f"{self.path}:{number}: the record is damaged; delete that line to have the "
                    "question asked again"
                )
            self._index.add(bytes.fromhex(line[_KEY].decode()), offset)
            offset += len(line)
        return offset

    def __len__(self) -> int:
        return len(self._index)

    def get(self, key: str) -> Answer | None:
        """The last answer journaled under `key`, or None if it was never asked."""
        found = self.get_with_digest(key)
        return None if found is None else found[0]

    def get_with_digest(self, key: str) -> tuple[Answer, bytes] | None:
        """As `get`, with 8 bytes of the SHA-256 of question and answer."""
        offset = self._index.find(bytes.fromhex(key))
        if offset is None:
            return None
        self._reader.seek(offset)
        line = self._reader.readline()
        return _decode(json.loads(line)["answer"]), hashlib.sha256(line).digest()[:8]

    def answers(self) -> Iterator[tuple[str, Answer]]:
        """Every (model identity, answer) as written, failures included."""
        position = 0
        while position < self._end:
            self._reader.seek(position)
            line = self._reader.readline()
            position += len(line)
            record = json.loads(line)
            yield record["model"], _decode(record["answer"])

    def append(self, records: Iterable[Record]) -> None:
        """Write records and force them to disk before returning.

        Raises:
            UllageError: the disk is full or the write failed; whatever was half-written is taken
                back, so the journal stays readable.
        """
        lines = [(record.key, _encode(record)) for record in records]
        if not lines:
            return
        if self._writer is None:
            raise ValueError("the journal was opened read-only")
        try:
            _write_all(self._writer, b"".join(line for _, line in lines))
            os.fsync(self._writer)
        except OSError as error:
            os.ftruncate(self._writer, self._end)
            raise cannot_write(self.path, error) from error
        for key, line in lines:
            self._index.add(bytes.fromhex(key), self._end)
            self._end += len(line)

    def close(self) -> None:
        """Close the file; the journal may be opened again."""
        self._reader.close()
        if self._writer is not None:
            os.close(self._writer)
            self._writer = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def usage_of(answer: Answer) -> tuple[int, int]:
    """(prompt tokens, completion tokens) of an answer; nothing for a failure."""
    if isinstance(answer, Reply | Weights):
        return answer.usage.prompt_tokens, answer.usage.completion_tokens
    return 0, 0
