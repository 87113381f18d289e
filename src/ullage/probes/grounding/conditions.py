"""What a context may do to a question: hold its answer, lack it, contradict the world or itself.

One probe per condition, so that every metric is defined on every item. Contexts are of one length
and one making; only what the condition is about differs (after FaithEval, arXiv 2410.03727).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import replace

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.knowledge import RELATIONS
from ullage.probes.normalise import plain
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import ANSWER_FROM_TEXT, FAMILIES, prompt, scene, sibling
from ullage.probes.scoring import (
    canonical,
    contains,
    is_abstention,
    is_clarification,
    is_echo,
    mentions,
)

_UNSUPPORTED = Metric(
    name="unsupported",
    summary="It claims more that neither the text nor the question holds.",
    higher_is_better=False,
    reference="Maynez et al. 2020 (arXiv 2005.00661): extrinsic hallucination",
)


class Grounding(PackagedProbe):
    """A context, a question, and one condition."""

    dimension = Dimension.GROUNDING
    families = FAMILIES

    def converse(self, item: Item) -> Conversation:
        """Ask once; judge what was done and what was made up."""
        reply = yield from ask(self.put(item))
        asked = told(item)
        return {
            "grounded": float(self.is_grounded(reply.text, item, asked)),
            "unsupported": float(claims_more(reply.text, asked)),
        }

    @abstractmethod
    def is_grounded(self, text: str, item: Item, asked: str) -> bool:
        """Whether the reply does the right thing under this condition."""


class Present(Grounding):
    """The context holds the answer."""

    name = "grounding-present"
    example = (
        '{"context": "Order 17 was sent with Velox.", "question": "Which carrier took order 17?", '
        '"reference": "Velox"}'
    )
    metrics = (
        Metric(name="grounded", summary="It finds an answer that the text holds less often."),
        _UNSUPPORTED,
    )

    def make(self, draw: Draw) -> Item:
        """Three facts, one of them asked for."""
        place = scene(draw)
        attributes = draw.some(place.domain.attributes, 3)
        facts = place.facts(attributes)
        attribute, value = draw.pick(facts)
        wrong = place.other(attribute, {value})
        return drawn(prompt(place.write(facts), place.ask(attribute)), answer=value, wrong=wrong)

    def read(self, record: Record) -> Item:
        """A `context`, a `question`, its answer as `reference`, and a `wrong` one if known."""
        return context_item(record, self.name, answer=record.reference())

    def is_grounded(self, text: str, item: Item, asked: str) -> bool:
        """It gives the answer."""
        return gives_answer(text, item.answer, item.wrong)


class Missing(Grounding):
    """The context does not hold the answer: the same contexts and questions, paired otherwise."""

    name = "grounding-missing"
    example = '{"context": "Order 17 was sent with Velox.", "question": "What is in order 17?"}'
    metrics = (
        Metric(name="grounded", summary="It answers although the text does not hold the answer."),
        _UNSUPPORTED,
    )

    def make(self, draw: Draw) -> Item:
        """Three facts, and a question for a fourth."""
        place = scene(draw)
        attributes = draw.some(place.domain.attributes, 4)
        facts = place.facts(attributes[:3])
        wrong = place.other(attributes[3], {value for _, value in facts})
        return drawn(
            prompt(place.write(facts), place.ask(attributes[3])),
            answer=DOES_NOT_SAY,
            wrong=wrong,
            expects="abstain",
        )

    def read(self, record: Record) -> Item:
        """A `context`, a `question` that it does not answer, and a `wrong` answer if known."""
        return context_item(record, self.name, answer=DOES_NOT_SAY, expects="abstain")

    def is_grounded(self, text: str, item: Item, asked: str) -> bool:
        """It says that it is not said."""
        return is_abstention(text)


class Counterfactual(Grounding):
    """The context contradicts what every model has learnt; the context is to be followed."""

    name = "grounding-counterfactual"
    families = tuple(f"{relation.name}:t{style}" for relation in RELATIONS for style in range(4))
    example = (
        '{"context": "In this story, the capital of France is Oslo.", '
        '"question": "In the story, what is the capital of France?", "reference": "Oslo", '
        '"wrong": "Paris"}'
    )
    metrics: tuple[Metric, ...] = (
        Metric(name="grounded", summary="It answers from memory, against the text it was given."),
        _UNSUPPORTED,
    )

    def make(self, draw: Draw) -> Item:
        """A statement that is false in the world and true in a made-up source."""
        index, style = divmod(draw.family, len(_FRAMES))
        relation = RELATIONS[index]
        code, position = divmod(
            draw.unique(len(relation.pairs) * len(_TITLES)), len(relation.pairs)
        )
        subject, known = relation.pairs[position]
        told = draw.pick([value for value in relation.values if value != known])
        context, question = _FRAMES[style]
        statement = relation.statement.format(s=subject, v=told)
        asked = relation.questions[1].format(s=subject)
        title = _TITLES[code]
        text = prompt(
            context.format(title=title, statement=statement),
            question.format(title=title, question=asked[0].lower() + asked[1:]),
        )
        memory = f"{relation.questions[0].format(s=subject)} {BRIEFLY}"
        return drawn(text, answer=told, wrong=known, data={"memory": memory})

    def read(self, record: Record) -> Item:
        """A `context`, a `question`, its answer as `reference`, the world's as `wrong`."""
        return context_item(
            record, self.name, answer=record.reference(), wrong=record.text("wrong")
        )

    def is_grounded(self, text: str, item: Item, asked: str) -> bool:
        """It gives the context's answer and not the world's."""
        return gives_answer(text, item.answer, item.wrong)


