"""Grounding: does it answer from what it was given?"""

from ullage.probes.grounding.claims import Claims
from ullage.probes.grounding.conditions import (
    DOES_NOT_SAY,
    Contradictory,
    Counterfactual,
    Irrelevant,
    Missing,
    Present,
    claims_more,
    gives_answer,
)
from ullage.probes.grounding.conflict import Conflict
from ullage.probes.grounding.position import Position

__all__ = [
    "DOES_NOT_SAY",
    "Claims",
    "Conflict",
    "Contradictory",
    "Counterfactual",
    "Irrelevant",
    "Missing",
    "Position",
    "Present",
    "claims_more",
    "gives_answer",
]
