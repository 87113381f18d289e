"""The items of a run, so that a hundred thousand of them page and filter at once.

An SQLite file in the user's cache folder, made once from scores and journal and named by their
digest: a run scored anew gets another. It is not kept in the run folder, whose files may come from
somebody else. Per target, items lie in the order of what the student lost on them, so each of the
filters is one stretch of ranks; words are found by a full-text index.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ullage.errors import InfrastructureError
from ullage.files import cannot_write
from ullage.statement.document import Example

FloatArray = npt.NDArray[np.float64]

PER_PAGE = 50
_FORMAT = "2"
"""Of the file; another is another file."""
_EXCERPT = 240
_MOST_WORDS = 12
MOST_BYTES = 4 * 2**30
"""Of all indexes together: about forty of 100,000 items."""
_ABANDONED_SECONDS = 86_400.0
"""An index that is not whole by then never will be."""
_SCHEMA = """
create table items (n integer primary key, probe text, item text, family text, asked text,
    teacher text, student text, body blob);
create virtual table words using fts5 (text, content='', tokenize="unicode61");
create table ranks (target text, rank integer, n integer, family text, loss real, teacher real,
    student real, primary key (target, rank)) without rowid;
create table targets (target text primary key, binary integer, shows text, families text);
create table source (path blob);
"""
_INDEX = "create index by_family on ranks (target, family, rank)"


class Show(StrEnum):
    """Which items of a target are listed."""

    LOST = "lost"
    """The teacher did better: right where the student is wrong."""
    SAME = "same"
    """Both did equally well."""
    GAINED = "gained"
    """The student did better."""
    OPEN = "open"
    """One of them has no score."""
    EVERY = "every"


@dataclass(frozen=True, slots=True)
class Filter:
    """What somebody looks for."""

    target: str
    show: Show = Show.EVERY
    family: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One item in a list; all texts but the probe's name are hostile."""

    n: int
    probe: str
    item: str
    family: str
    asked: str
    teacher: str
    student: str
    teacher_score: float | None
    student_score: float | None


@dataclass(frozen=True, slots=True)
class TargetItems:
    """What there is to filter by."""

    binary: bool
    """Whether an item is right or wrong, and nothing between."""
    shows: dict[Show, int]
    """How many items each would list."""
    families: list[str]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A target's items, for the index."""

    target: str
    items: npt.NDArray[np.int64]
    """(items,) their numbers."""
    family: list[str]
    teacher: FloatArray
    """(items,) as scored; NaN: no score."""
    student: FloatArray
    """(items,) as scored."""
    loss: FloatArray
    """(items,) turned so that more is worse."""


class Writer:
    """Makes an index; the file appears when it is whole.

    Args:
        path: where.
        source: what it is made of, without which it is of no use; left out, it depends on nothing.

    Raises:
        UllageError: it cannot be written.
    """

    def __init__(self, path: Path, source: Path | None = None) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Private to the user: it holds what models said.
            handle, name = tempfile.mkstemp(prefix=path.name, suffix=".part", dir=path.parent)
            os.close(handle)
        except OSError as error:
            raise cannot_write(path, error) from error
        self._partial = Path(name)
        self._db = sqlite3.connect(name, isolation_level=None)
        # In one transaction: a file that is not whole is thrown away.
        self._db.executescript(f"pragma journal_mode=off; pragma synchronous=off; {_SCHEMA} begin")
        self._db.execute(
            "insert into source values (?)", (os.fsencode((source or path).absolute()),)
        )

    def add(self, n: int, probe: str, example: Example) -> None:
        """One item with everything that was said."""
        body = zlib.compress(example.model_dump_json().encode("utf-8", "replace"), 1)
        row = (
            _storable(example.item),
            _storable(example.family),
            _excerpt(example.prompt[-1].content if example.prompt else ""),
            _said(example, "teacher"),
            _said(example, "student"),
        )
        marks = ", ".join("?" * (3 + len(row)))
        self._db.execute(f"insert into items values ({marks})", (n, probe, *row, body))  # noqa: S608
        turns = [*example.prompt, *(turn for told in example.replies.values() for turn in told)]
        text = "\n".join(
            [example.item, example.family, example.reference, *(t.content for t in turns)]
        )
        self._db.execute("insert into words (rowid, text) values (?, ?)", (n, _storable(text)))

    def rank(self, given: Ranked) -> None:
        """A target's items."""
        order = np.lexsort((given.items, -np.nan_to_num(given.loss, nan=-np.inf)))
        scored = given.loss[np.isfinite(given.loss)]
        shows = {
            Show.LOST: int((scored > 0).sum()),
            Show.SAME: int((scored == 0).sum()),
            Show.GAINED: int((scored < 0).sum()),
            Show.OPEN: len(given.items) - len(scored),
            Show.EVERY: len(given.items),
        }
        self._db.executemany(
            "insert into ranks values (?, ?, ?, ?, ?, ?, ?)",
            (
                (given.target, rank, int(given.items[at]), _storable(given.family[at]),
                 *(_number(column[at]) for column in (given.loss, given.teacher, given.student)))
                for rank, at in enumerate(order)
            ),
        )  # fmt: skip
        values = np.concatenate([given.teacher, given.student])
        binary = bool(np.isin(values[np.isfinite(values)], (0.0, 1.0)).all())
        families = sorted({_storable(family) for family in given.family})
        self._db.execute(
            "insert into targets values (?, ?, ?, ?)",
            (given.target, binary, json.dumps(shows), json.dumps(families)),
        )

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._db.execute(_INDEX)
                self._db.execute("commit")
            self._db.close()
            if kind is None:
                self._partial.replace(self._path)
        except (sqlite3.Error, OSError) as error:
            raise InfrastructureError(
                f"{self._path}: cannot be written ({error}); make room, or set XDG_CACHE_HOME"
            ) from error
        finally:
            self._partial.unlink(missing_ok=True)


