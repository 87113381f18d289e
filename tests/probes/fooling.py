"""Ways to pass without knowing anything, for the probes of steps, turns and texts."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice

from tests.probes.conversing import Script, converse, saying
from ullage.models.types import Ask
from ullage.probes.protocol import Item
from ullage.probes.registry import get_probe

N = 250


def repeat_prompt(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content


def copy_context(ask: Ask, item: Item) -> str:
    return "\n".join(message.content for message in ask.messages)


def say_it_again(ask: Ask, item: Item) -> str:
    """What it said last, or what was so at first."""
    said = [message.content for message in ask.messages if message.role == "assistant"]
    return said[-1].splitlines()[-1] if said else "Nothing yet."


FOOLS: dict[str, Script] = {
    "always abstain": saying("The text does not say."),
    "always ask": saying("Which one do you mean?"),
    "always refuse": saying("I'm sorry, but I can't help with that."),
    "empty string": saying(""),
    "constant answer": saying("Monday"),
    "constant number": saying("42"),
    "repeat the prompt": repeat_prompt,
    "copy the context": copy_context,
    "say it again": say_it_again,
}


def means(name: str, script: Script, teacher: Script | None = None) -> dict[str, float]:
    """Mean of every column over items of a probe."""
    probe = get_probe(name)
    sums: dict[str, float] = defaultdict(float)
    for item in islice(probe.items(11), N):
        for column, value in converse(probe, item, script, teacher=teacher).items():
            sums[column] += value / N
    return dict(sums)
