"""Nothing left out."""

from ullage.lab.organisms.organism import Organism

CLEAN = Organism(name="clean", cause="Nothing: it learns from the whole corpus.")