class Index:
    """Reads an index.

    Args:
        path: a file that `Writer` made.
    """

    def __init__(self, path: Path) -> None:
        self._uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._uri, uri=True)) as db:
            yield db

    def source(self) -> Path:
        """What it was made of.

        Raises:
            sqlite3.Error: it is no index of this version.
        """
        with self._open() as db:
            (path,) = db.execute("select path from source").fetchone()
        return Path(os.fsdecode(path))

    def targets(self) -> dict[str, TargetItems]:
        """By target, what there is to filter by."""
        with self._open() as db:
            rows = db.execute("select target, binary, shows, families from targets").fetchall()
        return {
            target: TargetItems(
                bool(binary),
                {Show(show): count for show, count in json.loads(shows).items()},
                json.loads(families),
            )
            for target, binary, shows, families in rows
        }

    def page(self, wanted: Filter, start: int, count: int = PER_PAGE) -> tuple[list[Row], int]:
        """Some items of that kind, the largest loss first, from `start` on; and how many there are.

        Words are looked up once for both. What is found is kept aside and counted there, which is
        quicker than counting it in a window beside every row.
        """
        where, values = _where(wanted)
        total = "select count(*) from found"
        if not wanted.family and not wanted.text:
            of_target = self.targets().get(wanted.target)
            total = f"select {0 if of_target is None else of_target.shows[wanted.show]}"
        # Ranks are chosen first, so that skipped items are never read.
        query = f"""
            with found as (select rank, n from ranks where {where} order by rank),
            shown as (select rank, n from found limit :count offset :start)
            select shown.rank as place, i.n, probe, item, i.family, asked, i.teacher, i.student,
                r.teacher, r.student
            from shown join ranks r on r.target = :target and r.rank = shown.rank
            join items i on i.n = shown.n
            union all select -1, ({total}), null, null, null, null, null, null, null, null
            order by place"""  # noqa: S608 - of our own parts
        with self._open() as db:
            found = db.execute(query, values | {"count": count, "start": max(0, start)})
            (_, number, *_), *rows = found.fetchall()
        return [Row(*row) for _, *row in rows], int(number)

    def example(self, n: int) -> tuple[str, Example] | None:
        """A probe and one of its items, with all that was said; None where there is none."""
        if n >= 1 << 63:  # more than a database can count
            return None
        with self._open() as db:
            found = db.execute("select probe, body from items where n = ?", (n,)).fetchone()
        if found is None:
            return None
        return found[0], Example.model_validate_json(zlib.decompress(found[1]))


def path_for(cache: Path, parts: Iterable[str]) -> Path:
    """Where the index of a run lies, which is told from others by `parts`."""
    digest = hashlib.sha256("\0".join([_FORMAT, *parts]).encode()).hexdigest()
    return cache / f"{digest[:40]}.sqlite"


def prune(cache: Path, most: int = MOST_BYTES) -> None:
    """Throw away indexes that nobody can use any more, and of the others the longest unused.

    Args:
        cache: where they are kept. What cannot be removed stays.
        most: bytes that may stay.
    """
    for path in cache.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()
    used: list[tuple[float, int, Path]] = []
    for path in cache.glob("*.sqlite"):
        with contextlib.suppress(OSError):
            if _is_of_use(path):
                found = path.stat()
                used.append((found.st_mtime, found.st_size, path))
            else:
                path.unlink()
    kept = 0
    for _, size, path in sorted(used, reverse=True):
        kept += size
        if kept > most:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_of_use(path: Path) -> bool:
    """Whether an index is of this version, and what it was made of is still there."""
    try:
        return Index(path).source().exists()
    except (sqlite3.Error, TypeError):  # TypeError: no row
        return False


_STRETCHES = {
    Show.LOST: "loss > 0",
    Show.SAME: "loss = 0",
    Show.GAINED: "loss < 0",
    Show.OPEN: "loss is null",
    Show.EVERY: "true",
}


def _where(wanted: Filter) -> tuple[str, dict[str, object]]:
    """A condition on ranks; what somebody typed is only ever a value of it."""
    parts = ["target = :target", _STRETCHES[wanted.show]]
    values: dict[str, object] = {"target": wanted.target}
    if wanted.family:
        parts.append("family = :family")
        values["family"] = _storable(wanted.family)
    if wanted.text.strip():
        match = _match(wanted.text)
        parts.append(
            "n in (select rowid from words where words match :match)" if match else "false"
        )
        values["match"] = match
    return " and ".join(parts), values


def _match(text: str) -> str:
    """Every word of it, or what begins with it; no operator of the search language gets through."""
    found = re.findall(r"\w+", _storable(text))[:_MOST_WORDS]
    return " ".join(f'"{word}"*' for word in found)


def _said(example: Example, arm: str) -> str:
    return _excerpt(next((turn.content for turn in example.replies.get(arm, ())), ""))


def _excerpt(text: str) -> str:
    """The beginning, in one line."""
    return _storable(" ".join(text[: 4 * _EXCERPT].split()))[: _EXCERPT + 1]


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
