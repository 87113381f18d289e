"""`ullage cache`: what is kept on disk, and away with it.

Of teachers' caches, in folders that the user names: what is in one, and whether it is whole. Of the
user's own cache folder: what Ullage put there.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ullage.cli_common import Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ullage.cache_folder import Kept
    from ullage.distill.cache import Stats

cache_app = typer.Typer(
    help="What teachers said, kept on disk for many students; and what Ullage keeps for itself."
)

Folder = Annotated[Path, typer.Argument(help="The folder of a cache.", metavar="FOLDER")]

_HOUR, _DAY = 3_600, 86_400


class Kind(StrEnum):
    """What `ullage.cache_folder` knows, which takes too long to import for ``--help``."""

    SELFTEST = "selftest"
    ORGANISMS = "organisms"
    MODELS = "models"
    PAGES = "pages"


@cache_app.command("stats")
def show_stats(folder: Folder, json_: Json = False) -> None:
    """Say what a teacher's cache holds, its size, and how well distributions are rebuilt."""
    from ullage.distill.cache import stats

    _show(stats(folder), json_)


@cache_app.command("verify")
def verify_all(folder: Folder, json_: Json = False) -> None:
    """Read all of a teacher's cache: every checksum, and every sequence decoded."""
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
    """Remove teachers' caches that cannot be read, or all but some."""
    from ullage.distill.cache import prune

    gone = prune(folder, keep=keep, dry_run=dry_run)
    if json_:
        print_json({"would_remove" if dry_run else "removed": [str(path) for path in gone]})
        return
    for path in gone:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {path}")
    if not gone:
        typer.echo(f"{folder}: nothing to remove")


@cache_app.command("list")
def list_kept(
    kind: Annotated[
        Kind | None, typer.Argument(help="Each thing of this kind.", metavar="KIND")
    ] = None,
    json_: Json = False,
) -> None:
    """Say what Ullage keeps in your cache folder, how large and old it is, and what for."""
    from ullage.cache_folder import KINDS, holdings
    from ullage.files import cache_home

    home = cache_home()
    found = holdings(home)
    if json_:
        print_json({"folder": str(home), "kept": [_as_json(kept) for kept in _of(found, kind)]})
        return
    typer.echo(str(home))
    if kind is not None:
        for kept in _of(found, kind):
            typer.echo(f"{_size(kept.bytes)}  {_age(kept.changed):>6}  {kept.path.name}")
        return
    typer.echo(f"{'kind':<11}{'things':>6}{'size':>13}{'newest':>8}{'oldest':>8}")
    for name, purpose in KINDS.items():
        of_it = [kept for kept in found if kept.kind == name]
        changed = [kept.changed for kept in of_it]
        ages = [_age(max(changed)), _age(min(changed))] if changed else ["-", "-"]
        size = _size(sum(kept.bytes for kept in of_it))
        typer.echo(f"{name:<11}{len(of_it):>6}{size}{ages[0]:>8}{ages[1]:>8}  {purpose}")


@cache_app.command("clear")
def clear_kept(
    kind: Annotated[
        list[Kind] | None,
        typer.Argument(help="Only things of this kind; several may be named.", metavar="[KIND]..."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", metavar="AGE", help="Only what did not change for so long: 12h, 30d."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and stop.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json_: Json = False,
) -> None:
    """Remove what Ullage keeps in your cache folder; all of it can be made or fetched again."""
    import time

    from ullage.cache_folder import holdings, in_use, remove
    from ullage.files import cache_home

    before = time.time() - _seconds(older_than)
    found = [kept for kept in _of(holdings(cache_home()), *(kind or ())) if kept.changed <= before]
    stays = {kept.path: why for kept in found if (why := in_use(kept))}
    goes = [kept for kept in found if kept.path not in stays]
    if goes and not dry_run:
        if not yes and not _agrees(f"remove {_told(goes)}, from {cache_home()}?"):
            typer.echo("left as it is", err=True)
            return
        # Whoever was asked took some time.
        stays |= {kept.path: why for kept in goes if (why := in_use(kept))}
        goes = [kept for kept in goes if kept.path not in stays]
        for kept in goes:
            remove(kept)
    done = "would remove" if dry_run else "removed"
    if json_:
        gone = [_as_json(kept) for kept in goes]
        in_use_ = {str(path): why for path, why in stays.items()}
        print_json({done.replace(" ", "_"): gone, "in_use": in_use_})
        return
    for kept in goes if dry_run else ():
        typer.echo(f"would remove {kept.path}")
    for path, why in stays.items():
        typer.echo(f"left {path}: {why}")
    typer.echo(f"{done} {_told(goes)}")


def _agrees(question: str) -> bool:
    from ullage.errors import InputError

    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        raise InputError(
            "cache clear: nobody is there to ask; add --yes, or look with --dry-run"
        ) from None


def _seconds(age: str | None) -> float:
    from ullage.errors import InputError

    if age is None:
        return 0.0
    if not re.fullmatch(r"[0-9]{1,6}[hd]", age, re.ASCII):
        raise InputError(f"--older-than {age!r}: is no age; write hours or days, like 12h or 30d")
    return int(age[:-1]) * (_HOUR if age[-1] == "h" else _DAY)


def _of(found: Iterable[Kept], *kinds: Kind | None) -> list[Kept]:
    """Those of these kinds; all where none is named."""
    named = {kind.value for kind in kinds if kind is not None}
    return [kept for kept in found if not named or kept.kind in named]


def _told(some: list[Kept]) -> str:
    size = _size(sum(kept.bytes for kept in some)).strip()
    return f"{len(some)} {'thing' if len(some) == 1 else 'things'} ({size})"


def _as_json(kept: Kept) -> dict[str, Any]:
    changed = datetime.fromtimestamp(kept.changed, UTC).isoformat(timespec="seconds")
    return {"kind": kept.kind, "path": str(kept.path), "bytes": kept.bytes, "changed": changed}


def _size(size: int) -> str:
    return f"{size / 1e6:>10,.1f} MB"


def _age(changed: float) -> str:
    seconds = max(0.0, datetime.now(UTC).timestamp() - changed)
    return f"{seconds / _DAY:.0f} d" if seconds >= 2 * _DAY else f"{seconds / _HOUR:.0f} h"


def _show(found: Stats, json_: bool) -> None:
    if json_:
        print_json(found.as_json())
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
