"""What a training says of itself while it works, line by line, for whoever looks on or looks back.

In ``<output>.work`` until the student is made, and beside its ledger from then on. Nothing is
computed from it: the ledger alone says how a student came about.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ullage.distill.result import Progress, Report, Stage

FILE = "training.jsonl"
_SECONDS = 1.0
"""Between lines of a stage that has no steps, of which only the last are of interest."""
_LONGEST = 1 << 16
"""Bytes of a line; longer ones are not of our making."""


class Line(BaseModel):
    """One line: `Progress`, and when it was made."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)

    at: float
    """Seconds since 1970."""
    stage: Stage
    done: int = Field(ge=0)
    total: int = Field(ge=0)
    loss: float | None = None
    """Training: what the step minimised, per supervised token."""
    terms: dict[str, float] = Field(default_factory=dict)
    """Training: what it is the sum of."""
    held_out: dict[str, float] = Field(default_factory=dict)
    """``loss`` and its terms on the held-out rows, where they were measured here."""
    tokens_per_second: float | None = None
    seconds_left: float | None = None


def recorded(path: Path, report: Report | None) -> Report:
    """A report that also leaves lines in a file.

    Args:
        path: the file; its folder is there by the time of the first report.
        report: told as well.
    """
    spoke = -math.inf

    def record(progress: Progress) -> None:
        nonlocal spoke
        now = time.monotonic()
        says_more = (
            progress.stage == "train" or progress.held_out or progress.done >= progress.total
        )
        if says_more or now - spoke >= _SECONDS:
            spoke = now
            # What only tells of the work must not be what ends it.
            with contextlib.suppress(OSError), path.open("a", encoding="utf-8") as file:
                file.write(_line(progress).model_dump_json(exclude_defaults=True) + "\n")
        if report is not None:
            report(progress)

    return record


def lines(content: Iterable[bytes]) -> Iterator[Line]:
    """Read lines; what is none of ours (torn by a crash, or somebody else's) is left out."""
    for text in content:
        if len(text) <= _LONGEST:
            with contextlib.suppress(ValidationError):
                yield Line.model_validate_json(text)


def _line(progress: Progress) -> Line:
    return Line(
        at=round(time.time(), 3),
        stage=progress.stage,
        done=progress.done,
        total=progress.total,
        loss=progress.loss,
        terms=dict(progress.terms),
        held_out=dict(progress.held_out),
        tokens_per_second=progress.tokens_per_second,
        seconds_left=progress.seconds_left,
    )
