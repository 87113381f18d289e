"""What models read: several exchanges about one desk, copying drills, and plain desk text."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ullage.lab.world.capabilities.lookup import ASKS
from ullage.lab.world.capabilities.memory import FACT
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk, draw_desk, usual_price
from ullage.lab.world.exchange import Document, Exchange, Segment, Split, Turn, document
from ullage.lab.world.reference import FIELD_PHRASES, draw_reference, fields_for
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import draw_wording
from ullage.lab.world.words import ITEMS

TAUGHT = tuple(name for name, capability in CAPABILITIES.items() if capability.taught)
"""What episodes are about; the others are only ever asked."""
_TRIES = 30


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
    count = questions or draw.randint(2, 5)
    fillers = [name for name in names if _fits(CAPABILITIES[name], desk)]
    turns: list[Turn] = []
    for index in range(count):
        chosen = first if not index or not fillers or draw.random() < 0.5 else draw.choice(fillers)
        try:
            turns += draw_exchange(draw, split, chosen, bias, desk).turns
        except LookupError:
            if not index:
                return episode(draw, split, names, bias=bias, weights=weights, questions=questions)
    return document(desk.text, tuple(turns))


def _fits(capability: Capability, desk: Desk) -> bool:
    """Whether the capability can be asked about beside others on this desk."""
    return capability.fills and capability.needs_desk == bool(desk.orders)


def drill(draw: Random, orders: int, questions: int) -> Document:
    """A copying drill: one desk, several look-ups by number or item."""
    desk = draw_desk(draw, orders=orders, twins=False)
    turns = []
    for _ in range(questions):
        pointer = draw_reference(draw, desk, ("number", "item"))
        if pointer is None:
            continue
        field = draw.choice(fields_for(pointer.kind))
        ask = draw_wording(draw, Split.TRAIN, len(ASKS))
        question = ASKS[ask.phrase].format(
            field=FIELD_PHRASES[field], order=pointer.text(desk.styles)
        )
        turns.append(Turn(user=question, assistant=desk.value(pointer.like, field)))
    return document(desk.text, tuple(turns))


def plain_text(draw: Random, orders: int) -> Document:
    """Desk text without anybody talking: orders, then statements about them; or usual prices."""
    if draw.random() < 0.15:
        facts = [FACT.format(item=item, price=usual_price(item)) for item in draw.sample(ITEMS, 4)]
        return (Segment(role="plain", text=" ".join(facts), taught=True),)
    desk = draw_desk(draw, orders=orders)
    segments = [Segment(role="plain", text=desk.text, taught=False)]
    for _ in range(draw.randint(3, 7)):
        pointer = draw_reference(draw, desk)
        if pointer is None:
            continue
        order = pointer.among(desk)[0]
        field = draw.choice(fields_for(pointer.kind))
        lead = f"{FIELD_PHRASES[field]} of {pointer.text(desk.styles)} is"
        segments.append(Segment(role="plain", text=lead, taught=False))
        segments.append(Segment(role="plain", text=f"{desk.value(order, field)}.", taught=True))
    return tuple(segments)
