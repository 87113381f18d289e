"""Metrics of confidence that several probes have: all read (confidence, correct)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ullage.probes.protocol import Metric
from ullage.stats.confidence import COVERAGE, selective_accuracy
from ullage.stats.metrics import auroc, ece

COLUMNS = ("confidence", "correct")

ECE = Metric(
    name="ece",
    summary="How sure it is lies further from how often it is right.",
    higher_is_better=False,
    columns=COLUMNS,
    functional=ece,
    reference="Naeini et al. 2015, over bins of equal mass",
)
OVERCONFIDENCE = Metric(
    name="overconfidence",
    summary="It is surer of itself than it is right.",
    higher_is_better=False,
    bounds=(-1.0, 1.0),
    reference="Guo et al. 2017 (arXiv 1706.04599): mean confidence minus accuracy",
)
AUROC = Metric(
    name="auroc",
    summary="Its confidence tells right answers from wrong ones less well.",
    columns=COLUMNS,
    functional=auroc,
    chance=0.5,
    reference="Hanley and McNeil 1982; of confidence as a predictor of being right",
)
SELECTIVE_ACCURACY = Metric(
    name="selective-accuracy",
    summary=f"Answering only the {COVERAGE:.0%} it is surest of, it is right less often.",
    columns=COLUMNS,
    functional=selective_accuracy,
    reference="El-Yaniv and Wiener 2010 (JMLR 11:1605); Geifman and El-Yaniv 2017 "
    f"(arXiv 1705.08500): 1 minus selective risk at coverage {COVERAGE}",
)


def answered(confidence: float, right: float) -> dict[str, float]:
    """The columns of an answer and the confidence in it; 1 or 0 for right or wrong."""
    return {
        "accuracy": right,
        "correct": right,
        "confidence": confidence,
        "overconfidence": confidence - right,
    }


def squared(confidence: float, right: float) -> float:
    """Brier score of the one event that the answer is right."""
    return (confidence - right) ** 2


def largest(meanings: Sequence[str]) -> tuple[int, int]:
    """The place of the first of those meanings that are most, and how many they are."""
    ((most, count),) = Counter(meanings).most_common(1)
    return meanings.index(most), count
