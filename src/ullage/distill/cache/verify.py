"""Saying what is in a cache, trying whether it is whole, and clearing away what nobody wants."""

# ruff: noqa: N803 - arrays carry their shape as a suffix

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache import model as models
from ullage.distill.cache.about import About
from ullage.distill.cache.codec import decode, together
from ullage.distill.cache.container import damaged
from ullage.distill.cache.describe import reconstruction
from ullage.distill.cache.locking import lock
from ullage.distill.cache.manifest import FILE, Manifest, read_manifest
from ullage.distill.cache.model import Model, read_model
from ullage.distill.cache.shard import Shard
from ullage.errors import InputError
from ullage.files import cannot_write

_TOGETHER = 8192
"""Positions decoded at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A cache in numbers."""

    identity: str
    about: About
    complete: bool
    shards: int
    sequences: int
    positions: int
    bytes: int
    """Of all files."""
    table_bytes: int
    """Of those, what is learnt once and does not grow."""
    reconstruction: dict[str, Any] | None
    """See `describe.reconstruction`."""

    @property
    def bytes_per_position(self) -> float | None:
        """Without the tables; None where there are no positions."""
        return (self.bytes - self.table_bytes) / self.positions if self.positions else None

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {**asdict(self), "bytes_per_position": self.bytes_per_position}


def stats(folder: Path) -> Stats:
    """What is in a cache, finished or not; reads headers only.

    Raises:
        InputError: there is no cache, or a file is cut off or not of this format.
    """
    manifest = read_manifest(folder)
    shards = _shards(folder, manifest, check=False)[1]
    tables = folder / models.FILE
    files = [path for path in folder.iterdir() if path.is_file()]
    return Stats(
        identity=manifest.about.identity,
        about=manifest.about,
        complete=manifest.complete,
        shards=len(shards),
        sequences=sum(map(len, shards)),
        positions=sum(int(shard.positions_S.sum()) for shard in shards),
        bytes=sum(path.stat().st_size for path in files),
        table_bytes=tables.stat().st_size if tables.exists() else 0,
        reconstruction=reconstruction(shards),
    )


def verify(folder: Path) -> Stats:
    """Read all of a cache: every checksum, and every sequence decoded.

    Returns:
        As `stats`.

    Raises:
        InputError: naming the first file that is not as it was written, and what would do.
    """
    manifest = read_manifest(folder)
    model, shards = _shards(folder, manifest, check=True)
    if manifest.complete:
        _require_listed(folder, manifest, shards)
    seen: set[str] = set()
    for shard in shards:
        keys = shard.keys()
        if len(keys) != len(shard) or not seen.isdisjoint(keys) or len(set(keys)) != len(keys):
            raise damaged(shard.file.path, "names are missing, or are there twice")
        seen.update(keys)
        if model is not None:
            _require_readable(shard, model, manifest.about)
    return stats(folder)


def prune(root: Path, *, keep: Collection[str] | None = None, dry_run: bool = False) -> list[Path]:
    """Remove caches nobody wants from a folder of caches.

    Only folders with a manifest of ours are looked at, and none that a process writes to.

    Args:
        root: folder whose subfolders are caches.
        keep: identities, or beginnings of them, of the caches that stay. Left out, all stay that
            this version can read, and only what it cannot read goes.
        dry_run: remove nothing.

    Returns:
        What was removed, or would be.

    Raises:
        InputError: there is no such folder, or a cache cannot be removed.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; name the folder that holds the caches")
    if (root / FILE).exists():
        raise InputError(f"{root}: is a cache itself; name the folder that holds it")
    wanted = None if keep is None else tuple(one.removeprefix("sha256:") for one in keep)
    if wanted is not None and "" in wanted:
        raise InputError("keep: found an empty name; give the identities of the caches that stay")
    gone = [
        folder
        for folder in sorted(root.iterdir())
        if (folder / FILE).is_file() and not _stays(folder, wanted)
    ]
    if not dry_run:
        for folder in gone:
            _remove(folder)
    return gone


def _shards(folder: Path, manifest: Manifest, *, check: bool) -> tuple[Model | None, list[Shard]]:
    """The tables and every shard that is there."""
    paths = sorted(folder.glob("shard-*.ullage"))
    if not paths and not (folder / models.FILE).exists():
        if manifest.complete:
            raise InputError(f"{folder}: its files are gone; make the cache anew")
        return None, []
    identity = manifest.about.identity
    model, file = read_model(folder, identity, check=check)
    return model, [Shard(path, identity, file.digest, check=check) for path in paths]


def _require_listed(folder: Path, manifest: Manifest, shards: list[Shard]) -> None:
    """What is there is what the manifest names."""
    found = tuple(shard.file.digest for shard in shards)
    if found != manifest.shards:
        if len(found) != len(manifest.shards):
            what = f"has {len(found)} shards where its manifest names {len(manifest.shards)}"
        else:
            what = "has shards that its manifest does not name"
        raise InputError(f"{folder}: {what}; restore it, or make the cache anew")


def _require_readable(shard: Shard, model: Model, about: About) -> None:
    """Every sequence decodes to sets of tokens of the vocabulary."""
    for first, last in _spans(shard.positions_S):
        try:
            coded = together([shard.coded(place) for place in range(first, last)])
            columns = decode(coded, model, about.compressor)
        except IndexError as error:
            raise damaged(shard.file.path, f"sequences from {first} cannot be decoded") from error
        rising = (np.diff(columns.tokens_NK, axis=1) > 0) | ~columns.used_NK[:, 1:]
        inside = columns.tokens_NK < about.vocabulary
        if not (rising.all() and inside.all() and (columns.count_N > 0).all()):
            raise damaged(shard.file.path, f"sequences from {first} are no sets of tokens")


def _spans(positions_S: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of sequences of about `_TOGETHER` positions."""
    first, positions = 0, 0
    for place, more in enumerate(positions_S.tolist()):
        positions += more
        if positions >= _TOGETHER:
            yield first, place + 1
            first, positions = place + 1, 0
    if first < len(positions_S):
        yield first, len(positions_S)


def _stays(folder: Path, wanted: tuple[str, ...] | None) -> bool:
    try:
        identity = stats(folder).identity.removeprefix("sha256:")
    except InputError:
        return False
    return wanted is None or identity.startswith(wanted)


def _remove(folder: Path) -> None:
    held = lock(folder)
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise cannot_write(folder, error) from error
    finally:
        held.release()
