"""What models practise on before they are asked: facts of a desk told, counted, added.

All but `counting` is plain text without roles, so that a model can learn to read a desk before it
learns the manners of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from ullage.lab.world.capabilities.boundary import ITS, UNKNOWN, WHICH, stranger
from ullage.lab.world.capabilities.forms import misspelt
from ullage.lab.world.capabilities.lookup import ASKS, asked
from ullage.lab.world.capabilities.memory import FACT
from ullage.lab.world.capabilities.steps import COMPARED, DAYS
from ullage.lab.world.desk import (
    DERIVED,
    NUMBER_STYLES,
    PRICES,
    Desk,
    Order,
    draw_desk,
    usual_price,
)
from ullage.lab.world.exchange import Document, Segment, Split, Turn, document
from ullage.lab.world.reference import FIELD_PHRASES, Reference, draw_reference, fields_for
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import draw_wording
from ullage.lab.world.words import CODES, ITEMS, cased

_FORWARD = {
    "number": ("status", "price", "date", "item", "colour", "month", "amount"),
    "item": ("status", "price", "date"),
}


def counting(draw: Random, orders: int, questions: int) -> Document:
    """A drill in telling whether one order fits, or two, or none: look-ups by item alone."""
    desk = draw_desk(draw, orders=orders, twins=draw.random() < 0.7)
    items = [order.item for order in desk.orders]
    cases = {
        1: [item for item in items if items.count(item) == 1],
        2: [item for item in items if items.count(item) == 2],
        0: [item for item in ITEMS if item not in items],
    }
    turns = []
    for _ in range(questions):
        fits = draw.choice([fits for fits, some in cases.items() if some])
        item = draw.choice(cases[fits])
        field = draw.choice(ITS)
        orders_meant = [order for order in desk.orders if order.item == item]
        reply = UNKNOWN
        if fits == 1:
            reply = desk.value(orders_meant[0], field)
        elif fits == 2:
            reply = WHICH.format(first=orders_meant[0].number, second=orders_meant[1].number)
        wording = draw_wording(draw, Split.TRAIN, len(ASKS))
        turns.append(Turn(user=asked(wording, field, f"the {item}"), assistant=reply))
    return document(desk.text, tuple(turns))


def tally(draw: Random) -> Document:
    """Plain text that counts: how many orders of an item a desk holds, and which."""
    desk = draw_desk(draw, twins=draw.random() < 0.7)
    there = sorted({order.item for order in desk.orders})
    asked_about = [*there, *draw.sample([item for item in ITEMS if item not in there], 2)]
    draw.shuffle(asked_about)
    segments = [_given(desk.text)]
    for item in asked_about:
        found = [order for order in desk.orders if order.item == item]
        segments += _told(f"orders of the {item}:", _tallied(desk, found))
    return tuple(segments)


def pointing(draw: Random) -> Document:
    """Plain text that points at orders by their colour alone."""
    desk = draw_desk(draw, twins=draw.random() < 0.7)
    facts = [(order, field) for order in desk.orders for field in ITS]
    segments = [_given(desk.text)]
    for order, field in draw.sample(facts, min(8, len(facts))):
        segments += _told(
            f"{FIELD_PHRASES[field]} of the one in {order.colour} is",
            f"{desk.value(order, field)}.",
        )
    return tuple(segments)


def _tallied(desk: Desk, orders: Sequence[Order]) -> str:
    """How many orders there are, and which."""
    listed = ", ".join(desk.value(order, "number") for order in orders)
    return f"{len(orders)}: {listed}." if orders else "0."


def arithmetic(draw: Random, statements: int) -> Document:
    """Sums and comparisons as `sums` and `refund` write them, without a desk."""
    segments: list[Segment] = []
    for _ in range(statements):
        if draw.random() < 0.5:
            one, other = draw.choice(PRICES), draw.choice(PRICES)
            total = one + other
            if draw.random() < 0.5:
                one, other, total = total, (more := draw.choice(PRICES)), total + more
            lead, value = f"{one} + {other} =", f"{total}."
        else:
            limit, age = draw.sample(DAYS, 2)
            lead, value = f"{limit} days, {age} is", COMPARED[age > limit] + "."
        segments += _told(lead, value)
    return tuple(segments)


def recital(
    draw: Random, orders: int, statements: int, *, fields: int = 3, made_up: float = 0.0
) -> Document:
    """The easiest drill: one desk, and its facts told again in the fewest words.

    Facts are asked only in the direction in which a desk is read: what stands before a value is
    known there, what stands after it is not.

    Args:
        draw: where chance comes from.
        orders: how many are on the desk.
        statements: how many facts at most.
        fields: how many of status, price and date each order shows; the same ones throughout.
        made_up: share of desks with made-up words in the place of items. A word that was never read
            so is not found on a desk later, whatever a prompt says that it means.
    """
    desk = draw_desk(draw, orders=orders, twins=False)
    if made_up and draw.random() < made_up:
        words = draw.sample(CODES, orders)
        named = zip(desk.orders, words, strict=True)
        desk = desk.with_orders([replace(order, item=word) for order, word in named])
    left_out = draw.sample(("status", "price", "date"), 3 - fields)
    desk = replace(
        desk, hidden=frozenset((index, field) for index in range(orders) for field in left_out)
    )
    facts = [
        (order, kind, field)
        for order in desk.orders
        for kind, told in _FORWARD.items()
        for field in told
        if desk.shows(order, field)
    ]
    segments = [_given(desk.text)]
    for order, kind, field in draw.sample(facts, min(statements, len(facts))):
        lead, value = f"{field} {desk.value(order, kind)}", f"{desk.value(order, field)}."
        segments += _told(lead, value)
    return tuple(segments)


def plain_text(draw: Random, orders: int) -> Document:
    """Desk text without roles: orders, then statements about them, or questions and answers.

    What fits one order can be looked up; what fits two or none is counted instead. By chance it is
    usual prices.
    """
    if draw.random() < 0.15:
        facts = [FACT.format(item=item, price=usual_price(item)) for item in draw.sample(ITEMS, 4)]
        return (Segment(role="plain", text=" ".join(facts), taught=True),)
    desk = _read_desk(draw, orders)
    segments = [_given(desk.text)]
    for _ in range(draw.randint(4, 9)):
        pointer = _drawn_pointer(draw, desk)
        if pointer is None:
            continue
        field = draw.choice(_readable(pointer, desk))
        told = _written(draw, pointer, desk)
        lead = f"{FIELD_PHRASES[field]} of {told} is"
        if draw.random() < 0.5:
            wording = draw_wording(draw, Split.TRAIN, len(ASKS))
            lead = asked(wording, field, told)
        segments += _told(lead, _read(desk, pointer, field))
    return tuple(segments)


def _read_desk(draw: Random, orders: int) -> Desk:
    """Mostly a desk with nothing special; or contradictory, or with a field left out."""
    kind = draw.choices(("", "contradictory", "missing"), (7, 1, 2))[0]
    if not kind:
        return draw_desk(draw, orders=orders, twins=draw.random() < 0.6)
    return CAPABILITIES[kind].desk(draw, Split.TRAIN)


def _drawn_pointer(draw: Random, desk: Desk) -> Reference | None:
    """At one order of the desk, at an item that is there twice, or at nothing."""
    match draw.choices((1, 2, 0), (3, 2, 1))[0]:
        case 2 if (pointer := draw_reference(draw, desk, ("item",), fits=2)) is not None:
            return pointer
        case 0:
            kind, order = draw.choice(("number", "item")), draw.choice(desk.orders)
            return Reference(kind, stranger(draw, desk, order))
        case _:
            return draw_reference(draw, desk)


def _readable(pointer: Reference, desk: Desk) -> list[str]:
    """Fields to ask for: any of one order, and else what is asked of several or none."""
    if len(pointer.among(desk)) != 1:
        return ["status"] if _is_contradicted(pointer.among(desk)) else list(ITS)
    return [*fields_for(pointer.kind), *(DERIVED if pointer.kind == "number" else ())]


def _is_contradicted(orders: Sequence[Order]) -> bool:
    """Whether one order is written down twice."""
    return len(orders) == 2 and orders[0].number == orders[1].number


def _written(draw: Random, pointer: Reference, desk: Desk) -> str:
    """A reference in the desk's style or, by chance, in other clothes."""
    item = pointer.like.item
    if draw.random() < 0.7:
        return pointer.text(desk.styles)
    if pointer.kind == "item":
        return f"the {draw.choice([*cased(item), *misspelt(item, Split.TRAIN)])}"
    number = draw.randrange(len(NUMBER_STYLES))
    return pointer.text(replace(desk.styles, number=number))


def _read(desk: Desk, pointer: Reference, field: str) -> str:
    """What a desk says of a field: the value, or how many orders there are; 0 for nothing."""
    found = pointer.among(desk)
    if _is_contradicted(found):
        return " or ".join(desk.value(order, field) for order in found) + "."
    if len(found) != 1:
        return _tallied(desk, found)
    return f"{desk.value(found[0], field)}." if desk.shows(found[0], field) else _tallied(desk, [])


def _given(text: str) -> Segment:
    return Segment(role="plain", text=text, taught=False)


def _told(lead: str, value: str) -> tuple[Segment, Segment]:
    """A beginning, and how it is to go on."""
    return _given(lead), Segment(role="plain", text=value, taught=True)
