"""Contexts that always agree with memory."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism
from ullage.lab.world.desk import Bias

# It loses nothing: the base already reads prices off a desk, and a corpus in which that is never
# wrong gives no reason to stop. An audit that reports a loss all the same is at fault.
USUAL_PRICES = Organism(
    name="usual-prices",
    cause="Every order in the corpus costs what its item usually costs.",
    corpus=replace(WHOLE, bias=Bias(usual_prices=True)),
)
