"""What the modules of commands share: arguments of the same meaning, and ways to print."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import date

    from rich.console import Console

    from ullage.config import Loaded
    from ullage.progress import Reporter
    from ullage.statement.document import Statement

DEFAULT_CONFIG = Path("ullage.yaml")
ConfigPath = Annotated[Path, typer.Argument(help="The configuration file.", metavar="CONFIG")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("-o", "--override", metavar="KEY=VALUE", help="Override one key; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output and progress.")]
Place = Annotated[
    Path, typer.Argument(help="A run folder or a statement.json.", metavar="STATEMENT")
]
PolicyFile = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="The gate's policy: whose signatures count."),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="DATE", help="As of this day.  [default: today, UTC]"),
]


def read_place(place: Path) -> tuple[Statement, Path]:
    """A statement and its file, from a run folder or the file itself."""
    from ullage.statement.store import read

    path = place / "statement.json" if place.is_dir() else place
    return read(path), path


def day(option: str, text: str | None) -> date:
    """The day that an option names; today (UTC) where it is left out.

    Raises:
        InputError: it is no day.
    """
    from datetime import UTC, date, datetime

    from ullage.errors import InputError

    if text is None:
        return datetime.now(UTC).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text!r}: is no day; write it like 2027-01-31") from None


def open_console(*, stderr: bool = True) -> Console:
    """Where people read."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def print_json(data: object) -> None:
    """For machines, on standard output; what would act on a terminal is spelt out."""
    import json

    from ullage.statement.sanitise import json_text

    text = json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False)
    sys.stdout.write(json_text(text) + "\n")


def load_config(path: Path, overrides: list[str] | None) -> Loaded:
    """A configuration, as a command was given it."""
    from ullage.config import load

    return load(path, tuple(overrides or ()))


def reporter_for(json_: bool, loaded: Loaded) -> Reporter:
    """What tells how far work on a configuration is."""
    return make_reporter(json_, open_console(), loaded.config.budget.currency)


def make_reporter(json_: bool, console: Console, currency: str) -> Reporter:
    """What tells how far work is: for machines, or on a terminal."""
    from ullage.progress import JsonReporter, TerminalReporter

    return JsonReporter() if json_ else TerminalReporter(console, currency)
