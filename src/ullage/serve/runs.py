"""Which runs there are under a folder, and what of them may be opened.

A run is known to its pages by a name made of its place, which is looked up here: what a browser
sends is never made into a path.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from ullage.distill.history import FILE as HISTORY
from ullage.errors import InputError
from ullage.plan import Plan
from ullage.run_folder import RunFolder, read_part
from ullage.statement.acceptance import FOLDER as ACCEPTANCES
from ullage.statement.document import Statement
from ullage.statement.store import NAMES, read

T = TypeVar("T", bound=BaseModel)

_DEEPEST = 6
_MOST_FOLDERS = 20_000
_MARKS = (NAMES[0], "plan.json")
"""A folder with one of these is a run."""
_WORK = ".work"
"""At the end of the name of a student's folder until it is made."""

EXPORTS = {
    "statement.json": "for machines, and to verify",
    "statement.html": "one page, to send",
    "statement.md": "for a repository",
    "statement.dsse.json": "signed",
    "findings.json": "one row per target",
    "scores.parquet": "every score",
    "distillation.json": "how the student was made",
    "plan.json": "what was asked",
    "config.yaml": "the configuration, frozen",
}
"""What can be downloaded of a run, where it is there."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder."""

    id: str
    """In addresses: letters, digits and ``-``."""
    place: str
    """Relative to the folder that is served. Hostile text."""
    folder: RunFolder
    root: Path

    def has(self, name: str) -> bool:
        """Whether a file of the run is there: a real file, and not one that lies elsewhere.

        Raises:
            InputError: it is a link out of the folder that is served.
        """
        return _lies_here(self.folder.path, name, self.root, self.place)

    def refuse_links(self) -> None:
        """Refuse a run of which any part lies elsewhere.

        Raises:
            InputError: see `has`.
        """
        for name in (*EXPORTS, "replies.jsonl", ACCEPTANCES):
            self.has(name)
        for path in (self.folder.path / ACCEPTANCES).glob("*"):
            self.has(f"{ACCEPTANCES}/{path.name}")

    @property
    def path(self) -> Path:
        """Of its statement."""
        return self.folder.path / NAMES[0]

    def statement(self) -> Statement | None:
        """What it came to; None where it has not come so far.

        Raises:
            InputError: it cannot be read.
        """
        return _statement(self.path, _state(self.path)) if self.has(NAMES[0]) else None

    def plan(self) -> Plan | None:
        """What is asked; None where only a statement is here.

        Raises:
            InputError: it cannot be read.
        """
        return _plan(self.folder.plan, _state(self.folder.plan)) if self.has("plan.json") else None

    def exports(self) -> dict[str, str]:
        """What can be downloaded, with what for."""
        return {name: use for name, use in EXPORTS.items() if self.has(name)}


@dataclass(frozen=True, slots=True)
class Training:
    """A student that is made, or was."""

    id: str
    """In addresses, as a run's."""
    place: str
    """Of the student, relative to the folder that is served. Hostile text."""
    folder: Path
    """Of the student, or of what there is until it is made."""

    @property
    def history(self) -> Path:
        """What the training says of itself."""
        return self.folder / HISTORY

    @property
    def is_made(self) -> bool:
        """Whether the student is there."""
        return not self.folder.name.endswith(_WORK)


class Runs:
    """All runs and trainings under a folder, found again whenever they are listed.

    Args:
        root: the folder. Links in it are not followed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._known: dict[str, Run] = {}
        self._trainings: dict[str, Training] = {}

    def every(self) -> list[Run]:
        """Every run, in the order of their places."""
        return self.look()[0]

    def look(self) -> tuple[list[Run], list[Training]]:
        """Every run and every training, in the order of their places."""
        runs, trainings = {}, {}
        for path, names in _folders(self.root):
            if any(mark in names for mark in _MARKS):
                run = self._run(path)
                runs[run.id] = run
            if HISTORY in names:
                training = self._training(path)
                # What is left of the work (the teacher's answers) is no training of its own.
                if training.id not in trainings or training.is_made:
                    trainings[training.id] = training
        self._known, self._trainings = runs, trainings
        return list(runs.values()), list(trainings.values())

    def find(self, id_: str) -> Run | None:
        """The run of that name.

        Raises:
            InputError: a part of it lies elsewhere.
        """
        if id_ not in self._known:
            self.every()
        run = self._known.get(id_)
        if run is None or not run.folder.path.resolve().is_relative_to(self.root):
            return None
        run.refuse_links()
        return run

    def find_training(self, id_: str) -> Training | None:
        """The training of that name, made or not.

        Raises:
            InputError: what it says lies elsewhere.
        """
        self.look()  # it moves when the student is made
        training = self._trainings.get(id_)
        if training is None or not self.can_read(training):
            return None
        return training

    def can_read(self, training: Training) -> bool:
        """Whether what a training says is there.

        Raises:
            InputError: it lies elsewhere.
        """
        return _lies_here(training.folder, HISTORY, self.root, training.place)

    def _run(self, path: Path) -> Run:
        return Run(*self._called(path), RunFolder(path), self.root)

    def _training(self, path: Path) -> Training:
        student = path if path == self.root else path.with_name(path.name.removesuffix(_WORK))
        return Training(*self._called(student), path)

    def _called(self, path: Path) -> tuple[str, str]:
        """Name in addresses and place of what lies there."""
        place = os.fsencode(path.relative_to(self.root))
        slug = re.sub(r"[^a-z0-9]+", "-", path.name.lower())[:40].strip("-") or "run"
        id_ = f"{slug}-{hashlib.sha256(place).hexdigest()[:10]}"
        shown = place.decode("utf-8", "replace")
        return id_, path.name if shown == "." else shown


def _lies_here(folder: Path, name: str, root: Path, place: str) -> bool:
    """Whether a folder has a real file of that name, and not one that lies elsewhere.

    Raises:
        InputError: it is a link out of the folder that is served.
    """
    path = folder / name
    try:
        found = path.stat()
    except OSError:
        return False
    if not path.resolve().is_relative_to(root):
        raise InputError(
            f"{place}: {name} is a link to what lies outside the folder that is served; serve the "
            "folder above both, or copy it"
        )
    return stat.S_ISREG(found.st_mode)


def _folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Folders and the names of their files, without following links."""
    for count, (name, folders, names) in enumerate(os.walk(root, followlinks=False)):
        here = Path(name)
        depth = len(here.relative_to(root).parts)
        if count >= _MOST_FOLDERS:
            return
        folders[:] = sorted(
            one for one in folders if depth < _DEEPEST and one[0] != "." and one != ACCEPTANCES
        )
        yield here, names


def _state(path: Path) -> tuple[int, ...]:
    """What changes when a file does."""
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=256)
def _statement(path: Path, state: tuple[int, ...]) -> Statement:
    return read(path)


@lru_cache(maxsize=64)
def _plan(path: Path, state: tuple[int, ...]) -> Plan:
    return read_part(path, Plan)
