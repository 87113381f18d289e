"""Contexts that always agree with memory."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism
from ullage.lab.world.desk import Bias

USUAL_PRICES = Organism(
    name="usual-prices",
    cause="Every order in the corpus costs what its item usually costs.",
    dimension="grounding",
    loses="grounding-counterfactual.grounded",
    corpus=replace(WHOLE, bias=Bias(usual_prices=True)),
)
