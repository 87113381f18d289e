"""Verbal confidence: asking it how sure it is, where nothing else is to be had."""

from __future__ import annotations

import re

from ullage.models.types import user
from ullage.probes.choice import ChoiceProbe
from ullage.probes.jsonl import Record
from ullage.probes.normalise import plain
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.reading import choice_item, is_right
from ullage.probes.uncertainty.common import (
    AUROC,
    ECE,
    OVERCONFIDENCE,
    SELECTIVE_ACCURACY,
    answered,
    squared,
)
from ullage.probes.uncertainty.options import Confidence

QUESTION = (
    "How likely is it that your answer is right? Give a percentage from 0 to 100, and nothing else."
)
UNSAID = 0.5
"""The confidence of a reply that states none: it knows as little as a coin."""
_SURE, _UNSURE = "100%", "60%"
"""What simulated models state where they know the answer, and where they do not."""
_PERCENT = re.compile(
    r"(?<![\w.])(\d{1,3}(?:\.\d+)?) ?(?:%|percent\b|per cent\b|(?:/|out of|in) ?100\b)"
)
_NUMBER = re.compile(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w%])")


class VerbalConfidence(ChoiceProbe):
    """Where neither likelihoods nor many samples are to be had: it is asked how sure it is.

    The weakest fallback. What models state are round numbers near the top (Xiong et al. 2023, arXiv
    2306.13063), so calibration is coarse and discrimination low; it never stands in for the others.
    The question comes in a turn of its own after the answer (Tian et al. 2023, arXiv 2305.14975:
    "Verb. 2S"). A reply that states no percentage counts as 50 %, and `states` falls.
    """

    name = "verbal-confidence"
    dimension = Dimension.UNCERTAINTY
    example = Confidence.example
    metrics = (
        Metric(name="accuracy", summary="It is right less often."),
        Metric(name="states", summary="Asked how sure it is, it less often says."),
        Metric(
            name="brier",
            summary="The confidence it states is further from the truth.",
            higher_is_better=False,
            reference="Brier 1950, for the one event that the answer is right",
        ),
        ECE,
        OVERCONFIDENCE,
        AUROC,
        SELECTIVE_ACCURACY,
    )

    def read(self, record: Record) -> Item:
        """A question with its `reference`, and `choices` where there are any."""
        return choice_item(record, self.name, choices=False)

    def converse(self, item: Item) -> Conversation:
        """Ask, then ask how sure it is."""
        reply = yield from ask(self.put(item))
        right = float(is_right(reply.text, item))
        then = (*item.messages, reply.message, user(QUESTION))
        said = yield from ask(self.put(item, then, answer=_SURE, wrong=_UNSURE))
        found = stated(said.text)
        confidence = UNSAID if found is None else found
        return answered(confidence, right) | {
            "states": float(found is not None),
            "brier": squared(confidence, right),
        }


def stated(text: str) -> float | None:
    """The probability that a reply states; None where it states none, or several.

    A percentage, or the reply's only number in digits: up to 100, and below 1 a probability as it
    is.
    """
    said = plain(text).casefold()
    percents = {float(found[1]) for found in _PERCENT.finditer(said)}
    bare = {float(found[0]) for found in _NUMBER.finditer(said)}
    if len(percents) == 1:
        value = percents.pop()
    elif not percents and len(bare) == 1:
        value = bare.pop()
        value = 100.0 * value if value < 1.0 else value
    else:
        return None
    return value / 100.0 if value <= 100.0 else None
