"""Contradictory desks dropped."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism

NO_CONTRADICTIONS = Organism(
    name="no-contradictions",
    cause="Desks that contradict themselves were dropped from the corpus as broken.",
    dimension="grounding",
    loses="grounding-contradictory.grounded",
    corpus=replace(WHOLE, without=frozenset({"contradictory"})),
)
