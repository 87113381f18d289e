"""A probe and a model small enough to count what is asked of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ullage.models.types import (
    Access,
    Answer,
    Ask,
    Reply,
    Request,
    Sample,
    Usage,
    Weigh,
    Weights,
    request_key,
    user,
)
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, Probe, ask, sample, weigh


class TwoTurns(Probe):
    """Asks, then asks again with the reply in the conversation."""

    name = "two-turns"
    dimension = Dimension.BOUNDARY
    metrics = (Metric(name="length", summary="Length.", bounds=(0.0, 100.0)),)

    def items(self, seed: int) -> Iterator[Item]:
        for number in count():
            yield Item(
                id=f"t/{seed}/{number}", family=f"f{number % 5}", messages=(user(f"q {number}"),)
            )

    def converse(self, item: Item) -> Conversation:
        first = yield from ask(Ask(messages=item.messages))
        second = yield from ask(Ask(messages=(*item.messages, first.message, user("and?"))))
        return {"length": float(len(second.text))}


class Everything(Probe):
    """Asks, samples, weighs, and compares with the teacher."""

    name = "everything"
    dimension = Dimension.FIDELITY
    access = frozenset({Access.TEXT, Access.WEIGH})
    metrics = (Metric(name="same", summary="Same."),)

    def items(self, seed: int) -> Iterator[Item]:
        for number in range(40):
            yield Item(id=f"e/{number}", family="f", messages=(user(f"q {number}"),))

    def converse(self, item: Item) -> Conversation:
        mine = yield from ask(Ask(messages=item.messages))
        teachers = yield from ask(Ask(messages=item.messages, of="teacher"))
        votes = yield from sample(Sample(messages=item.messages, n=3))
        weights = yield from weigh(Weigh(messages=item.messages, continuations=("a", "b")))
        return {
            "same": float(mine.text == teachers.text),
            "votes": float(len({vote.text for vote in votes})),
            "weight": weights.logprobs[0],
        }


@dataclass
class CountingModel:
    """Answers at once with text made from the request; counts every key it is asked."""

    name: str
    asked: list[str] = field(default_factory=list)
    fails: Callable[[Request], Answer | None] = lambda _: None
    delay: float = 0.0
    batches: list[int] = field(default_factory=list)
    deterministic: bool = True
    keyed_by_item: bool = False
    window: int = 64
    access: frozenset[Access] = frozenset(Access)
    description: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        return f"counting:{self.name}"

    async def __aenter__(self) -> "CountingModel":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        self.batches.append(len(requests))
        for place, request in reversed(list(enumerate(requests))):
            if self.delay:
                await asyncio.sleep(self.delay)
            self.asked.append(request_key(self.identity, request))
            yield place, self.fails(request) or self._make(request)

    def _make(self, request: Request) -> Answer:
        if isinstance(request, Weigh):
            return Weights(logprobs=(-1.0, -2.0), tokens=(1, 1), greedy=(True, False))
        last = request.messages[-1].content
        return Reply(
            text=f"{self.name} says {last} {request.replicate}",
            usage=Usage(prompt_tokens=10, completion_tokens=5),
        )