class Contradictory(Grounding):
    """The context says two things about what is asked."""

    name = "grounding-contradictory"
    example = (
        '{"context": "Order 17 went with Velox. Another note says: order 17 went with Kurio.", '
        '"question": "Which carrier took order 17?", "values": ["Velox", "Kurio"]}'
    )
    metrics = (
        Metric(
            name="grounded",
            summary="It passes over a contradiction in the text and takes a side.",
        ),
        _UNSUPPORTED,
    )

    def make(self, draw: Draw) -> Item:
        """Two facts and a note that gives one of them another value."""
        place = scene(draw)
        facts = place.facts(draw.some(place.domain.attributes, 2))
        attribute, value = draw.pick(facts)
        other = place.other(attribute, {value for _, value in facts})
        context = f"{place.write(facts)}\nAnother note says: {place.note((attribute, other))}"
        return drawn(
            prompt(context, place.ask(attribute)),
            answer=f"The notes contradict each other: {value} or {other}.",
            wrong=value,
            expects="abstain",
            data={"values": [value, other]},
        )

    def read(self, record: Record) -> Item:
        """A `context`, a `question`, and both `values` that the context gives."""
        values = record.texts("values", least=2)
        answer = f"The notes contradict each other: {' or '.join(values)}."
        item = context_item(record, self.name, answer=answer, wrong=values[0], expects="abstain")
        return replace(item, data={"values": list(values)})

    def is_grounded(self, text: str, item: Item, asked: str) -> bool:
        """It names every value, points out the contradiction, or abstains; an echo does none."""
        if is_echo(text, asked):
            return False
        named = mentions(text, item.data["values"])
        return (
            len(named) == len(item.data["values"])
            or bool(_CONTRADICTS.search(plain(text).casefold()))
            or is_abstention(text)
        )


class Irrelevant(Grounding):
    """The context holds the answer, and the like of it about something else."""

    name = "grounding-irrelevant"
    example = (
        '{"context": "Order 17 went with Velox. Order 18 went with Kurio.", '
        '"question": "Which carrier took order 17?", "reference": "Velox", "wrong": "Kurio"}'
    )
    metrics = (
        Metric(name="grounded", summary="It is misled by text that is beside the question."),
        _UNSUPPORTED,
    )

    def make(self, draw: Draw) -> Item:
        """Two facts about the entity, and one of them about another entity, before or after."""
        place = scene(draw)
        facts = place.facts(draw.some(place.domain.attributes, 2))
        attribute, value = draw.pick(facts)
        other = place.other(attribute, {value for _, value in facts})
        distractor = place.note((attribute, other), sibling(place))
        parts = [place.write(facts), distractor]
        context = "\n".join(parts if draw.below(2) else parts[::-1])
        return drawn(prompt(context, place.ask(attribute)), answer=value, wrong=other)

    def read(self, record: Record) -> Item:
        """A `context`, a `question`, its `reference`, and the distractor's value as `wrong`."""
        return context_item(
            record, self.name, answer=record.reference(), wrong=record.text("wrong")
        )

    def is_grounded(self, text: str, item: Item, asked: str) -> bool:
        """It gives the answer and not the distractor's."""
        return gives_answer(text, item.answer, item.wrong)


