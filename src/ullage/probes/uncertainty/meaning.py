"""Semantic entropy: how many different things it means when it is asked again."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, sample
from ullage.probes.questions import CHOICE_FAMILIES, open_question
from ullage.probes.reading import choice_item, is_right, settle
from ullage.probes.scoring import canonical, is_abstention, is_clarification, is_refusal
from ullage.probes.uncertainty.common import AUROC, COLUMNS, SELECTIVE_ACCURACY, largest
from ullage.stats.confidence import entropy
from ullage.stats.metrics import e_aurc

SAMPLES = 6
MOST = math.log(SAMPLES)
"""Nats where every sample means something else."""
_ATTITUDES = {
    "(abstains)": is_abstention,
    "(asks back)": is_clarification,
    "(refuses)": is_refusal,
}
_FILLERS = frozenset(
    re.findall(
        r"\w+",
        "am and are as at be been being by can could did do does for from had has have here i in "
        "is it its me my of on or so that there these they this those to was we were which who "
        "will with would you your",
    )
)
"""Words that two answers may differ in and mean the same; no negation is among them."""


class SemanticEntropy(PackagedProbe):
    """Short questions, each sampled several times: the entropy of what the samples mean.

    Discrete semantic entropy (Farquhar et al. 2024, Nature 630:625, Methods; Kuhn et al. 2023,
    arXiv 2302.09664): samples that mean the same form a cluster, whose probability is its share of
    the samples. It needs no log-probabilities. The authors let a model of natural language
    inference decide what means the same; here a rule does, made for short answers: see `meaning`.
    Confidence is one minus the entropy over its most, and the answer that of the largest cluster.
    """

    name = "semantic-entropy"
    dimension = Dimension.UNCERTAINTY
    families = CHOICE_FAMILIES
    example = '{"prompt": "What is the capital of France? Answer briefly.", "reference": "Paris"}'
    metrics = (
        Metric(
            name="accuracy",
            summary="What it says most often is right less often.",
            reference="Wang et al. 2022 (arXiv 2203.11171): majority vote over samples",
        ),
        Metric(
            name="entropy",
            summary="Asked again, it means something else more often.",
            higher_is_better=False,
            bounds=(0.0, MOST),
            reference="Farquhar et al. 2024 (Nature 630:625): discrete semantic entropy; nats",
        ),
        AUROC,
        Metric(
            name="e-aurc",
            summary="Answering only when its samples agree saves fewer mistakes than it could.",
            higher_is_better=False,
            columns=COLUMNS,
            functional=e_aurc,
            reference="Geifman et al. 2019 (arXiv 1805.08206)",
        ),
        SELECTIVE_ACCURACY,
    )

    def make(self, draw: Draw) -> Item:
        """A question from knowledge, categories or a small computation."""
        prompt, question = open_question(draw)
        return drawn(prompt, answer=question.answer, wrong=question.wrong, choices=question.options)

    def read(self, record: Record) -> Item:
        """A question with its `reference`, and `choices` where there are any."""
        return choice_item(record, self.name, choices=False)

    def converse(self, item: Item) -> Conversation:
        """Sample, and count meanings."""
        replies = yield from sample(self.samples(item, SAMPLES))
        meanings = [meaning(reply.text, item) for reply in replies]
        usual, _ = largest(meanings)
        right = float(is_right(replies[usual].text, item))
        nats = min(entropy(Counter(meanings).values()), MOST)
        return {
            "accuracy": right,
            "correct": right,
            "entropy": nats,
            # Rounded, so that equal clusters are ties whatever the order of summing.
            "confidence": round(1.0 - nats / MOST, 9),
        }


def meaning(text: str, item: Item) -> str:
    """What a reply means, by rule: two replies mean the same if this is the same.

    In this order: abstaining, asking back and refusing are one meaning each; the option it settles
    on, in any wording; its one number, where the answer is a number; else its content words in any
    order, without those of the question as long as any others are left. So "Paris" and "It is
    Paris, the capital." are one, "not Paris" is another, and so is a synonym: the rule knows none.
    """
    for name, shows in _ATTITUDES.items():
        if shows(text):
            return name
    settled = settle(text, item)
    if settled in _settled_forms(item):
        return settled
    words = set(settled.split()) - _FILLERS
    asked = set(canonical(item.messages[-1].content).split())
    return " ".join(sorted(words - asked or words)) or settled


@lru_cache(maxsize=64)
def _forms(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(canonical, texts))


def _settled_forms(item: Item) -> frozenset[str]:
    """Answers that need no more reading."""
    return _forms((*item.choices, item.answer))
