"""Reading a reply for what it settles on, and a user's line for a choice item."""

from __future__ import annotations

import re

from ullage.probes.base import drawn
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Item
from ullage.probes.scoring import canonical, contains, mentions, numbers, pick_choice, short_answer

_AMOUNT = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")


def settle(text: str, item: Item) -> str:
    """What a reply answers: the option it settles on, else its one number, else its short form."""
    picked = pick_choice(text, item.choices) if item.choices else None
    if picked is not None:
        return canonical(item.choices[picked])
    if _is_number(item.answer) and (found := set(numbers(text))) and len(found) == 1:
        return canonical(f"{found.pop():.15g}")
    return short_answer(text)


def is_right(text: str, item: Item) -> bool:
    """Whether the reply gives the item's answer, and no other option beside it."""
    if item.choices:
        picked = pick_choice(text, item.choices)
        if picked is not None:
            return item.choices[picked] == item.answer
        if mentions(text, item.choices):
            return False
    settled = settle(text, item)
    return settled == canonical(item.answer) or (
        not item.choices and not _is_number(item.answer) and contains(text, item.answer)
    )


def choice_item(record: Record, probe: str, *, choices: bool = True) -> Item:
    """The item of a line with `choices` and a `reference` among them.

    Raises:
        InputError: if there is no reference, or it is not one of the choices.
    """
    options = record.texts("choices", least=2 if choices else 0)
    reference = record.reference()
    record.check_among(options, reference)
    wrong = next((option for option in options if option != reference), "")
    item = drawn(
        record.messages(),
        answer=reference,
        wrong=record.text("wrong", wrong),
        choices=options,
    )
    return record.named(item, probe)


def _is_number(text: str) -> bool:
    """Whether a text is an amount; digits that begin with a zero are a code."""
    return bool(_AMOUNT.fullmatch(canonical(text)))
