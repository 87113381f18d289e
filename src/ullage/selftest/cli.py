"""`ullage selftest`: what the auditor can and cannot see."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ullage.cli_common import Json, day, make_reporter, open_console, print_json


def selftest(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer audits: three minutes on two cores, for CI.")
    ] = False,
    probe: Annotated[
        list[str] | None,
        typer.Option("--probe", metavar="NAME", help="Only this probe; repeatable."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Test the probes, items and tasks of your own there."
        ),
    ] = None,
    organism: Annotated[
        list[str] | None,
        typer.Option(
            "--organism",
            metavar="NAME",
            help="Only this distilled student, or none; repeatable. Left out: all of them, in a "
            "full test of the packaged probes.",
        ),
    ] = None,
    audits: Annotated[
        int | None, typer.Option("--audits", min=2, metavar="N", help="Audits of each size.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, metavar="N", help="Processes; one a core.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", help="Write the tables there.")
    ] = None,
    record: Annotated[
        str | None,
        typer.Option(
            "--record",
            metavar="DATE",
            help="Keep the result, as of this day, for statements to quote.",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option("--fresh", help="Try again what an earlier test tried with this very code."),
    ] = False,
    json_: Json = False,
) -> None:
    """Show what the auditor can and cannot see."""
    from dataclasses import replace

    from ullage.files import cache_home, write_whole
    from ullage.lab.organisms.registry import ORGANISMS, find_organism
    from ullage.selftest.run import choose, keep, record_path, run_selftest
    from ullage.selftest.show import render, to_markdown
    from ullage.selftest.trials import FULL, QUICK

    settings = QUICK if quick else FULL
    if audits is not None:
        # The matrix is made of the same audits, of some or of all.
        fewest = min(audits, settings.matrix_audits)
        settings = replace(settings, audits=audits, matrix_audits=fewest)
    if record is not None:
        day("--record", record)  # before half an hour of work, not after it
    sources = choose(probe or (), config)
    chosen = list(organism or ())
    if organism is None and not (quick or probe or config):
        chosen = list(ORGANISMS)
    wanted = [find_organism(name) for name in chosen if name != "none"]
    most = len(sources) + len(wanted)
    with make_reporter(json_, open_console(), "") as reporter:
        audited = []
        if wanted:
            from ullage.selftest.organisms import audit_organisms

            audited = audit_organisms(
                wanted, on_organism=lambda name, passed: reporter.tried(name, passed, most)
            )
        report = run_selftest(
            sources,
            settings,
            quick=quick,
            jobs=jobs,
            on_probe=lambda name, result: reporter.tried(
                name, None if result is None else result.passed, most
            ),
            organisms=audited,
            kept=cache_home() / "selftest",
            fresh=fresh,
        )
    if record is not None:
        keep(report, record_path(config), record)
    if markdown is not None:
        write_whole(markdown, to_markdown(report).encode())
    if json_:
        print_json(report.model_dump(mode="json") | {"passed": report.passed})
    else:
        render(report, open_console(stderr=False))
    raise typer.Exit(0 if report.passed else 1)
