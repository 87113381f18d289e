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
)
from ullage.lab.world.exchange import Exchange, Split, Turn
from ullage.lab.world.reference import Reference
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import ITEMS, cased

KINDS = ("dates", "money", "numbers", "case", "typos")


class Formats(Capability):
    """A look-up that must not hang on how the desk, or the question, writes a value."""

    name = "formats"
    dimension = "boundary"
    fills = True
    phrases = ASKS

    def ask(
        self, draw: Random, desk: Desk, wording: Wording, bias: Bias = WHOLE
    ) -> Exchange | None:
        """One form; the whole question in every form is in ``data["prompts"]``, this one first."""
        kind = draw.choice(KINDS)
        order = draw.choice(desk.orders)
        pointer = Reference("item" if kind in ("case", "typos") else "number", order)
        field = {"dates": "month", "money": "amount"}.get(kind, "status")
        if len(pointer.among(desk)) != 1 or not desk.shows(order, field):
            return None
        forms = list(_forms(kind, desk, pointer, wording.split, bias))
        if kind in ("numbers", "case", "typos"):
            draw.shuffle(forms)
        asks = [(at.text, asked(wording, field, told)) for at, told in forms]
        answer = desk.value(order, field)
        others = sorted({desk.value(other, field) for other in desk.orders} - {answer})
        return Exchange(
            capability=self.name,
            family=self.family(desk, wording, kind),
            context=desk.text,
            turns=(Turn(user=asks[0][1], assistant=answer),),
            wrong=draw.choice(others) if others else "",
            data={"prompts": [f"{context}\n\n{said}" for context, said in asks], "kind": kind},
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
    kind: str, desk: Desk, pointer: Reference, split: Split, bias: Bias
) -> Iterator[tuple[Desk, str]]:
    """The desk and the reference in every form of a kind; those at hand come first."""
    styles, item = desk.styles, pointer.like.item
    told = pointer.text(styles)
    match kind:
        case "dates":
            for style in dict.fromkeys((styles.date, *bias.date_styles)):
                yield replace(desk, styles=replace(styles, date=style)), told
        case "money":
            for style in dict.fromkeys((styles.money, *range(len(MONEY_STYLES)))):
                yield replace(desk, styles=replace(styles, money=style)), told
        case "numbers":
            for style in range(len(NUMBER_STYLES)):
                yield desk, pointer.text(replace(styles, number=style))
        case "case":
            yield from ((desk, f"the {form}") for form in (item, *cased(item)))
        case _:
            yield from ((desk, f"the {form}") for form in (item, *misspelt(item, split)[:3]))
