"""Conflict: a context against what this very model says without one."""

from __future__ import annotations

from dataclasses import replace

from ullage.probes.grounding.conditions import Counterfactual
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Item, Metric, ask
from ullage.probes.scoring import contains, is_abstention, mentions
from ullage.stats.metrics import share_where


class Conflict(Counterfactual):
    """The question alone, then after a text that contradicts the world.

    Only items that the arm answers rightly without the text count: whoever never knew has no
    memory to resist.
    """

    name = "grounding-conflict"
    example = (
        '{"memory": "What is the capital of France?", '
        '"context": "In this story, the capital of France is Oslo.", '
        '"question": "In the story, what is the capital of France?", "reference": "Oslo", '
        '"wrong": "Paris"}'
    )
    metrics = (
        Metric(
            name="grounded",
            summary="Where it knows otherwise, it follows the text less often.",
            columns=("follows", "knows"),
            functional=share_where,
            reference="Xie et al. 2023 (arXiv 2305.13300): adherence to counter-memory, on what "
            "was answered without a context",
        ),
        Metric(
            name="memorised",
            summary="Where it knows otherwise, it answers from memory, against the text.",
            higher_is_better=False,
            columns=("recalls", "commits"),
            functional=share_where,
            reference="Longpre et al. 2021 (arXiv 2109.05052): memorisation ratio, "
            "original / (original + substitute)",
        ),
        Metric(name="knows", summary="It knows fewer of the things that the texts contradict."),
    )

    def read(self, record: Record) -> Item:
        """A `context`, a `question`, its answer as `reference`, the world's as `wrong`.

        And the question as it is asked without the context, as `memory`; `wrong` is right there.
        """
        return replace(super().read(record), data={"memory": record.text("memory")})

    def converse(self, item: Item) -> Conversation:
        """Ask from memory, then from the text."""
        closed = self.put(item, item.data["memory"], answer=item.wrong, wrong=item.answer)
        # To know a thing and to read it are two things: for adapters that are told the item, this
        # is another one.
        apart = replace(closed.subject, item=f"{item.id}/memory")
        recalled = yield from ask(replace(closed, subject=apart))
        knows = contains(recalled.text, item.wrong) and not is_abstention(recalled.text)
        reply = yield from ask(self.put(item))
        named = mentions(reply.text, (item.answer, item.wrong))
        if is_abstention(reply.text):
            named = []
        follows, recalls = named == [0], named == [1]
        return {
            "follows": float(follows),
            "recalls": float(recalls),
            "commits": float(knows and (follows or recalls)),
            "knows": float(knows),
        }
