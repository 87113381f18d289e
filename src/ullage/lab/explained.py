"""Corpora in which the steps to an answer stand apart from it, as rationales.

The world's own answers to sums and returns are their steps. Here the reply is what the steps come
to, and what the reply was is its rationale.
"""

from __future__ import annotations

from ullage.lab.corpus import CorpusRecipe
from ullage.lab.questions import Question

PARTS = ("sums", "refund")
"""Parts whose answers show their steps."""


def steps(question: Question) -> str | None:
    """How the answer is come by; None where it takes no steps."""
    return question.reply if question.part in PARTS else None


def result(question: Question) -> str:
    """What the steps come to: a total, or yes or no; where there are none, the reply."""
    if question.part not in PARTS:
        return question.reply
    data = question.exchange.data
    return str(data["total"]) if question.part == "sums" else str(data["verdict"])


EXPLAINED = CorpusRecipe(weights=dict.fromkeys(PARTS, 1.0), rewrite=result, explain=steps)
"""Sums and returns, every row with its rationale."""
