"""Who works which task with which arm.

People come in couples, in the order they join: the first and the second, the third and the fourth.
Both of a couple work the same tasks in the same order, and what one works with the teacher the
other works with the student. So a pair is one task worked by a couple: the task, and how much
practice a person had by then, are the same on both sides; and as each person works half of the
tasks with either arm, in every family too, how able or how generous somebody is favours neither.
(Cochran & Cox, *Experimental Designs*, 1957, § 4.4: cross-over in 2 × 2 squares.)

Nobody works a task twice: they would remember it. Arms and order are drawn anew for each couple, so
that what one couple found out tells the next nothing.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from ullage.errors import InputError
from ullage.probes.jsonl import records

Side = Literal["teacher", "student"]
SIDES: tuple[Side, Side] = ("teacher", "student")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrialTask:
    """Something to achieve."""

    id: str
    family: str
    """Tasks of one kind, which stand or fall together."""
    text: str
    """What the person reads."""
    answer: str = ""
    """What an arm says that is right; only `simulated:` arms look at it."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task of a person, and who helps with it."""

    task: TrialTask
    arm: Side


def read_tasks(path: Path) -> tuple[TrialTask, ...]:
    """The tasks of a JSONL file: ``{"id": …, "family": …, "text": …}`` a line.

    Raises:
        InputError: with file and line, what was found and what would do.
    """
    tasks: dict[str, TrialTask] = {}
    for record in records(path):
        id_ = record.text("id")
        if id_ in tasks:
            record.refuse(f"id '{id_}' is there twice; ids must be unique in a file")
        tasks[id_] = TrialTask(
            id_, record.text("family", id_), record.text("text"), record.text("answer", "")
        )
    if len(tasks) < 2:
        raise InputError(f"{path}: holds {len(tasks)} tasks; two are the least, one for each arm")
    return tuple(tasks.values())


def digest(tasks: Iterable[TrialTask]) -> str:
    """SHA-256, as ``sha256:<hex>``, of tasks in their order."""
    return "sha256:" + hashlib.sha256(repr(list(tasks)).encode("utf-8", "replace")).hexdigest()


def couple_of(person: int) -> int:
    """The couple that a person is of, from 1 as persons are."""
    return (person + 1) // 2


def sitting(tasks: Sequence[TrialTask], seed: int, person: int) -> list[Assignment]:
    """All tasks in the order in which a person works them.

    Args:
        tasks: of the trial.
        seed: of the trial.
        person: from 1, in the order people joined.
    """
    # random() is the one method whose sequence Python promises to keep across versions.
    draw = random.Random(f"{seed}/trial/{couple_of(person)}").random  # noqa: S311 - no secret

    def shuffled(things: Iterable[T]) -> list[T]:
        return sorted(things, key=lambda _: draw())

    families: dict[str, list[TrialTask]] = {}
    for task in tasks:
        families.setdefault(task.family, []).append(task)
    # Arms take turns along families laid end to end: each family is halved, and so is the whole.
    row = [task for family in shuffled(families) for task in shuffled(families[family])]
    first = int(2 * draw()) + person
    arms = {task.id: SIDES[(first + place) % 2] for place, task in enumerate(row)}
    return [Assignment(task, arms[task.id]) for task in shuffled(tasks)]
