"""Fidelity: does it say what the teacher says?

`Agreement` counts answers, `LikelihoodGap` compares what a model picks with what it writes, and
`TeacherText` measures divergence from the teacher's own words across any tokenizers.
"""

from __future__ import annotations

from typing import ClassVar

from ullage.models.types import Access, Ask, Weigh
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.choice import ChoiceProbe
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.open_prompts import FAMILIES as OPEN_FAMILIES
from ullage.probes.open_prompts import open_prompt
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask, weigh
from ullage.probes.questions import CHOICE_FAMILIES, open_question
from ullage.probes.reading import choice_item, is_right, settle

MAX_SURPRISE = 8.0
"""Nats per byte at which surprise is clipped; guessing bytes at random costs ln 256 = 5.55."""


class Agreement(PackagedProbe):
    """The same short questions to the arm and to the teacher, whose answers are cached.

    Flips are those of Dutta et al. 2024 (arXiv 2407.09141): right and wrong changed
    places. They see what equal accuracy hides.
    """

    name = "agreement"
    dimension = Dimension.FIDELITY
    families = CHOICE_FAMILIES
    example = '{"prompt": "How many legs does a spider have?", "reference": "8"}'
    metrics = (
        Metric(
            name="agreement",
            summary="It gives the teacher's answer less often.",
            reference="Stanton et al. 2021 (arXiv 2106.05945): top-1 agreement",
        ),
        Metric(
            name="flips",
            summary="More answers changed between right and wrong, in either direction.",
            higher_is_better=False,
            reference="Dutta et al. 2024 (arXiv 2407.09141)",
        ),
        Metric(
            name="lost-answers",
            summary="More questions the teacher gets right are now answered wrong.",
            higher_is_better=False,
            reference="Dutta et al. 2024 (arXiv 2407.09141): correct-to-incorrect flips",
        ),
        Metric(name="accuracy", summary="It answers fewer short questions correctly."),
    )

    def make(self, draw: Draw) -> Item:
        """A question from knowledge, categories or a small computation."""
        prompt, question = open_question(draw)
        return drawn(prompt, answer=question.answer, wrong=question.wrong, choices=question.options)

    def read(self, record: Record) -> Item:
        """A question with its `reference`, and `choices` where there are any."""
        return choice_item(record, self.name, choices=False)

    def converse(self, item: Item) -> Conversation:
        """Ask both, settle what each said, compare."""
        own = yield from ask(self.put(item))
        request = self.put(item)
        theirs = yield from ask(
            Ask(
                messages=request.messages,
                max_tokens=request.max_tokens,
                of="teacher",
                subject=request.subject,
            )
        )
        right, teacher_right = is_right(own.text, item), is_right(theirs.text, item)
        same = (right and teacher_right) or settle(own.text, item) == settle(theirs.text, item)
        return {
            "agreement": float(same),
            "flips": float(right != teacher_right),
            "lost-answers": float(teacher_right and not right),
            "accuracy": float(right),
        }


class LikelihoodGap(ChoiceProbe):
    """Choice items answered twice: by writing, and by weighing the options.

    Students keep what is scored by likelihood far longer than what they must write
    (arXiv 2603.26556: 0.2 against 20.8 points). The gap is signed, weighed minus generated: its
    mean is the difference of the two accuracies that the paper reports. An absolute difference per
    item would not do, since two noisy measurements differ on items even where accuracies agree.
    """

    name = "likelihood-gap"
    dimension = Dimension.FIDELITY
    access = frozenset({Access.TEXT, Access.WEIGH})
    example = (
        '{"prompt": "Which is a metal? Iron, wood or wool? One word.", '
        '"choices": ["iron", "wood", "wool"], "reference": "iron"}'
    )
    metrics = (
        Metric(name="generated", summary="It writes the right option less often."),
        Metric(
            name="weighed",
            summary="The right option is the likeliest one less often.",
            chance=0.25,
        ),
        Metric(
            name="gap",
            summary="It looks better when options are weighed than when it has to write.",
            higher_is_better=False,
            bounds=(-1.0, 1.0),
            reference="arXiv 2603.26556",
        ),
    )

    def converse(self, item: Item) -> Conversation:
        """Write, then weigh. Likelihoods are summed over the option's tokens, not normalised."""
        reply = yield from ask(self.put(item))
        weights = yield from weigh(self.weighing(item))
        likeliest = max(range(len(item.choices)), key=weights.logprobs.__getitem__)
        generated = float(is_right(reply.text, item))
        weighed = float(item.choices[likeliest] == item.answer)
        return {"generated": generated, "weighed": weighed, "gap": weighed - generated}


class TeacherText(PackagedProbe):
    """The teacher's own sampled words, weighed by the arm.

    For text y sampled from the teacher T at temperature 1, -log p(y) averages to the cross-entropy
    H(T, arm); minus the teacher's own it is KL(T || arm). Counted in nats per UTF-8 byte it needs
    no common vocabulary. The teacher's text ends where `max_tokens` ends it, so it is the
    divergence over openings of that length; the end of the text itself is not weighed.
    """

    name = "teacher-text"
    dimension = Dimension.FIDELITY
    access = frozenset({Access.TEXT, Access.WEIGH})
    families = OPEN_FAMILIES
    max_tokens = 32
    example: ClassVar[str] = '{"prompt": "Write one sentence about the sea."}'
    metrics = (
        Metric(
            name="surprise",
            summary="The teacher's own words surprise it more: it has drifted from the teacher.",
            higher_is_better=False,
            bounds=(0.0, MAX_SURPRISE),
            reference="Kullback and Leibler 1951; Monte Carlo over teacher samples",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """An open request for a sentence or two."""
        return drawn(open_prompt(draw), answer="This is a short text that answers the request.")

    def read(self, record: Record) -> Item:
        """A prompt; it needs no reference."""
        return record.named(Item(id="", family="", messages=record.messages()), self.name)

    def converse(self, item: Item) -> Conversation:
        """Sample the teacher once (the same text for every arm), then weigh what it said."""
        spoken = yield from ask(
            Ask(
                messages=item.messages,
                max_tokens=self.max_tokens,
                temperature=1.0,
                of="teacher",
                subject=self.subject(item),
            )
        )
        size = len(spoken.text.encode("utf-8", "replace"))
        if size == 0:
            return {}
        weights = yield from weigh(
            Weigh(
                messages=item.messages,
                continuations=(spoken.text,),
                subject=self.subject(item),
            )
        )
        surprise = -weights.logprobs[0] / size
        return {"surprise": min(max(surprise, 0.0), MAX_SURPRISE)}
