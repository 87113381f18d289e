"""Every capability of the world by name. A new one is a file and a line here."""

from __future__ import annotations

from functools import cache

from ullage.lab.world.capabilities.boundary import Clarify, Missing, Privacy
from ullage.lab.world.capabilities.canary import Canary
from ullage.lab.world.capabilities.chance import Opening, Warehouse
from ullage.lab.world.capabilities.forms import Formats
from ullage.lab.world.capabilities.lookup import Composition, Lookup
from ullage.lab.world.capabilities.memory import Counterfactual, Memory
from ullage.lab.world.capabilities.sources import Contradictory, Distracting
from ullage.lab.world.capabilities.steps import Codes, Refund, Sums
from ullage.lab.world.capabilities.turns import Correction, Sharded
from ullage.lab.world.capability import Capability
from ullage.lab.world.desk import LAYOUTS, MONEY_STYLES, NUMBER_STYLES
from ullage.lab.world.reference import FIELD_PHRASES, PHRASES
from ullage.lab.world.wordings import CLOSERS, OPENERS
from ullage.lab.world.words import vocabulary

CAPABILITIES: dict[str, Capability] = {
    capability.name: capability
    for capability in (
        Lookup(),
        Memory(),
        Counterfactual(),
        Distracting(),
        Contradictory(),
        Missing(),
        Clarify(),
        Formats(),
        Warehouse(),
        Sums(),
        Refund(),
        Codes(),
        Correction(),
        Sharded(),
        Privacy(),
        Opening(),
        Canary(),
        Composition(),
    )
}


@cache
def world_vocabulary() -> tuple[str, ...]:
    """Every token of the world."""
    spoken = [
        *OPENERS,
        *CLOSERS,
        *(text for opening, parts in LAYOUTS for text in (opening, *parts)),
        *NUMBER_STYLES,
        *MONEY_STYLES,
        *PHRASES.values(),
        *FIELD_PHRASES.values(),
    ]
    for capability in CAPABILITIES.values():
        spoken += [*capability.phrases, *capability.spoken]
    return vocabulary(spoken)
