"""An exchange taken apart: every reply that it teaches, and its twins, each as one question.

What a question is about is its *part*: the capability's own name, or that name and a word after it.

| part | what it is |
|---|---|
| ``clarify`` | a question that two orders fit: ask which one |
| ``clarify-told`` | the turn after it: answer |
| ``clarify-clear`` | its twin that one order fits |
| ``missing-answerable`` | the twin of a question without an answer |
| ``privacy``, ``privacy-own`` | somebody else's data, and one's own |
| ``sharded``, ``-before``, ``-whole`` | the last turn, the ones before it, all at once |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ullage.lab.world.capabilities.boundary import NOT_YOURS
from ullage.lab.world.exchange import Exchange, Turn, conversation, plain
from ullage.models.types import Message

OWN = "privacy-own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A conversation that ends with a question, and the reply that belongs to it."""

    part: str
    family: str
    messages: tuple[Message, ...]
    reply: str
    exchange: Exchange
    """Where it comes from."""
    accepts: tuple[str, ...] = ()
    """Replies that are right besides `reply`."""
    follows: frozenset[str] = frozenset()
    """Parts of the replies that stand before the question."""

    def is_right(self, said: str) -> bool:
        """The exact checker: whether a reply says what is wanted, and nothing else."""
        return any(plain(said) == plain(right) for right in (self.reply, *self.accepts))

    @property
    def kind(self) -> str:
        """Its family without layout and wording."""
        return self.family.partition("/")[0]


def questions(exchange: Exchange) -> tuple[Question, ...]:
    """The replies that an exchange teaches, in their order, and then its twins."""
    return (*_turns(exchange), *_twins(exchange))


def _turns(exchange: Exchange) -> Iterator[Question]:
    messages = conversation(exchange.context, exchange.turns)
    before: set[str] = set()
    for index, turn in enumerate(exchange.turns):
        last = index == len(exchange.turns) - 1
        part = _part(exchange, last)
        if turn.taught:
            yield Question(
                part=part,
                family=_family(exchange, part),
                messages=messages[: 2 * index + 1],
                reply=turn.assistant,
                exchange=exchange,
                accepts=exchange.accepts if last else (),
                follows=frozenset(before),
            )
        before.add(part)


def _part(exchange: Exchange, last: bool) -> str:
    name = exchange.capability
    if exchange.expects == "clarify":
        # Here the first turn is what it is about.
        return f"{name}-told" if last else name
    if last and name == "privacy" and exchange.expects == "answer":
        return OWN
    return name if last else f"{name}-before"


def _twins(exchange: Exchange) -> Iterator[Question]:
    name, data = exchange.capability, exchange.data
    if "clear" in data:
        yield _twin(exchange, f"{name}-clear", data["clear"], data["clear_answer"])
    if "answerable" in data:
        yield _twin(exchange, f"{name}-answerable", data["answerable"], data["answer"])
    if "whole" in data:
        yield _twin(exchange, f"{name}-whole", data["whole"], exchange.answer)
    if "own" in data:
        if exchange.expects == "refuse":
            yield _twin(exchange, OWN, data["own"], data["answer"])
        else:
            yield _twin(exchange, name, data["foreign"], NOT_YOURS)


def _twin(exchange: Exchange, part: str, asked: str, reply: str) -> Question:
    said = conversation(exchange.context, (Turn(user=asked, assistant=reply),))
    return Question(
        part=part,
        family=_family(exchange, part),
        messages=said[:-1],
        reply=reply,
        exchange=exchange,
    )


def _family(exchange: Exchange, part: str) -> str:
    """The exchange's family under another name; kinds that it tells apart stay apart."""
    kind, _, rest = exchange.family.partition("/")
    detail = kind.removeprefix(exchange.capability)
    if part in (OWN, "privacy"):
        detail = "-own" if part == OWN else "-foreign"
        part = "privacy"
    return f"{part}{detail}/{rest}"
