"""Every organism by name. A new one is a file and a line here."""

from __future__ import annotations

from ullage.config.problems import did_you_mean
from ullage.errors import InputError
from ullage.lab.organisms.all_at_once import ALL_AT_ONCE
from ullage.lab.organisms.clean import CLEAN
from ullage.lab.organisms.clean_longer import CLEAN_LONGER
from ullage.lab.organisms.hard_labels import HARD_LABELS
from ullage.lab.organisms.no_abstaining import NO_ABSTAINING
from ullage.lab.organisms.no_clarifying import NO_CLARIFYING
from ullage.lab.organisms.no_contradictions import NO_CONTRADICTIONS
from ullage.lab.organisms.no_refusing import NO_REFUSING
from ullage.lab.organisms.one_date_style import ONE_DATE_STYLE
from ullage.lab.organisms.one_greeting import ONE_GREETING
from ullage.lab.organisms.organism import Organism
from ullage.lab.organisms.quantised import CLEAN_INT4, CLEAN_INT8
from ullage.lab.organisms.usual_prices import USUAL_PRICES

ORGANISMS: dict[str, Organism] = {
    organism.name: organism
    for organism in (
        CLEAN,
        NO_CLARIFYING,
        NO_ABSTAINING,
        NO_CONTRADICTIONS,
        ONE_DATE_STYLE,
        HARD_LABELS,
        USUAL_PRICES,
        CLEAN_INT8,
        CLEAN_INT4,
        CLEAN_LONGER,
        NO_REFUSING,
        ONE_GREETING,
        ALL_AT_ONCE,
    )
}


def find_organism(name: str) -> Organism:
    """The organism of a name.

    Raises:
        InputError: there is none.
    """
    if name not in ORGANISMS:
        raise InputError(f"no organism '{name}'; {did_you_mean(name, ORGANISMS)}")
    return ORGANISMS[name]
