"""`ullage gate`: one line a target, and the exit code for a pipeline."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.cli_common import Json, On, Place, day, print_json

if TYPE_CHECKING:
    from ullage.statement.gating import Report

SUMMARY_ENV = "GITHUB_STEP_SUMMARY"


def gate(
    place: Place,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="What passes, and whose acceptances count. Left out: the severities alone decide, "
            "and no acceptance counts.",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights", metavar="FOLDER", help="Refuse weights that are not those judged."
        ),
    ] = None,
    on: On = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML there.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Write a step summary and annotations for GitHub.")
    ] = False,
    json_: Json = False,
) -> None:
    """One line a target, and the exit code for CI."""
    from ullage.files import write_whole
    from ullage.gate import run_gate
    from ullage.statement.gate_formats import to_junit

    path = place / "statement.json" if place.is_dir() else place
    report = run_gate(path, policy, on=day("--on", on), weights=weights)
    if junit is not None:
        write_whole(junit, to_junit(report))
    if json_:
        print_json(report.as_json())
    else:
        for line in report.lines:
            typer.echo(line)
        typer.echo(report.sentence)
    if github:
        _tell_github(report, to_stderr=json_)
    raise typer.Exit(report.exit_code)


def _tell_github(report: Report, *, to_stderr: bool) -> None:
    """Append to the step's summary, and annotate."""
    from ullage.errors import InputError
    from ullage.files import cannot_write
    from ullage.statement.gate_formats import to_summary, workflow_commands

    if not (place := os.environ.get(SUMMARY_ENV)):
        raise InputError(
            f"--github: ${SUMMARY_ENV} is not set, so this is no step of a GitHub workflow; leave "
            "it out"
        )
    try:
        with Path(place).open("a", encoding="utf-8") as summary:
            summary.write(to_summary(report))
    except OSError as error:
        raise cannot_write(Path(place), error) from error
    for command in workflow_commands(report):
        typer.echo(command, err=to_stderr)
