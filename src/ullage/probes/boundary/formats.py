"""Formats: one question, its dates, numbers, ids, units or casing written in several ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ullage.probes.base import PackagedProbe, drawn
from ullage.probes.domains import CITIES, FIRST_NAMES
from ullage.probes.draw import Draw, paired
from ullage.probes.grounding import gives_answer
from ullage.probes.jsonl import Record
from ullage.probes.normalise import MONTHS
from ullage.probes.protocol import Conversation, Dimension, Item, Metric, ask
from ullage.probes.scenes import ANSWER_FROM_TEXT, capital

Variants = tuple[list[str], list[str], list[str]]
"""Prompts in several formats, and to each its answer and a wrong one."""

_MONTHS = tuple(map(capital, MONTHS))


def _item(prompts: Sequence[str], answers: Sequence[str], wrong: Sequence[str]) -> Item:
    data = {"prompts": list(prompts), "answers": list(answers), "wrong": list(wrong)}
    return drawn(prompts[0], answer=answers[0], wrong=wrong[0], data=data)


def _alike(prompts: list[str], answer: str, wrong: str) -> Variants:
    """The format is in the question only."""
    return prompts, [answer] * len(prompts), [wrong] * len(prompts)


def _ask(*lines: str) -> str:
    return f"{' '.join(lines)} {ANSWER_FROM_TEXT}"


def _dates(draw: Draw, noun: str) -> Variants:
    """In which month? Day and month cannot be confused: the day is above 12."""
    code, number = divmod(draw.unique(9000 * 12), 9000)
    month, day, year = code + 1, draw.integer(13, 28), draw.integer(1990, 2029)
    name = _MONTHS[code]
    prompts = [
        _ask(
            f"{capital(noun)} {1000 + number} was signed on {date}.",
            "In which month was it signed? Give the name of the month.",
        )
        for date in _written(year, month, day)
    ]
    return _alike(prompts, name, _MONTHS[(code + draw.integer(1, 11)) % 12])


def _written(year: int, month: int, day: int) -> tuple[str, ...]:
    """A date in four styles."""
    name = _MONTHS[month - 1]
    return (
        f"{year}-{month:02d}-{day}",
        f"{day} {name} {year}",
        f"{name} {day}, {year}",
        f"{day}.{month:02d}.{year}",
    )


def _whole_dates(draw: Draw, noun: str) -> Variants:
    """On which date? The answer is in the format, too; any style of writing it is right."""
    code, number = divmod(draw.unique(9000 * 12), 9000)
    year, ahead = draw.integer(1990, 2019), draw.integer(1, 9)
    first = _written(year, code + 1, draw.integer(13, 28))
    last = _written(year + ahead, draw.integer(1, 12), draw.integer(13, 28))
    entity = f"{capital(noun)} {1000 + number}"
    told = [
        f"{entity} was bought on {a} and sold on {b}." for a, b in zip(first, last, strict=True)
    ]
    if draw.below(2):
        return [_ask(one, "On which date was it sold?") for one in told], [*last], [*first]
    return [_ask(one, "On which date was it bought?") for one in told], [*first], [*last]


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
    return _alike(prompts, names[values.index(large)], names[values.index(small)])


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
    prompts = [_ask(*told, f"In which city is {noun} {form}?") for form in written]
    return _alike(prompts, city, wrong)


def _units(draw: Draw, noun: str) -> Variants:
    """Who walks further? One way in metres, the other in several units."""
    first, second, steps = paired(draw.unique(30 * 29 * 8), FIRST_NAMES)
    names = [first, second]
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
    return _alike(prompts, answer, wrong)


def _casing(draw: Draw, noun: str) -> Variants:
    """Who looks after it? The question shouts, whispers, or is written as usual."""
    code, number = divmod(draw.unique(9000 * len(CITIES)), 9000)
    name, wrong = draw.some(FIRST_NAMES, 2)
    entity, other = f"{noun} {1000 + number}", f"{noun} {1000 + (number + 7) % 9000}"
    told = f"In {CITIES[code]}, {name} looks after {entity} and {wrong} looks after {other}."
    question = f"Who looks after {entity}?"
    cased = (question, question.upper(), question.lower(), question.title())
    return _alike([_ask(told, form) for form in cased], name, wrong)


_KINDS: dict[str, tuple[Callable[[Draw, str], Variants], str]] = {
    "dates": (_dates, "contract permit letter claim report licence lease form treaty receipt"),
    "whole-dates": (_whole_dates, "farm ship hotel mill bakery vineyard tram kiosk barge theatre"),
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
        return _item(*_KINDS[kind][0](draw, noun))

    def read(self, record: Record) -> Item:
        """The same question as a list of `prompts`, and its `reference`.

        Where the answer, too, is written in the format: `answers`, one for each prompt. An answer
        that would be `wrong`, if known.
        """
        prompts = record.texts("prompts", least=2)
        wrong = [record.text("wrong", "")] * len(prompts)
        return record.named(_item(prompts, _answers(record, len(prompts)), wrong), self.name)

    def converse(self, item: Item) -> Conversation:
        """Ask in every format."""
        scores = []
        told = zip(item.data["prompts"], item.data["answers"], item.data["wrong"], strict=True)
        for text, answer, wrong in told:
            reply = yield from ask(self.put(item, text, answer=answer, wrong=wrong))
            scores.append(float(gives_answer(reply.text, answer, wrong)))
        return {"accuracy": sum(scores) / len(scores), "spread": max(scores) - min(scores)}


def _answers(record: Record, count: int) -> list[str]:
    """One answer a prompt: those given, or the reference again and again."""
    if not record.has("answers"):
        return [record.reference()] * count
    given = record.texts("answers", alike=True)
    if len(given) != count:
        record.refuse(f"'answers' must be a list of {count} texts, one for each of 'prompts'")
    return list(given)
