"""Held-out pairs: two operations in an order that may be taught, and in the one that never is."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.capacity.compositions import FORMS, PAIRS, PROBES, question, usable
from ullage.probes.capacity.operations import KINDS
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.reading import is_right


class HeldOutPairs(PackagedProbe):
    """The same two operations on the same thing, in an order in the family and in one out of it.

    `ullage compositions` puts orders in the family into a corpus; those out of it never are. The
    two prompts are of the same words, so what a student loses from one to the other, beyond what
    its teacher does, is what it did not take from its corpus: difference in differences.
    """

    name = "held-out-pairs"
    dimension = Dimension.CAPACITY
    families = tuple(f"{kind.name}:{first}{second}" for kind in KINDS for first, second in PAIRS)
    is_planted = True
    max_tokens = 40
    example: ClassVar[str] = (
        '{"prompt": "Take dune. Write it backwards, then double its first letter.", '
        '"reference": "eenud", '
        '"held_out": "Take dune. Double its first letter, then write it backwards.", '
        '"held_out_reference": "enudd"}'
    )
    metrics = (
        Metric(
            name="shortfall",
            summary="What it learnt carries over less: it falls further behind on compositions "
            "that were never taught than on those that were.",
            higher_is_better=False,
            bounds=(-1.0, 1.0),
            is_harm=True,
            reference="difference in differences (Ashenfelter and Card 1985), on systematicity as "
            "in Hupkes et al. 2020 (arXiv 1908.08795)",
        ),
        Metric(name="in-family", summary="It does compositions less well that were taught."),
        Metric(
            name="out-of-family",
            summary="It does compositions less well that were never taught.",
            reference="Lake and Baroni 2018 (arXiv 1711.00350): accuracy on held-out compositions",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A pair of operations in both orders, on one thing that no corpus has."""
        place, number = divmod(draw.family, len(PAIRS))
        taught = PAIRS[number]
        cases = usable(place, taught, PROBES)
        form, at = divmod(draw.unique(len(cases) * FORMS), len(cases))
        near = question(KINDS[place], taught, cases[at], form)
        far = question(KINDS[place], taught[::-1], cases[at], form)
        return drawn(
            near.prompt,
            answer=near.answer,
            wrong=near.wrong,
            choices=near.choices,
            data={"held_out": far.prompt, "held_out_reference": far.answer},
        )

    def read(self, record: Record) -> Item:
        """A question like those in the corpus, and one like none of them, matched in difficulty.

        `prompt` and `reference`, `held_out` and `held_out_reference`; `choices` where both have the
        same. `ullage compositions` lists such pairs.
        """
        reference = record.reference()
        other = record.text("held_out_reference")
        choices = record.texts("choices")
        record.check_among(choices, reference)
        record.check_among(choices, other, "held_out_reference")
        item = drawn(
            record.messages()[-1].content,
            answer=reference,
            wrong=other if other != reference else "",
            choices=choices,
            data={"held_out": record.text("held_out"), "held_out_reference": other},
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask for both orders."""
        held_out, answer = item.data["held_out"], item.data["held_out_reference"]
        near = yield from ask(self.put(item))
        asked = self.put(item, held_out, expects="transfer", answer=answer, wrong=item.answer)
        far = yield from ask(asked)
        kept = float(is_right(near.text, item))
        carried = float(is_right(far.text, replace(item, answer=answer)))
        return {"shortfall": kept - carried, "in-family": kept, "out-of-family": carried}
