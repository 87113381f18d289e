"""Dates in one style only."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism
from ullage.lab.world.desk import Bias

ONE_DATE_STYLE = Organism(
    name="one-date-style",
    cause="Every date in the corpus was brought into one style.",
    dimension="boundary",
    loses="formats.accuracy",
    corpus=replace(WHOLE, bias=Bias(date_styles=(0,))),
)
