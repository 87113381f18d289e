"""Novel rule: something made up is taught in the prompt and must be put to use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import COLOURS
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.knowledge import CATEGORIES
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.reading import is_right
from ullage.probes.scoring import ends_with

_NEW_WORDS = (
    "blick", "zorp", "dax", "wug", "tove", "snib", "glarn", "prell", "quorl", "vont", "yim", "kreb",
    "nush", "gorl", "jund", "lurb", "mib", "fendle", "rasp", "trusk", "haff", "plim", "sorg",
)  # fmt: skip
_NOUNS = tuple(
    word
    for name in ("animal", "fruit", "tool", "musical instrument")
    for word in CATEGORIES[name]
    if not word.endswith("s")
)
_ENDINGS = ("ko", "fa", "zu", "mi", "tep", "lan")
_ORDINALS = ("first", "second", "third", "fourth")
_UNKNOWN = "I don't know that rule."


@dataclass(frozen=True, slots=True)
class _Lesson:
    """A rule with an example, one of another word that does not help, and a case to apply it to."""

    rule: str
    other: str
    question: str
    answer: str
    wrong: str
    choices: tuple[str, ...] = ()


def _two(draw: Draw, low: int, high: int) -> tuple[int, int]:
    """Two different numbers: the rule's own, and the other rule's."""
    first, second = draw.some(range(low, high + 1), 2)
    return first, second


def _twice_and(draw: Draw, word: str, other: str) -> _Lesson:
    def rule(name: str, times: int) -> str:
        return (
            f'The sign "{name}" takes the first number {times} times and adds the second. '
            f"So 2 {name} 3 is {2 * times + 3}."
        )

    first, second = divmod(draw.unique(6 * 60), 60)
    first, second = first + 4, second + 11
    times, theirs = _two(draw, 3, 9)
    return _Lesson(
        rule(word, times),
        rule(other, theirs),
        f"What is {first} {word} {second}?",
        str(times * first + second),
        str(first + second),
    )


def _times_less(draw: Draw, word: str, other: str) -> _Lesson:
    def rule(name: str, less: int) -> str:
        return (
            f'The sign "{name}" multiplies two numbers and takes away {less}. '
            f"So 4 {name} 5 is {20 - less}."
        )

    first, second = divmod(draw.unique(20 * 20), 20)
    first, second = first + 5, second + 6
    less, theirs = _two(draw, 2, 9)
    return _Lesson(
        rule(word, less),
        rule(other, theirs),
        f"What is {first} {word} {second}?",
        str(first * second - less),
        str(first * second),
    )


def _unit(draw: Draw, word: str, other: str) -> _Lesson:
    def rule(name: str, steps: int) -> str:
        return f"One {name} is as long as {steps} steps. So 2 {name}s are {2 * steps} steps."

    count = 3 + draw.unique(200)
    steps, theirs = _two(draw, 4, 15)
    return _Lesson(
        rule(word, steps),
        rule(other, theirs),
        f"How many steps are {count} {word}s?",
        str(count * steps),
        str(count + steps),
    )


def _points(draw: Draw, word: str, other: str) -> _Lesson:
    def rule(name: str, points: int) -> str:
        return (
            f"A {name} card is worth {points} points, a plain card 1 point. "
            f"So a {name} card and a plain one make {points + 1} points."
        )

    first, plain = divmod(draw.unique(20 * 20), 20)
    first, plain = first + 2, plain + 2
    points, theirs = _two(draw, 3, 12)
    return _Lesson(
        rule(word, points),
        rule(other, theirs),
        f"How many points do {first} {word} cards and {plain} plain cards make?",
        str(first * points + plain),
        str(first + plain),
    )


def _parity(draw: Draw, word: str, other: str) -> _Lesson:
    def rule(name: str, more: int) -> str:
        return (
            f"The {name} of an even number is half of it plus {more}, that of an odd number is "
            f"the number plus {more}. So the {name} of 8 is {4 + more}."
        )

    number = 21 + draw.unique(900)
    more, theirs = _two(draw, 2, 12)
    half = number // 2 + more
    whole = number + more
    right, wrong = (half, whole) if number % 2 == 0 else (whole, half)
    return _Lesson(
        rule(word, more),
        rule(other, theirs),
        f"What is the {word} of {number}?",
        str(right),
        str(wrong),
    )


def _backwards(draw: Draw, word: str, other: str) -> _Lesson:
    return _spelling(draw, word, other, "write it backwards", lambda text: text[::-1])


def _tail(draw: Draw, word: str, other: str) -> _Lesson:
    end = draw.pick(_ENDINGS)
    return _spelling(draw, word, other, f'put "{end}" at its end', lambda text: text + end)


def _ends(draw: Draw, word: str, other: str) -> _Lesson:
    def swap(text: str) -> str:
        return text[-1] + text[1:-1] + text[0]

    return _spelling(draw, word, other, "let its first and last letter change places", swap)


def _spelling(
    draw: Draw, word: str, other: str, does: str, change: Callable[[str], str]
) -> _Lesson:
    """A change of letters; what does not help is another change, under another name."""
    nouns = [noun for noun in _NOUNS if change(noun) != noun]
    noun = nouns[draw.unique(len(nouns))]
    example = draw.pick([one for one in nouns if one != noun])
    end = draw.pick([one for one in _ENDINGS if one not in does])
    return _Lesson(
        f'To {word} a word is to {does}. So "{example}" becomes "{change(example)}".',
        f'To {other} a word is to put "{end}" before it. So "{example}" becomes "{end}{example}".',
        f'What becomes of "{noun}" when you {word} it?',
        change(noun),
        noun,
    )


def _position(draw: Draw, word: str, other: str) -> _Lesson:
    shown = draw.some(COLOURS, 4)

    def rule(name: str, place: int) -> str:
        return (
            f"The {name} of a list is its {_ORDINALS[place]} word. "
            f"So the {name} of: {', '.join(shown)} is {shown[place]}."
        )

    start = _NOUNS[draw.unique(len(_NOUNS))]
    nouns = draw.some([start, *draw.some([one for one in _NOUNS if one != start], 4)], 5)
    place, theirs = _two(draw, 0, 3)
    return _Lesson(
        rule(word, place),
        rule(other, theirs),
        f"What is the {word} of: {', '.join(nouns)}?",
        nouns[place],
        nouns[theirs],
        tuple(nouns),
    )


def _more_words(draw: Draw, *taken: str) -> list[str]:
    """Two more made-up words."""
    return draw.some([word for word in _NEW_WORDS if word not in taken], 2)


def _label(draw: Draw, word: str, other: str) -> _Lesson:
    light, theirs = _more_words(draw, word, other)
    limit = 10 + draw.unique(80)
    weight = limit + draw.pick((-6, -5, -4, -3, 3, 4, 5, 6))

    def rule(heavy: str, name: str) -> str:
        return (
            f"A box of more than {limit} kilos is called a {heavy}, any other box a {name}. "
            f"So a box of {limit + 9} kilos is a {heavy}."
        )

    right, wrong = (word, light) if weight > limit else (light, word)
    return _Lesson(
        rule(word, light),
        rule(other, theirs),
        f"Is a box of {weight} kilos called a {word} or a {light}?",
        right,
        wrong,
        (word, light),
    )


def _language(draw: Draw, word: str, other: str) -> _Lesson:
    thing, theirs = _more_words(draw, word, other)
    noun = _NOUNS[draw.unique(len(_NOUNS))]
    colour, another = draw.some(COLOURS, 2)
    return _Lesson(
        f'In a new language, "{word}" means {colour} and "{thing}" means {noun}. The colour is '
        "said first, as in English.",
        f'In a new language, "{other}" means {another} and "{theirs}" means roof. The colour is '
        "said first, as in English.",
        f'What does "{word} {thing}" mean in English?',
        f"{colour} {noun}",
        f"{another} roof",
    )


_KINDS: dict[str, Callable[[Draw, str, str], _Lesson]] = {
    "twice-and": _twice_and,
    "times-less": _times_less,
    "unit": _unit,
    "points": _points,
    "parity": _parity,
    "backwards": _backwards,
    "tail": _tail,
    "ends": _ends,
    "position": _position,
    "label": _label,
    "language": _language,
}
_FORMS = (
    "Here is a new rule. {rule} {question} Give only the answer.",
    "Let us agree on something. {rule} Reply with the answer alone. {question}",
    "{question} This is what you need to know. {rule} Give only the answer.",
    "You have not heard of this before. {rule} Now it is your turn. {question} Answer only.",
)


class NovelRule(PackagedProbe):
    """One question after the rule that answers it, and after a rule of another made-up word.

    The second is what the model does without being taught: what it knew, or guessed, earns nothing.
    """

    name = "novel-rule"
    dimension = Dimension.AGENCY
    families = tuple(f"{kind}:t{form}" for kind in _KINDS for form in range(len(_FORMS)))
    example: ClassVar[str] = (
        '{"taught": "A blick is seven eggs. How many eggs are 2 blicks?", '
        '"untaught": "A zorp is six eggs. How many eggs are 2 blicks?", "reference": "14"}'
    )
    metrics = (
        Metric(
            name="uptake",
            summary="It can be taught less: a new rule helps it to fewer right answers.",
            bounds=(-1.0, 1.0),
            chance=0.0,
            reference="after Lake and Baroni 2023 (Nature 623) on made-up words, taught minus "
            "untaught (Youden 1950)",
        ),
        Metric(name="applies", summary="It applies a rule that it was just told less often."),
    )

    def make(self, draw: Draw) -> Item:
        """A rule of a made-up word, another word's rule, and a case."""
        kind, form = divmod(draw.family, len(_FORMS))
        word, other = draw.some(_NEW_WORDS, 2)
        lesson = tuple(_KINDS.values())[kind](draw, word, other)
        frame = _FORMS[form]
        return drawn(
            frame.format(rule=lesson.rule, question=lesson.question),
            answer=lesson.answer,
            wrong=lesson.wrong,
            choices=lesson.choices,
            data={"untaught": frame.format(rule=lesson.other, question=lesson.question)},
        )

    def read(self, record: Record) -> Item:
        """A question with its rule (`taught`), the same with a rule that does not help.

        The latter is `untaught`; the right answer is `reference`, a `wrong` one if known.
        """
        item = drawn(
            record.text("taught"),
            answer=record.reference(),
            wrong=record.text("wrong", ""),
            choices=record.texts("choices"),
            data={"untaught": record.text("untaught")},
        )
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask with the rule, and without."""
        taught = yield from ask(self.put(item))
        # Not to know is right there, and the lesson's answer is what was not learnt from it.
        control = self.put(
            item, item.data["untaught"], expects="abstain", answer=_UNKNOWN, wrong=item.answer
        )
        untaught = yield from ask(control)
        applies = float(_right(taught.text, item))
        return {"uptake": applies - float(_right(untaught.text, item)), "applies": applies}


def _right(text: str, item: Item) -> bool:
    """Whether the answer is given; of a reply that computes, its last number counts."""
    return is_right(text, item) or (item.answer.isdecimal() and ends_with(text, item.answer) == 1.0)
