"""`ullage cache`: what is in a teacher cache, whether it is whole, and away with what is not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ullage.distill.cache import Stats

cache_app = typer.Typer(help="What teachers said, kept on disk for many students.")

Folder = Annotated[Path, typer.Argument(help="The folder of a cache.", metavar="FOLDER")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


@cache_app.command("stats")
def show_stats(folder: Folder, json_: Json = False) -> None:
    """Say what a cache holds, how large it is, and how well distributions are rebuilt from it."""
    from ullage.distill.cache import stats

    _show(stats(folder), json_)


@cache_app.command("verify")
def verify_all(folder: Folder, json_: Json = False) -> None:
    """Read all of a cache: every checksum, and every sequence decoded."""
    from ullage.distill.cache import verify

    found = verify(folder)
    _show(found, json_)
    if not json_:
        state = "whole" if found.complete else "whole as far as it goes; it is unfinished"
        typer.echo(f"{folder}: {state}")


@cache_app.command("prune")
def prune_all(
    folder: Annotated[Path, typer.Argument(help="A folder of caches.", metavar="FOLDER")],
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="IDENTITY",
            help="A cache that stays, by the beginning of its identity; repeatable. Left out: all "
            "that can be read.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and stop.")
    ] = False,
    json_: Json = False,
) -> None:
    """Remove caches that cannot be read, or all but some."""
    from ullage.distill.cache import prune

    gone = prune(folder, keep=keep, dry_run=dry_run)
    if json_:
        _print_json({"would_remove" if dry_run else "removed": [str(path) for path in gone]})
        return
    for path in gone:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {path}")
    if not gone:
        typer.echo(f"{folder}: nothing to remove")


def _show(found: Stats, json_: bool) -> None:
    if json_:
        _print_json(found.as_json())
        return
    about, compressor = found.about, found.about.compressor
    kept = "likeliest tokens and the mass of the rest" if compressor.signal == "top" else "draws"
    each = (
        "" if found.bytes_per_position is None else f", {found.bytes_per_position:.1f} a position"
    )
    for name, text in (
        ("identity", found.identity),
        ("teacher", about.teacher),
        ("corpus", about.corpus),
        ("keeps", f"{compressor.k} {kept}, of a vocabulary of {about.vocabulary:,}"),
        ("temperature", f"{about.temperature:g}"),
        ("state", "complete" if found.complete else "unfinished"),
        ("holds", f"{found.sequences:,} sequences, {found.positions:,} positions"),
        (
            "bytes",
            f"{found.bytes:,} in {found.shards} shards{each} and {found.table_bytes:,} of tables",
        ),
    ):
        typer.echo(f"{name:<12} {text}")
    _show_reconstruction(found)


def _show_reconstruction(found: Stats) -> None:
    lost = found.reconstruction
    if lost is None:
        typer.echo("lost         not measured: draws are unbiased")
        return
    typer.echo(f"lost         at {lost['positions']:,} positions that no table was made of")
    for name, text in (
        ("tail_mass", "probability not kept"),
        ("kept", "KL of what is kept"),
        ("rebuilt", "KL with the tail shared out"),
    ):
        one = lost[name]
        numbers = "-" if one["mean"] is None else f"mean {one['mean']:.4f}  p99 {one['p99']:.4f}"
        typer.echo(f"  {text:<28} {numbers}")
    if lost["infinite"]:
        typer.echo(f"  infinite KL at {lost['infinite']} positions, which the means leave out")


def _print_json(data: object) -> None:
    import json

    typer.echo(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False))
