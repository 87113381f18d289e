"""Invariance: changes to a question that do not change its answer."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.questions import CHOICE_FAMILIES, CHOICE_FORMS, KINDS, with_options
from ullage.probes.scoring import pick_choice

_POLITE = (
    "Hello! Could you please help me with this?",
    "Good morning. I would be grateful for your help.",
    "Hi there, thank you for taking the time.",
)


class Invariance(PackagedProbe):
    """A question with options, and five more ways to put it.

    They are: in other words, with a typo, in lower case, politely, and with the options in another
    order. Wanting the same *option* makes the empty reply and "always the first" inconsistent.
    """

    name = "invariance"
    dimension = Dimension.BOUNDARY
    families = CHOICE_FAMILIES
    example = (
        '{"prompts": ["Which is a metal: iron or wood?", "Iron or wood: which is a metal?"], '
        '"choices": ["iron", "wood"], "reference": "iron"}'
    )
    metrics = (
        Metric(
            name="consistent",
            summary="It changes its answer when only the wording changes.",
            reference="Ribeiro et al. 2020 (arXiv 2005.04118): invariance tests",
        ),
        Metric(name="accuracy", summary="It is right less often over all wordings."),
    )

    def make(self, draw: Draw) -> Item:
        """The question and its five variants."""
        kind, form = divmod(draw.family, CHOICE_FORMS)
        question = tuple(KINDS.values())[kind](draw)
        plain = with_options(question, form)
        prompts = (
            plain,
            with_options(question, form, reworded=True),
            typo(draw, plain),
            plain.lower(),
            f"{draw.pick(_POLITE)}\n{plain}",
            with_options(question, form, question.options[1:] + question.options[:1]),
        )
        return _item(prompts, question.answer, question.options, question.wrong)

    def read(self, record: Record) -> Item:
        """A list of `prompts`, the original first, its `choices`, and the `reference`."""
        choices, reference = record.texts("choices", least=2), record.reference()
        record.check_among(choices, reference)
        wrong = next(choice for choice in choices if choice != reference)
        item = _item(record.texts("prompts", least=2), reference, choices, wrong)
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask every variant; compare the options it settles on with the original's."""
        picks: list[int | None] = []
        for text in item.data["prompts"]:
            reply = yield from ask(self.put(item, text))
            picks.append(pick_choice(reply.text, item.choices))
        first, *others = picks
        same = [pick is not None and pick == first for pick in others]
        right = [pick is not None and item.choices[pick] == item.answer for pick in picks]
        return {"consistent": sum(same) / len(same), "accuracy": sum(right) / len(right)}


def typo(draw: Draw, text: str) -> str:
    """The text with two inner letters of one of the instruction's words swapped.

    Only words that carry no content are touched, so that the answer cannot change.
    """
    harmless = [word for word in _HARMLESS if f"{word} " in text]
    word = draw.pick(harmless)
    place = draw.integer(1, len(word) - 3)
    if word[place] == word[place + 1]:
        place += 1
    swapped = f"{word[:place]}{word[place + 1]}{word[place]}{word[place + 2 :]}"
    return text.replace(f"{word} ", f"{swapped} ", 1)


_HARMLESS = ("Which", "What", "Where", "Answer", "options", "Choose", "answer", "right", "Reply")


def _item(prompts: Sequence[str], answer: str, choices: tuple[str, ...], wrong: str) -> Item:
    return drawn(
        prompts[0], answer=answer, wrong=wrong, choices=choices, data={"prompts": list(prompts)}
    )
