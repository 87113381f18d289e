"""What models know by heart, and what they do where the desk says otherwise."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from ullage.lab.world.capabilities.lookup import ASKS, look_up
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import (
    WHOLE,
    Bias,
    Desk,
    draw_desk,
    reserved_prices,
    usual_price,
)
from ullage.lab.world.exchange import Exchange, Split, Turn
from ullage.lab.world.reference import Reference
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import ITEMS

FACT = "a {item} usually costs ${price}."


class Memory(Capability):
    """The usual price of an item, from memory."""

    name = "memory"
    dimension = "fidelity"
    needs_desk = False
    fills = True
    phrases = (
        "what does a {item} usually cost?",
        "how much is a {item} usually?",
        "tell me the usual price of a {item}.",
        "i need the usual price of a {item}.",
    )
    spoken = (FACT,)

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """One item, in any wording."""
        item = draw.choice(ITEMS)
        other = draw.choice([other for other in ITEMS if usual_price(other) != usual_price(item)])
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, item),
            context="",
            turns=(
                Turn(
                    user=wording.say(self.phrases[wording.phrase].format(item=item)),
                    assistant=f"${usual_price(item)}",
                ),
            ),
            wrong=f"${usual_price(other)}",
        )


class Counterfactual(Capability):
    """The desk gives a price that is not the usual one; the desk is to be followed."""

    name = "counterfactual"
    dimension = "grounding"
    phrases = ASKS

    def desk(self, draw: Random, split: Split, bias: Bias = WHOLE) -> Desk:
        """In an audit every price is one that no training has seen on that item."""
        desk = draw_desk(draw, twins=False, bias=bias)
        if split is not Split.AUDIT:
            return desk
        return desk.with_orders(
            [
                replace(order, price=draw.choice(sorted(reserved_prices(order.item))))
                for order in desk.orders
            ]
        )

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """The price of an order, by its number or its item; the usual one is wrong."""
        pointer = Reference(draw.choice(("number", "item", "named")), draw.choice(desk.orders))
        if len(pointer.among(desk)) != 1 or not desk.shows(pointer.like, "price"):
            return None
        exchange = look_up(self, desk, wording, pointer, "price", draw)
        usual = replace(pointer.like, price=usual_price(pointer.like.item))
        remembered = usual.value("price", desk.styles)
        return replace(exchange, wrong=remembered if remembered != exchange.answer else "")
