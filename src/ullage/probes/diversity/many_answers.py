"""Many answers: questions with several right answers, each of which can be checked."""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import DAYS, FIRST_NAMES
from ullage.probes.draw import Draw, paired
from ullage.probes.jsonl import Record
from ullage.probes.knowledge import CATEGORIES, WORDS, with_article
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, sample
from ullage.probes.scoring import canonical, mentions, numbers
from ullage.stats.diversity import pass_at_k, reached

SAMPLES = 8
K = 4
"""Tries of `pass-gain` and `coverage`: half the samples, since estimating wants more than tries."""
WAYS = 5
"""Right answers of a generated question."""
WRONG = 10
"""Wrong ones in its list, where it has one: a guess is right one time in three."""


@dataclass(frozen=True, slots=True)
class _Task:
    """A question, its right answers, and wrong ones."""

    text: str
    right: tuple[str, ...]
    wrong: tuple[str, ...]
    """With `right` all that may be named; a number alone where any number may be said."""


def _numbered(text: str, right: Sequence[int], wrong: int) -> _Task:
    return _Task(text, tuple(map(str, right)), (str(wrong),))


def _multiple(draw: Draw) -> _Task:
    """Between bounds that are no multiples themselves."""
    code, low = divmod(draw.unique(14 * 90), 90)
    step = 6 + code
    right = [step * (10 + low + place) for place in range(WAYS)]
    under, over = right[0] - draw.integer(1, step - 1), right[-1] + draw.integer(1, step - 1)
    text = f"Name a whole number between {under} and {over} that can be divided by {step}."
    return _numbered(text, right, right[0] + 1)


def _ending(draw: Draw) -> _Task:
    code, tens = divmod(draw.unique(10 * 900), 900)
    right = [10 * (10 + tens + place) + code for place in range(WAYS)]
    under, over = right[0] - draw.integer(1, 9), right[-1] + draw.integer(1, 9)
    text = f"Name a whole number between {under} and {over} whose last digit is {code}."
    return _numbered(text, right, right[0] + 1)


def _between(draw: Draw) -> _Task:
    low = 1000 + draw.unique(8000)
    text = f"Name a whole number that is larger than {low} and smaller than {low + WAYS + 1}."
    return _numbered(text, range(low + 1, low + WAYS + 1), low + WAYS + 1)


def _odd(draw: Draw) -> _Task:
    low = 2 * (50 + draw.unique(4000))
    text = f"Name an odd number between {low} and {low + 2 * WAYS}."
    return _numbered(text, range(low + 1, low + 2 * WAYS, 2), low + 2)


def _listed(draw: Draw, question: str, right: Sequence[str], wrong: Sequence[str]) -> _Task:
    """A question about a list in which some right and some wrong ones stand in any order."""
    right, wrong = draw.some(right, WAYS), draw.some(wrong, WRONG)
    shown = ", ".join(draw.some([*right, *wrong], WAYS + WRONG))
    return _Task(f"{question} The list: {shown}.", tuple(right), tuple(wrong))


def _category(draw: Draw) -> tuple[str, list[str], list[str]]:
    """A category, its members, and other words."""
    names = tuple(CATEGORIES)
    name = names[draw.unique(len(names))]
    others = [word for word in WORDS if word not in CATEGORIES[name]]
    return with_article(name), list(CATEGORIES[name]), others


def _member(draw: Draw) -> _Task:
    name, members, others = _category(draw)
    return _listed(draw, f"Name a word from the list that stands for {name}.", members, others)


def _other(draw: Draw) -> _Task:
    name, members, others = _category(draw)
    return _listed(draw, f"Name a word from the list that is not {name}.", others, members)


def _letter(draw: Draw) -> _Task:
    letters = [one for one in string.ascii_lowercase if _holding(one) and _holding(one, held=False)]
    letter = letters[draw.unique(len(letters))]
    text = f'Name a word from the list that has the letter "{letter}" in it.'
    return _listed(draw, text, _holding(letter), _holding(letter, held=False))


def _holding(letter: str, *, held: bool = True) -> list[str]:
    """Words with (or without) a letter; none where they would not fill a list."""
    found = [word for word in WORDS if (letter in word) == held]
    return found if len(found) >= (WAYS if held else WRONG) else []


def _after(draw: Draw) -> _Task:
    start = WORDS[draw.unique(len(WORDS))]
    others = draw.some([word for word in WORDS if word != start], WAYS + WRONG - 1)
    before, right = others[WAYS:], others[:WAYS]
    shown = ", ".join([*before, start, *right])
    text = f'Name a word that stands somewhere after "{start}" in this list: {shown}.'
    return _Task(text, tuple(right), (*before, start))


