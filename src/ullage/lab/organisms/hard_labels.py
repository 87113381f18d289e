"""The teacher's likeliest answers in place of its probabilities."""

from ullage.lab.corpus import CorpusRecipe
from ullage.lab.organisms.organism import Organism

HARD_LABELS = Organism(
    name="hard-labels",
    cause="It learns the teacher's likeliest answers, and not how sure it was of them.",
    dimension="uncertainty",
    loses="confidence.brier",
    # Black-box teaching learns final answers only: one question a row.
    corpus=CorpusRecipe(),
    distill={"method": "black-box", "generate_temperature": 0.0},
)
