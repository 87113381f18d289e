"""The first item that a probe makes, as it is put to a model, for the pages on dimensions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ullage.models.types import Ask, Message, Reply, Sample, TokenLogprob, Weigh, Weights
from ullage.probes.protocol import Dimension, Item, Probe
from ullage.probes.registry import PACKAGED, get_probe

WIDTH, LABEL, LONGEST = 98, 10, 8
"""Characters of a line, of what stands before it, and lines of a message; a longer one is cut."""


def samples(dimension: Dimension) -> str:
    """One item of seed 0 for every probe of a dimension: what is asked, and what is right."""
    parts = [
        "What each probe asks first with seed 0 (`ullage probe NAME --show 5 --seed 1` has more), "
        "and what would be right. What was asked before is not repeated."
    ]
    for name, kind in PACKAGED.items():
        if kind.dimension == dimension:
            shown = "\n\n".join("\n".join(lines) for lines in _requests(get_probe(name)))
            parts.append(f"**`{name}`**\n\n```text\n{shown}\n```")
    return "\n\n".join(parts)


def _requests(probe: Probe) -> Iterator[list[str]]:
    """The lines of every request about the first item that asks something new."""
    item = next(iter(probe.items(0)))
    seen: set[tuple[Message, ...]] = set()
    said: set[Message] = set()
    for request in _asked(probe, item):
        if request.messages in seen:
            continue
        seen.add(request.messages)
        to = f" {request.of}" if isinstance(request, Ask) and request.of != "self" else ""
        lines = [
            line
            for message in request.messages
            if message not in said or message is request.messages[-1]
            for line in _labelled(f"{message.role}{to}", message.content)
        ]
        said |= set(request.messages)
        if isinstance(request, Weigh):
            lines += _labelled("weighed", " | ".join(request.continuations))
        elif request.subject.answer:
            lines += _labelled("right", request.subject.answer)
        yield lines


def _asked(probe: Probe, item: Item) -> Iterator[Ask | Sample | Weigh]:
    """Every request about an item, put to a model that is right."""
    conversation = probe.converse(item)
    request = next(conversation)
    while True:
        yield request
        try:
            if isinstance(request, Weigh):
                request = conversation.send(_even(request))
            elif isinstance(request, Sample):
                right = Reply(text=request.subject.answer)
                request = conversation.send((right,) * request.n)
            else:
                request = conversation.send(Reply(text=request.subject.answer))
        except StopIteration:
            return


def _even(request: Weigh) -> Weights:
    """Every continuation as likely as the others, in one token."""
    n = len(request.continuations)
    word, other = "a", "b"
    place = TokenLogprob(token=word, logprob=-1.0, top=((word, -1.0), (other, -1.0)))
    return Weights(
        logprobs=(-1.0,) * n,
        tokens=(1,) * n,
        standings=((0.0,),) * n if request.standing else (),
        places=((place,),) * n if request.top else (),
    )


def _labelled(label: str, text: str) -> list[str]:
    """The lines of a text with a label before the first."""
    lines = [
        part
        for line in text.splitlines()
        for part in textwrap.wrap(line, WIDTH - LABEL, break_on_hyphens=False) or [""]
    ]
    if len(lines) > LONGEST:
        lines = [*lines[: LONGEST - 2], "[…]", lines[-1]]
    marked = [f"{label:<{LABEL}}{lines[0]}", *(" " * LABEL + line for line in lines[1:])]
    return [line.rstrip() for line in marked]
