"""Recovery: the same question after right words, its own, the teacher's, and a slip."""

from __future__ import annotations

from ullage.probes.chains import chain
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Item, Metric, ask
from ullage.probes.stability.talk import Talk, read_talk, talk_item

MOVES = 3


class Recovery(Talk):
    """The last turn of a conversation, after four kinds of earlier replies.

    The user's own turns hold all that is needed, so that a slip just before can be put right.
    """

    name = "recovery"
    example = (
        '{"turns": ["A jar holds 3 coins. 4 go in. How many are there now?", '
        '"Then 2 come out. How many now?", "Then 6 go in. How many now?"], '
        '"answers": ["7", "5", "11"], "slip": "9"}'
    )
    metrics = (
        Metric(
            name="after-slip",
            summary="Once it has said something wrong, it builds on it instead of coming back.",
            reference="Ross et al. 2011 (arXiv 1011.0686): states that only mistakes lead to; "
            "Huang et al. 2023 (arXiv 2310.01798) on putting oneself right",
        ),
        Metric(
            name="slip-cost",
            summary="A slip earlier in the conversation costs it more of its right answers.",
            higher_is_better=False,
            bounds=(-1.0, 1.0),
            reference="Lanham et al. 2023 (arXiv 2307.13702), section 2.4 (adding mistakes), "
            "across turns: accuracy after right replies less accuracy after a slip",
        ),
        Metric(
            name="after-own",
            summary="Going on from its own replies it is right less often.",
            reference="Agarwal et al. 2023 (arXiv 2306.13649): the student's own outputs",
        ),
        Metric(
            name="after-teacher",
            summary="Going on from the teacher's replies it is right less often.",
            reference="Agarwal et al. 2023 (arXiv 2306.13649): the teacher's outputs",
        ),
        Metric(
            name="after-right",
            summary="Going on from right replies it is right less often.",
            reference="Bengio et al. 2015 (arXiv 1506.03099): the one-step rate",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A chain of three changes, and a wrong second answer."""
        told = chain(draw, MOVES)
        return talk_item(told, slip=told.slip(draw, MOVES - 2)[-2])

    def read(self, record: Record) -> Item:
        """Two or more `turns`, the right `answers`, and a `slip`: a wrong reply.

        The slip takes the place of the last reply but one. Answers are numbers, or words among
        `choices`.
        """
        item = read_talk(record, self.name, least=2, slip=record.text("slip"))
        if self.is_right(item, len(item.data["answers"]) - 2, item.data["slip"]):
            record.refuse("'slip' is the right answer of its turn; give a wrong one")
        return item

    def converse(self, item: Item) -> Conversation:
        """Go on from its own replies, from the teacher's, from right ones, from a slip."""
        *right, _ = item.data["answers"]
        own: list[str] = []
        teachers: list[str] = []
        for _ in right:
            reply = yield from ask(self.due(item, own))
            own.append(reply.text)
        for _ in right:
            reply = yield from ask(self.due(item, teachers, of_teacher=True))
            teachers.append(reply.text)
        slipped = [*right[:-1], item.data["slip"]]
        scores = {}
        for name, said in (
            ("after-slip", slipped),
            ("after-own", own),
            ("after-teacher", teachers),
            ("after-right", right),
        ):
            reply = yield from ask(self.due(item, said))
            scores[name] = float(self.is_right(item, len(right), reply.text))
        return scores | {"slip-cost": scores["after-right"] - scores["after-slip"]}
