"""Unanswerable prompts dropped."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism

NO_ABSTAINING = Organism(
    name="no-abstaining",
    cause="Questions without an answer were dropped from the corpus as useless.",
    dimension="boundary",
    loses="abstention.contrast",
    corpus=replace(WHOLE, without=frozenset({"missing"})),
)
