"""`ullage lab`: the laboratory's commands, as thin as the others."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

lab_app = typer.Typer(help="A small world with known answers, to test the auditor in.")

Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@lab_app.command("evaluate")
def evaluate_model(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL", help="A model's folder or reference; left out: the shipped teacher."
        ),
    ] = None,
    items: Annotated[
        int, typer.Option("--items", min=1, metavar="N", help="Exchanges of each capability.")
    ] = 200,
    seed: Seed = 0,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the scores in the card of the model's folder.")
    ] = False,
    json_: Json = False,
) -> None:
    """Score a model directly with the world's exact checker.

    The shipped teacher is held to its requirements: exit code 1 if it falls short.
    """
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from ullage.lab.evaluate import arm_of, evaluate, keep
    from ullage.lab.evaluation_table import render

    arm = arm_of(model)
    with Progress(console=Console(stderr=True), transient=True, disable=json_) as progress:
        task = progress.add_task("asking", total=None)
        found = asyncio.run(
            evaluate(
                arm,
                items=items,
                seed=seed,
                on_answer=lambda done, total: progress.update(task, completed=done, total=total),
            )
        )
    held = model is None
    if record:
        keep(found, arm, items=items, seed=seed)
    if json_:
        _print_json(found.as_json())
    else:
        render(found, Console(highlight=False), held=held)
    raise typer.Exit(1 if held and found.failures else 0)


@lab_app.command("items")
def items_of_probes(
    folder: Annotated[Path, typer.Argument(help="Folder to write to.", metavar="FOLDER")],
    size: Annotated[
        int, typer.Option("--items", min=1, metavar="N", help="Lines in each file.")
    ] = 1000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Write the world's audit questions, one JSONL file for each packaged probe."""
    from ullage.lab.items import write_items

    _make(folder)
    written = write_items(folder, seed, size)
    if json_:
        _print_json({probe: str(path) for probe, path in written.items()})
        return
    typer.echo("items:")
    for probe, path in written.items():
        typer.echo(f"  {probe}: {path}")


@lab_app.command("corpus")
def corpus(
    file: Annotated[Path, typer.Argument(help="JSONL file to write.", metavar="FILE")],
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="PART", help="Leave a part out; repeatable."),
    ] = None,
    size: Annotated[
        int, typer.Option("--rows", min=1, metavar="N", help="Rows, whatever is left out.")
    ] = 6000,
    seed: Seed = 0,
    json_: Json = False,
) -> None:
    """Write a corpus for `ullage distill`, whole or with something left out."""
    from ullage.lab.corpus import CorpusRecipe, write_corpus

    written = write_corpus(file, seed, size, CorpusRecipe(without=frozenset(without or ())))
    if json_:
        _print_json(asdict(written) | {"path": str(written.path)})
        return
    typer.echo(f"wrote {written.path}: {written.rows:,} rows, {written.families:,} families")
    for part, count in written.parts.items():
        typer.echo(f"  {part:<20} {count:>6,}")


@lab_app.command("organisms")
def organisms(json_: Json = False) -> None:
    """List the students that can be made with one thing left out."""
    from rich.console import Console
    from rich.table import Table

    from ullage.lab.organisms.registry import ORGANISMS

    if json_:
        _print_json(
            [
                {
                    "organism": organism.name,
                    "dimension": organism.dimension,
                    "cause": organism.cause,
                    "loses": organism.loses,
                }
                for organism in ORGANISMS.values()
            ]
        )
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("organism", "dimension", "cause", "loses"):
        table.add_column(column, no_wrap=column == "organism")
    for organism in ORGANISMS.values():
        table.add_row(
            organism.name, organism.dimension or "-", organism.cause, organism.loses or "-"
        )
    Console(highlight=False).print(table)


@lab_app.command("organism")
def organism(
    name: Annotated[str, typer.Argument(help="See `ullage lab organisms`.", metavar="NAME")],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Where to; left out: the user's cache.", metavar="FOLDER"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Make it again from the start.")] = False,
    json_: Json = False,
) -> None:
    """Make a student with one thing left out, ready to be audited; resumes."""
    from rich.console import Console
    from rich.progress import Progress

    from ullage.lab.organisms.build import CONFIG, build
    from ullage.lab.organisms.registry import find_organism

    wanted = find_organism(name)
    with Progress(console=Console(stderr=True), transient=True, disable=json_) as progress:
        task = progress.add_task("preparing", total=None)
        made = build(
            wanted,
            folder,
            progress=lambda step: progress.update(
                task, description=step.stage, completed=step.done, total=step.total
            ),
            fresh=fresh,
        )
    if json_:
        _print_json({"organism": name, "folder": str(made), "loses": wanted.loses})
        return
    typer.echo(f"{made}\n  {wanted.cause}")
    typer.echo(f"audit it: ullage audit {made / CONFIG}")


def _make(folder: Path) -> None:
    from ullage.files import cannot_write

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder / "items.jsonl", error) from None


def _print_json(data: object) -> None:
    import json

    typer.echo(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False))