DOES_NOT_SAY = "The text does not say."
BRIEFLY = "Answer briefly."

_FRAMES = (
    ('In the story "{title}": {statement}', 'In the story "{title}", {question}'),
    ('Notes on the film "{title}". {statement}', 'In the film "{title}", {question}'),
    (
        'This is how things are in the game "{title}". {statement}',
        'In the game "{title}", {question}',
    ),
    ('The book "{title}" begins so: {statement}', 'According to "{title}", {question}'),
)
_TITLES = tuple(
    f"The {adjective} {noun}"
    for adjective in (
        "Silent", "Golden", "Broken", "Hidden", "Frozen", "Distant", "Crooked", "Painted",
        "Sleeping", "Burning", "Hollow", "Wandering", "Velvet", "Iron", "Paper", "Glass",
    )
    for noun in (
        "Harbour", "Garden", "Tower", "River", "Orchard", "Lantern", "Bridge", "Island",
        "Mountain", "Clock", "Valley", "Window", "Forest", "Castle", "Mirror", "Road",
    )
)  # fmt: skip
_CONTRADICTS = re.compile(
    r"\b(?:contradict\w*|conflict\w*|inconsisten\w*|disagree\w*|differ(?:s|ent)? (?:carriers?|"
    r"answers?|values?|information|notes?)|discrepanc\w*|two (?:different|answers|values)|"
    r"do(?:es)? not (?:match|agree)|don't (?:match|agree)|not consistent)\b"
)
_CAPITALISED = re.compile(r"(?<=[a-z,;:] )[A-Z][a-z]+")
_WORD = re.compile(r"[^\W\d_]+")
_SHORT = 4
_SMALL_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the and or but of in on at to by for from with as is are was were be been it its "
        "this that there he she they his her their i you we not no yes both either neither so "
        "answer text note notes one other two another dr mr mrs euros sure ok okay certainly of "
        "course sorry please thanks thank hello hi",
    )
)


def told(item: Item) -> str:
    """All that stands in an item's prompt."""
    return " ".join(message.content for message in item.messages)


def claims_more(text: str, asked: str) -> bool:
    """Whether the reply holds a number, a name or a bare answer that the prompt does not.

    Abstentions and questions claim nothing. In a reply of up to four words every content word is
    taken as a claim; in a longer one numbers and capitalised words within a sentence are.
    """
    if is_abstention(text) or is_clarification(text, asked):
        return False
    said = plain(text)
    form, given = canonical(said), set(canonical(asked).split())
    words = form.split()
    if any(word not in given for word in words if word[0].isdecimal()):
        return True
    if len(words) <= _SHORT:
        content = [word for word in words if word not in _SMALL_WORDS and _WORD.fullmatch(word)]
        return any(word not in given for word in content)
    # Whatever begins a line is written large.
    names = {
        name.casefold() for line in text.splitlines() for name in _CAPITALISED.findall(plain(line))
    }
    return not names <= given | _SMALL_WORDS


def gives_answer(text: str, answer: str, wrong: str = "") -> bool:
    """Whether the reply gives the answer, not the wrong one, and does not also abstain."""
    if not contains(text, answer) or is_abstention(text):
        return False
    return not wrong or mentions(text, (answer, wrong)) == [0]


def context_item(
    record: Record, probe: str, *, answer: str, wrong: str = "", expects: str = "answer"
) -> Item:
    """The item of a line with `context` and `question`, and `wrong` where it is not given here."""
    made = drawn(
        prompt(
            record.text("context"),
            record.text("question"),
            record.instruction(ANSWER_FROM_TEXT),
        ),
        answer=answer,
        wrong=wrong or record.text("wrong", ""),
        expects=expects,
    )
    return record.named(made, probe)
