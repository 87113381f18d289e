"""Confidence in options: how likely each is, or how often it is chosen.

Confidence is the probability of an option given that one of the options is said: likelihoods of
whole options, summed over tokens and normalised over the options. (Per-token normalisation would
compare options of unequal length more kindly, but it yields no probability; label-normalised and
raw definitions of ECE differ by much, so the definition is part of the metric.)
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from ullage.models.types import Access
from ullage.probes.choice import ChoiceProbe
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, sample, weigh
from ullage.probes.reading import is_right, settle
from ullage.probes.uncertainty.common import (
    AUROC,
    COLUMNS,
    ECE,
    OVERCONFIDENCE,
    SELECTIVE_ACCURACY,
    answered,
    largest,
    squared,
)
from ullage.stats.confidence import entropy
from ullage.stats.metrics import e_aurc, smooth_ece

MAX_NLL = -math.log(1e-6)
"""Negative log-likelihood is clipped here: an option is never given less than one in a million."""
VOTES = 5


class Confidence(ChoiceProbe):
    """Choice items weighed: the whole distribution over the options is scored."""

    name = "confidence"
    instead = "vote-confidence or verbal-confidence, which need text alone and see less"
    dimension = Dimension.UNCERTAINTY
    access = frozenset({Access.WEIGH})
    example = (
        '{"prompt": "Is water wet, dry or hot? One word.", '
        '"choices": ["wet", "dry", "hot"], "reference": "wet"}'
    )
    metrics = (
        Metric(name="accuracy", summary="The likeliest option is right less often.", chance=0.25),
        Metric(
            name="brier",
            summary="The probabilities it gives to options are further from the truth.",
            higher_is_better=False,
            bounds=(0.0, 2.0),
            reference="Brier 1950: squared error summed over the options",
        ),
        Metric(
            name="nll",
            summary="It gives less probability to the right option.",
            higher_is_better=False,
            bounds=(0.0, MAX_NLL),
            reference="Gneiting and Raftery 2007: logarithmic score, clipped",
        ),
        ECE,
        Metric(
            name="smooth-ece",
            summary="How sure it is lies further from how often it is right (without bins).",
            higher_is_better=False,
            columns=COLUMNS,
            functional=smooth_ece,
            reference="Blasiok and Nakkiran 2023 (arXiv 2309.12236)",
        ),
        OVERCONFIDENCE,
        AUROC,
        Metric(
            name="e-aurc",
            summary="Answering only when sure saves fewer mistakes than it could.",
            higher_is_better=False,
            columns=COLUMNS,
            functional=e_aurc,
            reference="Geifman et al. 2019 (arXiv 1805.08206)",
        ),
        SELECTIVE_ACCURACY,
    )

    def converse(self, item: Item) -> Conversation:
        """Weigh the options, and score the distribution over them."""
        weights = yield from weigh(self.weighing(item))
        shares = probabilities(weights.logprobs)
        truth = item.choices.index(item.answer)
        likeliest = int(np.argmax(shares))
        right = float(likeliest == truth)
        brier = sum((share - (index == truth)) ** 2 for index, share in enumerate(shares))
        return answered(shares[likeliest], right) | {
            "brier": min(brier, 2.0),
            "nll": min(-math.log(max(shares[truth], 1e-300)), MAX_NLL),
        }


class VoteConfidence(ChoiceProbe):
    """Where likelihoods are not to be had: how much the model agrees with itself over samples.

    The weaker fallback. With five votes confidence has few values and a floor at 0.2, so
    calibration is read more coarsely than by `Confidence`; it never stands in for it.
    """

    name = "vote-confidence"
    dimension = Dimension.UNCERTAINTY
    example = Confidence.example
    metrics = (
        Metric(name="accuracy", summary="Its most frequent answer is right less often."),
        Metric(
            name="brier",
            summary="The share of votes for its answer is further from the truth.",
            higher_is_better=False,
            reference="Brier 1950, for the one event that the answer is right",
        ),
        Metric(
            name="entropy",
            summary="Asked again, it gives a different answer more often.",
            higher_is_better=False,
            bounds=(0.0, math.log(VOTES)),
            reference="Kuhn et al. 2023 (arXiv 2302.09664), answers as clusters; nats",
        ),
        ECE,
        OVERCONFIDENCE,
        AUROC,
        SELECTIVE_ACCURACY,
    )

    def converse(self, item: Item) -> Conversation:
        """Ask five times at temperature 1, and count."""
        replies = yield from sample(self.samples(item, VOTES))
        votes = [settle(reply.text, item) for reply in replies]
        usual, count = largest(votes)
        right, confidence = float(is_right(replies[usual].text, item)), count / len(votes)
        return answered(confidence, right) | {
            "brier": squared(confidence, right),
            "entropy": min(entropy(Counter(votes).values()), math.log(VOTES)),
        }


def probabilities(logprobs: tuple[float, ...]) -> list[float]:
    """Likelihoods normalised over the options; equal shares where none is finite.

    Rounded, so that equal confidences are ties to metrics that rank, whatever the order of options.
    """
    top = max(logprobs)
    if not math.isfinite(top):
        return [1.0 / len(logprobs)] * len(logprobs)
    raw = [math.exp(value - top) for value in logprobs]
    total = sum(raw)
    return [round(value / total, 9) for value in raw]
