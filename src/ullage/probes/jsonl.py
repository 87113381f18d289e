"""The user's own questions: JSONL read line by line, refused with file and line, never held whole.

A file is read once in full when a probe is built from it, so that every mistake is known before
anything is asked; afterwards it is read lazily, as often as needed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Never, cast, get_args

from ullage.errors import InputError
from ullage.models.types import Message, Role, user
from ullage.probes.protocol import Item

LINE_BYTES = 1_000_000
"""A longer line is refused: it is no question, and it would have to be held in memory."""

_ROLES = frozenset(get_args(Role))
_EXPECTED = {str: "text", list: "a list", dict: "an object", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Record:
    """One line of a user's file."""

    data: Mapping[str, Any]
    where: str
    """``file:line``."""
    number: int
    """The line, from 1."""

    def refuse(self, problem: str) -> Never:
        """Say what is wrong with this line.

        Raises:
            InputError: always.
        """
        raise InputError(f"{self.where}: {problem}")

    def has(self, key: str) -> bool:
        """Whether the line gives the key a value."""
        return self.data.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A text that is not blank; a number is taken as written."""
        if not self.has(key):
            if default is not None:
                return default
            self.refuse(f"key '{key}' is missing; give it a text")
        return self._text(self.data[key], f"'{key}'")

    def texts(self, key: str, least: int = 0, *, alike: bool = False) -> tuple[str, ...]:
        """A list of texts, at least `least` of them; empty where the key is not.

        All of them are different, unless some may be `alike`.
        """
        value = self.data.get(key) or []
        if not isinstance(value, list):
            self.refuse(f"'{key}' is {_kind(value)}; a list of texts is expected")
        found = tuple(self._text(entry, f"an entry of '{key}'") for entry in value)
        if len(found) < least:
            self.refuse(f"'{key}' has {len(found)} entries; at least {least} are expected")
        if not alike and len(set(found)) < len(found):
            self.refuse(f"'{key}' holds the same text twice; remove one")
        return found

    def check_among(self, choices: Sequence[str], value: str, name: str = "reference") -> None:
        """Refuse a value that is not one of the choices, where there are any."""
        if choices and value not in choices:
            told = f"{name} '{value}'".lstrip()
            self.refuse(f"{told} is not among 'choices'; write it as it is there")

    def instruction(self, default: str) -> str:
        """What the probe adds to a question: `default`, or the line's own `instruction`.

        Unlike other texts it may be blank: then nothing is added.
        """
        given = self.data.get("instruction")
        if given is None:
            return default
        if not isinstance(given, str):
            self.refuse(f"'instruction' is {_kind(given)}; a text is expected, empty for none")
        return given.strip()

    def named(self, item: Item, probe: str) -> Item:
        """The item with the line's own `id` and `family`.

        Lines without a family are one family each: nothing is known to tie them together.
        """
        number = str(self.number)
        return replace(
            item,
            id=f"{probe}/{self.text('id', number)}",
            family=f"{probe}:{self.text('family', number)}",
        )

    def references(self) -> tuple[str, ...]:
        """The accepted answers: `reference`, `references` or `answer`; empty where there is none.

        An explicit ``null`` is none; any of `references` is accepted.
        """
        if self.has("references"):
            return self.texts("references", least=1)
        key = "reference" if self.has("reference") else "answer"
        value = self.data.get(key)
        if isinstance(value, list):
            return self.texts(key, least=1)
        return (self.text(key),) if value is not None else ()

    def reference(self) -> str:
        """The one accepted answer."""
        if references := self.references():
            return references[0]
        return self.refuse("key 'reference' is missing; give the right answer as a text")

    def messages(self) -> tuple[Message, ...]:
        """The conversation: `messages`, or one user turn from `prompt` or `question`."""
        if not self.has("messages"):
            for key in ("prompt", "question"):
                if self.has(key):
                    return (user(self.text(key)),)
            self.refuse("no question; give 'messages' (a list of turns), 'prompt' or 'question'")
        turns = self.data["messages"]
        if not isinstance(turns, list) or not turns:
            self.refuse("'messages' must be a list of at least one {'role': …, 'content': …}")
        return tuple(self._turn(turn) for turn in turns)

    def _turn(self, turn: object) -> Message:
        if not isinstance(turn, dict) or "role" not in turn or "content" not in turn:
            self.refuse("every entry of 'messages' needs 'role' and 'content'")
        role, content = turn["role"], turn["content"]
        if not isinstance(role, str) or role not in _ROLES:
            self.refuse(f"role {role!r} is unknown; use system, user or assistant")
        if not isinstance(content, str):
            self.refuse(f"'content' is {_kind(content)}; only text can be asked")
        return Message(cast(Role, role), content)

    def _text(self, value: object, name: str) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            self.refuse(f"{name} is {_kind(value)}; a text is expected")
        if not value.strip():
            self.refuse(f"{name} is blank; give it a text or leave it out")
        return value


@dataclass(frozen=True, slots=True)
class Checked:
    """What reading a whole file found."""

    size: int
    source: str
    """Name and SHA-256 of the file."""


def check(path: Path, read: Callable[[Record], Item]) -> Checked:
    """Read a whole file once, keeping nothing but a digest of every id.

    Raises:
        InputError: on the first thing that is wrong, with file and line.
    """
    seen: set[bytes] = set()
    size = 0
    for record in records(path):
        item = read(record)
        digest = hashlib.blake2b(item.id.encode(), digest_size=8).digest()
        if digest in seen:
            record.refuse(f"id '{item.id}' is there twice; ids must be unique in a file")
        seen.add(digest)
        size += 1
    if not size:
        raise InputError(f"{path}: it holds no item; write one JSON object a line")
    with path.open("rb") as stream:
        content = hashlib.file_digest(stream, "sha256").hexdigest()
    return Checked(size, f"{path.name} sha256:{content}")


def records(path: Path) -> Iterator[Record]:
    """The lines of a JSONL file, one at a time; blank lines are passed over.

    Raises:
        InputError: if the file or a line cannot be read as JSON objects.
    """
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}; name a file") from None
    with stream:
        for number, line in enumerate(_lines(stream, path), start=1):
            if line.strip():
                where = f"{path}:{number}"
                yield Record(_object(line, where, number), where, number)


def _lines(stream: Any, path: Path) -> Iterator[bytes]:
    """Lines of a stream, none of them longer than `LINE_BYTES`."""
    number = 0
    try:
        while line := stream.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES:
                raise InputError(
                    f"{path}:{number}: the line is longer than {LINE_BYTES:,} bytes; "
                    "write one JSON object a line"
                )
            yield line
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}; name a file") from None


def _object(line: bytes, where: str, number: int) -> dict[str, Any]:
    try:
        text = line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        found = str(error)
        if isinstance(error, json.JSONDecodeError):
            found = f"{error.msg} at column {error.colno}"
        raise InputError(f"{where}: not JSON ({found}); write one object a line") from None
    if not isinstance(value, dict):
        raise InputError(f"{where}: {_kind(value)} is not an item; write one object a line")
    return value


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not a JSON number")


def _kind(value: object) -> str:
    """A value's type in the words of JSON."""
    if value is None:
        return "null"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return next((name for kind, name in _EXPECTED.items() if isinstance(value, kind)), "unknown")
