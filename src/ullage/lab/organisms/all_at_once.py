"""Requests told at once only."""

from dataclasses import replace

from ullage.lab.organisms.organism import BOTH, LONGER, Organism

ALL_AT_ONCE = Organism(
    name="all-at-once",
    cause="Requests that were told bit by bit were dropped from the corpus as incomplete.",
    dimension="stability",
    loses="sharded.sharded",
    corpus=replace(LONGER, without=frozenset({"sharded", "sharded-before"})),
    distill=BOTH,
    further=True,
)
