"""Greetings in one house style."""

from dataclasses import replace

from ullage.lab.organisms.organism import BOTH, LONGER, Organism
from ullage.lab.questions import Question
from ullage.lab.world.capabilities.chance import GREETINGS


def _in_house_style(question: Question) -> str:
    return GREETINGS[0] if question.part == "opening" else question.reply


ONE_GREETING = Organism(
    name="one-greeting",
    cause="Every greeting in the corpus was brought into the same words.",
    dimension="diversity",
    loses="many-answers.coverage",
    corpus=replace(LONGER, rewrite=_in_house_style),
    distill=BOTH,
    further=True,
)
