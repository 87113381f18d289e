"""What a user writes of a blind trial: one YAML file beside the configuration of the audit.

It is a file of its own, so that a trial can neither change nor void the audit that it stands
beside.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

from ullage.config.base import Seed, Slug, Strict
from ullage.config.loader import Loaded, load
from ullage.config.problems import validate
from ullage.config.source import parse, read_text

Margin = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]


class TrialMargins(Strict):
    """The largest losses that would still be called kept, written down before anybody begins."""

    reached: Margin
    """δ of getting where one wanted: no is 0, partly 0.5, yes 1."""
    help: Margin
    """δ of the share of the work that was not left to the person, from 0 to 1."""


class TrialFile(Strict):
    """A blind trial: people work tasks with the teacher or the student, not knowing which."""

    name: Slug = "trial"
    """Tells trials of one run apart."""
    config: str = "ullage.yaml"
    """The configuration whose teacher and student are tried, relative to this file."""
    tasks: str
    """JSONL of what people shall achieve, relative to this file."""
    margins: TrialMargins
    """What would still be called kept."""
    reason: Annotated[str, Field(min_length=10)]
    """Why these margins: what breaks, for whom, if more is lost."""
    seed: Seed = 0
    """Of who works what with which arm. Keep it from those who take part."""
    system: str = ""
    """System prompt of every conversation, as the product has it."""
    turns: PositiveInt = 20
    """Most messages a person may send in one trial."""
    max_tokens: PositiveInt = 512
    """Longest reply."""
    seconds: NonNegativeFloat = 0.0
    """No reply is shown sooner than this, so that speed does not tell the arm: a little more than
    the slower arm takes."""


@dataclass(frozen=True)
class LoadedTrial:
    """The file of a trial, and the configuration that it names."""

    file: TrialFile
    audit: Loaded
    tasks: Path
    folder: Path
    """Where the log is kept: within the run folder, beside the statement."""


def load_trial(path: Path) -> LoadedTrial:
    """Read and validate the file of a trial and the configuration that it names.

    Raises:
        InputError: one line with file, line, key, what was found and what would do.
    """
    file = validate(TrialFile, parse(read_text(path, "see docs/how-to/blind-trial.md"), str(path)))
    root = path.resolve().parent
    audit = load(root / Path(file.config).expanduser())
    run = audit.root / audit.config.runs / audit.config.name
    tasks = root / Path(file.tasks).expanduser()
    return LoadedTrial(file, audit, tasks, run / "trials" / file.name)
