"""Fidelity of distributions, by likelihoods of whole texts: whatever the vocabularies are."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from ullage.models.types import Access, Ask, Weights
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.open_prompts import FAMILIES as OPEN_FAMILIES
from ullage.probes.open_prompts import open_prompt
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask, weigh
from ullage.probes.scenes import FAMILIES as SCENE_FAMILIES
from ullage.probes.scenes import scene, write

MAX_SURPRISE = 8.0
"""Nats per byte at which surprise is clipped; guessing bytes at random costs ln 256 = 5.55."""
MAX_BITS = 4.0
"""Bits per byte at which a text is clipped: the frequencies of single letters do about as well
(Shannon 1951)."""
MAX_APART = 1.0
"""Bits per byte at which a difference from the teacher is clipped: twice as many bits as a fair
model needs for English, or none."""

_FACTS = 3
_SENTENCES = 0
"""The style of `scenes.write` that is plain sentences."""
_LIST, _NOTES = 1, 2
_FORMS: tuple[tuple[int, str], ...] = (
    (_LIST, "Write these notes as sentences.\n{notes}"),
    (_NOTES, "Turn this into full sentences.\n{notes}"),
    (_LIST, "{notes}\n\nSay the same in whole sentences, in this order."),
    (_NOTES, "{notes}\n\nWrite it out in sentences, one for each thing."),
    (_LIST, "Here is what is known.\n{notes}\nTell it in sentences and add nothing."),
)
"""How the notes are written, and what is asked."""


class TeacherText(PackagedProbe):
    """The teacher's own sampled words, weighed by the arm.

    For text y sampled from the teacher T at temperature 1, -log p(y) averages to the cross-entropy
    H(T, arm); minus the teacher's own it is KL(T || arm). Counted in nats per UTF-8 byte it needs
    no common vocabulary. The teacher's text ends where `max_tokens` ends it, so it is the
    divergence over openings of that length; the end of the text itself is not weighed.
    """

    name = "teacher-text"
    instead = "agreement.agreement, which needs text alone"
    dimension = Dimension.FIDELITY
    access = frozenset({Access.TEXT, Access.WEIGH})
    families = OPEN_FAMILIES
    max_tokens = 32
    example: ClassVar[str] = '{"prompt": "Write one sentence about the sea."}'
    metrics: tuple[Metric, ...] = (
        Metric(
            name="surprise",
            summary="The teacher's own words surprise it more: it has drifted from the teacher.",
            higher_is_better=False,
            bounds=(0.0, MAX_SURPRISE),
            reference="cross-entropy in nats per byte, over texts sampled from the teacher; less "
            "the teacher's own it is KL (Kullback and Leibler 1951)",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """An open request for a sentence or two."""
        return drawn(open_prompt(draw), answer="This is a short text that answers the request.")

    def read(self, record: Record) -> Item:
        """A prompt; it needs no reference."""
        return record.named(drawn(record.messages()), self.name)

    def converse(self, item: Item) -> Conversation:
        """Sample the teacher once (the same text for every arm), then weigh what it said."""
        spoken = yield from ask(self.spoken(item))
        if not spoken.text:
            return {}
        weights = yield from weigh(self.weighing(item, spoken.text))
        return {"surprise": min(surprise(weights, spoken.text), MAX_SURPRISE)}

    def spoken(self, item: Item) -> Ask:
        """The request for the teacher's text."""
        return Ask(
            messages=item.messages,
            max_tokens=self.max_tokens,
            temperature=1.0,
            of="teacher",
            subject=self.subject(item),
        )


class TextBits(PackagedProbe):
    """Right replies that neither model wrote, weighed by both.

    Whoever wrote the text, a model that predicts it well needs few bits for it. Counted per UTF-8
    byte the figure needs no common vocabulary: bits per byte of Gao et al. 2020 (arXiv 2101.00027),
    section 3.1, here the mean over texts, each of which counts once. `difference` compares text by
    text, so that what the student does better does not make up for what it does worse.
    """

    name = "text-bits"
    instead = "agreement.agreement, which needs text alone"
    dimension = Dimension.FIDELITY
    access = frozenset({Access.WEIGH})
    families = SCENE_FAMILIES
    example: ClassVar[str] = (
        '{"prompt": "Say as a sentence: colour of the sea, blue.", '
        '"reference": "The colour of the sea is blue."}'
    )
    metrics = (
        Metric(
            name="bits-per-byte",
            summary="Right replies are less likely to it, whoever wrote them.",
            higher_is_better=False,
            bounds=(0.0, MAX_BITS),
            reference="Gao et al. 2020 (arXiv 2101.00027), section 3.1",
        ),
        Metric(
            name="difference",
            summary="It finds other texts likely than the teacher does, more or less so.",
            higher_is_better=False,
            bounds=(0.0, MAX_APART),
            reference="mean over texts of the absolute difference in bits per byte",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """Notes on three things that are so, and the same in sentences."""
        about = scene(draw)
        facts = about.facts(draw.some(about.domain.attributes, _FACTS))
        notes, form = _FORMS[about.style]
        prompt = form.format(notes=write([(about.entity, facts)], notes))
        return drawn(prompt, answer=write([(about.entity, facts)], _SENTENCES))

    def read(self, record: Record) -> Item:
        """A prompt and a right reply to it as `reference`."""
        item = drawn(record.messages(), answer=record.reference())
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Weigh the reply, and let the teacher weigh it (once for all arms)."""
        request = self.weighing(item, item.answer)
        weights = yield from weigh(request)
        theirs = yield from weigh(replace(request, of="teacher"))
        own_bits, their_bits = (
            min(surprise(each, item.answer) / math.log(2.0), MAX_BITS) for each in (weights, theirs)
        )
        return {"bits-per-byte": own_bits, "difference": min(abs(own_bits - their_bits), MAX_APART)}


def surprise(weights: Weights, text: str) -> float:
    """Nats per UTF-8 byte of a text that was weighed alone."""
    return max(-weights.logprobs[0] / len(text.encode("utf-8", "replace")), 0.0)
