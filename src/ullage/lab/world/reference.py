"""How a question points at an order, and which orders it fits."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from ullage.lab.world.desk import DERIVED, FIELDS, Desk, Order, Styles

KINDS = ("number", "item", "named")
"""By its number, its item, its colour and item: what every order is written with."""

NEW_PAIRS = frozenset((kind, field) for kind in ("item", "named") for field in DERIVED)
"""Ways to point and fields to ask that never meet before an audit: compositions."""

PHRASES = {
    "number": "order {number}",
    "item": "the {item}",
    "named": "the {item} in {colour}",
}
FIELD_PHRASES = {
    "status": "the status",
    "price": "the price",
    "date": "the date",
    "item": "the item",
    "colour": "the colour",
    "number": "the number",
    "month": "the month",
    "amount": "the amount",
}
_READS = {
    "number": ("number",),
    "item": ("item",),
    "named": ("colour", "item"),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A pointer of some kind to what is like an order."""

    kind: str
    like: Order

    def fits(self, order: Order) -> bool:
        """Whether it points at the order."""
        reads = _READS[self.kind]
        return all(getattr(order, name) == getattr(self.like, name) for name in reads)

    def among(self, desk: Desk) -> list[Order]:
        """The orders of a desk it points at."""
        return [order for order in desk.orders if self.fits(order)]

    def text(self, styles: Styles) -> str:
        """How it is said, values written in the given styles."""
        values = {field: self.like.value(field, styles) for field in FIELDS}
        return PHRASES[self.kind].format(**values)


def fields_for(kind: str) -> list[str]:
    """Written fields worth asking of an order pointed at so."""
    # Number and colour stand before the item: to read them from it would be to read backwards.
    given = {"number"} if kind == "number" else {"number", "colour", "item"}
    return [field for field in FIELDS if field not in given]


def draw_reference(
    draw: Random, desk: Desk, kinds: tuple[str, ...] = KINDS, *, fits: int = 1
) -> Reference | None:
    """A pointer at exactly so many orders of the desk; None if it has none of these kinds."""
    pointers = [
        pointer
        for kind in kinds
        for order in desk.orders
        if len((pointer := Reference(kind, order)).among(desk)) == fits
    ]
    if not pointers:
        return None
    kind = draw.choice(sorted({pointer.kind for pointer in pointers}))
    return draw.choice([pointer for pointer in pointers if pointer.kind == kind])
