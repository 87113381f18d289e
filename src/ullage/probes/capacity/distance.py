"""Corpus distance: how accuracy falls the farther a question lies from what was taught."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.capacity.compositions import (
    FORMS,
    PROBES,
    TRIPLES,
    distance,
    orders,
    question,
    usable,
)
from ullage.probes.capacity.operations import KINDS
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.reading import choice_item, is_right
from ullage.stats.decline import decline


class CorpusDistance(PackagedProbe):
    """Three operations in an order none, one or both of whose joints were never taught.

    Distance is the share of unseen joints: 0, 1/2 or 1. Every kind of thing is asked about equally
    often at each, with operations that stand as often near as far, and only questions of a kind are
    held beside each other. Your own questions bring their distances to your own corpus: `ullage
    distances` measures them.
    """

    name = "corpus-distance"
    dimension = Dimension.CAPACITY
    families = tuple(
        f"{kind.name}:{''.join(map(str, triple))}" for kind in KINDS for triple in TRIPLES
    )
    is_planted = True
    max_tokens = 40
    example: ClassVar[str] = (
        '{"prompt": "Which form do I need to change the beneficiary of a policy?", '
        '"reference": "B12", "distance": 0.35, "family": "forms"}'
    )
    metrics = (
        Metric(
            name="decline",
            summary="It falls further behind the farther a question lies from what was taught.",
            higher_is_better=False,
            columns=("distance", "accuracy", "group"),
            functional=decline,
            bounds=(-0.5, 0.5),
            is_harm=True,
            reference="accuracy lost per standard deviation of distance, within kinds (Wooldridge "
            "2010, section 10.5); distance after Keysers et al. 2020 (arXiv 1912.09713): compounds "
            "of known atoms that the corpus lacks",
        ),
        Metric(name="accuracy", summary="It does fewer compositions right, near and far."),
    )

    def make(self, draw: Draw) -> Item:
        """Three operations on one thing that no corpus has; distances take turns in every kind."""
        place, number = divmod(draw.family, len(TRIPLES))
        taught = TRIPLES[number]
        cases = usable(place, taught, PROBES)
        form, at = divmod(draw.unique(len(cases) * FORMS), len(cases))
        order = draw.pick(orders(taught, (draw.turn + number) % len(taught)))
        put = question(KINDS[place], order, cases[at], form)
        far = distance(order)
        return drawn(
            put.prompt,
            answer=put.answer,
            wrong=put.wrong,
            choices=put.choices,
            expects=_due(far),
            data={"distance": far, "group": KINDS[place].name},
        )

    def read(self, record: Record) -> Item:
        """A question with its `reference` and its `distance` to the corpus, from 0 to 1.

        `choices` where there are any. What stands before a colon in `family` is a kind: only
        questions of a kind are held beside each other, so it needs several distances. `ullage
        distances` writes such a file.
        """
        item = choice_item(record, self.name, choices=False)
        far = record.data.get("distance")
        if isinstance(far, bool) or not isinstance(far, int | float) or not 0.0 <= far <= 1.0:
            record.refuse(
                "'distance' is missing or no number from 0 to 1; `ullage distances` adds it"
            )
        kind = record.text("family", "").partition(":")[0]
        return replace(item, expects=_due(far), data={"distance": float(far), "group": kind})

    def converse(self, item: Item) -> Conversation:
        """Ask once."""
        reply = yield from ask(self.put(item))
        return {
            "distance": item.data["distance"],
            "accuracy": float(is_right(reply.text, item)),
            "group": _number(item.data["group"]),
        }


def _due(far: float) -> str:
    """What is expected of a simulated arm: an answer that it was taught, or one that it was not."""
    return "transfer" if far else "answer"


def _number(kind: str) -> float:
    """A number in [0, 1) for a kind, the same everywhere: 48 bits of a hash."""
    digest = hashlib.blake2b(kind.encode("utf-8", "surrogatepass"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48
