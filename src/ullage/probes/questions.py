"""Short questions with one right answer: knowledge, categories, and small computations.

A kind of question in one wording is a family. Every kind can be asked with options, those that
compute can also be asked openly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ullage.probes.domains import DAYS, FIRST_NAMES
from ullage.probes.draw import Draw, arranged
from ullage.probes.knowledge import CATEGORIES, RELATIONS, WORDS, Relation, with_article

OPTIONS = 4
"""Options of a choice question; chance is one in four."""

_THINGS = ("apples", "books", "coins", "tickets", "stamps", "pencils", "cups", "shells", "cards")


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answer, and plausible wrong answers."""

    text: str
    answer: str
    options: tuple[str, ...]
    """`OPTIONS` of them, the right one included."""
    other_text: str = ""
    """The same question in other words."""
    is_open: bool = False
    """Whether it can be answered without seeing the options."""

    @property
    def wrong(self) -> str:
        """The first wrong option."""
        return next(option for option in self.options if option != self.answer)


def _with_wrong(answer: str, values: Sequence[str], code: int) -> tuple[str, ...]:
    """Options decided by a number: the answer's place, and wrong values in order."""
    code, place = divmod(code, OPTIONS)
    options = arranged(code, [value for value in values if value != answer], OPTIONS - 1)
    options.insert(place, answer)
    return tuple(options)


def _orders(values: int) -> int:
    """How many different options `_with_wrong` can make around an answer."""
    return OPTIONS * math.perm(values - 1, OPTIONS - 1)


def _about(relation: Relation) -> Callable[[Draw], Question]:
    values = relation.values
    space = len(relation.pairs) * _orders(len(values))

    def make(draw: Draw) -> Question:
        code, position = divmod(draw.unique(space), len(relation.pairs))
        subject, answer = relation.pairs[position]
        options = _with_wrong(answer, values, code)
        first, second = (wording.format(s=subject) for wording in relation.questions)
        return Question(first, answer, options, second)

    return make


def _category(name: str, members: tuple[str, ...]) -> Callable[[Draw], Question]:
    others = [word for other, words in CATEGORIES.items() if other != name for word in words]
    # One word in two categories would be a second right answer.
    others = [word for word in others if word not in members]
    space = len(members) * _orders(len(others) + 1)

    def make(draw: Draw) -> Question:
        code, position = divmod(draw.unique(space), len(members))
        answer = members[position]
        options = _with_wrong(answer, others, code)
        return Question(
            f"Which of these words names {with_article(name)}?",
            answer,
            options,
            f"One of these words stands for {with_article(name)}. Which one?",
        )

    return make


def _near(draw: Draw, answer: int) -> tuple[str, ...]:
    """Options around a number, its place drawn."""
    least = max(0, answer - 5)
    around = [value for value in range(least, answer + 6) if value != answer]
    options = [str(value) for value in draw.some(around, OPTIONS - 1)]
    options.insert(draw.below(OPTIONS), str(answer))
    return tuple(options)


def _sum(draw: Draw) -> Question:
    code, first = divmod(draw.unique(38 * 38 * len(_THINGS)), 38)
    thing, second = divmod(code, 38)
    name, things, a, b = draw.pick(FIRST_NAMES), _THINGS[thing], first + 2, second + 2
    return Question(
        f"{name} has {a} {things} and gets {b} more. How many {things} does {name} have now?",
        str(a + b),
        _near(draw, a + b),
        f"First {name} had {a} {things}, then came {b} more. "
        f"What is the number of {things} {name} has now?",
        is_open=True,
    )


def _difference(draw: Draw) -> Question:
    code, left = divmod(draw.unique(38 * 38 * len(_THINGS)), 38)
    thing, given = divmod(code, 38)
    name, things, rest, gone = draw.pick(FIRST_NAMES), _THINGS[thing], left + 2, given + 2
    return Question(
        f"{name} has {rest + gone} {things} and gives away {gone} of them. "
        f"How many {things} does {name} have left?",
        str(rest),
        _near(draw, rest),
        f"Of {rest + gone} {things}, {name} gives away {gone}. "
        f"What is the number of {things} that {name} keeps?",
        is_open=True,
    )


