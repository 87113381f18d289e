"""Several questions about one desk in one conversation: rows that teach more for what they cost.

Most of what a student reads of a single question is the desk. Methods that learn from every reply
of a conversation learn several times as much from one desk with several questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from ullage.lab.questions import Question, questions
from ullage.lab.rounds import Asked, chance
from ullage.lab.world.desk import Bias, Desk
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import Wording
from ullage.models.types import Message

_TRIES = 30
"""Questions drawn for a place before it is left empty."""
_SAME = 0.5
"""Share of the further questions that are of the first one's capability: few desks suit it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guests:
    """What may follow on a question."""

    weights: Mapping[str, float]
    """Part to its weight. A part that is drawn and not wanted is drawn again, so that what is not
    wanted changes only the places it would have taken."""
    capability: Mapping[str, str]
    """Part to its capability."""
    wanted: Callable[[Question], bool]
    bias: Bias
    ways: Callable[[str], Sequence[Wording]]
    """Part to the wordings it may have."""


def whole(question: Question, wanted: Callable[[Question], bool]) -> Question:
    """The last question of the exchange that this one belongs to, so that the exchange is complete.

    A twin is an exchange of its own, and stays as it is.
    """
    opening = question.messages[0]
    own = [one for one in questions(question.exchange) if one.messages[0] == opening]
    after = [one for one in own if wanted(one) and len(one.messages) > len(question.messages)]
    return max(after, key=lambda one: len(one.messages), default=question)


def further(asked: Asked, part: str, guests: Guests, count: int, seed: str) -> Iterator[Question]:
    """Questions that follow on a first one about the same desk; fewer where the desk has no more.

    Each place has its own seed: what comes there does not hang on what came before it.

    Args:
        asked: the first.
        part: the first's.
        guests: what may come.
        count: how many.
        seed: of all places.
    """
    own = guests.capability[part]
    fits = [
        name
        for name in guests.weights
        if guests.capability[name] == own or _fits(guests.capability[name], asked.desk)
    ]
    same = [name for name in fits if guests.capability[name] == own] or [part]
    said = {_last(asked.exchange.turns[0].user)}
    for place in range(count):
        draw = chance(f"{seed}/{place}")
        for _ in range(_TRIES):
            names = same if draw.random() < _SAME else fits
            name = draw.choices(names, [guests.weights.get(one, 1.0) for one in names])[0]
            question = _ask(draw, asked.desk, name, guests)
            if question is not None and question.messages[0].content not in said:
                said.add(question.messages[0].content)
                yield question
                break


def joined(
    first: Question, others: Sequence[Question], rewrite: Callable[[Question], str]
) -> Question:
    """One conversation that ends with the last of several questions.

    Args:
        first: with its desk.
        others: without theirs.
        rewrite: what is replied to each.
    """
    messages, last = first.messages, first
    for question in others:
        messages += (Message("assistant", rewrite(last)), *question.messages)
        last = question
    return replace(last, messages=messages)


def _fits(capability: str, desk: Desk) -> bool:
    asker = CAPABILITIES[capability]
    return asker.fills and asker.needs_desk == bool(desk.orders)


def _ask(draw: Random, desk: Desk, part: str, guests: Guests) -> Question | None:
    """A question of a part about this desk, its exchange whole, without the desk before it."""
    capability = guests.capability[part]
    wording = draw.choice(guests.ways(part))
    exchange = CAPABILITIES[capability].ask(draw, desk, wording, guests.bias)
    if exchange is None:
        return None
    for question in questions(exchange):
        if question.part == part and guests.wanted(question):
            complete = whole(question, guests.wanted)
            opening, *rest = complete.messages
            return replace(complete, messages=(Message("user", _last(opening.content)), *rest))
    return None


def _last(content: str) -> str:
    """What is asked, without the desk."""
    return content.rpartition("\n\n")[2]
