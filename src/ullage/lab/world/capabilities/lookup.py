"""Look-ups: one order is meant, and the desk says what is asked."""

from __future__ import annotations

from random import Random

from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk
from ullage.lab.world.exchange import Exchange, Turn
from ullage.lab.world.reference import (
    FIELD_PHRASES,
    NEW_PAIRS,
    PHRASES,
    Reference,
    draw_reference,
    fields_for,
)
from ullage.lab.world.wordings import Wording

ASKS = (
    "what is {field} of {order}?",
    "tell me {field} of {order}.",
    "can you give me {field} of {order}?",
    "i need {field} of {order}.",
    "for {order}, what is {field}?",
    "{order}: what is {field}?",
)
"""Ways to ask for a field of an order; most capabilities ask so."""


def asked(wording: Wording, field: str, order: str) -> str:
    """A look-up in so many words."""
    return wording.say(ASKS[wording.phrase].format(field=FIELD_PHRASES[field], order=order))


class Lookup(Capability):
    """Any field of an order that is pointed at in any way."""

    name = "lookup"
    dimension = "grounding"
    fills = True
    phrases = ASKS
    spoken = (*PHRASES.values(), *FIELD_PHRASES.values())

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """A field of the one order that fits."""
        pointer = draw_reference(draw, desk)
        if pointer is None:
            return None
        order = pointer.among(desk)[0]
        fields = [field for field in fields_for(pointer.kind) if desk.shows(order, field)]
        return look_up(self, desk, wording, pointer, draw.choice(fields), draw)


class Composition(Capability):
    """Ways to point and fields to ask that training never put together."""

    name = "composition"
    dimension = "capacity"
    taught = False
    phrases = ASKS

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """One of the new pairs."""
        kind, field = draw.choice(sorted(NEW_PAIRS))
        pointer = draw_reference(draw, desk, (kind,))
        if pointer is None or not desk.shows(pointer.like, field):
            return None
        return look_up(self, desk, wording, pointer, field, draw)


def look_up(
    capability: Capability,
    desk: Desk,
    wording: Wording,
    pointer: Reference,
    field: str,
    draw: Random,
) -> Exchange:
    """The exchange of a look-up; `wrong` is another order's value."""
    order = pointer.among(desk)[0]
    answer = desk.value(order, field)
    others = sorted({desk.value(other, field) for other in desk.orders} - {answer})
    wrong = draw.choice(others) if others else ""
    return Exchange(
        capability=capability.name,
        family=capability.family(desk, wording),
        context=desk.text,
        turns=(Turn(user=asked(wording, field, pointer.text(desk.styles)), assistant=answer),),
        wrong=wrong,
        data={"field": field, "pointer": pointer.kind},
    )
