"""Twins: a question put plainly, and put so that all but its answer is odd."""

from __future__ import annotations

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import Domain
from ullage.probes.draw import Draw
from ullage.probes.grounding import gives_answer
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import STYLES, sibling, thing


def twin_metrics(where: str, reference: str) -> tuple[Metric, ...]:
    """The metrics of a probe that asks twins.

    Args:
        where: what is odd about the second question, after "where": ``the text is long``.
        reference: who looked at it first.
    """
    return (
        Metric(
            name="changed",
            summary=f"It is right less often where {where}.",
            reference=reference,
        ),
        Metric(name="plain", summary="It is right less often where the question is put plainly."),
        Metric(
            name="breaks",
            summary=f"What it answers when asked plainly it gets wrong where {where}.",
            higher_is_better=False,
            reference="Ribeiro et al. 2020 (arXiv 2005.04118): invariance tests, of what is right "
            "at first",
        ),
    )


class Twins(PackagedProbe):
    """Asks both twins and looks for the same answer.

    A question back, a refusal and an abstention are wrong in both: all can be answered.
    """

    dimension = Dimension.BOUNDARY

    def read(self, record: Record) -> Item:
        """The same question as `plain` and as `changed`, and its `reference`.

        An answer that would be `wrong`, if known.
        """
        item = twins(
            record.text("plain"),
            record.text("changed"),
            record.reference(),
            record.text("wrong", ""),
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask plainly, then oddly."""
        plain = yield from ask(self.put(item))
        changed = yield from ask(self.put(item, item.data["changed"]))
        is_right = gives_answer(plain.text, item.answer, item.wrong)
        still = gives_answer(changed.text, item.answer, item.wrong)
        return {
            "changed": float(still),
            "plain": float(is_right),
            "breaks": float(is_right and not still),
        }


def twins(plain: str, changed: str, answer: str, wrong: str) -> Item:
    """The item is the plain question; its odd twin travels in `data`."""
    return drawn(plain, answer=answer, wrong=wrong, data={"changed": changed})


def compared(domain: Domain, draw: Draw) -> tuple[str, str, str, str]:
    """One attribute of two things: a text, a question for one, its answer, the other's."""
    place = thing(domain, draw, style=draw.below(STYLES))
    attribute = draw.pick(place.domain.attributes)
    value = draw.pick(attribute.values)
    other = place.other(attribute, {value})
    told = [(place.entity, value), (sibling(place), other)]
    context = place.compare(attribute, told if draw.below(2) else told[::-1])
    return context, place.ask(attribute), value, other
