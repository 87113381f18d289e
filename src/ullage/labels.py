"""People's labels of replies that a model judged: `labels.jsonl` in the run folder.

They lie there and not beside the configuration because a label is of one reply: of these models, in
this run. Scoring takes them into `scores.parquet`, from which everything later follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ullage.errors import InputError
from ullage.probes.jsonl import Record, records
from ullage.probes.protocol import Probe

LabelKey = tuple[str, str, str]
"""Probe, item id and arm."""


class Label(NamedTuple):
    """What people say of one reply."""

    value: float
    """In the unit of the metric."""
    where: str
    """``file:line``."""


def read_labels(path: Path, probes: Mapping[str, Probe]) -> dict[LabelKey, Label]:
    """The labels of a run; none where there is no such file.

    Each line is ``{"probe": …, "item": …, "arm": …, "label": …}``.

    Raises:
        InputError: a line names a probe that no model judges, or has no label in its range.
    """
    found: dict[LabelKey, Label] = {}
    if not path.exists():
        return found
    for record in records(path):
        key = record.text("probe"), record.text("item"), record.text("arm")
        if key in found:
            record.refuse(f"item '{key[1]}' of {key[2]} is labelled twice; keep one")
        found[key] = Label(_value(record, probes.get(key[0])), record.where)
    return found


def refuse_unknown(left: Mapping[LabelKey, Label]) -> None:
    """Refuse labels that no reply was found for.

    Raises:
        InputError: there is one.
    """
    for (probe, item, arm), label in left.items():
        raise InputError(
            f"{label.where}: arm '{arm}' was not asked item '{item}' of {probe}; give ids and arms "
            "as they stand in scores.parquet"
        )


def _value(record: Record, probe: Probe | None) -> float:
    name = record.text("probe")
    metric = None if probe is None else next((m for m in probe.metrics if m.even is not None), None)
    if metric is None:
        record.refuse(f"'{name}' is no probe of this run that a model judges; leave the line out")
    low, high = metric.bounds
    value = record.data.get("label")
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= float(str(value)) <= high:
        record.refuse(
            f"label {value!r} is no number from {low:g} to {high:g}; give {high:g} where the reply "
            f"is better than the {metric.against}'s, {metric.even:g} where neither is, {low:g} "
            "where it is worse"
        )
    return float(str(value))
