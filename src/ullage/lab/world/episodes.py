"""What models read: several exchanges about one desk, copying drills, and plain desk text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from ullage.lab.world.capabilities.boundary import ITS, UNKNOWN, WHICH
from ullage.lab.world.capabilities.lookup import ASKS, asked
from ullage.lab.world.capabilities.memory import FACT
from ullage.lab.world.capabilities.steps import COMPARED, DAYS, MEANS
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import (
    DERIVED,
    PRICES,
    WHOLE,
    Bias,
    Desk,
    Order,
    draw_desk,
    usual_price,
)
from ullage.lab.world.exchange import Document, Exchange, Segment, Split, Turn, document
from ullage.lab.world.reference import FIELD_PHRASES, Reference, draw_reference, fields_for
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import draw_wording
from ullage.lab.world.words import COLOURS, ITEMS, NAMES, STATUSES

TAUGHT = tuple(name for name, capability in CAPABILITIES.items() if capability.taught)
"""What episodes are about; the others are only ever asked."""
_TRIES = 30
_MOST_CHARACTERS = 700
"""Of the questions and replies of an episode, but for the last: a model reads 512 tokens."""
_FORWARD = {
    "number": ("status", "price", "date", "item", "colour", "month", "amount"),
    "item": ("status", "price", "date"),
}


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
            turns += draw_exchange(draw, split, chosen, bias, desk).turns
        except LookupError:
            if not index:
                return episode(draw, split, names, bias=bias, weights=weights, questions=questions)
    return document(desk.text, tuple(turns))


def _fits(capability: Capability, desk: Desk) -> bool:
    """Whether the capability can be asked about beside others on this desk."""
    return capability.fills and capability.needs_desk == bool(desk.orders)


def drill(draw: Random, orders: int, questions: int, *, fields: int = 3) -> Document:
    """A copying drill: one desk, several look-ups.

    Args:
        draw: where chance comes from.
        orders: how many are on the desk.
        questions: how many look-ups.
        fields: how many of status, price and date each order shows; the same ones throughout.
    """
    desk = draw_desk(draw, orders=orders, twins=False)
    left_out = draw.sample(("status", "price", "date"), 3 - fields)
    desk = replace(
        desk, hidden=frozenset((index, field) for index in range(orders) for field in left_out)
    )
    turns = []
    for _ in range(questions):
        pointer = draw_reference(draw, desk)
        if pointer is None:
            continue
        every = [*fields_for(pointer.kind), *(DERIVED if pointer.kind == "number" else ())]
        field = draw.choice([name for name in every if desk.shows(pointer.like, name)])
        ask = draw_wording(draw, Split.TRAIN, len(ASKS))
        question = asked(ask, field, pointer.text(desk.styles))
        turns.append(Turn(user=question, assistant=desk.value(pointer.like, field)))
    return document(desk.text, tuple(turns))


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


def verification(draw: Random, orders: int, statements: int) -> Document:
    """Plain text that says whether something holds: of facts, of the customer, and of codes.

    What corrections, privacy and codes rest on, without their manners.
    """
    coded = draw.random() < 0.3
    desk = (
        CAPABILITIES["codes"].desk(draw, Split.TRAIN) if coded else draw_desk(draw, orders=orders)
    )
    meanings = dict(note.removesuffix(".").split(" means ") for note in desk.before)
    values = {"status": tuple(meanings) or STATUSES, "colour": COLOURS}
    segments = [Segment(role="plain", text=desk.text, taught=False)]
    for _ in range(statements):
        order = draw.choice(desk.orders)
        number = desk.value(order, "number")
        holds = draw.random() < 0.5
        verdict = "yes." if holds else "no."
        match draw.choice(("customer", "code" if coded else "fact", "fact")):
            case "customer":
                others = [name for name in NAMES if name != desk.customer]
                name = desk.customer if holds else draw.choice(others)
                lead, value = f"customer {name}:", verdict
            case "code":
                lead = f"plain {number}"
                value = MEANS.format(code=order.status, status=meanings[order.status])
            case _:
                field = draw.choice(tuple(values))
                truth = desk.value(order, field)
                others = [other for other in values[field] if other != truth]
                if not others:
                    continue
                told = truth if holds else draw.choice(others)
                lead, value = f"{field} {number} {told}:", verdict
        segments.append(Segment(role="plain", text=lead, taught=False))
        segments.append(Segment(role="plain", text=value, taught=True))
    return tuple(segments)


def tally(draw: Random) -> Document:
    """Plain text that counts: how many orders of an item a desk holds, and which."""
    desk = draw_desk(draw, twins=draw.random() < 0.7)
    there = sorted({order.item for order in desk.orders})
    asked_about = [*there, *draw.sample([item for item in ITEMS if item not in there], 2)]
    draw.shuffle(asked_about)
    segments = [Segment(role="plain", text=desk.text, taught=False)]
    for item in asked_about:
        found = [order for order in desk.orders if order.item == item]
        segments.append(Segment(role="plain", text=f"orders of the {item}:", taught=False))
        segments.append(Segment(role="plain", text=_tallied(desk, found), taught=True))
    return tuple(segments)


def _tallied(desk: Desk, orders: Sequence[Order]) -> str:
    """How many orders there are, and which."""
    listed = ", ".join(desk.value(order, "number") for order in orders)
    return f"{len(orders)}: {listed}." if orders else "0."


def arithmetic(draw: Random, statements: int) -> Document:
    """Sums and comparisons as `sums` and `refund` write them, without a desk."""
    segments = []
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
        segments.append(Segment(role="plain", text=lead, taught=False))
        segments.append(Segment(role="plain", text=value, taught=True))
    return tuple(segments)


def recital(draw: Random, orders: int, statements: int, *, fields: int = 3) -> Document:
    """The easiest drill: one desk, and its facts told again in the fewest words.

    Facts are asked only in the direction in which a desk is read: what stands before a value is
    known there, what stands after it is not.

    Args:
        draw: where chance comes from.
        orders: how many are on the desk.
        statements: how many facts at most.
        fields: how many of status, price and date each order shows; the same ones throughout.
    """
    desk = draw_desk(draw, orders=orders, twins=False)
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
    segments = [Segment(role="plain", text=desk.text, taught=False)]
    for order, kind, field in draw.sample(facts, min(statements, len(facts))):
        lead, value = f"{field} {desk.value(order, kind)}", f"{desk.value(order, field)}."
        segments.append(Segment(role="plain", text=lead, taught=False))
        segments.append(Segment(role="plain", text=value, taught=True))
    return tuple(segments)


def plain_text(draw: Random, orders: int) -> Document:
    """Desk text without roles: orders, then statements about them, or questions and answers.

    What fits one order can be looked up; what fits two or none is counted instead. By chance it is
    usual prices.
    """
    if draw.random() < 0.15:
        facts = [FACT.format(item=item, price=usual_price(item)) for item in draw.sample(ITEMS, 4)]
        return (Segment(role="plain", text=" ".join(facts), taught=True),)
    desk = draw_desk(draw, orders=orders)
    segments = [Segment(role="plain", text=desk.text, taught=False)]
    for _ in range(draw.randint(3, 7)):
        pointer = _drawn_pointer(draw, desk)
        if pointer is None:
            continue
        found = pointer.among(desk)
        field = draw.choice(ITS if pointer.kind == "item" else fields_for(pointer.kind))
        value = f"{desk.value(found[0], field)}." if len(found) == 1 else _tallied(desk, found)
        phrase, told = FIELD_PHRASES[field], pointer.text(desk.styles)
        lead = f"{phrase} of {told} is"
        if draw.random() < 0.5:
            wording = draw_wording(draw, Split.TRAIN, len(ASKS))
            lead = asked(wording, field, told)
        segments.append(Segment(role="plain", text=lead, taught=False))
        segments.append(Segment(role="plain", text=value, taught=True))
    return tuple(segments)


def _drawn_pointer(draw: Random, desk: Desk) -> Reference | None:
    """At one order of the desk; of four, one is at an item that is there twice, or not at all."""
    match draw.choices((1, 2, 0), (6, 1, 1))[0]:
        case 2 if (pointer := draw_reference(draw, desk, ("item",), fits=2)) is not None:
            return pointer
        case 0:
            absent = [item for item in ITEMS if item not in {order.item for order in desk.orders}]
            return Reference("item", replace(desk.orders[0], item=draw.choice(absent)))
        case _:
            return draw_reference(draw, desk)
