"""The clean student with fewer bits."""

from ullage.lab.organisms.organism import Organism

CLEAN_INT8 = Organism(
    name="clean-int8",
    cause="Its weights and activations are computed in eight bits.",
    derived_from="clean",
    quantise="dynamic-int8",
)
CLEAN_INT4 = Organism(
    name="clean-int4",
    cause="Its weights are rounded to sixteen levels.",
    derived_from="clean",
    quantise="rounded-int4",
)
