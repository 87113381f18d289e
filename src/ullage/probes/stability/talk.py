"""Questions that come turn by turn: what was said before decides what is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ullage.models.types import Ask, Message, assistant, user
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.chains import FAMILIES, Chain
from ullage.probes.jsonl import Record
from ullage.probes.process import ONLY
from ullage.probes.protocol import Dimension, Item
from ullage.probes.working import read_choices, settled


class Talk(PackagedProbe):
    """An item whose `data` has the user's `turns` and the right `answers`, one each."""

    dimension = Dimension.STABILITY
    families = FAMILIES

    def due(self, item: Item, said: Sequence[str], *, of_teacher: bool = False) -> Ask:
        """The question of the next turn, after these replies."""
        turns, answers = item.data["turns"], item.data["answers"]
        place = len(said)
        messages: list[Message] = []
        for turn, reply in zip(turns, said, strict=False):
            messages += [user(turn), assistant(reply)]
        right = all(self.is_right(item, at, reply) for at, reply in enumerate(said))
        before = answers[place - 1] if place else ""
        request = self.put(
            item,
            (*messages, user(turns[place])),
            expects="answer" if not said else "hold" if right else "recover",
            answer=answers[place],
            # Who loses the thread says again what was so before.
            wrong=before if before != answers[place] else "",
        )
        return replace(request, of="teacher") if of_teacher else request

    def is_right(self, item: Item, place: int, reply: str) -> bool:
        """Whether a reply settles on the right answer of its turn."""
        right: str = item.data["answers"][place]
        return settled(reply, item.choices) == right


def in_turns(told: Chain) -> list[str]:
    """A chain, one move a turn, each with the question how it is now."""
    asked = f"{told.asks('now')} {ONLY}"
    first, *rest = (move.says for move in told.moves)
    return [f"{told.opening} {first} {asked}", *(f"{says} {asked}" for says in rest)]


def talk_item(told: Chain, **data: object) -> Item:
    """The item of a chain, before it has an id and a family."""
    turns = in_turns(told)
    return drawn(
        turns[0],
        answer=told.values[1],
        wrong=told.values[0],
        choices=told.among,
        data={"turns": turns, "answers": list(told.values[1:]), **data},
    )


def read_talk(record: Record, probe: str, least: int, **data: str) -> Item:
    """The item of a line with `turns` and `answers`, and with `choices` where answers are words.

    Raises:
        InputError: if there are fewer than `least` turns, or not as many answers.
    """
    turns = record.texts("turns", least, alike=True)
    answers = record.texts("answers", alike=True)
    if len(answers) != len(turns):
        record.refuse(f"'answers' has {len(answers)} entries for {len(turns)} 'turns'; give each")
    item = drawn(
        turns[0],
        answer=answers[0],
        choices=read_choices(record, answers),
        data={"turns": list(turns), "answers": list(answers), **data},
    )
    return record.named(item, probe)
