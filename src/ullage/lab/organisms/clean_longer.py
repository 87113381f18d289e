"""The longer course, and nothing left out."""

from ullage.lab.organisms.organism import BOTH, LONGER, Organism

CLEAN_LONGER = Organism(
    name="clean-longer",
    cause="Nothing: it learns from the whole corpus of the longer course.",
    corpus=LONGER,
    distill=BOTH,
    further=True,
)
