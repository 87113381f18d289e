"""Abstention: one context, a question that it answers and one that it does not."""

from __future__ import annotations

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.detect import attempts, is_abstention
from ullage.probes.draw import Draw
from ullage.probes.grounding import DOES_NOT_SAY
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import ANSWER_FROM_TEXT, FAMILIES, prompt, scene


class Abstention(PackagedProbe):
    """Pairs of questions on one context. Never and always abstaining both have contrast 0."""

    name = "abstention"
    dimension = Dimension.BOUNDARY
    families = FAMILIES
    example = (
        '{"context": "Order 17 was sent with Velox.", '
        '"answerable": "Which carrier took order 17?", "answer": "Velox", '
        '"unanswerable": "What does order 17 hold?"}'
    )
    metrics = (
        Metric(
            name="contrast",
            summary="It tells questions it can answer from those it cannot less well.",
            bounds=(-1.0, 1.0),
            chance=0.0,
            reference="Kirichenko et al. 2025 (arXiv 2506.09038), on pairs: recall minus false "
            "positive rate (Youden 1950)",
        ),
        Metric(
            name="abstains",
            summary="It makes up an answer where there is none to be had.",
            reference="Kirichenko et al. 2025 (arXiv 2506.09038): abstention recall",
        ),
        Metric(
            name="answers", summary="It declines to answer where the answer is there to be had."
        ),
    )

    def make(self, draw: Draw) -> Item:
        """Three facts; one is asked for, and a fourth attribute that is not there."""
        place = scene(draw)
        attributes = draw.some(place.domain.attributes, 4)
        facts = place.facts(attributes[:3])
        attribute, value = draw.pick(facts)
        context = place.write(facts)
        wrong = place.other(attributes[3], {value for _, value in facts})
        return _pair(
            context, place.ask(attribute), value, place.ask(attributes[3]), wrong_guess=wrong
        )

    def read(self, record: Record) -> Item:
        """A `context`, an `answerable` question and its `answer`, an `unanswerable` question.

        A `wrong` answer to the latter, if known.
        """
        item = _pair(
            record.text("context"),
            record.text("answerable"),
            record.text("answer"),
            record.text("unanswerable"),
            wrong_guess=record.text("wrong", ""),
            instruction=record.instruction(ANSWER_FROM_TEXT),
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask the question without an answer, and the one with."""
        without = yield from ask(self.put(item))
        answerable = self.put(
            item,
            item.data["answerable"],
            expects="answer",
            answer=item.data["answer"],
            wrong=DOES_NOT_SAY,
        )
        with_answer = yield from ask(answerable)
        abstains = float(is_abstention(without.text))
        declines = float(is_abstention(with_answer.text))
        return {
            "contrast": abstains - declines,
            "abstains": abstains,
            "answers": float(attempts(with_answer.text, item.data["answerable"])),
        }


def _pair(
    context: str,
    answerable: str,
    answer: str,
    unanswerable: str,
    *,
    wrong_guess: str,
    instruction: str = ANSWER_FROM_TEXT,
) -> Item:
    """The item is about the question without an answer; its twin travels in `data`."""
    return drawn(
        prompt(context, unanswerable, instruction),
        answer=DOES_NOT_SAY,
        wrong=wrong_guess,
        expects="abstain",
        data={"answerable": prompt(context, answerable, instruction), "answer": answer},
    )
