"""From replies to numbers: `scores.parquet`, a long table with one row per item, arm and column.

Nothing is asked here. The table is a pure function of the plan and the journal, so scoring the same
run again gives the same table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from ullage.collect.conversation import Outcome
from ullage.collect.journal import Journal
from ullage.collect.replay import replay
from ullage.collect.uses import Uses
from ullage.files import cannot_write
from ullage.labels import Label, LabelKey, refuse_unknown
from ullage.plan import Plan
from ullage.probes.protocol import PEOPLE, Item, Probe

_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        ("probe", _NAME),
        ("item", pa.string()),
        ("family", _NAME),
        ("arm", _NAME),
        ("metric", _NAME),
        ("value", pa.float64()),
        ("status", _NAME),
    ]
)
"""``metric`` is a column of the probe; ``status`` is ``ok`` or the reason there is no score."""
_BLOCK = 32_768
"""Rows held before they are written."""


class ScoreTable:
    """Writes the long table block by block; the file appears only when it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_suffix(".partial")
        self._columns: tuple[list[object], ...] = tuple([] for _ in SCHEMA)
        try:
            self._writer = pq.ParquetWriter(self._partial, SCHEMA, compression="zstd")
        except OSError as error:
            raise cannot_write(path, error) from error

    def add(self, probe: str, item: Item, arm: str, outcome: Outcome) -> None:
        """One conversation's scores, or the reason there are none."""
        if outcome.error is not None:
            self._row(probe, item.id, item.family, arm, "", None, outcome.error)
        for metric, value in outcome.values.items():
            self._row(probe, item.id, item.family, arm, metric, float(value), "ok")
        if len(self._columns[0]) >= _BLOCK:
            self._flush()

    def describe(self, key: str, value: object) -> None:
        """Keep a JSON value beside the table, for the steps that follow."""
        self._writer.add_key_value_metadata({key: json.dumps(value, sort_keys=True)})

    def _row(self, *values: object) -> None:
        for column, value in zip(self._columns, values, strict=True):
            column.append(value)

    def _flush(self) -> None:
        arrays = [
            pa.array(column, type=field.type)
            for column, field in zip(self._columns, SCHEMA, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
        for column in self._columns:
            column.clear()

    def __enter__(self) -> ScoreTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
            if kind is None:
                self._partial.replace(self._path)
        except OSError as failure:
            raise cannot_write(self._path, failure) from failure
        finally:
            self._partial.unlink(missing_ok=True)


def score(
    plan: Plan,
    work: Callable[[str], Iterator[tuple[Probe, Item]]],
    journal: Journal,
    path: Path,
    labels: Mapping[LabelKey, Label] | None = None,
) -> None:
    """Score every arm from the journal into `path`, with what the replies cost beside it.

    Args:
        plan: what was planned.
        work: what was asked of an arm, by its role, in the order that the table keeps.
        journal: the replies.
        path: of the table.
        labels: what people say of replies, kept beside the scores of these.

    Raises:
        InputError: a label is of a reply that nobody asked for.
    """
    uses = Uses()
    views = plan.views()
    left = dict(labels or {})
    with ScoreTable(path) as table:
        for role in plan.arms:
            for probe, item in work(role):
                outcome = replay(probe, item, role, views, journal, uses=uses)
                label = left.pop((probe.name, item.id, role), None)
                if label is not None and outcome.error is None:
                    values = {**outcome.values, PEOPLE: label.value}
                    outcome = Outcome(values=values)
                table.add(probe.name, item, role, outcome)
        refuse_unknown(left)
        table.describe(
            "ullage.uses",
            {
                "digest": uses.digest(),
                "arms": {role: list(uses.of(role)) for role in plan.arms},
            },
        )
