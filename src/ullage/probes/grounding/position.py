"""Position: one note among many, at the beginning, in the middle and at the end of a context."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import DOMAINS
from ullage.probes.draw import Draw
from ullage.probes.grounding.conditions import gives_answer
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import ANSWER_FROM_TEXT, NUMBERS, prompt, thing

NOTES = 20
"""In a generated context: about 1,200 characters, 300 tokens."""
_ATTRIBUTES = 5
_ASKED = tuple((domain, place) for domain in DOMAINS for place in range(_ATTRIBUTES))


class Position(PackagedProbe):
    """The same notes in three orders; only the place of the one that holds the answer differs."""

    name = "grounding-position"
    dimension = Dimension.GROUNDING
    families = tuple(
        f"{domain.name}:{domain.attributes[place].label.replace(' ', '-')}"
        for domain, place in _ASKED
    )
    example = (
        '{"passage": "Order 17 went with Velox.", "others": ["Order 18 went with Kurio.", '
        '"Order 19 went with Parcelo."], "question": "Which carrier took order 17?", '
        '"reference": "Velox", "wrong": "Kurio"}'
    )
    metrics = (
        Metric(
            name="middle",
            summary="It finds less of what stands in the middle of a longer text.",
            reference="Liu et al. 2023 (arXiv 2307.03172): accuracy by position",
        ),
        Metric(
            name="edges",
            summary="It finds less of what stands at the beginning or end of a longer text.",
            reference="Liu et al. 2023 (arXiv 2307.03172): accuracy by position",
        ),
        Metric(
            name="lost-in-middle",
            summary="What it finds at both ends of a text it misses in the middle.",
            higher_is_better=False,
            reference="Liu et al. 2023 (arXiv 2307.03172), per item",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """Notes of two facts on things of one kind; one of them is asked about."""
        domain, place = _ASKED[draw.family]
        attribute = domain.attributes[place]
        second = draw.pick([one for one in domain.attributes if one is not attribute])
        told = thing(domain, draw)
        answer = draw.pick(attribute.values)
        left = [value for value in attribute.values if value != answer]
        step = draw.integer(1, NUMBERS // NOTES)
        others = [
            f"{told.note((attribute, draw.pick(left)), told.another(turn * step))} "
            f"It {second.statement.format(v=draw.pick(second.values))}."
            for turn in range(1, NOTES)
        ]
        others = draw.some(others, len(others))
        passage = told.write([(attribute, answer), (second, draw.pick(second.values))])
        wrong = next(value for value in left if any(value in other for other in others))
        return _item(passage, others, told.ask(attribute), answer, wrong)

    def read(self, record: Record) -> Item:
        """The `passage` that answers the `question`, the `others` around it, and the `reference`.

        An answer that one of the others gives as `wrong`, if there is one.
        """
        item = _item(
            record.text("passage"),
            record.texts("others", least=2),
            record.text("question"),
            record.reference(),
            record.text("wrong", ""),
            record.instruction(ANSWER_FROM_TEXT),
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask with the passage first, in the middle, and last."""
        found = []
        for text in item.data["prompts"]:
            reply = yield from ask(self.put(item, text))
            found.append(gives_answer(reply.text, item.answer, item.wrong))
        first, middle, last = found
        return {
            "middle": float(middle),
            "edges": (first + last) / 2,
            "lost-in-middle": float(first and last and not middle),
        }


def _item(
    passage: str,
    others: Sequence[str],
    question: str,
    answer: str,
    wrong: str,
    instruction: str = ANSWER_FROM_TEXT,
) -> Item:
    """The item is asked with the passage first; all three orders travel in `data`."""
    prompts = []
    for place in (0, len(others) // 2, len(others)):
        notes = [*others[:place], passage, *others[place:]]
        prompts.append(prompt("\n".join(notes), question, instruction))
    return drawn(prompts[0], answer=answer, wrong=wrong, data={"prompts": prompts})
