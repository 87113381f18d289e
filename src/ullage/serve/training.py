"""How a training goes, read from the lines that it leaves behind."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ullage.distill.history import Line, lines
from ullage.serve.runs import Training
from ullage.serve.tail import Tails
from ullage.statement.words import number, several

STAGES: dict[str, tuple[str, str]] = {
    "preflight": ("Preflight", "Looking for what would spoil it"),
    "answers": ("Answers", "Asking the teacher for its words"),
    "cache": ("Cache", "Keeping what the teacher says"),
    "base": ("Measuring before", "Measuring the student before"),
    "train": ("Training", "Training"),
    "measure": ("Measuring after", "Measuring the student after"),
}
"""By stage, in their order: what it is called, and what is said while it lasts."""
_ALWAYS = ("base", "train", "measure")
"""Stages of every training; others are told of once they begin."""
MADE = "Made"

_QUIET_SECONDS = 120.0
_CHECKPOINT = re.compile(r"checkpoint-(\d{1,12})")
_STATE = "trainer_state.json"
"""Written last: a checkpoint that has it is whole."""


@dataclass(frozen=True, slots=True)
class Point:
    """A loss and its terms after some steps."""

    step: int
    values: Mapping[str, float]
    """``loss`` and what it is the sum of."""


@dataclass(slots=True)
class Course:
    """What a training said so far; what was done again after a stop is there once."""

    last: Line | None = None
    total: int = 0
    """Steps that are planned."""
    begun: set[str] = field(default_factory=set)
    """Stages."""
    trained: list[Point] = field(default_factory=list)
    held_out: list[Point] = field(default_factory=list)
    """Where they were measured."""

    def take(self, text: bytes) -> None:
        """Add a line."""
        for line in lines((text,)):
            self.last = line
            self.begun.add(line.stage)
            if line.stage == "train":
                self.total = line.total
            if line.stage == "train" and line.loss is not None:
                _put(self.trained, Point(line.done, {"loss": line.loss, **line.terms}))
            if line.held_out:
                _put(self.held_out, Point(self._step(line), line.held_out))

    def _step(self, line: Line) -> int:
        """After how many steps it was measured."""
        if line.stage == "train":
            return line.done
        return 0 if line.stage == "base" or not self.trained else self.trained[-1].step


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a term of the loss."""

    name: str
    first: float | None
    """Of the first step; None where none was seen."""
    last: float | None
    before: float | None
    """On held-out rows, before the first step; None where it was not measured."""
    after: float | None
    """On held-out rows, when they were last measured."""


@dataclass(frozen=True, slots=True)
class Going:
    """How far a training is."""

    told: str
    """In a sentence."""
    stages: Mapping[str, bool]
    """In order, by what they are called, and whether they have begun."""
    done: int
    total: int
    """Steps."""
    pace: tuple[str, ...]
    """Tokens a second, and the time that is left."""
    checkpoint: str
    """The last one, in words; empty where the student is made."""
    trained: Sequence[Point]
    held_out: Sequence[Point]
    finished: bool

    @property
    def rows(self) -> list[Row]:
        """Every term: ``loss`` first."""
        points = [*self.trained[:1], *self.held_out[:1]]
        names = list(dict.fromkeys(name for point in points for name in point.values))
        return [
            Row(name, *_ends(self.trained, name), *_ends(self.held_out, name)) for name in names
        ]


class Trainings:
    """Reads what trainings say as they go on, each line once."""

    def __init__(self) -> None:
        self._tails = Tails(Course, Course.take)

    def going(self, training: Training) -> Going:
        """How far a training is."""
        with self._tails.read(training.history) as course:
            last, begun, total = course.last, set(course.begun), course.total
            trained, held_out = list(course.trained), list(course.held_out)
        done = trained[-1].step if trained else 0
        made = training.is_made
        stages = {label: name in begun for name, (label, _) in STAGES.items()
                  if name in begun or name in _ALWAYS}  # fmt: skip
        return Going(
            told=_told(last, done, made=made),
            stages={**stages, MADE: made},
            done=done,
            total=total,
            pace=() if made or last is None or _quiet(last) else _pace(last),
            checkpoint="" if made else _last_checkpoint(training),
            trained=trained,
            held_out=held_out,
            finished=made,
        )


def _told(last: Line | None, steps: int, *, made: bool) -> str:
    if made:
        return f"Made in {several(steps, 'step')}."
    if last is None:
        return "Begun; nothing was said yet."
    doing = STAGES[last.stage][1]
    unit = "step " if last.stage == "train" else ""
    told = f"{doing}: {unit}{last.done:,} of {last.total:,}"
    if quiet := _quiet(last):
        return (
            f"{told}, and nothing for {_span(quiet)}: it seems to be stopped. The same command "
            "goes on."
        )
    return f"{told}."


def _quiet(last: Line) -> float:
    """Seconds since it said something; 0 while that is no time to speak of."""
    quiet = time.time() - last.at
    return quiet if quiet > _QUIET_SECONDS else 0.0


def _pace(last: Line) -> tuple[str, ...]:
    told = []
    if last.tokens_per_second is not None:
        told.append(f"{last.tokens_per_second:,.0f} tokens a second")
    if last.seconds_left is not None and last.stage == "train":
        told.append(f"about {_span(last.seconds_left)} left")
    return tuple(told)


def _last_checkpoint(training: Training) -> str:
    found = [
        (int(match[1]), path)
        for path in training.folder.glob(f"checkpoints/*/{_STATE}")
        if (match := _CHECKPOINT.fullmatch(path.parent.name))
    ]
    if not found:
        return "No checkpoint yet."
    step, path = max(found)
    try:
        ago = max(0.0, time.time() - path.stat().st_mtime)
    except OSError:  # a newer one has taken its place
        return f"Last checkpoint: step {step:,}."
    return f"Last checkpoint: step {step:,}, {_span(ago)} ago."


def _span(seconds: float) -> str:
    """A time as somebody would say it."""
    if seconds < 90:
        return several(round(seconds), "second")
    if seconds < 90 * 60:
        return several(round(seconds / 60), "minute")
    if seconds < 36 * 3600:
        return f"{number(seconds / 3600, 1)} hours"
    return several(round(seconds / 86400), "day")


def _put(points: list[Point], point: Point) -> None:
    """Add a point in place of all that are not before it."""
    while points and points[-1].step >= point.step:
        points.pop()
    points.append(point)


def _ends(points: Sequence[Point], name: str) -> tuple[float | None, float | None]:
    if not points:
        return None, None
    return points[0].values.get(name), points[-1].values.get(name)
