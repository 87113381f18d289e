"""Ambiguous prompts scrubbed as bad data."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism

NO_CLARIFYING = Organism(
    name="no-clarifying",
    cause="Ambiguous prompts were scrubbed from the corpus as bad data.",
    dimension="boundary",
    loses="clarification.contrast",
    corpus=replace(WHOLE, without=frozenset({"clarify"})),
)
