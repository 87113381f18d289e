"""`ullage plan` and `ullage audit`: what will be asked, and the asking."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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

if TYPE_CHECKING:
    from ullage.config import Loaded
    from ullage.statement.document import Statement

RunName = Annotated[
    str | None, typer.Option("--run", metavar="NAME", help="Name of the run folder.")
]


class StepName(StrEnum):
    """Steps of an audit that can be run again alone."""

    COLLECT = "collect"
    SCORE = "score"
    JUDGE = "judge"
    STATE = "state"


class ProfileName(StrEnum):
    """Profiles of `ullage.config.profiles`, which takes too long to import for ``--help``."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


WithProfile = Annotated[
    ProfileName | None,
    typer.Option("--profile", help="How much to ask, instead of what the configuration says."),
]


def plan(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    run: RunName = None,
    profile: WithProfile = None,
    pilot: Annotated[
        int | None,
        typer.Option(
            "--pilot",
            min=3,
            metavar="N",
            help="Ask N items per probe to learn how often the arms differ, and plan with that.",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Say what will be asked, for what power and price."""
    import asyncio

    from ullage.planning import plan_only

    loaded = _load(config, override, profile)
    with reporter_for(json_, loaded) as reporter:
        made = asyncio.run(plan_only(loaded, run=run, pilot=pilot, on_tick=reporter.tick))
    if json_:
        print_json(made.model_dump(mode="json"))
    else:
        from ullage.planning import show_plan

        show_plan(made, loaded, open_console(stderr=False))


def audit(
    config: ConfigPath = DEFAULT_CONFIG,
    override: Overrides = None,
    run: RunName = None,
    profile: WithProfile = None,
    begin: Annotated[
        StepName,
        typer.Option("--from", help="Run again from this step."),
    ] = StepName.COLLECT,
    stop_early: Annotated[
        bool,
        typer.Option(
            "--stop-early",
            help="Stop asking with a probe once its verdicts are in, as planning.stop_early does.",
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Ask, judge, and write the statement; resumes."""
    import asyncio

    from ullage.audit import Step, run_audit, set_up

    stops = ["planning.stop_early=true"] * stop_early
    loaded = _load(config, [*(override or ()), *stops], profile)
    setup = set_up(loaded, run)
    with reporter_for(json_, loaded) as reporter:
        statement = asyncio.run(
            run_audit(
                setup,
                begin=Step(begin),
                on_plan=reporter.plan,
                on_tick=reporter.tick,
                on_step=reporter.step,
            )
        )
    show_statement(statement, setup.folder.path, json_)
    raise typer.Exit(statement.exit_code)


def show_statement(statement: Statement, folder: Path, json_: bool) -> None:
    """On standard output: for machines the file as it is, for people what it says."""
    if json_:
        sys.stdout.write((folder / "statement.json").read_text("utf-8"))
        return
    from ullage.statement.acceptance import read_records
    from ullage.statement.consent import consents
    from ullage.statement.terminal import render

    found = consents(statement, read_records(folder))
    render(statement, open_console(stderr=False), found=found, folder=folder)


def _load(path: Path, overrides: list[str] | None, profile: ProfileName | None) -> Loaded:
    from ullage.config.profiles import as_overrides

    chosen = as_overrides(profile.value) if profile else ()
    return load_config(path, [*chosen, *(overrides or ())])