def _extreme(
    word: str, other: str, pick: Callable[[Sequence[int]], int]
) -> Callable[..., Question]:
    def make(draw: Draw) -> Question:
        # The first number is walked through its range, the rest lie at least 3 apart from it.
        base = 10 + draw.unique(900)
        values = [base]
        while len(values) < OPTIONS:
            value = draw.integer(10, 999)
            if all(abs(value - known) >= 3 for known in values):
                values.append(value)
        values = draw.some(values, OPTIONS)
        answer = pick(values)
        listed = ", ".join(map(str, values))
        return Question(
            f"Which of these numbers is the {word}: {listed}?",
            str(answer),
            tuple(str(value) for value in values),
            f"Look at the numbers {listed}. Which one is the {other}?",
            is_open=True,
        )

    return make


def _neighbour(step: int, word: str) -> Callable[[Draw], Question]:
    def make(draw: Draw) -> Question:
        number = 11 + draw.unique(9_000)
        answer = number + step
        return Question(
            f"Which whole number comes right {word} {number}?",
            str(answer),
            _near(draw, answer),
            f"Count up in ones. Which number is the one right {word} {number}?",
            is_open=True,
        )

    return make


def _words(draw: Draw, count: int) -> list[str]:
    """Different words; the first walks through all of them."""
    two = arranged(draw.unique(math.perm(len(WORDS), 2)), WORDS, 2)
    return [*two, *draw.some([word for word in WORDS if word not in two], count - 2)]


def _place(place: int, word: str) -> Callable[[Draw], Question]:
    def make(draw: Draw) -> Question:
        words = _words(draw, OPTIONS)
        listed = ", ".join(words)
        return Question(
            f"Which word is the {word} one in this list: {listed}?",
            words[place],
            tuple(draw.some(words, OPTIONS)),
            f"Here is a list: {listed}. What is its {word} word?",
            is_open=True,
        )

    return make


def _weekday(draw: Draw) -> Question:
    code, start = divmod(draw.unique(7 * 5 * len(FIRST_NAMES) * 9), 7)
    code, ahead = divmod(code, 5)
    name = FIRST_NAMES[code % len(FIRST_NAMES)]
    event = ("exam", "party", "trip", "test", "race", "show", "visit", "game", "concert")[
        code // len(FIRST_NAMES)
    ]
    answer = DAYS[(start + ahead + 2) % 7]
    wrong = draw.some([day for day in DAYS if day not in (answer, DAYS[start])], OPTIONS - 1)
    wrong.insert(draw.below(OPTIONS), answer)
    return Question(
        f"Today is {DAYS[start]}. The {event} of {name} is in {ahead + 2} days. "
        "On which day of the week is it?",
        answer,
        tuple(wrong),
        f"The {event} of {name} is {ahead + 2} days from today, and today is {DAYS[start]}. "
        f"Which day of the week is the {event}?",
        is_open=True,
    )


KINDS: dict[str, Callable[[Draw], Question]] = {
    **{relation.name: _about(relation) for relation in RELATIONS},
    **{name.split()[-1]: _category(name, words) for name, words in CATEGORIES.items()},
    "sum": _sum,
    "difference": _difference,
    "largest": _extreme("largest", "greatest", max),
    "smallest": _extreme("smallest", "least", min),
    "after": _neighbour(1, "after"),
    "before": _neighbour(-1, "before"),
    "first": _place(0, "first"),
    "last": _place(-1, "last"),
    "weekday": _weekday,
}
"""Every kind of question, by name."""

CHOICE_FORMS = 2
CHOICE_FAMILIES = tuple(f"{kind}:t{form}" for kind in KINDS for form in range(CHOICE_FORMS))


def choice_question(draw: Draw) -> tuple[str, Question]:
    """A question with its options in the prompt; the family decides kind and form."""
    kind, form = divmod(draw.family, CHOICE_FORMS)
    question = tuple(KINDS.values())[kind](draw)
    return with_options(question, form), question


def with_options(
    question: Question, form: int = 0, options: Sequence[str] = (), *, reworded: bool = False
) -> str:
    """The prompt for a question and its options (by default in the question's own order)."""
    options = options or question.options
    text = question.other_text if reworded else question.text
    if form == 0:
        return among(text, options)
    listed = "\n".join(f"- {option}" for option in options)
    return f"Choose the right answer.\n{text}\n{listed}\nReply with the right option only."


def among(text: str, options: Sequence[str]) -> str:
    """A question and what may be answered, in one line."""
    return f"{text}\nOptions: {', '.join(options)}\nAnswer with one of the options only."


def open_question(draw: Draw) -> tuple[str, Question]:
    """A question as one would ask it: openly where it computes, else among its options."""
    kind, form = divmod(draw.family, CHOICE_FORMS)
    question = tuple(KINDS.values())[kind](draw)
    if not question.is_open:
        return with_options(question, form), question
    text = question.other_text if form else question.text
    return f"{text} Give only the answer.", question
