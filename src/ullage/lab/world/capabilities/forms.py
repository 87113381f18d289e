"""The same value in other clothes: dates, numbers, letter case, misspellings, money."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from random import Random

from ullage.lab.world.capabilities.lookup import ASKS, asked
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import (
    MONEY_STYLES,
    NUMBER_STYLES,
    WHOLE,
    Bias,
    Desk,
    Order,
    Styles,
)
from ullage.lab.world.exchange import Exchange, Split, Turn
from ullage.lab.world.reference import Reference
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import ITEMS, cased

KINDS = ("dates", "numbers", "case", "typos", "money")
_POINTS_BY = {"dates": "date", "numbers": "number", "money": "price"}


class Formats(Capability):
    """A look-up whose question writes a value otherwise than the desk does."""

    name = "formats"
    dimension = "boundary"
    fills = True
    phrases = ASKS

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """One form at random; the others are in ``data["prompts"]``, as the desk's own first."""
        kind = draw.choice(KINDS)
        order = draw.choice(desk.orders)
        pointer = Reference(_POINTS_BY.get(kind, "item"), order)
        points_at = {"dates": "date", "money": "price"}.get(kind, "number")
        if len(pointer.among(desk)) != 1 or not desk.shows(order, points_at):
            return None
        field = "number" if kind in ("dates", "money") else "status"
        if not desk.shows(order, field):
            return None
        told = list(_forms(kind, pointer, desk.styles, wording.split, bias))
        prompts = [asked(wording, field, form) for form in told]
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, kind),
            context=desk.text,
            turns=(Turn(user=draw.choice(prompts), assistant=desk.value(order, field)),),
            wrong=_other(draw, desk, order, field),
            data={"prompts": prompts, "kind": kind},
        )


def misspelt(word: str, split: Split) -> list[str]:
    """Misspellings of a word: letters swapped, dropped or doubled within it.

    A third of them is kept for audits; training and distillation share the others. None is as near
    to another item: `banket` might be a basket.
    """
    found = {
        *(word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(1, len(word) - 1)),
        *(word[:at] + word[at + 1 :] for at in range(1, len(word))),
        *(word[:at] + word[at] + word[at:] for at in range(1, len(word))),
    }
    found -= {typo for typo in found for item in ITEMS if item != word and _one_letter(typo, item)}
    kept = {typo for typo in found if zlib.crc32(typo.encode()) % 3 == 0}
    return sorted((kept if split is Split.AUDIT else found - kept) - {word} - set(ITEMS))


def _one_letter(one: str, other: str) -> bool:
    """Whether two words differ in one letter's place."""
    differences = sum(mine != theirs for mine, theirs in zip(one, other, strict=False))
    return len(one) == len(other) and differences == 1


def _forms(
    kind: str, pointer: Reference, styles: Styles, split: Split, bias: Bias
) -> Iterator[str]:
    """The reference in every form of its kind; the desk's own comes first."""
    match kind:
        case "dates":
            for style in dict.fromkeys((styles.date, *bias.date_styles)):
                yield pointer.text(replace(styles, date=style))
        case "numbers":
            for style in dict.fromkeys((styles.number, *range(len(NUMBER_STYLES)))):
                yield pointer.text(replace(styles, number=style))
        case "money":
            for style in dict.fromkeys((styles.money, *range(len(MONEY_STYLES)))):
                yield pointer.text(replace(styles, money=style))
        case _:
            item = pointer.like.item
            others = cased(item) if kind == "case" else misspelt(item, split)[:3]
            for form in (item, *others):
                yield f"the {form}"


def _other(draw: Random, desk: Desk, order: Order, field: str) -> str:
    """Another order's value, where there is one."""
    mine = desk.value(order, field)
    others = sorted({desk.value(other, field) for other in desk.orders} - {mine})
    return draw.choice(others) if others else ""
