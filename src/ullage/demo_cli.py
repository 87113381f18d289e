"""`ullage demo`: two students, their statements, and what tells them apart."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ullage.audit_cli import show_statement
from ullage.cli_common import Json, make_reporter, open_console, print_json

if TYPE_CHECKING:
    from ullage.demo import Demo
    from ullage.progress import Reporter


def demo(
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder", help="Where the demo keeps what it makes.  [default: demo, or demo-real]"
        ),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="With SmolLM2-135M, which is fetched, and one student.")
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the statement in a browser at the end.")
    ] = True,
    json_: Json = False,
) -> None:
    """Distil two small students of the laboratory, audit both, and show what one lost."""
    console = open_console()

    def reporter() -> Reporter:
        return make_reporter(json_, console, "")

    if real:
        from ullage.demo_real import run_real_demo

        statement, path = run_real_demo(folder or Path("demo-real"), reporter(), console)
        show_statement(statement, path, json_)
    else:
        from ullage.demo import run_demo

        made = run_demo(folder or Path("demo"), reporter, console)
        path = made.scrubbed.folder
        _show_demo(made, json_)
    if open_ and not json_ and sys.stdout.isatty():
        typer.launch(str(path / "statement.html"))


def _show_demo(demo: Demo, json_: bool) -> None:
    """Both statements, their difference, and what it means."""
    if json_:
        import json

        print_json(
            {
                "comparison": json.loads(demo.comparison.to_json()),
                "story": demo.story,
                "full": str(demo.full.folder),
                "scrubbed": str(demo.scrubbed.folder),
            }
        )
        return
    from rich.text import Text

    from ullage.statement import compare_terminal, terminal

    console = open_console(stderr=False)
    for audited in (demo.full, demo.scrubbed):
        terminal.render(audited.statement, console)
        console.rule()
    compare_terminal.render(demo.comparison, console)
    console.print()
    console.print(Text(demo.story))
    console.print()
    for audited in (demo.full, demo.scrubbed):
        console.print(Text(str(audited.folder / "statement.html")), soft_wrap=True)
