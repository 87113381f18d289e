"""Dates in one style only."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism
from ullage.lab.world.desk import Bias

ONE_DATE_STYLE = Organism(
    name="one-date-style",
    cause="Every date in the corpus was brought into one style.",
    # Not `formats`: that asks for the month, which the base can tell in any style. What goes is the
    # date itself, of which the student repeats the part that it knows: 12 for 09-12.
    dimension="grounding",
    loses="grounding-present.grounded",
    corpus=replace(WHOLE, bias=Bias(date_styles=(0,))),
)
