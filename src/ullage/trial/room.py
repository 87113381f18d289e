"""Where people talk to an arm they do not know.

What is given out here (`Sitting`) is all that a page can show: it holds no arm, and nothing that
depends on which arm it is but the words it said. Why an arm could not answer stands in the log
alone, for an endpoint's error may name it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ullage.collect.lock import run_lock
from ullage.config.trial import LoadedTrial
from ullage.errors import InputError, UllageError
from ullage.files import cannot_write
from ullage.models.registry import open_model
from ullage.models.types import (
    Ask,
    Failure,
    Message,
    Model,
    Reply,
    Subject,
    assistant,
    system,
    user,
)
from ullage.statement.sanitise import mend
from ullage.trial.design import SIDES, Assignment, Side, TrialTask, digest, read_tasks, sitting
from ullage.trial.log import Answered, Asked, Begun, Ended, Failed, Joined, Log, Outcome, Work

LOG = "log.jsonl"
LONGEST_NAME = 60
LONGEST_MESSAGE = 8000
"""Characters a person may write at once."""
STEP = 10
"""Per cent, of how much one did oneself."""


@dataclass(frozen=True, slots=True)
class Sitting:
    """Where a person is."""

    person: int
    name: str
    place: int
    """Of the task, from 1."""
    total: int
    task: TrialTask | None
    """None where all are done."""
    turns: tuple[tuple[str, str | None], ...]
    """(message, answer); None where there is none yet."""
    waiting: bool
    """Whether the arm is asked at this moment."""
    most: int
    """Messages that may be sent."""

    @property
    def open(self) -> bool:
        """Whether the last message has no answer."""
        return bool(self.turns) and self.turns[-1][1] is None


class Room:
    """A trial that goes on.

    Args:
        loaded: its file.
        tasks: of it.
        models: both arms, entered.
        log: what happened so far.
    """

    def __init__(
        self,
        loaded: LoadedTrial,
        tasks: Sequence[TrialTask],
        models: Mapping[Side, Model],
        log: Log,
    ) -> None:
        self._file = loaded.file
        self._temperature = loaded.audit.config.decoding.temperature
        self._tasks = tasks
        self._models = models
        self._log = log
        self._asking: set[tuple[int, str]] = set()

    def join(self, name: str) -> int:
        """The number of a person, who is new or comes back.

        Raises:
            InputError: the name is blank or too long.
        """
        name = " ".join(name.split())
        if not 0 < len(name) <= LONGEST_NAME:
            raise InputError(f"Name: choose one of 1 to {LONGEST_NAME} characters.")
        people = self._log.state.people
        if name not in people:
            self._log.append(Joined(at=_now(), person=len(people) + 1, name=name))
        return people[name]

    def sitting(self, person: int) -> Sitting | None:
        """Where a person is; None where there is no such person."""
        name = next((k for k, v in self._log.state.people.items() if v == person), None)
        if name is None:
            return None
        place, assigned = self._current(person)
        work = self._log.state.of(person, assigned.task.id) if assigned else Work()
        return Sitting(
            person=person,
            name=name,
            place=place,
            total=len(self._tasks),
            task=assigned.task if assigned else None,
            turns=tuple(work.turns),
            waiting=assigned is not None and (person, assigned.task.id) in self._asking,
            most=self._file.turns,
        )

    async def say(self, person: int, place: int, turn: int, text: str) -> None:
        """Send a message, and have it answered.

        One that was sent before (a page loaded again, a button pressed twice) is not sent again.

        Args:
            person: who says it.
            place: of the task that they saw.
            turn: how many messages they saw.
            text: what they say.

        Raises:
            InputError: it is blank or too long.
        """
        text = text.strip()
        if not 0 < len(text) <= LONGEST_MESSAGE:
            raise InputError(f"Message: write 1 to {LONGEST_MESSAGE:,} characters.")
        here, assigned = self._current(person)
        if assigned is None or here != place:
            return
        turns = self._log.state.of(person, assigned.task.id).turns
        if turn != len(turns) or turn >= self._file.turns or (turns and turns[-1][1] is None):
            return
        task = assigned.task
        if not turns:
            self._log.append(
                Begun(at=_now(), person=person, task=task.id, family=task.family, arm=assigned.arm)
            )
        self._log.append(Asked(at=_now(), person=person, task=task.id, text=text))
        await self._answer(person, assigned)

    async def ask_again(self, person: int, place: int) -> None:
        """Have the last message answered, if it was not."""
        here, assigned = self._current(person)
        if assigned is None or here != place:
            return
        if self._log.state.of(person, assigned.task.id).open:
            await self._answer(person, assigned)

    def end(self, person: int, place: int, outcome: Outcome, own: int | None) -> None:
        """Log how a trial went. One that is ended, or that was not begun, stays as it is."""
        here, assigned = self._current(person)
        if assigned is None or here != place or (person, assigned.task.id) in self._asking:
            return
        work = self._log.state.of(person, assigned.task.id)
        if not work.turns:
            return
        self._log.append(
            Ended(
                at=_now(),
                person=person,
                task=assigned.task.id,
                family=assigned.task.family,
                arm=assigned.arm,
                outcome=outcome,
                own=own,
                turns=work.answered,
                open=work.open,
            )
        )

    def _current(self, person: int) -> tuple[int, Assignment | None]:
        """The first task that a person has not ended, and its place; (total, None) after all."""
        if person not in self._log.state.people.values():
            return len(self._tasks), None
        for place, assigned in enumerate(sitting(self._tasks, self._file.seed, person), start=1):
            work = self._log.state.work.get((person, assigned.task.id))
            if work is None or work.ended is None:
                return place, assigned
        return len(self._tasks), None

    async def _answer(self, person: int, assigned: Assignment) -> None:
        """Ask the arm, and log what it says or that it could not."""
        task = assigned.task
        key = person, task.id
        if key in self._asking:
            return
        self._asking.add(key)
        try:
            started = time.monotonic()
            answer = await self._ask(assigned, self._log.state.of(*key).turns)
            seconds = time.monotonic() - started
            await asyncio.sleep(max(0.0, self._file.seconds - seconds))
            if isinstance(answer, Failure):
                self._log.append(
                    Failed(at=_now(), person=person, task=task.id, reason=mend(answer.reason))
                )
            else:
                told = Answered(
                    at=_now(), person=person, task=task.id, text=mend(answer.text), seconds=seconds
                )
                self._log.append(told)
        finally:
            self._asking.discard(key)

    async def _ask(
        self, assigned: Assignment, turns: Sequence[tuple[str, str | None]]
    ) -> Reply | Failure:
        task = assigned.task
        request = Ask(
            messages=tuple(_conversation(self._file.system, turns)),
            max_tokens=self._file.max_tokens,
            temperature=self._temperature,
            seed=self._file.seed,
            subject=Subject(item=task.id, family=task.family, probe="trial", answer=task.answer),
        )
        try:
            async for _, answer in self._models[assigned.arm].answer([request]):
                if isinstance(answer, Reply | Failure):
                    return answer
        except UllageError as error:
            return Failure(reason=str(error))
        return Failure(reason="no answer")


@asynccontextmanager
async def opened(loaded: LoadedTrial) -> AsyncIterator[Room]:
    """The room of a trial, both arms loaded, nobody else writing its log.

    Raises:
        InputError: tasks, an arm or the log cannot be used.
        InfrastructureError: an endpoint does not answer.
    """
    arms = loaded.audit.config.arms
    for side, arm in (("teacher", arms.teacher), ("student", arms.student)):
        if arm.scheme == "recorded":
            raise loaded.audit.refuse(
                f"arms.{side}.model", "a recording cannot be talked to; name a model that can"
            )
    tasks = read_tasks(loaded.tasks)
    try:
        loaded.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(loaded.folder, error) from error
    with run_lock(loaded.folder):
        teacher = await open_model(arms.teacher, loaded.audit.root)
        student = await open_model(arms.student, loaded.audit.root)
        models: dict[Side, Model] = {"teacher": teacher, "student": student}
        protocol = _protocol(loaded, tasks, models)
        with closing(Log(loaded.folder / LOG, protocol, _now())) as log:
            async with teacher, student:
                yield Room(loaded, tasks, models, log)


def _protocol(
    loaded: LoadedTrial, tasks: Sequence[TrialTask], models: Mapping[Side, Model]
) -> dict[str, Any]:
    """What is laid down before anybody joins."""
    file, config = loaded.file, loaded.audit.config
    return {
        **file.model_dump(mode="json", exclude={"name", "config", "tasks"}),
        "temperature": config.decoding.temperature,
        "errors": config.budget.errors,
        "tasks": digest(tasks),
        **{side: models[side].identity for side in SIDES},
    }


def _conversation(prompt: str, turns: Sequence[tuple[str, str | None]]) -> list[Message]:
    messages = [system(prompt)] if prompt else []
    for said, answer in turns:
        messages.append(user(said))
        if answer is not None:
            messages.append(assistant(answer))
    return messages


def _now() -> datetime:
    return datetime.now(UTC)
