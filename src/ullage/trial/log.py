"""What happened in a trial: an append-only JSONL, and everything that is known follows from it.

A line is on disk (fsync) before anybody sees what it led to, so that a killed server goes on in the
middle of a conversation. The first line holds the protocol, margins included, which cannot change
afterwards; the line that ends a trial holds all that is judged. The arms stand here and nowhere
else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ullage.errors import InputError
from ullage.files import cannot_write
from ullage.trial.design import Side

Outcome = Literal["yes", "partly", "no", "abandoned"]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime


class Opened(_Event):
    """The first line: what was laid down before anybody joined."""

    kind: Literal["opened"] = "opened"
    protocol: dict[str, Any]


class Joined(_Event):
    """Somebody takes part."""

    kind: Literal["joined"] = "joined"
    person: int
    """From 1, in the order people joined."""
    name: str
    """A pseudonym."""


class Begun(_Event):
    """A person sends their first message about a task: from here on they know the arm."""

    kind: Literal["begun"] = "begun"
    person: int
    task: str
    family: str
    arm: Side


class Asked(_Event):
    """A person said something."""

    kind: Literal["asked"] = "asked"
    person: int
    task: str
    text: str


class Answered(_Event):
    """The arm answered."""

    kind: Literal["answered"] = "answered"
    person: int
    task: str
    text: str
    seconds: float
    """That it took."""


class Failed(_Event):
    """The arm could not be asked; the message stays open."""

    kind: Literal["failed"] = "failed"
    person: int
    task: str
    reason: str


class Ended(_Event):
    """A finished trial."""

    kind: Literal["ended"] = "ended"
    person: int
    task: str
    family: str
    arm: Side
    outcome: Outcome
    """Whether the person got where they wanted."""
    own: Annotated[int, Field(ge=0, le=100)] | None
    """Per cent of it that they did themselves; None where they gave up."""
    turns: int
    """Messages that were answered."""
    open: bool
    """Whether the last message got no answer: then the arm was not tried."""

    @property
    def counts(self) -> bool:
        """Whether it says something of the arm."""
        return self.turns > 0 and not self.open


Event = Opened | Joined | Begun | Asked | Answered | Failed | Ended
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


@dataclass(slots=True)
class Work:
    """What is known of one person's work on one task."""

    turns: list[tuple[str, str | None]] = field(default_factory=list)
    """(message, answer); None where there is none yet, which only the last may be."""
    begun: Begun | None = None
    last: datetime | None = None
    ended: Ended | None = None

    @property
    def open(self) -> bool:
        """Whether the last message has no answer."""
        return bool(self.turns) and self.turns[-1][1] is None

    @property
    def answered(self) -> int:
        """Messages that were answered."""
        return len(self.turns) - self.open


@dataclass(slots=True)
class State:
    """What all lines together say."""

    protocol: dict[str, Any] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    """By pseudonym."""
    work: dict[tuple[int, str], Work] = field(default_factory=dict)
    """By person and task."""
    failures: int = 0

    def of(self, person: int, task: str) -> Work:
        """One person's work on one task."""
        return self.work.setdefault((person, task), Work())

    def take(self, event: Event) -> None:
        """Let one more thing have happened."""
        match event:
            case Opened():
                self.protocol = event.protocol
            case Joined():
                self.people[event.name] = event.person
            case Begun():
                self.of(event.person, event.task).begun = event
            case Asked():
                self.of(event.person, event.task).turns.append((event.text, None))
            case Answered():
                turns = self.of(event.person, event.task).turns
                turns[-1] = (turns[-1][0], event.text)
            case Failed():
                self.failures += 1
            case Ended():
                self.of(event.person, event.task).ended = event
        if not isinstance(event, Opened | Joined):
            self.of(event.person, event.task).last = event.at


def read_log(path: Path) -> State:
    """What a log says; a torn last line is passed over.

    Raises:
        InputError: there is none, or a line of it is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or 'cannot be read'}; `ullage serve --trial` begins one"
        ) from error
    return _folded(path, data[: data.rfind(b"\n") + 1])


def _folded(path: Path, data: bytes) -> State:
    state = State()
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        try:
            event = _EVENT.validate_json(line)
            if isinstance(event, Opened) != (number == 1):
                raise ValueError("a log is opened once, in its first line")
            state.take(event)
        except (ValidationError, ValueError, IndexError) as error:
            raise InputError(
                f"{path}:{number}: the line is damaged; put back the file as it was, or move it "
                "away to begin anew"
            ) from error
    return state


class Log:
    """A log that is written.

    Args:
        path: of the file, which is made where it is not.
        protocol: JSON-ready; must be that of the first line where there is one.
        now: when it is opened.

    Raises:
        InputError: it cannot be opened, is damaged, or began under another protocol.
    """

    def __init__(self, path: Path, protocol: Mapping[str, Any], now: datetime) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            data = path.read_bytes()
        except OSError as error:
            raise cannot_write(path, error) from error
        try:
            self._end = data.rfind(b"\n") + 1
            os.ftruncate(self._file, self._end)
            self.state = _folded(path, data[: self._end])
            if not self._end:
                self.append(Opened(at=now, protocol=dict(protocol)))
            self._refuse_change(protocol)
        except BaseException:
            self.close()
            raise

    def _refuse_change(self, protocol: Mapping[str, Any]) -> None:
        for key, value in self.state.protocol.items():
            if protocol.get(key) != value:
                raise InputError(
                    f"{self.path}: began with another {key}, which cannot change once people have "
                    "joined; put it back, or give the trial another `name`"
                )

    def append(self, event: Event) -> None:
        """Write a line, and let it have happened.

        Raises:
            UllageError: it cannot be written; then nothing of it is.
        """
        line = event.model_dump_json().encode() + b"\n"
        try:
            view = memoryview(line)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._end)
            raise cannot_write(self.path, error) from error
        self._end += len(line)
        self.state.take(event)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
