"""Making the index of a run in the background, while its page says how far it is."""

from __future__ import annotations

import contextlib
import os
from itertools import islice
from pathlib import Path

import numpy as np

from ullage import __version__
from ullage.audit import Setup, set_up_again
from ullage.collect.journal import Journal
from ullage.errors import InputError
from ullage.examples import example, went_well
from ullage.files import cache_home
from ullage.models.identity import file_digest
from ullage.plan import Plan
from ullage.scores import ProbeScores, read_scores
from ullage.serve.background import Task, Tasks
from ullage.serve.index import Index, Ranked, Writer, path_for, prune
from ullage.serve.runs import Run
from ullage.statement.document import Statement


class Indexes:
    """The indexes of all runs: each is made when it is first asked for.

    Args:
        root: folder of the configurations; None: as the place of each run folder tells.
        cache: where they are kept; None: in the user's cache folder.
    """

    def __init__(self, root: Path | None = None, cache: Path | None = None) -> None:
        self._root = root
        self._cache = cache or cache_home() / "pages"
        self._making = Tasks[Index]()
        self._digests: dict[tuple[object, ...], str] = {}
        self._used: set[Path] = set()

    def prune(self) -> None:
        """Throw away what nobody needs any more."""
        prune(self._cache)

    def of(self, run: Run) -> Index | Task[Index]:
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
            self._note_use(path)
            return Index(path)

        def make(task: Task[Index]) -> Index:
            setup = set_up_again(run.folder, statement, self._root)
            _write(setup, statement, plan, path, task)
            return Index(path)

        return self._making.ask(
            path,
            make,
            what=f"{run.place}: its items cannot be read",
            total=sum(share.items for share in plan.probes.values()),
        )

    def path_of(self, run: Run, plan: Plan) -> Path:
        """Where the index of a run is kept."""
        return path_for(
            self._cache,
            (__version__, self._digest(run.folder.scores), plan.config_digest, str(plan.seed)),
        )

    def _note_use(self, path: Path) -> None:
        """Have `prune` know that it is used."""
        if path not in self._used:
            self._used.add(path)
            with contextlib.suppress(OSError):
                os.utime(path)

    def _digest(self, path: Path) -> str:
        """SHA-256 of a file, read again only where it changed."""
        found = path.stat()
        state = (path, found.st_mtime_ns, found.st_size, found.st_ino)
        if state not in self._digests:
            self._digests[state] = file_digest(path)
        return self._digests[state]


def _write(setup: Setup, statement: Statement, plan: Plan, path: Path, making: Task[Index]) -> None:
    scores, views = read_scores(setup.folder.scores), plan.views()
    with (
        Journal(setup.folder.replies, read_only=True) as journal,
        Writer(path, setup.folder.scores) as writer,
    ):
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
