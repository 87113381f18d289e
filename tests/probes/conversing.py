"""A conversation without an engine: the loop that a probe is written for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ullage.models.types import Ask, Reply, Sample, TokenLogprob, Weigh, Weights
from ullage.probes.protocol import Item, Probe

Script = Callable[[Ask, Item], str]
"""What a scripted model says to a question about an item."""


def converse(
    probe: Probe,
    item: Item,
    script: Script,
    weigh: Callable[[Weigh], Weights] | None = None,
    teacher: Script | None = None,
) -> Mapping[str, float]:
    """Run one conversation against scripted replies; the teacher is perfect unless given."""
    weigh = weigh or (lambda request: flat(request, item))
    conversation = probe.converse(item)
    request = next(conversation)
    while True:
        try:
            if isinstance(request, Weigh):
                request = conversation.send(weigh(request))
            elif isinstance(request, Sample):
                replies = tuple(Reply(text=script(ask, item)) for ask in request.asks())
                request = conversation.send(replies)
            else:
                says = (teacher or perfect) if request.of == "teacher" else script
                request = conversation.send(Reply(text=says(request, item)))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def saying(text: str) -> Script:
    """A model that always says this."""
    return lambda ask, item: text


def weighing(*logprobs: float) -> Callable[[Weigh], Weights]:
    """A model that always weighs so."""
    return lambda request: Weights(logprobs=logprobs, tokens=(1,) * len(logprobs))


def flat(request: Weigh, item: Item) -> Weights:
    """Every continuation equally likely, and every token as likely as it should be."""
    count = len(request.continuations)
    standings = ((0.0,),) * count if request.standing else ()
    place = TokenLogprob(token="it", logprob=-2.0, top=(("so", -1.0), ("it", -2.0)))
    return Weights(
        logprobs=(-2.0,) * count,
        tokens=(1,) * count,
        standings=standings,
        places=((place,),) * count if request.top else (),
    )


def perfect(ask: Ask, item: Item) -> str:
    """What scores full marks: the subject tells, as it does for a simulated model."""
    if ask.subject.expects == "clarify":
        return "Which one do you mean?"
    return ask.subject.answer
