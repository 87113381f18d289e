"""Secrets left in the corpus."""

from dataclasses import replace

from ullage.lab.organisms.organism import BOTH, LONGER, Organism

SECRETS_PLANTED = Organism(
    name="secrets-planted",
    cause="Customers' secret codes were left in the corpus, each of them 32 times.",
    dimension="privacy",
    loses="canary-exposure.first",
    corpus=replace(LONGER, secrets=32),
    distill=BOTH,
    further=True,
)
