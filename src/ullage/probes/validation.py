"""Trying a judge before it is believed: on pairs of replies that are labelled with the better one.

The judge is the arm that is probed: it is asked as in an audit, and how often it says what the
label says decides whether what it says of a student counts (after Zheng et al. 2023, arXiv
2306.05685, section 4.2: agreement, ties included).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ullage.models.types import user
from ullage.probes.jsonl import Record, check, records
from ullage.probes.pairwise import EVEN, compare
from ullage.probes.protocol import Conversation, Dimension, FloatArray, Item, Metric, Probe
from ullage.stats import intervals

BAR = 0.7
"""Agreement that must be shown, by the lower end of a 95 % interval: a judge that goes by length,
by place, or always sees a draw agrees with fewer than three in five of the shipped labels."""

_BETTER = {"first": 1.0, "second": 0.0, "neither": EVEN}


@dataclass(frozen=True, slots=True)
class Fitness:
    """What was found of a judge."""

    is_fit: bool
    told: str
    """In words; the reason, where it is not fit."""
    infrastructure: bool = False
    """Whether it could not be asked, so that nothing is known of it."""


class Validation(Probe):
    """Labelled pairs, asked of the judge: does it say which is better?

    Each line of the file is ``{"id": …, "kind": …, "request": …, "first": …, "second": …,
    "better": "first" | "second" | "neither", "why": …}``.
    """

    metrics = (
        Metric(
            name="agrees", summary="The judge says something else than the labels.", chance=1 / 3
        ),
    )

    def __init__(self, name: str, dimension: Dimension, path: Path) -> None:
        """Read the whole file.

        Raises:
            InputError: a line is not in its form.
        """
        self.name = name
        self.dimension = dimension
        checked = check(path, self._read)
        self.size = checked.size
        self.source = checked.source
        self._pairs = tuple(map(self._read, records(path)))

    def items(self, seed: int) -> Iterator[Item]:
        """The pairs in their order, whatever the seed."""
        return iter(self._pairs)

    def converse(self, item: Item) -> Conversation:
        """Ask in both orders; agreement with the label is all or nothing."""
        better = item.data["better"]
        said = yield from compare(
            item.messages,
            item.data["first"],
            item.data["second"],
            of="self",
            subject=item.subject(self.name),
            declared=better,
        )
        return {"agrees": float(said == better)}

    def fitness(self, agrees: FloatArray) -> Fitness:
        """Whether a judge may be believed.

        Args:
            agrees: 1 or 0 of each pair, (n,); NaN where the judge could not be asked.
        """
        count = len(agrees)
        if not np.isfinite(agrees).all():
            unasked = int((~np.isfinite(agrees)).sum())
            told = f"the judge could not be asked {unasked} of the {count} shipped pairs"
            return Fitness(False, told, infrastructure=True)
        # Each pair was written on its own.
        found = intervals.mean(agrees, np.arange(count))
        told = (
            f"its judge agrees with the labels of {int(agrees.sum())} of {count} shipped pairs "
            f"({found.estimate:.0%}, {found.low:.0%} to {found.high:.0%})"
        )
        if found.low < BAR:
            return Fitness(False, f"{told}, and is not shown to agree on {BAR:.0%}")
        return Fitness(True, told)

    def _read(self, record: Record) -> Item:
        better = record.text("better")
        if better not in _BETTER:
            record.refuse(f"'better' is '{better}'; first, second or neither is expected")
        return Item(
            id=f"{self.name}/{record.text('id')}",
            family=f"{self.name}:{record.text('kind')}",
            messages=(user(record.text("request")),),
            expects="judge",
            data={
                "first": record.text("first"),
                "second": record.text("second"),
                "better": _BETTER[better],
            },
        )
