"""`ullage statement export` and `log`: the statement for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.cli_common import On, Place, PolicyFile, day
from ullage.statement.exports.formats import Format, Tracker


def export_statement(
    form: Annotated[Format, typer.Argument(help="As what.", metavar="FORMAT")],
    place: Place,
    to: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to. A model card that is there is kept and gets the statement's section.  "
            "[default: standard output]",
        ),
    ] = None,
    items: Annotated[
        bool, typer.Option("--items", help="csv, parquet: every score of every item instead.")
    ] = False,
    supplier: Annotated[
        str, typer.Option("--supplier", metavar="NAME", help="cyclonedx, spdx: who publishes it.")
    ] = "",
    released: Annotated[
        str | None, typer.Option("--released", metavar="DATE", help="spdx: the day of release.")
    ] = None,
    download: Annotated[
        str,
        typer.Option("--download", metavar="URL", help="cyclonedx, spdx: where it is to be had."),
    ] = "",
    policy: PolicyFile = None,
    on: On = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that holds something else.")
    ] = False,
) -> None:
    """Write a statement as card, cyclonedx, spdx, csv or parquet, for other tools."""
    from ullage.errors import InputError
    from ullage.exporting import exported, publication_of, put, take

    path = place / "statement.json" if place.is_dir() else place
    snapshot = take(path, policy, day("--on", on))
    publication = publication_of(
        supplier, released and day("--released", released).isoformat(), download
    )
    content = exported(snapshot, path, form, items=items, publication=publication)
    if to is not None:
        changed = put(snapshot, content, form, to, force=force)
        typer.echo(f"wrote {to}" if changed else f"{to} is so already")
    elif form == Format.PARQUET:
        raise InputError("parquet: is nothing to print; give a file: -o FILE")
    else:
        typer.echo(content, nl=False)


def log_statement(
    place: Place,
    to: Annotated[Tracker, typer.Option("--to", help="To which tool.")],
    project: Annotated[
        str, typer.Option("--project", metavar="NAME", help="MLflow's experiment, W&B's project.")
    ] = "ullage",
    policy: PolicyFile = None,
    on: On = None,
) -> None:
    """Log a statement to MLflow or W&B as a new run: numbers, verdicts, consents and its files."""
    from ullage.exporting import take
    from ullage.tracking import log

    path = place / "statement.json" if place.is_dir() else place
    snapshot = take(path, policy, day("--on", on))
    run = log(snapshot, path, to, project)
    typer.echo(f"logged to {to} as run {run}")
