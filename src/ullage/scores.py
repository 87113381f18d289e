"""Reading `scores.parquet` back as arrays: one vector per arm and column, aligned by item."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ullage.collect.uses import ArmUse
from ullage.errors import InputError
from ullage.score import SCHEMA

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """Scores of one probe, aligned by item."""

    items: list[str]
    family_names: list[str]
    family: IntArray
    """(items,) index into `family_names`."""
    values: dict[tuple[str, str], FloatArray]
    """(arm, column) to (items,), NaN where there is no score."""
    errors: dict[str, npt.NDArray[np.bool_]]
    """Arm to (items,): could not be scored."""
    reasons: dict[str, Counter[str]]
    """Arm to how often each reason occurred."""

    def columns(self, arm: str, names: tuple[str, ...]) -> FloatArray:
        """(items, columns) of one arm; a column that was never scored is all NaN."""
        nothing = np.full(len(self.items), np.nan)
        return np.column_stack([self.values.get((arm, name), nothing) for name in names])


@dataclass(frozen=True, slots=True)
class Scores:
    """All of `scores.parquet`."""

    probes: dict[str, ProbeScores]
    uses: dict[str, ArmUse]
    replies_digest: str


def read_scores(path: Path) -> Scores:
    """Load and align the score table.

    Raises:
        InputError: it is missing, damaged, has other columns, or holds a score that is no number.
    """
    try:
        table = pq.read_table(path)
        beside = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(
            f"{path}: no readable score table; run `ullage audit` to make it again from the replies"
        ) from error
    if table.schema.names != SCHEMA.names or b"ullage.uses" not in beside:
        raise InputError(
            f"{path}: has columns {', '.join(table.schema.names)}; expected "
            f"{', '.join(SCHEMA.names)}; run `ullage audit` to make it again"
        )
    _refuse_nonsense(table, path)
    metadata = json.loads(beside[b"ullage.uses"])
    names = pc.unique(table["probe"]).to_pylist()
    return Scores(
        probes={name: _align(table.filter(pc.equal(table["probe"], name))) for name in names},
        uses={role: ArmUse(*use) for role, use in metadata["arms"].items()},
        replies_digest=metadata["digest"],
    )


def _refuse_nonsense(table: pa.Table, path: Path) -> None:
    values = table["value"].to_numpy()
    is_ok = pc.equal(table["status"].cast(pa.string()), "ok").to_numpy()
    bad = np.flatnonzero(is_ok & ~np.isfinite(values))
    if len(bad):
        row = table.slice(int(bad[0]), 1).to_pylist()[0]
        raise InputError(
            f"{path}: item {row['item']}, {row['metric']}: score is {row['value']}; a score is a "
            "finite number; run `ullage audit` to make the table again"
        )


def _codes(column: pa.ChunkedArray) -> tuple[list[str], IntArray]:
    """Distinct strings in order of first appearance, and (rows,) indices into them."""
    encoded = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy().astype(np.int64)


def _align(table: pa.Table) -> ProbeScores:
    items, item = _codes(table["item"])
    family_names, row_family = _codes(table["family"])
    arms, arm = _codes(table["arm"])
    metrics, metric = _codes(table["metric"])
    statuses, status = _codes(table["status"])
    value = table["value"].to_numpy()
    is_ok = np.array([name == "ok" for name in statuses])[status]
    family = np.zeros(len(items), dtype=np.int64)
    family[item] = row_family
    values: dict[tuple[str, str], FloatArray] = {}
    errors, reasons = {}, {}
    for arm_code, role in enumerate(arms):
        mine = arm == arm_code
        failed = mine & ~is_ok
        errors[role] = np.zeros(len(items), dtype=bool)
        errors[role][item[failed]] = True
        reasons[role] = Counter(statuses[code] for code in status[failed])
        for code, name in enumerate(metrics):
            rows = mine & is_ok & (metric == code)
            if rows.any():
                values[role, name] = np.full(len(items), np.nan)
                values[role, name][item[rows]] = value[rows]
    return ProbeScores(items, family_names, family, values, errors, reasons)
