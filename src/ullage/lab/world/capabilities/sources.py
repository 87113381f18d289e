"""Desks that are not to be taken at face value: they contradict themselves, or digress."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ullage.lab.world.capabilities.lookup import ASKS, asked
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk, draw_desk
from ullage.lab.world.exchange import Exchange, Split, Turn
from ullage.lab.world.reference import Reference
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import NAMES, STATUSES

DISAGREE = "the orders disagree: {first} or {second}."
NOTE = "{person} has a {status} {item}."
PLEASANTRIES = (
    "the weather is nice.",
    "the shop is open until may.",
    "{person} is away today.",
    "the {item} is new in the shop.",
)


class Contradictory(Capability):
    """One order is written down twice, with two statuses: say that they disagree."""

    name = "contradictory"
    dimension = "grounding"
    phrases = ASKS
    spoken = (DISAGREE,)

    def desk(self, draw: Random, split: Split, bias: Bias = WHOLE) -> Desk:
        """Two or three orders; one comes again with another status."""
        desk = draw_desk(draw, orders=draw.randint(1, 3), twins=False, bias=bias)
        order = draw.choice(desk.orders)
        status = draw.choice([status for status in STATUSES if status != order.status])
        again = replace(order, status=status)
        orders = list(desk.orders)
        orders.insert(draw.randint(0, len(orders)), again)
        return desk.with_orders(orders)

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """The status, by the number or the item."""
        numbers = [order.number for order in desk.orders]
        told = [order for order in desk.orders if numbers.count(order.number) == 2]
        if len(told) != 2 or not all(desk.shows(order, "status") for order in told):
            return None
        pointer = Reference(draw.choice(("number", "item")), told[0])
        if len(pointer.among(desk)) != 2:
            return None
        values = [desk.value(order, "status") for order in told]
        question = asked(wording, "status", pointer.text(desk.styles))
        reply = DISAGREE.format(first=values[0], second=values[1])
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording),
            context=desk.text,
            turns=(Turn(user=question, assistant=reply),),
            expects="abstain",
            wrong=draw.choice(values),
            data={"values": values},
        )


class Distracting(Capability):
    """Somebody else's order of the same item, and small talk, stand beside the answer."""

    name = "distracting"
    dimension = "grounding"
    phrases = ASKS
    spoken = (NOTE, *PLEASANTRIES)

    def desk(self, draw: Random, split: Split, bias: Bias = WHOLE) -> Desk:
        """A note about another person's item, before or after the orders, and a pleasantry."""
        desk = draw_desk(draw, twins=False, bias=bias)
        order = draw.choice(desk.orders)
        person = draw.choice([name for name in NAMES if name != desk.customer])
        status = draw.choice([status for status in STATUSES if status != order.status])
        notes = [
            NOTE.format(person=person, status=status, item=order.item),
            draw.choice(PLEASANTRIES).format(person=person, item=order.item),
        ]
        draw.shuffle(notes)
        if draw.random() < 0.5:
            return replace(desk, before=tuple(notes))
        return replace(desk, after=tuple(notes))

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """The status of the customer's own; the other person's is wrong."""
        note = next((note for note in (*desk.before, *desk.after) if " has a " in note), None)
        if note is None:
            return None
        status, item = note.removesuffix(".").split()[-2:]
        order = next((order for order in desk.orders if order.item == item), None)
        if order is None or order.status == status or not desk.shows(order, "status"):
            return None
        pointer = Reference("item", order)
        if len(pointer.among(desk)) != 1:
            return None
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording),
            context=desk.text,
            turns=(
                Turn(
                    user=asked(wording, "status", pointer.text(desk.styles)),
                    assistant=desk.value(order, "status"),
                ),
            ),
            wrong=status,
        )
