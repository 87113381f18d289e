"""Clarification: one context about two things, a question that fits both and one that fits one."""

from __future__ import annotations

from ullage.models.types import user
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import Attribute
from ullage.probes.draw import Draw
from ullage.probes.grounding import gives_answer
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import FAMILIES, capital, prompt, scene, sibling
from ullage.probes.scoring import is_clarification

_MAY_ASK = "Answer briefly. If you need to know more, ask me."


class Clarification(PackagedProbe):
    """Pairs of questions on one context. Never and always asking back both have contrast 0."""

    name = "clarification"
    dimension = Dimension.BOUNDARY
    families = FAMILIES
    example = (
        '{"context": "Order 17 went with Velox. Order 18 went with Kurio.", '
        '"ambiguous": "Which carrier took the order?", '
        '"clear": "Which carrier took order 17?", '
        '"clarification": "I mean order 17.", "answer": "Velox", "wrong": "Kurio"}'
    )
    metrics = (
        Metric(
            name="contrast",
            summary="It tells an ambiguous question from a clear one less well.",
            bounds=(-1.0, 1.0),
            chance=0.0,
            reference="Min et al. 2020 (arXiv 2004.10645) on ambiguous questions; Youden 1950",
        ),
        Metric(name="asks", summary="It guesses at an ambiguous question instead of asking."),
        Metric(
            name="recovers",
            summary="Fewer ambiguous questions end with the right answer after asking back.",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """Two things of a kind with one attribute each; the question does or does not name one."""
        place = scene(draw)
        attribute = draw.pick(place.domain.attributes)
        other = sibling(place)
        value = draw.pick(attribute.values)
        other_value = place.other(attribute, {value})
        told = [(place.entity, value), (other, other_value)]
        context = place.compare(attribute, told if draw.below(2) else told[::-1])
        return _pair(
            context,
            ambiguous=_ambiguous(attribute, place.domain.noun),
            clear=place.ask(attribute),
            clarification=f"I mean {place.entity}.",
            answer=value,
            wrong=other_value,
        )

    def read(self, record: Record) -> Item:
        """A `context`, an `ambiguous` and a `clear` question, the `clarification`, the `answer`.

        The other thing's answer as `wrong`, if known.
        """
        item = _pair(
            record.text("context"),
            ambiguous=record.text("ambiguous"),
            clear=record.text("clear"),
            clarification=record.text("clarification"),
            answer=record.text("answer"),
            wrong=record.text("wrong", ""),
            instruction=record.instruction(_MAY_ASK),
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask ambiguously; if asked back, say which one; then ask clearly."""
        first = yield from ask(self.put(item, wrong=item.data["answer"]))
        asks = is_clarification(first.text, item.messages[-1].content)
        recovers = 0.0
        truth = {"expects": "answer", "answer": item.data["answer"], "wrong": item.wrong}
        if asks:
            told = (*item.messages, first.message, user(item.data["clarification"]))
            second = yield from ask(self.put(item, told, **truth))
            recovers = float(gives_answer(second.text, item.data["answer"], item.wrong))
        clear = item.data["clear"]
        last = yield from ask(self.put(item, clear, **truth))
        return {
            "contrast": float(asks) - float(is_clarification(last.text, clear)),
            "asks": float(asks),
            "recovers": recovers,
        }


def _ambiguous(attribute: Attribute, noun: str) -> str:
    """The question with ``the order`` in place of ``order 4821``."""
    return capital(attribute.question.format(e=f"the {noun}"))


def _pair(
    context: str,
    *,
    ambiguous: str,
    clear: str,
    clarification: str,
    answer: str,
    wrong: str,
    instruction: str = _MAY_ASK,
) -> Item:
    """The item is about the ambiguous question; the clear one travels in `data`."""
    return drawn(
        prompt(context, ambiguous, instruction),
        answer="Which one do you mean?",
        wrong=wrong,
        expects="clarify",
        data={
            "clear": prompt(context, clear, instruction),
            "clarification": clarification,
            "answer": answer,
        },
    )
