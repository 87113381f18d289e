"""Making the index of a run in the background, while its page says how far it is."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from ullage import __version__
from ullage.audit import Setup, set_up_again
from ullage.collect.journal import Journal
from ullage.errors import InputError, UllageError
from ullage.examples import example, went_well
from ullage.files import cache_home
from ullage.models.identity import file_digest
from ullage.plan import Plan
from ullage.scores import ProbeScores, read_scores
from ullage.serve.index import Index, Ranked, Writer, path_for
from ullage.serve.runs import Run
from ullage.statement.document import Statement

_WAIT_SECONDS = 1.5
"""A page waits so long for an index that is nearly there."""


@dataclass
class Making:
    """An index that is being made."""

    total: int
    done: int = 0
    problem: str = ""
    """Why there will be none."""
    ended: threading.Event = field(default_factory=threading.Event)


class Indexes:
    """The indexes of all runs: each is made when it is first asked for.

    Args:
        root: folder of the configurations; None: as the place of each run folder tells.
        cache: where they are kept; None: in the user's cache folder.
    """

    def __init__(self, root: Path | None = None, cache: Path | None = None) -> None:
        self._root = root
        self._cache = cache or cache_home() / "pages"
        self._making: dict[Path, Making] = {}
        self._digests: dict[tuple[object, ...], str] = {}
        self._lock = threading.Lock()

    def of(self, run: Run) -> Index | Making:
        """The index of a run, or how far it is.

        Raises:
            InputError: none can be made, for what it is made of is not there.
        """
        statement, plan = run.statement(), run.plan()
        missing = [n for n in ("config.yaml", "scores.parquet", "replies.jsonl") if not run.has(n)]
        if statement is None or plan is None or missing:
            what = missing[0] if missing else "plan.json"
            raise InputError(
                f"{run.place}: items are read from the whole run folder, and {what} is not here; "
                "the statement has examples of each loss"
            )
        path = self.path_of(run, plan)
        if path.is_file():
            return Index(path)
        with self._lock:
            making = self._making.get(path)
            if making is None:
                total = sum(share.items for share in plan.probes.values())
                making = self._making[path] = Making(total)
                threading.Thread(
                    target=self._make, args=(run, statement, plan, path, making), daemon=True
                ).start()
        making.ended.wait(_WAIT_SECONDS)
        if making.problem:
            self._making.pop(path, None)  # the next to ask may have mended it
            raise InputError(making.problem)
        return Index(path) if path.is_file() else making

    def path_of(self, run: Run, plan: Plan) -> Path:
        """Where the index of a run is kept."""
        return path_for(
            self._cache,
            (__version__, self._digest(run.folder.scores), plan.config_digest, str(plan.seed)),
        )

    def _digest(self, path: Path) -> str:
        """SHA-256 of a file, read again only where it changed."""
        found = path.stat()
        state = (path, found.st_mtime_ns, found.st_size, found.st_ino)
        if state not in self._digests:
            self._digests[state] = file_digest(path)
        return self._digests[state]

    def _make(self, run: Run, statement: Statement, plan: Plan, path: Path, making: Making) -> None:
        try:
            setup = set_up_again(run.folder, statement, self._root)
            _write(setup, statement, plan, path, making)
        except UllageError as error:
            making.problem = str(error)
        except Exception as error:  # said on the page; a thread has nobody else to tell
            making.problem = f"{run.place}: its items cannot be read ({type(error).__name__})"
            raise
        finally:
            making.ended.set()


def _write(setup: Setup, statement: Statement, plan: Plan, path: Path, making: Making) -> None:
    scores, views = read_scores(setup.folder.scores), plan.views()
    with Journal(setup.folder.replies, read_only=True) as journal, Writer(path) as writer:
        for name, share in plan.probes.items():
            table, probe = scores.probes.get(name), setup.probes[name]
            if table is None:
                continue
            first = making.done
            places = {item: place for place, item in enumerate(table.items)}
            for item in islice(probe.items(plan.seed), share.items):
                if (place := places.get(item.id)) is not None:
                    told = example(item, place, probe, plan, views, journal, table)
                    writer.add(first + place, name, told)
                making.done += 1
            for target in statement.scenario.targets:
                if target.probe == name:
                    writer.rank(_ranked(target.id, setup, table, first))


def _ranked(target: str, setup: Setup, table: ProbeScores, first: int) -> Ranked:
    """A target's items, whose numbers begin with `first`."""
    name, _, of_metric = target.partition(".")
    metric = setup.probes[name].metric(of_metric)
    column = metric.source_columns[-1:]
    teacher, student = (table.columns(arm, column)[:, 0] for arm in ("teacher", "student"))
    return Ranked(
        target=target,
        items=np.arange(first, first + len(table.items), dtype=np.int64),
        family=[table.family_names[code] for code in table.family],
        teacher=teacher,
        student=student,
        loss=went_well(metric, table, metric.against) - went_well(metric, table, "student"),
    )
