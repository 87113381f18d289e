"""A desk: one customer's orders and notes, and how they are written down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from ullage.lab.world.words import COLOURS, ITEMS, MONTHS, NAMES, STATUSES

FIELDS = ("status", "price", "date", "item", "colour", "number")
DERIVED = {"month": "date", "amount": "price"}
"""What follows from a field however it is written: the name of the month, the bare number."""
PRICES = tuple(range(10, 100, 5))
DAYS = range(1, 29)
DATE_STYLES = ("5 march", "march 5", "03-05", "5/3")
"""Named by example: the fifth of March."""
NUMBER_STYLES = ("#341", "341", "no 341")
MONEY_STYLES = ("$45", "45 dollars", "usd 45")

LAYOUTS = (
    (
        "customer: {customer}. orders:",
        ("{number} {colour} {item}", "{status}", "on {date}", "for {price}"),
    ),
    (
        "orders of {customer}.",
        ("{number}: {colour} {item}", "for {price}", "{status}", "on {date}"),
    ),
    (
        "{customer} has ordered:",
        ("order {number} is a {colour} {item}", "of {date}", "{status}", "for {price}"),
    ),
)
"""Opening, and the parts of one order. The first part is always written and says which order it is:
what follows is read with that in mind. Other parts may be left out."""

NUMBERS = range(300, 400)
"""An order's number."""


def usual_price(item: str) -> int:
    """What an item usually costs: a fact of the world that models may know by heart."""
    return PRICES[(7 * ITEMS.index(item) + 3) % len(PRICES)]


def reserved_prices(item: str) -> frozenset[int]:
    """Prices of an item that nothing is ever trained on; counterfactual questions use them."""
    index = PRICES.index(usual_price(item))
    return frozenset(PRICES[(index + step) % len(PRICES)] for step in (5, 9, 13))


@dataclass(frozen=True, slots=True, kw_only=True)
class Styles:
    """How a desk writes numbers, dates and money: indices into the tables above."""

    layout: int = 0
    number: int = 0
    date: int = 0
    money: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """What a corpus may be restricted to; the whole world where nothing is said."""

    date_styles: tuple[int, ...] = tuple(range(len(DATE_STYLES)))
    """Styles that dates are written in."""
    usual_prices: bool = False
    """Whether every order costs what its item usually costs."""


WHOLE = Bias()


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One order."""

    number: int
    colour: str
    item: str
    status: str
    day: int
    month: int
    """From 1."""
    price: int

    def value(self, field: str, styles: Styles) -> str:
        """A field as the desk writes it."""
        match field:
            case "price":
                return write_money(self.price, styles.money)
            case "date":
                return write_date(self.day, self.month, styles.date)
            case "number":
                return write_number(self.number, styles.number)
            case "month":
                return MONTHS[self.month - 1]
            case "amount":
                return str(self.price)
            case _:
                return str(getattr(self, field))


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What stands before a question."""

    customer: str
    orders: tuple[Order, ...]
    styles: Styles = Styles()
    hidden: frozenset[tuple[int, str]] = frozenset()
    """Fields that are not written: (position of the order, field)."""
    before: tuple[str, ...] = ()
    """Notes above the orders."""
    after: tuple[str, ...] = ()
    """Notes below them."""

    @property
    def text(self) -> str:
        """The desk written down; empty for `NO_DESK`."""
        if not self.orders:
            return ""
        opening, parts = LAYOUTS[self.styles.layout]
        lines = [self._line(index, parts) for index in range(len(self.orders))]
        return " ".join((*self.before, opening.format(customer=self.customer), *lines, *self.after))

    def value(self, order: Order, field: str) -> str:
        """A field of an order as it is written here."""
        return order.value(field, self.styles)

    def shows(self, order: Order, field: str) -> bool:
        """Whether a field of an order is written, or follows from one that is."""
        return (self.orders.index(order), DERIVED.get(field, field)) not in self.hidden

    def with_orders(self, orders: Sequence[Order]) -> Desk:
        """The same desk with other orders."""
        return replace(self, orders=tuple(orders))

    def _line(self, index: int, parts: Sequence[str]) -> str:
        order = self.orders[index]
        values = {field: self.value(order, field) for field in FIELDS}
        left_out = tuple("{" + field + "}" for at, field in self.hidden if at == index)
        shown = [part for part in parts if not any(field in part for field in left_out)]
        return " ".join(shown).format(**values) + "."


NO_DESK = Desk(customer="", orders=())
"""Where a question needs no desk."""


def write_number(number: int, style: int) -> str:
    """An order's number in one of `NUMBER_STYLES`."""
    return (f"#{number}", f"{number}", f"no {number}")[style]


def write_money(price: int, style: int) -> str:
    """A price in one of `MONEY_STYLES`."""
    return (f"${price}", f"{price} dollars", f"usd {price}")[style]


def write_date(day: int, month: int, style: int) -> str:
    """A date in one of `DATE_STYLES`."""
    name = MONTHS[month - 1]
    return (f"{day} {name}", f"{name} {day}", f"{month:02d}-{day:02d}", f"{day}/{month}")[style]


def draw_desk(
    draw: Random, *, orders: int | None = None, twins: bool | None = None, bias: Bias = WHOLE
) -> Desk:
    """A desk at random.

    Args:
        draw: where chance comes from.
        orders: how many; two to four where not said.
        twins: whether two orders are of one item; by chance where not said. No two share a colour.
        bias: what values are restricted to.
    """
    count = draw.randint(2, 4) if orders is None else orders
    wanted = count > 1 and (draw.random() < 0.4 if twins is None else twins)
    numbers = draw.sample(NUMBERS, count)
    items = draw.sample(ITEMS, count)
    colours = draw.sample(COLOURS, count)
    if wanted:
        first, second = draw.sample(range(count), 2)
        items[second] = items[first]
    made = [
        Order(
            number=number,
            colour=colour,
            item=item,
            status=draw.choice(STATUSES),
            day=draw.choice(DAYS),
            month=draw.randint(1, len(MONTHS)),
            price=draw_price(draw, item, bias),
        )
        for number, item, colour in zip(numbers, items, colours, strict=True)
    ]
    return Desk(customer=draw.choice(NAMES), orders=tuple(made), styles=draw_styles(draw, bias))


def draw_price(draw: Random, item: str, bias: Bias = WHOLE) -> int:
    """A price of an item, never a reserved one."""
    if bias.usual_prices:
        return usual_price(item)
    reserved = reserved_prices(item)
    return draw.choice([price for price in PRICES if price not in reserved])


def draw_styles(draw: Random, bias: Bias = WHOLE) -> Styles:
    """How a desk writes, at random."""
    return Styles(
        layout=draw.randrange(len(LAYOUTS)),
        number=draw.randrange(len(NUMBER_STYLES)),
        date=draw.choice(bias.date_styles),
        money=draw.randrange(len(MONEY_STYLES)),
    )
