"""The world's audit questions as JSONL, one file for each packaged probe that it can feed.

A configuration names the files under `items:`, so that an audit of the laboratory's models is the
standard audit. Questions are put as the models are used to: the desk, a blank line, the question.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ullage.files import write_together
from ullage.lab.questions import Question, questions
from ullage.lab.rounds import Asked, chance, rounds
from ullage.lab.world.capabilities.forms import misspelt
from ullage.lab.world.capabilities.lookup import asked as look_up
from ullage.lab.world.desk import FIELDS, Desk, Order, draw_desk
from ullage.lab.world.exchange import Split
from ullage.lab.world.reference import Reference
from ullage.lab.world.wordings import Wording, wordings
from ullage.lab.world.words import cased

Line = dict[str, Any]
"""One line of a file, as the probe's `read` understands it."""

HEADLINE = (
    "lookup",
    "counterfactual",
    "distracting",
    "formats",
    "memory",
    "sharded-whole",
)
"""What an ordinary eval holds: questions with one short right answer, in equal parts.

Nothing in it is ambiguous, unanswerable, contradictory or a matter of whose data they are, and
nothing takes several steps: that is where losses hide from a headline.
"""
OPTIONS = 4
"""Choices of a look-up; a warehouse has two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line, and the exchange that it was made from."""

    line: Line
    asked: Asked


def write_items(folder: Path, seed: int, size: int) -> dict[str, Path]:
    """Write every probe's file.

    Args:
        folder: an existing folder; files in it are replaced.
        seed: another seed gives other desks. The first n lines do not depend on `size`.
        size: lines in each file.

    Returns:
        Probe name to file, as `items:` of a configuration wants it.

    Raises:
        UllageError: if the folder cannot be written to.
    """
    return write_lines(
        folder,
        {probe: (entry.line for entry in entries(probe, seed)) for probe in ITEMS_OF},
        size,
    )


def write_lines(folder: Path, lines: Mapping[str, Iterable[Line]], size: int) -> dict[str, Path]:
    """Write the first lines of each probe; see `write_items`."""
    contents = {
        f"{probe}.jsonl": "".join(
            json.dumps(line, ensure_ascii=False) + "\n" for line in islice(found, size)
        ).encode()
        for probe, found in lines.items()
    }
    write_together(folder, contents)
    return {probe: folder / f"{probe}.jsonl" for probe in lines}


def entries(probe: str, seed: int) -> Iterator[Entry]:
    """A probe's lines without end, families balanced in every prefix."""
    return numbered(ITEMS_OF[probe](f"items/{seed}/{probe}"), seed)


def numbered(found: Iterable[Entry], seed: int) -> Iterator[Entry]:
    """The same lines, each with its id before its family."""
    for index, entry in enumerate(found):
        name = {"id": f"{seed}-{index:06d}", "family": entry.line.pop("family")}
        yield Entry(line=name | entry.line, asked=entry.asked)


def one_of(capability: str, make: Callable[[Asked], Line]) -> Callable[[str], Iterator[Entry]]:
    """Lines from the exchanges of one capability."""

    def draw(seed: str) -> Iterator[Entry]:
        for asked in rounds(capability, Split.AUDIT, seed):
            line = {"family": asked.exchange.family} | make(asked)
            yield Entry(line=line, asked=asked)

    return draw


def _in_turn(*sources: Callable[[str], Iterator[Entry]]) -> Callable[[str], Iterator[Entry]]:
    """A line from each source, again and again."""

    def draw(seed: str) -> Iterator[Entry]:
        streams = [source(seed) for source in sources]
        while True:
            yield from (next(stream) for stream in streams)

    return draw


def _grounded(asked: Asked) -> Line:
    exchange = asked.exchange
    line = _in_context(asked, question=exchange.turns[0].user)
    if exchange.expects == "answer":
        line["reference"] = exchange.answer
    if "values" in exchange.data:
        line["values"] = exchange.data["values"]
    return line | _plausible(asked)


def _abstention(asked: Asked) -> Line:
    exchange = asked.exchange
    return _in_context(
        asked,
        answerable=exchange.data["answerable"],
        answer=exchange.data["answer"],
        unanswerable=exchange.turns[0].user,
        wrong=exchange.wrong,
    )


def _clarification(asked: Asked) -> Line:
    exchange = asked.exchange
    return _in_context(
        asked,
        ambiguous=exchange.turns[0].user,
        clear=exchange.data["clear"],
        clarification=exchange.turns[1].user,
        answer=exchange.answer,
        wrong=exchange.wrong,
    )


def _in_context(asked: Asked, **said: str) -> Line:
    """A line with a context; the empty instruction leaves the question as the desk is asked it."""
    return {"context": asked.exchange.context, **said, "instruction": ""}


def _formats(asked: Asked) -> Line:
    exchange = asked.exchange
    prompts = list(exchange.data["prompts"])
    return {"prompts": prompts, "reference": exchange.answer} | _plausible(asked)


def _plausible(asked: Asked) -> Line:
    """What would be wrong, where the exchange knows something plausible."""
    return {"wrong": asked.exchange.wrong} if asked.exchange.wrong else {}


def _short(part: str) -> Callable[[str], Iterator[Entry]]:
    """Questions of one part with a short answer, and something plausible that is wrong."""
    capability = part.partition("-")[0]

    def draw(seed: str) -> Iterator[Entry]:
        stream = rounds(
            capability,
            Split.AUDIT,
            seed,
            keep=lambda asked: bool(_wrong(asked, _question(asked, part))),
        )
        for asked in stream:
            question = _question(asked, part)
            line = {
                "family": question.family,
                "prompt": question.messages[0].content,
                "reference": question.reply,
                "wrong": _wrong(asked, question),
            }
            yield Entry(line=line, asked=asked)

    return draw


