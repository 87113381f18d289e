"""`ullage distill` and `ullage coverage`: making a student, and what its corpus leaves out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from ullage.cli_common import (
    DEFAULT_CONFIG,
    ConfigPath,
    Json,
    Overrides,
    load_config,
    open_console,
    print_json,
    reporter_for,
)
from ullage.errors import UllageError


def distill(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    plan_only: Annotated[
        bool,
        typer.Option("--plan", help="Say what would be done and what it would take, and stop."),
    ] = False,
    preflight: Annotated[
        bool,
        typer.Option("--preflight", help="Look for what would spoil the student, and stop."),
    ] = False,
    json_: Json = False,
) -> None:
    """Make the student and the ledger of its making."""
    from ullage.distill import run_distill, run_preflight
    from ullage.distill.processes import Processes

    processes = Processes.of_environment()
    if not processes.is_first:
        _distil_beside(config, override, looks=plan_only or preflight)
    loaded = load_config(config, override)
    if preflight:
        with reporter_for(json_, loaded) as reporter:
            found = run_preflight(loaded.config, loaded.root, progress=reporter.distil)
        if json_:
            print_json({"ok": not found.errors, **found.as_json()})
        else:
            typer.echo("\n".join(found.lines()))
        raise typer.Exit(2 if found.errors else 0)
    with reporter_for(json_, loaded) as reporter:
        result = run_distill(
            loaded.config, loaded.root, progress=reporter.distil, plan_only=plan_only
        )
    if json_:
        print_json(dict(result.ledger))
    else:
        typer.echo(result.summary())
    processes.leave()


def _distil_beside(config: Path, override: Overrides, *, looks: bool) -> NoReturn:
    """Distil together with the process that speaks, in silence; looking it does alone."""
    if looks:
        sys.exit(0)
    from ullage.distill import run_distill
    from ullage.distill.processes import Processes

    try:
        loaded = load_config(config, override)
        run_distill(loaded.config, loaded.root)
    except UllageError as error:
        # Not typer's exit, of which 130 would be taken for a Ctrl-C and told.
        sys.exit(error.exit_code)
    Processes.of_environment().leave()
    sys.exit(0)


def coverage(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    traffic: Annotated[
        Path | None,
        typer.Option(
            "--traffic", metavar="FILE", help="A sample of it; left out: the audit's own items."
        ),
    ] = None,
    radius: Annotated[
        float | None,
        typer.Option(
            "--radius",
            min=0.0,
            max=1.0,
            metavar="R",
            help="Distance up to which a question is covered.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Say which questions no prompt of the distillation corpus comes near."""
    from ullage.distill.coverage import run_coverage
    from ullage.distill.coverage.show import render

    loaded = load_config(config, override)
    found = run_coverage(loaded.config, loaded.root, traffic=traffic, radius=radius)
    if json_:
        print_json(found.as_json())
    else:
        render(found, open_console(stderr=False))
