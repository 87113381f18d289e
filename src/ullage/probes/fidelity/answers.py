"""Fidelity of answers: the teacher's, its mistakes, and what weighing options hides."""

from __future__ import annotations

from dataclasses import replace

from ullage.models.types import Access
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.choice import ChoiceProbe
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask, weigh
from ullage.probes.questions import CHOICE_FAMILIES, open_question
from ullage.probes.reading import choice_item, is_right, settle


class Agreement(PackagedProbe):
    """The same short questions to the arm and to the teacher, whose answers are cached.

    Flips are those of Dutta et al. 2024 (arXiv 2407.09141): right and wrong changed places. They
    see what equal accuracy hides, and are the sum of answers lost and gained. A gain is no harm but
    a change: where as much is gained as is lost, the student is another model, not a worse one.
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
        Metric(
            name="gained-answers",
            summary="More questions the teacher gets wrong are now answered right.",
            higher_is_better=False,
            reference="Dutta et al. 2024 (arXiv 2407.09141): incorrect-to-correct flips",
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
        request = self.put(item)
        own = yield from ask(request)
        theirs = yield from ask(replace(request, of="teacher"))
        right, teacher_right = is_right(own.text, item), is_right(theirs.text, item)
        same = (right and teacher_right) or settle(own.text, item) == settle(theirs.text, item)
        return {
            "agreement": float(same),
            "flips": float(right != teacher_right),
            "lost-answers": float(teacher_right and not right),
            "gained-answers": float(right and not teacher_right),
            "accuracy": float(right),
        }


class LikelihoodGap(ChoiceProbe):
    """Choice items answered twice: by writing, and by weighing the options.

    Students keep what is scored by likelihood far longer than what they must write
    (Kostelec et al. 2026, arXiv 2603.26556: 0.2 against 20.8 points). The gap is signed, weighed
    minus generated: its mean is the difference of the two accuracies that the paper reports. An
    absolute difference per item would not do, since two noisy measurements differ on items even
    where accuracies agree.
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
            reference="Kostelec et al. 2026 (arXiv 2603.26556): by likelihood and generated",
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
