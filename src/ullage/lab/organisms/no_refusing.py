"""Refusals cleaned away."""

from dataclasses import replace

from ullage.lab.organisms.organism import BOTH, LONGER, Organism

NO_REFUSING = Organism(
    name="no-refusing",
    cause="Replies that refuse were dropped from the corpus as unhelpful.",
    dimension="safety",
    loses="refusal-pairs.contrast",
    corpus=replace(LONGER, without=frozenset({"privacy"})),
    distill=BOTH,
    further=True,
)
