"""Answers that take several steps, and show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, permutations
from random import Random

from ullage.lab.world.capabilities.lookup import ASKS, asked
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import WHOLE, Bias, Desk, draw_desk, write_number
from ullage.lab.world.exchange import Exchange, Split, Turn
from ullage.lab.world.reference import Reference
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import CODES

DAYS = tuple(range(5, 65, 5))
RULE = "a {item} can be returned for {days} days."
VERDICT = "{rule}, {age} is {verdict}."
COMPARED = ("less: yes", "more: no")
"""Said of an age within the days, and of one above them."""
MEANS = "{code} means {item}"
PLAINLY = "in plain words:"


class Sums(Capability):
    """What two or three orders cost together, one addition at a time."""

    name = "sums"
    dimension = "process"
    fills = True
    hard = True
    phrases = (
        "what do {orders} cost together?",
        "tell me the sum of {orders}.",
        "can you add {orders}?",
        "i need the sum of {orders}.",
    )
    spoken = ("{a} and {b}", "+ =")

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """Orders by number; taught in the order they are asked for, and right in any."""
        shown = [order for order in desk.orders if desk.shows(order, "price")]
        unique = {order.number: order for order in shown}
        if desk.hidden or len(unique) < max(2, len(desk.orders)):
            return None
        terms = draw.sample(list(unique.values()), draw.randint(2, min(3, len(unique))))
        names = [write_number(order.number, desk.styles.number) for order in terms]
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        prices = [order.price for order in terms]
        steps = _added(prices)
        others = {", ".join(_added(other)): None for other in permutations(prices)}
        answer = ", ".join(steps)
        kind = f"{len(terms)}"
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, kind),
            context=desk.text,
            turns=(
                Turn(
                    user=wording.say(self.phrases[wording.phrase].format(orders=listed)),
                    assistant=answer,
                ),
            ),
            accepts=tuple(other for other in others if other != answer),
            wrong=str(sum(prices) + 10),
            data={"steps": steps, "total": sum(prices)},
        )


def _added(prices: Sequence[int]) -> list[str]:
    """One addition after the other, each with the sum so far."""
    totals = list(accumulate(prices))
    return [
        f"{before} + {price} = {total}"
        for before, price, total in zip(totals, prices[1:], totals[1:], strict=False)
    ]


class Refund(Capability):
    """A chain: the order's item, the item's rule, and whether the order is young enough."""

    name = "refund"
    dimension = "process"
    hard = True
    phrases = (
        "{order} is {age} days old. can i return it?",
        "can i return {order}? it is {age} days old.",
        "it is {age} days since {order}. can it be returned?",
        "i want to return {order}. it is {age} days old.",
    )
    spoken = (RULE, VERDICT, *COMPARED)

    def desk(self, draw: Random, split: Split, bias: Bias = WHOLE) -> Desk:
        """Rules for every item on the desk, in any order, above it."""
        desk = draw_desk(draw, orders=draw.randint(2, 3), twins=False, bias=bias)
        items = sorted({order.item for order in desk.orders})
        draw.shuffle(items)
        limits = draw.sample(DAYS[1:-1], len(items))
        rules = tuple(
            RULE.format(item=item, days=days) for item, days in zip(items, limits, strict=True)
        )
        return replace(desk, before=rules)

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """Younger and older than the rule allows, equally often."""
        rules = [note.split() for note in desk.before if " can be returned " in note]
        limits = {words[1]: int(words[-2]) for words in rules}
        order = draw.choice(desk.orders)
        pointer = Reference("number", order)
        if order.item not in limits or len(pointer.among(desk)) != 1:
            return None
        limit = limits[order.item]
        younger = draw.random() < 0.5
        age = draw.choice([days for days in DAYS if days != limit and (days < limit) == younger])
        verdict = COMPARED[not younger]
        phrase = self.phrases[wording.phrase].format(order=pointer.text(desk.styles), age=age)
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording),
            context=desk.text,
            turns=(
                Turn(
                    user=wording.say(phrase),
                    assistant=VERDICT.format(
                        rule=RULE.format(item=order.item, days=limit).removesuffix("."),
                        age=age,
                        verdict=verdict,
                    ),
                ),
            ),
            wrong="no" if younger else "yes",
            data={"steps": [order.item, f"{limit} days", verdict], "verdict": verdict[-3:].strip()},
        )


class Codes(Capability):
    """Made-up words stand for items; the desk says what they mean."""

    name = "codes"
    dimension = "agency"
    hard = True
    phrases = ASKS
    spoken = (f"{MEANS}.", f"{MEANS}, {{value}}", PLAINLY)

    def desk(self, draw: Random, split: Split, bias: Bias = WHOLE) -> Desk:
        """A word for each order's item, another one each time."""
        desk = draw_desk(draw, twins=False, bias=bias)
        items = [order.item for order in desk.orders]
        draw.shuffle(items)
        codes = draw.sample(CODES, len(items))
        notes = (
            f"{MEANS.format(code=code, item=item)}."
            for code, item in zip(codes, items, strict=True)
        )
        return replace(desk, before=tuple(notes))

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """A field of an order that is named in code, said with the item; another order is wrong."""
        notes = [note.removesuffix(".").split(" means ") for note in desk.before]
        meanings = {note[1]: note[0] for note in notes if len(note) == 2}
        if not meanings:
            return None
        field = draw.choice(("status", "price", "date"))
        said = [
            f"{MEANS.format(code=meanings[order.item], item=order.item)}, "
            f"{desk.value(order, field)}"
            for order in desk.orders
        ]
        chosen, other = draw.sample(range(len(said)), 2)
        code = meanings[desk.orders[chosen].item]
        question = asked(wording, field, f"the {code}")
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording),
            context=desk.text,
            turns=(Turn(user=f"{PLAINLY} {question}", assistant=said[chosen]),),
            wrong=said[other],
            data={"meaning": desk.orders[chosen].item, "field": field},
        )
