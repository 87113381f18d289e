"""Formats: one question, its dates, numbers, ids, units or casing written in several ways."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ullage.models.types import user
from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import CITIES, FIRST_NAMES
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import ANSWER_FROM_TEXT, capital
from ullage.probes.scoring import contains, is_abstention, mentions

Variants = tuple[list[str], str, str]
"""Prompts in several formats, the answer, and a wrong one."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip


def _answers(text: str, item: Item) -> bool:
    if not contains(text, item.answer) or is_abstention(text):
        return False
    return not item.wrong or mentions(text, (item.answer, item.wrong)) == [0]


def _item(prompts: tuple[str, ...], answer: str, wrong: str) -> Item:
    item = drawn(prompts[0], answer=answer, wrong=wrong, data={"prompts": list(prompts)})
    return replace(item, messages=(user(prompts[0]),))


def _ask(*lines: str) -> str:
    return f"{' '.join(lines)} {ANSWER_FROM_TEXT}"


def _dates(draw: Draw, noun: str) -> Variants:
    """In which month? Day and month cannot be confused: the day is above 12."""
    code, number = divmod(draw.unique(9000 * 12), 9000)
    month, day, year = code + 1, draw.integer(13, 28), draw.integer(1990, 2029)
    name = _MONTHS[code]
    written = (
        f"{year}-{month:02d}-{day}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{day}.{month:02d}.{year}",
    )
    prompts = [
        _ask(
            f"{capital(noun)} {1000 + number} was signed on {date}.",
            "In which month was it signed? Give the name of the month.",
        )
        for date in written
    ]
    return prompts, name, _MONTHS[(code + draw.integer(1, 11)) % 12]


def _numbers(draw: Draw, noun: str) -> Variants:
    """Who has more? The numbers lie a fifth or more apart."""
    code, number = divmod(draw.unique(9000 * 8), 9000)
    small = 1000 * draw.integer(2, 8) + 100 * (code + 1)
    large = small + 100 * draw.integer(small // 500, 25)
    names = draw.some(FIRST_NAMES, 2)
    values = (large, small) if draw.below(2) else (small, large)
    writers: tuple[Callable[[int], str], ...] = (
        str,
        lambda n: f"{n:,}",
        lambda n: f"{n:,}".replace(",", "\u202f"),
        lambda n: f"{n / 1000:g} thousand",
    )
    prompts = [
        _ask(
            f"For {noun} {1000 + number}, {names[0]} offers {write(values[0])} euros and "
            f"{names[1]} offers {write(values[1])} euros.",
            "Who offers more?",
        )
        for write in writers
    ]
    return prompts, names[values.index(large)], names[values.index(small)]


def _ids(draw: Draw, noun: str) -> Variants:
    """Which city? The id is written in the question otherwise than in the text."""
    code = draw.unique(26 * 9000)
    letters, digits = chr(65 + code % 26) + draw.pick("KLMRTX"), 1000 + code // 26
    other = 1000 + (digits - 1000 + draw.integer(1, 8999)) % 9000
    city, wrong = draw.some(CITIES, 2)
    told = [
        f"{capital(noun)} {letters}-{digits} is in {city}.",
        f"{capital(noun)} {letters}-{other} is in {wrong}.",
    ]
    told = told if draw.below(2) else told[::-1]
    written = (
        f"{letters}-{digits}",
        f"{letters}{digits}",
        f"{letters.lower()}-{digits}",
        f"{letters} {digits}",
    )
    return [_ask(*told, f"In which city is {noun} {form}?") for form in written], city, wrong


def _units(draw: Draw, noun: str) -> Variants:
    """Who walks further? One way in metres, the other in several units."""
    code, first = divmod(draw.unique(30 * 29 * 8), len(FIRST_NAMES))
    steps, second = divmod(code, len(FIRST_NAMES) - 1)
    names = [FIRST_NAMES[first], FIRST_NAMES[(first + 1 + second) % len(FIRST_NAMES)]]
    metres = 2000 + 500 * steps
    other = metres + (1 if draw.below(2) else -1) * 100 * draw.integer(5, 15)
    answer, wrong = names if metres > other else names[::-1]
    written = (
        f"{metres} m",
        f"{metres / 1000:g} km",
        f"{metres:,} metres",
        f"{metres / 1000:g} kilometres",
    )
    prompts = [
        _ask(
            f"To reach the {noun}, {names[0]} walks {form} and {names[1]} walks {other} m.",
            "Who walks further?",
        )
        for form in written
    ]
    return prompts, answer, wrong


def _casing(draw: Draw, noun: str) -> Variants:
    """Who looks after it? The question shouts, whispers, or is written as usual."""
    code, number = divmod(draw.unique(9000 * len(CITIES)), 9000)
    name, wrong = draw.some(FIRST_NAMES, 2)
    entity, other = f"{noun} {1000 + number}", f"{noun} {1000 + (number + 7) % 9000}"
    told = f"In {CITIES[code]}, {name} looks after {entity} and {wrong} looks after {other}."
    question = f"Who looks after {entity}?"
    cased = (question, question.upper(), question.lower(), question.title())
    return [_ask(told, form) for form in cased], name, wrong


_KINDS: dict[str, tuple[Callable[[Draw, str], Variants], str]] = {
    "dates": (_dates, "contract permit letter claim report licence lease form treaty receipt"),
    "numbers": (_numbers, "boat house painting piano watch carpet horse sofa ring stamp"),
    "ids": (_ids, "parcel crate file badge suitcase bicycle container pallet trunk barrel"),
    "units": (_units, "station school market harbour museum farm mill bridge castle library"),
    "casing": (_casing, "room garden boat horse shop kiosk pond barn stable tower"),
}
_FAMILIES = tuple((kind, noun) for kind, (_, nouns) in _KINDS.items() for noun in nouns.split())


class Formats(PackagedProbe):
    """Accuracy over formats, and how much hangs on the format (after arXiv 2310.11324)."""

    name = "formats"
    dimension = Dimension.BOUNDARY
    families = tuple(f"{kind}:{noun}" for kind, noun in _FAMILIES)
    example = (
        '{"prompts": ["Order 17 left on 2024-03-05. In which month?", '
        '"Order 17 left on 5 March 2024. In which month?"], "reference": "March"}'
    )
    metrics = (
        Metric(name="accuracy", summary="It reads fewer of the usual ways to write a value."),
        Metric(
            name="spread",
            summary="More answers hang on how a date, number, id or unit is written.",
            higher_is_better=False,
            reference="Sclar et al. 2023 (arXiv 2310.11324): per item, not per task",
        ),
    )

    def make(self, draw: Draw) -> Item:
        """A question whose answer does not depend on the format, in every format of its kind."""
        kind, noun = _FAMILIES[draw.family]
        prompts, answer, wrong = _KINDS[kind][0](draw, noun)
        return _item(tuple(prompts), answer, wrong)

    def read(self, record: Record) -> Item:
        """The same question as a list of `prompts`, and its `reference`."""
        item = _item(record.texts("prompts", least=2), record.reference(), record.text("wrong", ""))
        return record.named(item, self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask in every format."""
        scores = []
        for text in item.data["prompts"]:
            reply = yield from ask(self.put(item, text))
            scores.append(float(_answers(reply.text, item)))
        return {"accuracy": sum(scores) / len(scores), "spread": max(scores) - min(scores)}
