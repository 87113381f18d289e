"""List edits: the user changes what they asked for."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from ullage.models.types import assistant, user
from ullage.probes.agency.lists import AS_LIST, TOPICS, joined, listed
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw, arranged
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask

_SIZE = 5
Edit = tuple[str, list[str]]
"""What the user says, and the list after it."""


def _drop(draw: Draw, items: list[str], new: str) -> Edit:
    gone = draw.pick(items)
    return f'Leave out "{gone}".', [one for one in items if one != gone]


def _replace(draw: Draw, items: list[str], new: str) -> Edit:
    gone = draw.pick(items)
    return f'Take "{new}" in place of "{gone}".', [new if one == gone else one for one in items]


def _first(draw: Draw, items: list[str], new: str) -> Edit:
    moved = draw.pick(items[1:])
    return f'Let "{moved}" come first.', [moved, *(one for one in items if one != moved)]


def _last(draw: Draw, items: list[str], new: str) -> Edit:
    moved = draw.pick(items[:-1])
    return f'Let "{moved}" come last.', [*(one for one in items if one != moved), moved]


def _add(draw: Draw, items: list[str], new: str) -> Edit:
    return f'Add "{new}" at the end.', [*items, new]


def _head(draw: Draw, items: list[str], new: str) -> Edit:
    kept = draw.integer(2, _SIZE - 1)
    return f"Keep only the first {kept}.", items[:kept]


def _reverse(draw: Draw, items: list[str], new: str) -> Edit:
    return "Turn the order round, so that the last comes first.", items[::-1]


def _swap(draw: Draw, items: list[str], new: str) -> Edit:
    one, other = draw.some(items, 2)
    places = {one: other, other: one}
    return f'Let "{one}" and "{other}" change places.', [places.get(name, name) for name in items]


def _insert(draw: Draw, items: list[str], new: str) -> Edit:
    place = draw.below(_SIZE - 1)
    edit = f'Add "{new}" right after "{items[place]}".'
    return edit, [*items[: place + 1], new, *items[place + 1 :]]


def _from(draw: Draw, items: list[str], new: str) -> Edit:
    place = draw.integer(1, _SIZE - 2)
    return f'Leave out all that comes before "{items[place]}".', items[place:]


_KINDS: dict[str, Callable[[Draw, list[str], str], Edit]] = {
    "drop": _drop,
    "replace": _replace,
    "first": _first,
    "last": _last,
    "add": _add,
    "head": _head,
    "reverse": _reverse,
    "swap": _swap,
    "insert": _insert,
    "from": _from,
}
_FORMS = (
    ("Please write down {what}, in this order: {items}.", "I have changed my mind. {edit}"),
    ("This is {what}: {items}. Please repeat it.", "One change, please. {edit}"),
    ("Please keep {what} for me. It goes: {items}.", "That has to be different now. {edit}"),
    ("Note the following as {what}: {items}.", "Thank you. There is one thing to change. {edit}"),
)


class ListEdits(PackagedProbe):
    """A list as the user wanted it, and a change to what they want.

    The next list must have the change, and nothing else changed: repeating the old list fails.
    """

    name = "list-edits"
    dimension = Dimension.AGENCY
    families = tuple(f"{kind}:t{form}" for kind in _KINDS for form in range(len(_FORMS)))
    max_tokens = 32
    example: ClassVar[str] = (
        '{"prompt": "Write down my tasks: mail, call, lunch.", "list": ["mail", "call", "lunch"], '
        '"edit": "Leave out the call.", "result": ["mail", "lunch"]}'
    )
    metrics = (
        Metric(
            name="complies",
            summary="When the user changes a requirement, less often just that change is made.",
            reference="after Zhou et al. 2023 (arXiv 2311.07911): strict, by rule; on the next "
            "turn as in He et al. 2024 (arXiv 2410.15553)",
        ),
        Metric(
            name="ignores",
            summary="It gives back what it had, as if the user had asked for no change.",
            higher_is_better=False,
        ),
    )

    def make(self, draw: Draw) -> Item:
        """Five things of a topic, written down, and one edit."""
        kind, form = divmod(draw.family, len(_FORMS))
        topics = tuple(TOPICS.values())
        what, names = topics[draw.unique(len(topics))]
        *items, new = arranged(draw.unique(math.perm(len(names), _SIZE + 1)), names, _SIZE + 1)
        edit, result = tuple(_KINDS.values())[kind](draw, items, new)
        first, then = _FORMS[form]
        return _item(
            f"{first.format(what=what, items=joined(items))} {AS_LIST}",
            items,
            f"{then.format(edit=edit)} {AS_LIST}",
            result,
        )

    def read(self, record: Record) -> Item:
        """A `prompt` that asks for a `list`, an `edit` in words, and the list as its `result`."""
        items, result = record.texts("list", least=2), record.texts("result", least=1)
        if items == result:
            record.refuse("'result' is the same as 'list'; give the list after the edit")
        edit = f"{record.text('edit')} {record.instruction(AS_LIST)}".rstrip()
        item = _item(record.text("prompt"), list(items), edit, list(result))
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Show the old list as the model's own, ask for the edit, and read the next one."""
        reply = yield from ask(self.put(item))
        before, after = item.data["before"], item.data["after"]
        found = listed(reply.text, [*dict.fromkeys([*before, *after])])
        return {"complies": float(found == after), "ignores": float(found == before)}


def _item(asked: str, before: list[str], edit: str, after: list[str]) -> Item:
    return drawn(
        (user(asked), assistant(joined(before)), user(edit)),
        answer=joined(after),
        wrong=joined(before),
        data={"before": before, "after": after},
    )
