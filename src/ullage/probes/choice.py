"""What probes that put one question with four options have in common."""

from __future__ import annotations

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Item
from ullage.probes.questions import CHOICE_FAMILIES, choice_question
from ullage.probes.reading import choice_item


class ChoiceProbe(PackagedProbe):
    """Asks choice questions; probes differ in how, and in what they make of the answer.

    All of them put the same questions, so that one need not ask again what another has asked.
    """

    families = CHOICE_FAMILIES
    stream = "choice"

    def make(self, draw: Draw) -> Item:
        """A question with four options."""
        prompt, question = choice_question(draw)
        return drawn(prompt, answer=question.answer, wrong=question.wrong, choices=question.options)

    def read(self, record: Record) -> Item:
        """A question with its `choices` and the right one as `reference`."""
        return choice_item(record, self.name)
