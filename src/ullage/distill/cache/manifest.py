"""`manifest.json`: what a cache is, and once it is finished, all that is in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ullage.distill.cache.about import FORMAT, About, about_from_json
from ullage.distill.ledger import digest
from ullage.errors import InputError
from ullage.files import write_whole

FILE = "manifest.json"
KIND = "ullage.cache"
LOCK = "lock"


@dataclass(frozen=True, slots=True)
class Layout:
    """How sequences are laid out; together with their order, all that the bytes depend on."""

    shard_positions: int
    """A shard is closed by the sequence that brings it to so many."""
    sample: int
    """Positions that tables are made of."""
    stride: int
    """One in so many of a shard's first `within` positions is measured."""
    within: int = 8192

    def measured(self, start: int, positions: int) -> NDArray[np.int64]:
        """Which positions of a sequence are measured.

        Args:
            start: positions of its shard that come before it.
            positions: of the sequence.
        """
        place = start + np.arange(positions)
        return np.flatnonzero((place < self.within) & (place % self.stride == self.stride - 1))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A cache's manifest."""

    about: About
    layout: Layout
    complete: bool = False
    model: str = ""
    """SHA-256 of the tables, once complete."""
    shards: tuple[str, ...] = ()
    """SHA-256 of each shard, once complete."""
    sequences: int = 0
    positions: int = 0
    reconstruction: dict[str, Any] | None = None
    """See `describe.reconstruction`, once complete."""

    def finished(self, **facts: Any) -> Manifest:
        """This, complete."""
        return replace(self, complete=True, **facts)

    def write(self, folder: Path) -> None:
        """Put it into the cache's folder."""
        write_whole(folder / FILE, self._bytes())

    def _bytes(self) -> bytes:
        body: dict[str, Any] = {
            "kind": KIND,
            "format": FORMAT,
            "identity": self.about.identity,
            **asdict(self),
        }
        body["digest"] = digest(body)
        return (json.dumps(body, indent=2, ensure_ascii=False) + "\n").encode()


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a cache.

    Raises:
        InputError: there is no cache, it is of another format, or its manifest was changed.
    """
    path = folder / FILE
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name the folder of a teacher cache")
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{folder}: holds no teacher cache (no {FILE}); name the folder that holds one"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check it") from error
    try:
        data = json.loads(raw)
        if data["kind"] != KIND:
            raise ValueError
        version = data["format"]
    except (ValueError, KeyError, TypeError):
        raise InputError(
            f"{path}: is not the manifest of a teacher cache; see the folder"
        ) from None
    if version != FORMAT:
        raise InputError(
            f"{path}: is of format {version}, and this version reads {FORMAT}; make the cache "
            "anew, or use the version of Ullage that made it"
        )
    try:
        found = Manifest(
            about_from_json(data["about"], path),
            Layout(**data["layout"]),
            data["complete"],
            data["model"],
            tuple(data["shards"]),
            data["sequences"],
            data["positions"],
            data["reconstruction"],
        )
        same = found._bytes() == raw
    except (KeyError, TypeError, ValueError):
        same = False
    if not same:
        raise InputError(
            f"{path}: is damaged or was changed by hand; restore it, or remove the folder and make "
            "the cache anew"
        )
    return found