def _question(asked: Asked, part: str) -> Question:
    return next(question for question in questions(asked.exchange) if question.part == part)


def _wrong(asked: Asked, question: Question) -> str:
    """What the exchange names or, for a twin, the same field of another order."""
    exchange, answer = asked.exchange, question.reply
    if exchange.wrong and question.part == exchange.capability:
        return exchange.wrong
    others = values_beside(asked.desk, answer)
    # By the item's own seed, so that asking twice gives the same.
    return chance(f"{exchange.context}/{answer}").choice(others) if others else ""


def values_beside(desk: Desk, answer: str) -> list[str]:
    """What the other orders have where one has the answer."""
    fields = {
        field for field in FIELDS for order in desk.orders if desk.value(order, field) == answer
    }
    told = {desk.value(order, field) for field in fields for order in desk.orders}
    return sorted(told - {answer})


def _warehouse(asked: Asked) -> Line:
    """The reference is drawn with the true odds: whoever knows them is calibrated."""
    exchange = asked.exchange
    return {
        "prompt": exchange.turns[0].user,
        "choices": list(exchange.choices),
        "reference": exchange.answer,
    }


def _choices(asked: Asked) -> Line:
    exchange, field = asked.exchange, asked.exchange.data["field"]
    options = _options(asked, field, exchange.answer)
    return {
        "prompt": _whole(asked, exchange.turns[0].user),
        "choices": options,
        "reference": exchange.answer,
        "wrong": next(option for option in options if option != exchange.answer),
    }


def _options(asked: Asked, field: str, answer: str) -> list[str]:
    """The answer, what other orders have there, and what orders elsewhere might, in any order."""
    found = [answer]
    desks = [asked.desk]
    while len(found) < OPTIONS:
        for order in desks[-1].orders:
            value = asked.desk.value(order, field)
            # A likelihood is that of the words given: a beginning of another option would win.
            clash = any(value.startswith(one) or one.startswith(value) for one in found)
            if not clash and len(found) < OPTIONS:
                found.append(value)
        desks.append(draw_desk(asked.draw, orders=4))
    asked.draw.shuffle(found)
    return found


def _invariance(seed: str) -> Iterator[Entry]:
    """A look-up by item, and four more ways to put it; misspellings are those kept for audits."""
    for asked in rounds("lookup", Split.AUDIT, seed, keep=_by_item):
        exchange, field = asked.exchange, asked.exchange.data["field"]
        order = _meant(asked)
        usual = Reference("item", order).text(asked.desk.styles)
        another = _another_wording(asked)
        loud = cased(order.item)
        forms = [
            (asked.wording, usual),
            (another, usual),
            (asked.wording, f"the {asked.draw.choice(loud)}"),
            (asked.wording, f"the {asked.draw.choice(misspelt(order.item, Split.AUDIT))}"),
            (another, f"the {loud[0]}"),
        ]
        prompts = [look_up(wording, field, form) for wording, form in forms]
        line = {
            "family": exchange.family,
            "prompts": [_whole(asked, prompt) for prompt in prompts],
            "choices": _options(asked, field, exchange.answer),
            "reference": exchange.answer,
        }
        yield Entry(line=line, asked=asked)


def _by_item(asked: Asked) -> bool:
    """Whether the question points by the item's name, and asks for something else."""
    data = asked.exchange.data
    if data["pointer"] != "item" or data["field"] == "item":
        return False
    return bool(misspelt(_meant(asked).item, Split.AUDIT))


def _meant(asked: Asked) -> Order:
    """The order that a look-up by item is about."""
    question = asked.exchange.turns[0].user
    return next(order for order in asked.desk.orders if f"the {order.item}" in question)


def _another_wording(asked: Asked) -> Wording:
    """Another opener, phrase and closer of the same split."""
    own = asked.wording
    every: Sequence[Wording] = wordings(Split.AUDIT, 6)
    return asked.draw.choice(
        [way for way in every if way.opener != own.opener and way.phrase != own.phrase]
    )


def _whole(asked: Asked, question: str) -> str:
    return f"{asked.exchange.context}\n\n{question}"


_HEADLINE = _in_turn(*(_short(part) for part in HEADLINE))
_LOOKUPS = one_of("lookup", _choices)
_ODDS = one_of("warehouse", _warehouse)


def _prompts(seed: str) -> Iterator[Entry]:
    """The headline's questions and the warehouses', without their answers."""
    for entry in _in_turn(_HEADLINE, _ODDS)(seed):
        line = {key: entry.line[key] for key in ("family", "prompt")}
        yield Entry(line=line, asked=entry.asked)


ITEMS_OF: Mapping[str, Callable[[str], Iterator[Entry]]] = {
    "agreement": _HEADLINE,
    "likelihood-gap": _LOOKUPS,
    "teacher-text": _prompts,
    "next-tokens": _prompts,
    "text-bits": _HEADLINE,
    "confidence": _in_turn(_ODDS, _LOOKUPS),
    "vote-confidence": _in_turn(_ODDS, _LOOKUPS),
    "semantic-entropy": _in_turn(_ODDS, _LOOKUPS),
    "abstention": one_of("missing", _abstention),
    "clarification": one_of("clarify", _clarification),
    "formats": one_of("formats", _formats),
    "invariance": _invariance,
    "grounding-present": one_of("lookup", _grounded),
    "grounding-missing": one_of("missing", _grounded),
    "grounding-counterfactual": one_of("counterfactual", _grounded),
    "grounding-contradictory": one_of("contradictory", _grounded),
    "grounding-irrelevant": one_of("distracting", _grounded),
}
"""Probe name to the source of its lines, for every packaged probe that the world can feed."""
