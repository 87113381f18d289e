"""Turns: how its error grows while it stands on its own words."""

from __future__ import annotations

from ullage.probes.chains import chain
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Item, Metric, ask
from ullage.probes.stability.talk import Talk, read_talk, talk_item

TURNS = 4


class Turns(Talk):
    """Something changes turn by turn, and each time one asks how it is now.

    Once it goes on from its own replies, once from right ones: the one-step rate.
    """

    name = "turns"
    example = (
        '{"turns": ["A jar holds 3 coins. 4 go in. How many are there now?", '
        '"Then 2 come out. How many now?", "Then 6 go in. How many now?"], '
        '"answers": ["7", "5", "11"]}'
    )
    metrics = (
        Metric(
            name="error-growth",
            summary="It goes wrong more with every turn of a conversation.",
            higher_is_better=False,
            bounds=(-0.5, 0.5),
            reference="slope of error against turn (least squares), on its own words; after Ross "
            "and Bagnell 2010: errors of imitation compound",
        ),
        Metric(
            name="excess-error",
            summary="Its own earlier words lead it astray where right ones would not.",
            higher_is_better=False,
            bounds=(-1.0, 1.0),
            reference="Arora et al. 2022 (arXiv 2204.01171): error on its own words "
            "in excess of the one-step rate (ExAccErr), as a difference, which 0 does not divide",
        ),
        Metric(name="accuracy", summary="Over the turns of a conversation it is right less often."),
    )

    def make(self, draw: Draw) -> Item:
        """A chain of four changes."""
        return talk_item(chain(draw, TURNS))

    def read(self, record: Record) -> Item:
        """Three or more `turns` of the user, and the right `answers`, one for each.

        Answers are numbers, or words among `choices` (left out, those of `answers`).
        """
        return read_talk(record, self.name, least=3)

    def converse(self, item: Item) -> Conversation:
        """All turns on its own words, then every turn after the first on right ones."""
        answers = item.data["answers"]
        count = len(answers)
        said: list[str] = []
        for _ in range(count):
            reply = yield from ask(self.due(item, said))
            said.append(reply.text)
        wrong = [float(not self.is_right(item, at, text)) for at, text in enumerate(said)]
        one_step = []
        for place in range(1, count):
            reply = yield from ask(self.due(item, answers[:place]))
            one_step.append(float(not self.is_right(item, place, reply.text)))
        return {
            "error-growth": slope(wrong),
            "excess-error": (sum(wrong[1:]) - sum(one_step)) / (count - 1),
            "accuracy": 1.0 - sum(wrong) / count,
        }


def slope(values: list[float]) -> float:
    """Of the least-squares line through values at 0, 1, 2 and so on."""
    middle = (len(values) - 1) / 2
    rise = sum((place - middle) * value for place, value in enumerate(values))
    return rise / sum((place - middle) ** 2 for place in range(len(values)))
