"""What models are taught manners by: several exchanges about one desk."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk
from ullage.lab.world.exchange import Document, Exchange, Split, Turn, document
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import draw_wording

TAUGHT = tuple(name for name, capability in CAPABILITIES.items() if capability.taught)
"""What episodes are about; the others are only ever asked."""
_TRIES = 30
_TWINS = (("answerable", "answer"), ("clear", "clear_answer"))
"""Questions in an exchange's data that can simply be answered, and their answers."""
_TWIN_SHARE = 0.35
_MOST_CHARACTERS = 700
"""Of the questions and replies of an episode, but for the last: a model reads 512 tokens."""


def draw_exchange(
    draw: Random, split: Split, capability: str, bias: Bias = WHOLE, desk: Desk | None = None
) -> Exchange:
    """One exchange of a capability, on a desk of its own if none is given.

    Raises:
        LookupError: if the given desk does not allow it.
    """
    asker = CAPABILITIES[capability]
    for _ in range(_TRIES if desk is not None else 100 * _TRIES):
        at = asker.desk(draw, split, bias) if desk is None else desk
        exchange = asker.ask(draw, at, draw_wording(draw, split, len(asker.phrases)), bias)
        if exchange is not None:
            return exchange
    raise LookupError(capability)


def episode(
    draw: Random,
    split: Split,
    capabilities: Sequence[str] | None = None,
    *,
    bias: Bias = WHOLE,
    weights: Sequence[float] | None = None,
    questions: int | None = None,
) -> Document:
    """One desk and some questions about it.

    The desk suits a first capability, drawn from `capabilities`; half of the other questions are
    of the same kind, the rest whatever the desk allows.
    """
    names = tuple(capabilities or TAUGHT)
    first = draw.choices(names, weights)[0]
    asker = CAPABILITIES[first]
    desk = asker.desk(draw, split, bias)
    count = questions or draw.randint(3, 8)
    fillers = [name for name in names if _fits(CAPABILITIES[name], desk)]
    turns: list[Turn] = []
    for index in range(count):
        if sum(len(turn.user) + len(turn.assistant) for turn in turns) > _MOST_CHARACTERS:
            break
        chosen = first if not index or not fillers or draw.random() < 0.5 else draw.choice(fillers)
        try:
            turns += _or_twin(draw, draw_exchange(draw, split, chosen, bias, desk))
        except LookupError:
            if not index:
                return episode(draw, split, names, bias=bias, weights=weights, questions=questions)
    return document(desk.text, tuple(turns))


def _or_twin(draw: Random, exchange: Exchange) -> tuple[Turn, ...]:
    """An exchange's turns or, by chance, its twin: a desk must not give away what is to be done."""
    for asked, reply in _TWINS:
        if asked in exchange.data and draw.random() < _TWIN_SHARE:
            return (Turn(user=exchange.data[asked], assistant=exchange.data[reply]),)
    return exchange.turns


def _fits(capability: Capability, desk: Desk) -> bool:
    """Whether the capability can be asked about beside others on this desk."""
    return capability.fills and capability.needs_desk == bool(desk.orders)