def _price(draw: Draw) -> _Task:
    limit = 20 + draw.unique(60)
    things = draw.some(WORDS, WAYS + WRONG)
    right, wrong = things[:WAYS], things[WAYS:]
    prices = {thing: limit - draw.integer(1, 15) for thing in right}
    prices |= {thing: limit + draw.integer(1, 15) for thing in wrong}
    shown = ", ".join(f"{thing} {prices[thing]}" for thing in draw.some(things, len(things)))
    text = f"Name a word whose price is below {limit}. Prices: {shown}."
    return _Task(text, tuple(right), tuple(wrong))


def _day(draw: Draw) -> _Task:
    day, other, _ = paired(draw.unique(math.perm(len(DAYS), 2)), DAYS)
    people = draw.some(FIRST_NAMES, WAYS + WRONG)
    right, wrong = people[:WAYS], people[WAYS:]
    lines = [f"{day}: {', '.join(right)}.", f"{other}: {', '.join(wrong)}."]
    shown = " ".join(lines if draw.below(2) else lines[::-1])
    text = f"Name somebody who comes on {day}. {shown}"
    return _Task(text, tuple(right), tuple(wrong))


_KINDS: dict[str, Callable[[Draw], _Task]] = {
    "multiple": _multiple,
    "ending": _ending,
    "between": _between,
    "odd": _odd,
    "member": _member,
    "other": _other,
    "letter": _letter,
    "after": _after,
    "price": _price,
    "day": _day,
}
_FORMS = (
    "{task} Give only one, and nothing else.",
    "Here is a small task. {task} Reply with a single answer.",
    "There are several right answers; give just one. {task}",
    "{task} Any right answer will do, but say only one.",
)


class ManyAnswers(PackagedProbe):
    """Questions with several right answers, each sampled several times.

    What can be checked cannot be fooled by noise: only right answers count, each once.
    """

    name = "many-answers"
    dimension = Dimension.DIVERSITY
    families = tuple(f"{kind}:t{form}" for kind in _KINDS for form in range(len(_FORMS)))
    max_tokens = 16
    example: ClassVar[str] = (
        '{"prompt": "Name a metal from this list: iron, wool, tin, wood. Say only one.", '
        '"references": ["iron", "tin"]}'
    )
    metrics = (
        Metric(
            name="coverage",
            summary="Asked again, it finds fewer of the right answers that there are.",
            reference="Hurlbert 1971 (Ecology 52:577), E(S_n): expected different right answers "
            f"in {K} tries, over the most there can be",
        ),
        Metric(
            name="pass-gain",
            summary="Trying again helps less: its mistakes stay the same.",
            reference="Chen et al. 2021 (arXiv 2107.03374), equation 1: "
            f"pass@{K} minus pass@1, from {SAMPLES} samples",
        ),
        Metric(
            name="accuracy",
            summary="A sample is a right answer less often.",
            reference="Chen et al. 2021 (arXiv 2107.03374): pass@1",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A question about numbers, words, prices or days, with five right answers."""
        kind, form = divmod(draw.family, len(_FORMS))
        task = tuple(_KINDS.values())[kind](draw)
        usual, *ways = draw.some(task.right, len(task.right))
        listed = len(task.wrong) > 1
        return drawn(
            _FORMS[form].format(task=task.text),
            answer=usual,
            wrong=task.wrong[0],
            choices=(*task.right, *task.wrong) if listed else (),
            ways=tuple(ways),
        )

    def read(self, record: Record) -> Item:
        """A `prompt` and its right answers as `references`, two or more.

        With `choices` (all that may be named), a reply that names a wrong one too does not count.
        """
        answer, *ways = record.texts("references", least=2)
        choices = record.texts("choices")
        for one in (answer, *ways):
            record.check_among(choices, one, "an entry of 'references',")
        item = drawn(
            record.messages(),
            answer=answer,
            wrong=next((one for one in choices if one not in (answer, *ways)), ""),
            choices=choices,
            ways=tuple(ways),
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Sample, and count which right answers came."""
        replies = yield from sample(self.samples(item, SAMPLES))
        given = Counter(way(reply.text, item) for reply in replies)
        del given[""]
        right = given.total()
        most = min(K, 1 + len(item.ways))
        return {
            "coverage": min(reached(list(given.values()), SAMPLES, K) / most, 1.0),
            "pass-gain": pass_at_k(SAMPLES, right, K) - right / SAMPLES,
            "accuracy": right / SAMPLES,
        }


def way(text: str, item: Item) -> str:
    """Which of the right answers a reply gives; empty where it gives none, or more than one."""
    ways = (item.answer, *item.ways)
    if not item.choices and all(numbers(one) for one in ways):
        said = set(numbers(text))
        return next((one for one in ways if said == set(numbers(one))), "")
    options = item.choices or ways
    named = mentions(text, options)
    if len(named) != 1:
        return ""
    return next((one for one in ways if canonical(one) == canonical(options[named[0]])), "")
