"""Teacher's errors: hard questions with a known truth, to the arm and to the teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import DAYS
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.knowledge import WORDS
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.reading import choice_item, is_right, settle
from ullage.probes.scoring import is_abstention, numbers
from ullage.stats.metrics import share_where

_SYLLABLES = (
    "ba", "ne", "ri", "so", "tu", "ra", "le", "mi", "no", "pe", "ta", "ro", "se", "na", "li", "to",
    "re", "an", "er", "is",
)  # fmt: skip
_ANSWER_WORDS = 4
"""A longer reply that names no option and no number is talk."""
_ROMAN = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"))


@dataclass(frozen=True, slots=True)
class Puzzle:
    """A question with one answer."""

    text: str
    other_text: str
    """The same in other words."""
    answer: str
    wrong: str
    """A likely mistake."""
    choices: tuple[str, ...] = ()
    """What may be answered, where that is known."""


def _product(draw: Draw) -> Puzzle:
    code, first = divmod(draw.unique(800 * 70), 800)
    first, second = first + 112, code + 13
    right = first * second
    return Puzzle(
        f"What is {first} times {second}?",
        f"Multiply {first} by {second}.",
        str(right),
        str(right + draw.pick((-100, -10, 10, 100))),
    )


def _difference(draw: Draw) -> Puzzle:
    small = 1013 + draw.unique(8000)
    right = draw.integer(1013, 8999)
    return Puzzle(
        f"What is {small + right} minus {small}?",
        f"Take {small} away from {small + right}.",
        str(right),
        str(right + draw.pick((-100, -10, 10, 100))),
    )


def _remainder(draw: Draw) -> Puzzle:
    code, number = divmod(draw.unique(10 * 800), 800)
    number, by = number + 150, code + 7
    right = number % by
    return Puzzle(
        f"What is the remainder when {number} is divided by {by}?",
        f"Divide {number} by {by}. What is the remainder?",
        str(right),
        str((right + draw.integer(1, by - 1)) % by),
    )


def _letters(draw: Draw) -> Puzzle:
    code = draw.unique(len(_SYLLABLES) ** 2)
    start = [_SYLLABLES[code % len(_SYLLABLES)], _SYLLABLES[code // len(_SYLLABLES)]]
    word = "".join([*start, *(draw.pick(_SYLLABLES) for _ in range(5))])
    letter = draw.pick(word)
    right = word.count(letter)
    return Puzzle(
        f'How many times does the letter "{letter}" occur in "{word}"?',
        f'Count the letter "{letter}" in "{word}". How many are there?',
        str(right),
        str(right + (draw.pick((-1, 1)) if right > 1 else 1)),
    )


def _reversal(draw: Draw) -> Puzzle:
    words = [word for word in WORDS if len(word) > 5]
    code, first = divmod(draw.unique(len(words) * len(_SYLLABLES)), len(words))
    word = words[first] + _SYLLABLES[code]
    turned = word[::-1]
    at = next(place for place in range(2, len(word)) if turned[place] != turned[place + 1])
    return Puzzle(
        f'Spell "{word}" backwards, as one word.',
        f'What is "{word}" when it is written from right to left?',
        turned,
        f"{turned[:at]}{turned[at + 1]}{turned[at]}{turned[at + 2 :]}",
    )


def _weekday(draw: Draw) -> Puzzle:
    code, day = divmod(draw.unique(len(DAYS) * 400), len(DAYS))
    ahead = 22 + code + code // 6  # never a multiple of 7, which is today
    place = (day + ahead) % 7
    return Puzzle(
        f"Today is {DAYS[day]}. Which day of the week is it in {ahead} days?",
        f"Which day of the week comes {ahead} days after a {DAYS[day]}?",
        DAYS[place],
        DAYS[(place + draw.pick((1, 6))) % 7],
        DAYS,
    )


def _clock(draw: Draw) -> Puzzle:
    start = draw.unique(1440)
    minutes = draw.integer(95, 400)

    def shown(at: int) -> str:
        return f"{at // 60 % 24:02d}:{at % 60:02d}"

    return Puzzle(
        f"It is {shown(start)}. What time is it {minutes} minutes later?",
        f"A film begins at {shown(start)} and takes {minutes} minutes. At what time is it over?",
        shown(start + minutes),
        shown(start + minutes + draw.pick((-60, -10, 10, 60))),
    )


def _roman(draw: Draw) -> Puzzle:
    number = 24 + draw.unique(370)

    def shown(value: int) -> str:
        written = ""
        for size, sign in _ROMAN:
            written += sign * (value // size)
            value %= size
        return written + "I" * value

    return Puzzle(
        f"Write the number {number} in Roman numerals.",
        f"How is {number} written as a Roman numeral?",
        shown(number),
        shown(number + draw.pick((-10, -1, 1, 10))),
    )


def _third(draw: Draw) -> Puzzle:
    values = draw.some(range(1, 40), 6)
    base = 300 + draw.unique(600)
    numbers = [base + 3 * value for value in values]
    ordered = sorted(numbers, reverse=True)
    shown = ", ".join(map(str, numbers))
    return Puzzle(
        f"Which of these numbers is the third largest: {shown}?",
        f"Put these numbers in order, largest first: {shown}. Which one comes third?",
        str(ordered[2]),
        str(ordered[draw.pick((1, 3))]),
        tuple(map(str, numbers)),
    )


def _alphabet(draw: Draw) -> Puzzle:
    start = WORDS[draw.unique(len(WORDS))]
    words = [start, *draw.some([word for word in WORDS if word != start], 6)]
    ordered, shown = sorted(words), ", ".join(draw.some(words, 7))
    return Puzzle(
        f"Which of these words comes fourth in alphabetical order: {shown}?",
        f"Sort these words by the alphabet: {shown}. Which one is in the middle?",
        ordered[3],
        ordered[draw.pick((2, 4))],
        tuple(words),
    )


_KINDS: dict[str, Callable[[Draw], Puzzle]] = {
    "product": _product,
    "difference": _difference,
    "remainder": _remainder,
    "letters": _letters,
    "reversal": _reversal,
    "weekday": _weekday,
    "clock": _clock,
    "roman": _roman,
    "third": _third,
    "alphabet": _alphabet,
}
_FORMS = (
    "{first} Give only the answer.",
    "{other} Give only the answer.",
    "Here is a small puzzle. {first} Reply with the answer alone.",
    "Please solve this. {other} Reply with the answer alone.",
)


class TeacherErrors(PackagedProbe):
    """Hard questions with one right answer, to the arm and to the teacher (asked once for all).

    A student that is wrong where its teacher is may only find the same things hard. What came along
    is the very same wrong answer, more often than `base` gives it.
    """

    name = "teacher-errors"
    dimension = Dimension.INHERITANCE
    families = tuple(f"{kind}:t{form}" for kind in _KINDS for form in range(len(_FORMS)))
    example: ClassVar[str] = '{"prompt": "What is 17 times 23?", "reference": "391"}'
    metrics = (
        Metric(
            name="repeats",
            summary="Where the teacher is wrong, it gives the same wrong answer more often than "
            "before distillation.",
            higher_is_better=False,
            columns=("repeats", "teacher-wrong"),
            functional=share_where,
            against="base",
            is_harm=True,
            reference="P(arm repeats the teacher's error | the teacher errs), after Jagielski et "
            "al. 2023 (arXiv 2303.03446) on what a student takes over",
        ),
        Metric(
            name="same-when-wrong",
            summary="Its mistakes became the teacher's: wrong where the teacher is, it says the "
            "same more often than before distillation.",
            higher_is_better=False,
            columns=("repeats", "both-wrong"),
            functional=share_where,
            against="base",
            is_harm=True,
            reference="Kim et al. 2025 (arXiv 2506.07962): agreement when both are wrong",
        ),
        Metric(name="accuracy", summary="It answers fewer hard questions correctly."),
    )

    def make(self, draw: Draw) -> Item:
        """A computation or a puzzle of letters on which models err."""
        kind, form = divmod(draw.family, len(_FORMS))
        puzzle = tuple(_KINDS.values())[kind](draw)
        return drawn(
            _FORMS[form].format(first=puzzle.text, other=puzzle.other_text),
            answer=puzzle.answer,
            wrong=puzzle.wrong,
            choices=puzzle.choices,
        )

    def read(self, record: Record) -> Item:
        """A question with its `reference`, and `choices` where there are any."""
        return choice_item(record, self.name, choices=False)

    def converse(self, item: Item) -> Conversation:
        """Ask both; compare what they settled on where they are wrong."""
        request = self.put(item)
        own = yield from ask(request)
        theirs = yield from ask(replace(request, of="teacher"))
        error, teacher_error = _error(own.text, item), _error(theirs.text, item)
        return {
            "repeats": float(bool(teacher_error) and error == teacher_error),
            "teacher-wrong": float(bool(teacher_error)),
            "both-wrong": float(bool(teacher_error) and bool(error)),
            "accuracy": float(is_right(own.text, item)),
        }


def _error(text: str, item: Item) -> str:
    """The wrong answer that a reply settles on; empty where it is right, or gives none.

    Talk that settles on nothing is no answer: two arms that begin it in the same words share no
    error.
    """
    if is_right(text, item) or is_abstention(text):
        return ""
    said = settle(text, item)
    if item.answer.isdecimal() and not numbers(said):
        return ""
    return said if said.count(" ") < _ANSWER_WORDS else ""
