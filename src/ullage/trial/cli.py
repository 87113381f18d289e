"""`ullage trial`: what a blind trial came to."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.cli_common import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ullage.config.trial import LoadedTrial
    from ullage.trial.report import Judged, Report

trial_app = typer.Typer(help="Blind trials: people work tasks with an arm they do not know.")


@trial_app.callback()
def trial() -> None:
    """Blind trials: people work tasks with an arm they do not know."""


@trial_app.command("report")
def report_trial(
    file: Annotated[Path, typer.Argument(help="The trial's file.", metavar="TRIAL")],
    json_: Json = False,
) -> None:
    """Judge a trial: the paired loss on each measure, with its interval and verdict."""
    from datetime import UTC, datetime

    from ullage.config.trial import load_trial
    from ullage.trial.report import report
    from ullage.trial.room import LOG

    loaded = load_trial(file)
    told = report(loaded.folder / LOG, datetime.now(UTC))
    if json_:
        print_json(told.as_json())
        return
    for line in _lines(told):
        typer.echo(line)
    typer.echo(_beside(loaded, told))


def _lines(told: Report) -> Iterator[str]:
    from ullage.statement.words import several

    yield (
        f"{several(told.people, 'person', 'people')}, {several(told.pairs, 'pair')}; "
        f"{several(told.unpaired, 'trial')} without their other half, {told.left} left without a "
        f"word, {told.unanswered} without an answer"
    )
    for side, outcomes in told.outcomes.items():
        counts = [f"{outcomes.get(name, 0)} {name}" for name in _OUTCOMES]
        yield f"  {side:<8} {', '.join(counts)}"
    for one in told.judged:
        yield f"{one.verdict.upper():<13} {one.measure}: {one.summary}"
        yield from (f"              {line}" for line in _why(one))


_OUTCOMES = ("yes", "partly", "no", "abandoned")


def _why(one: Judged) -> Iterator[str]:
    yield one.why
    if one.clustered_by:
        yield f"clustered by {one.clustered_by}"
    if one.caution:
        yield f"holds {one.caution}"
    if one.more_trials is not None:
        yield f"about {one.more_trials:,} more trials would show it kept, were it so"


def _beside(loaded: LoadedTrial, told: Report) -> str:
    """How it stands to the statement of the run, which it does not alter."""
    from ullage.statement.store import read

    path = loaded.folder.parents[1] / "statement.json"
    if not path.is_file():
        return "There is no statement beside it yet."
    judged = {side: record.identity for side, record in read(path).arms.items()}
    if any(judged.get(side) != identity for side, identity in told.arms.items()):
        return f"{path} is about other models than these."
    return f"Told beside {path}, which it does not alter."
