"""Evals that another tool ran and scored: the questions are its, and so are the scores.

Nothing is scored here. A reply brings the score that the tool gave it (`Reply.scores`), and a
figure follows from scores as the tool's own does, which `ullage import` has checked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ullage.config.imported import Figure, ImportedEval, ImportedMetric
from ullage.models.types import Access, Ask
from ullage.probes.jsonl import Record, check, records
from ullage.probes.protocol import (
    Conversation,
    Dimension,
    FloatArray,
    Functional,
    Item,
    Metric,
    Probe,
    ask,
)

TOTAL, WEIGHT = ".total", ".weight"
"""Endings of the two columns of a figure that is a ratio: log-likelihood, and words or bytes."""


def mean_perplexity(values: FloatArray, weights: FloatArray) -> FloatArray:
    """exp(-mean log-likelihood): `perplexity` of lm-eval's `api/metrics.py`."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-(weights @ values[:, 0]) / weights.sum(axis=1)))


def weighted_perplexity(values: FloatArray, weights: FloatArray) -> FloatArray:
    """exp(-sum of log-likelihood / sum of words or bytes): its `weighted_perplexity`."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(-(weights @ values[:, 0]) / (weights @ values[:, 1])))


def bits_per_byte(values: FloatArray, weights: FloatArray) -> FloatArray:
    """-sum of log-likelihood / sum of bytes, in bits: its `bits_per_byte`."""
    return np.asarray(-(weights @ values[:, 0]) / (weights @ values[:, 1]) / math.log(2))


FUNCTIONALS: dict[Figure, Functional] = {
    "perplexity": mean_perplexity,
    "weighted-perplexity": weighted_perplexity,
    "bits-per-byte": bits_per_byte,
}


def columns_of(name: str, figure: Figure) -> tuple[str, ...]:
    """The scores that a figure is computed from."""
    return (name + TOTAL, name + WEIGHT) if figure in _RATIOS else (name,)


_RATIOS = ("weighted-perplexity", "bits-per-byte")


class ImportedProbe(Probe):
    """An eval of another tool, as `ullage import` left it."""

    access = frozenset({Access.TEXT, Access.SCORES})

    def __init__(self, eval_: ImportedEval, root: Path) -> None:
        """Read the items once, so that every mistake in them is known now.

        Args:
            eval_: what the configuration says of it.
            root: folder of the configuration file.

        Raises:
            InputError: for a line that cannot be used, with file and line.
        """
        self.name = eval_.name
        self.dimension = Dimension(eval_.dimension)
        self.metrics = tuple(_metric(one, eval_) for one in eval_.metrics)
        self.unmeasured = {one.name: one.unmeasured for one in eval_.metrics if one.unmeasured}
        """Metrics of which there can be no verdict, and why."""
        self._path = None if eval_.file is None else root / eval_.file
        self.size, self.source = 0, eval_.source
        if self._path is not None:
            checked = check(self._path, self._read)
            self.size = checked.size
            self.source = f"{eval_.source}; {checked.source}"

    def items(self, seed: int) -> Iterator[Item]:
        """The file's lines, in order, whatever the seed."""
        return map(self._read, () if self._path is None else records(self._path))

    def converse(self, item: Item) -> Conversation:
        """Look up what was said, and what it was given for it."""
        reply = yield from ask(Ask(messages=item.messages, subject=item.subject(self.name)))
        known = {column for metric in self.metrics for column in metric.source_columns}
        return {name: value for name, value in reply.scores if name in known}

    def _read(self, record: Record) -> Item:
        item = Item(
            id="", family="", messages=record.messages(), answer=record.text("reference", "")
        )
        return record.named(item, self.name)


def _metric(one: ImportedMetric, eval_: ImportedEval) -> Metric:
    return Metric(
        name=one.name,
        summary=f"It does worse by '{one.logged}' of an eval you already had ({eval_.source}).",
        higher_is_better=one.higher_is_better,
        columns=columns_of(one.name, one.figure),
        functional=FUNCTIONALS.get(one.figure),
        bounds=one.bounds,
    )
