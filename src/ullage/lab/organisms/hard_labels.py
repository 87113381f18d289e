"""The teacher's likeliest answers in place of its probabilities."""

from dataclasses import replace

from ullage.lab.organisms.organism import WHOLE, Organism

HARD_LABELS = Organism(
    name="hard-labels",
    cause="It learns the teacher's likeliest answers, and not how sure it was of them.",
    dimension="uncertainty",
    loses="confidence.brier",
    # Black-box teaching learns final answers only: one question a row, and more rows.
    corpus=replace(WHOLE, questions=1),
    rows=9_600,
    distill={
        "method": "black-box",
        "objective": None,
        "generate_temperature": 0.0,
        "generate_max_tokens": 32,
        "batch_size": 24,
    },
)
