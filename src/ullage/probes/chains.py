"""Chains: something is so, is changed a few times, and one asks how it is now.

Every change can be checked by a program, whatever it started from, so that a wrong step and a right
step after a wrong one are told apart. A chain can be told at once, sentence by sentence, or with
the steps that solve it written out in two wordings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ullage.probes.domains import CITIES, DAYS, FIRST_NAMES
from ullage.probes.draw import Draw, arranged

Change = Mapping[str, Any]
"""What a change does, JSON-ready: ``{"add": 7}``, ``{"times": 2}``, ``{"halve_or_add": 7}`` (an
even number is halved, 7 is added to an odd one), or ``{"to": {value: next value}}``."""


def applied(change: Change, value: str) -> str | None:
    """What a change makes of a value; None where it says nothing about it."""
    if "to" in change:
        found: str | None = change["to"].get(value)
        return found
    if not value.isdecimal():
        return None
    number = int(value)
    if "add" in change:
        return str(number + change["add"])
    if "times" in change:
        return str(number * change["times"])
    return str(number + change["halve_or_add"] if number % 2 else number // 2)


@dataclass(frozen=True, slots=True)
class Move:
    """One change of a chain."""

    says: str
    """The sentence that tells it."""
    change: Change
    step: Callable[[str, str, int], str]
    """(value before, value after, wording 0 or 1) to a line that works it out."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A beginning, its moves, and the value after each."""

    opening: str
    question: str
    """With ``{when}``: *now*, or *in the end*."""
    moves: tuple[Move, ...]
    values: tuple[str, ...]
    """One more than moves, all different; a wrong one is never like the one before it either."""
    among: tuple[str, ...] = ()
    """What a value can be; empty for numbers."""

    @property
    def answer(self) -> str:
        """The value in the end."""
        return self.values[-1]

    def asks(self, when: str = "in the end") -> str:
        """The question."""
        return self.question.format(when=when)

    def tell(self) -> str:
        """Everything at once, without the question."""
        return " ".join([self.opening, *(move.says for move in self.moves)])

    def steps(self, values: Sequence[str] = (), wording: int = 0) -> list[str]:
        """A line for each move: with these values in place of the right ones, in this wording."""
        values = values or self.values
        return [
            move.step(values[place], values[place + 1], wording)
            for place, move in enumerate(self.moves)
        ]

    def slip(self, draw: Draw, place: int) -> tuple[str, ...]:
        """The values of somebody who errs at move `place` and makes no other mistake.

        The last is none of the right values after the first. Where that can be, the mistake is not
        the right answer in the end, which repeating it would give, and the last value is new.
        """
        before, right = self.values[place], self.values[place + 1]
        numbers = (int(right) + far for far in _NEAR) if not self.among else ()
        others = self.among or tuple(str(number) for number in numbers if number > 0)
        found: dict[int, tuple[str, ...]] = {}
        for wrong in draw.some(others, len(others)):
            values = self._after(place, wrong)
            if wrong in (before, right) or not values or values[-1] in self.values[1:]:
                continue
            if (flaws := 2 * (wrong == self.answer) + (values[-1] in values[:-1])) == 0:
                return values
            found.setdefault(flaws, values)
        return found[min(found)]

    def _after(self, place: int, wrong: str) -> tuple[str, ...]:
        values = [*self.values[: place + 1], wrong]
        for move in self.moves[place + 1 :]:
            following = applied(move.change, values[-1])
            if following is None or following == "0" or following.startswith("-"):
                return ()
            values.append(following)
        return tuple(values)


_NEAR = (-10, -6, -5, -4, -3, -2, 2, 3, 4, 5, 6, 10)
"""How far off a wrong number is."""


def _sums(draw: Draw, setting: str, length: int) -> Chain:
    """A number of things, more and fewer of them."""
    place, things = setting.split("/")
    code, start = divmod(draw.unique(60 * 18 * len(FIRST_NAMES)), 60)
    name, first = divmod(code, 18)
    values = [20 + start]
    moves: list[Move] = []
    while len(moves) < length:
        amount = first + 2 if not moves else draw.integer(2, 19)
        sign = 1 if draw.below(2) else -1
        move = _doubling() if moves and not draw.below(4) else _adding(sign * amount)
        value = int(applied(move.change, str(values[-1])) or 0)
        if 1 < value < 200 and value not in values:
            values.append(value)
            moves.append(move)
    where = f"{FIRST_NAMES[name]}'s {place}"
    return Chain(
        opening=f"There are {values[0]} {things} in {where}.",
        question=f"How many {things} are in {where} {{when}}?",
        moves=tuple(moves),
        values=tuple(map(str, values)),
    )


def _adding(amount: int) -> Move:
    size, more = abs(amount), amount > 0
    return Move(
        says=f"Then {size} more go in." if more else f"Then {size} come out.",
        change={"add": amount},
        step=lambda a, b, wording: (
            f"{size} {'more' if more else 'fewer'} than {a} makes {b}."
            if wording
            else f"We have {a} {'+' if more else '-'} {size} = {b}."
        ),
    )


def _doubling() -> Move:
    return Move(
        says="Then their number doubles.",
        change={"times": 2},
        step=lambda a, b, wording: (
            f"Twice {a} makes {b}." if wording else f"We have {a} * 2 = {b}."
        ),
    )


def _days(draw: Draw, noun: str, length: int) -> Chain:
    """A day of the week, moved to and fro."""
    code, city = divmod(draw.unique(len(CITIES) * len(FIRST_NAMES) * len(DAYS)), len(CITIES))
    start, name = divmod(code, len(FIRST_NAMES))
    path = [start, *draw.some([day for day in range(len(DAYS)) if day != start], length)]
    return Chain(
        opening=f"{FIRST_NAMES[name]} planned the {noun} in {CITIES[city]} for {DAYS[start]}.",
        question=f"On which day of the week is the {noun} {{when}}?",
        moves=tuple(_day_move(*pair) for pair in pairwise(path)),
        values=tuple(DAYS[day] for day in path),
        among=DAYS,
    )


def _day_move(here: int, there: int) -> Move:
    days, later = _way(here, there, len(DAYS))
    many = _counted(days, "day")
    return Move(
        says=f"Then it was moved to {many} {'later' if later else 'earlier'}.",
        change={"to": _shifted(DAYS, there - here)},
        step=lambda a, b, wording: (
            f"From {a}, {many} {'on' if later else 'back'} gives {b}."
            if wording
            else f"The day {many} {'after' if later else 'before'} {a} is {b}."
        ),
    )


_CIRCLE = 6


def _circles(draw: Draw, noun: str, length: int) -> Chain:
    """Who has a thing that is handed round."""
    names = _people(draw, _CIRCLE)
    path = draw.some(range(_CIRCLE), length + 1)
    return Chain(
        opening=f"{', '.join(names[:-1])} and {names[-1]} sit in a circle, in this order. "
        f"{names[path[0]]} has the {noun}.",
        question=f"Who has the {noun} {{when}}?",
        moves=tuple(_circle_move(names, *pair) for pair in pairwise(path)),
        values=tuple(names[place] for place in path),
        among=names,
    )


def _circle_move(names: tuple[str, ...], here: int, there: int) -> Move:
    places, forward = _way(here, there, len(names))
    many = _counted(places, "place")
    way = "forward" if forward else "back"
    return Move(
        says=f"Then it goes {many} {way}.",
        change={"to": _shifted(names, there - here)},
        step=lambda a, b, wording: (
            f"{a}, then {many} {way}: {b}." if wording else f"{many} {way} from {a} is {b}."
        ),
    )


_DEPUTIES = 6


def _deputies(draw: Draw, noun: str, length: int) -> Chain:
    """Who has a thing that goes from deputy to deputy: each has to be looked up."""
    names = _people(draw, _DEPUTIES)
    following = dict(zip(names, names[1:] + names[:1], strict=True))
    first, *rest = draw.some(names, len(names))
    told = [f"{first}'s deputy is {following[first]}"]
    told += [f"{name}'s is {following[name]}" for name in rest]
    start = draw.below(len(names))
    move = Move(
        says="Then it goes to the deputy.",
        change={"to": following},
        step=lambda a, b, wording: (
            f"It goes on from {a} to {b}." if wording else f"The deputy of {a} is {b}."
        ),
    )
    return Chain(
        opening=f"{', '.join(told)}. {names[start]} has the {noun}.",
        question=f"Who has the {noun} {{when}}?",
        moves=(move,) * length,
        values=tuple(names[(start + place) % len(names)] for place in range(length + 1)),
        among=names,
    )


def _rules(draw: Draw, noun: str, length: int) -> Chain:
    """A number that follows a rule with two cases."""
    name, code = divmod(draw.unique(len(FIRST_NAMES) * len(_RULED)), len(_RULED))
    start, amount = _RULED[code]
    owner = f"{FIRST_NAMES[name]}'s {noun}"
    move = Move(
        says="Then the rule is used.",
        change={"halve_or_add": amount},
        step=lambda a, b, wording: _rule_step(a, b, wording, amount),
    )
    return Chain(
        opening=f"{owner} follows a rule: an even number is halved, and {amount} is added to an "
        f"odd number. It shows {start}.",
        question=f"What number does {owner} show {{when}}?",
        moves=(move,) * length,
        values=tuple(_ruled(start, amount, length)),
    )


def _rule_step(a: str, b: str, wording: int, amount: int) -> str:
    if int(a) % 2:
        return (
            f"As {a} is odd, {amount} more is {b}."
            if wording
            else f"{a} is odd, so {a} + {amount} = {b}."
        )
    return f"As {a} is even, half makes {b}." if wording else f"{a} is even, so {a} / 2 = {b}."


def _ruled(start: int, amount: int, length: int) -> list[str]:
    """The values that a rule leads to."""
    values = [str(start)]
    while len(values) <= length:
        values.append(applied({"halve_or_add": amount}, values[-1]) or "")
    return values


LONGEST = 4
"""Moves of a chain, at most."""

_RULED = tuple(
    (start, amount)
    for start in range(20, 100)
    for amount in range(3, 20, 2)
    if len(set(_ruled(start, amount, LONGEST))) == LONGEST + 1
)
"""Beginnings and rules that lead to another number each time."""


def _people(draw: Draw, count: int) -> tuple[str, ...]:
    """Different names; no other item of the family has the same three first."""
    three = arranged(draw.unique(math.perm(len(FIRST_NAMES), 3)), FIRST_NAMES, 3)
    left = [name for name in FIRST_NAMES if name not in three]
    return (*three, *draw.some(left, count - 3))


def _way(here: int, there: int, around: int) -> tuple[int, bool]:
    """How far it is from one place to another, and whether that is forward: the shorter way."""
    forward = (there - here) % around
    return (forward, True) if 2 * forward <= around else (around - forward, False)


def _shifted(values: Sequence[str], by: int) -> dict[str, str]:
    """Every value to the one that many places on."""
    return {value: values[(place + by) % len(values)] for place, value in enumerate(values)}


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


_KINDS: dict[str, tuple[Callable[[Draw, str, int], Chain], str]] = {
    "sums": (
        _sums,
        "jar/coins basket/apples garage/cars box/pencils bus/passengers cellar/bottles hall/chairs "
        "barn/hens suitcase/shirts drawer/spoons",
    ),
    "days": (_days, "market concert lecture dinner match meeting trip exam fair parade"),
    "circles": (_circles, "ball key lamp map ring cup drum torch flag stone"),
    "deputies": (_deputies, "letter file parcel badge folder ticket permit form note card"),
    "rules": (_rules, "counter display screen meter dial scoreboard sign panel register gauge"),
}
"""Kind of chain to what makes one, and its settings: arithmetic, the calendar, places, a table to
look up in, and a rule with two cases."""

_SETTINGS = tuple((kind, setting) for kind, (_, all_) in _KINDS.items() for setting in all_.split())
FAMILIES = tuple(f"{kind}:{setting.partition('/')[0]}" for kind, setting in _SETTINGS)
"""Every kind in every setting."""


def chain(draw: Draw, length: int) -> Chain:
    """The chain of a draw; its family decides kind and setting.

    Args:
        draw: of a probe whose families are `FAMILIES`.
        length: moves, up to `LONGEST`.
    """
    kind, setting = _SETTINGS[draw.family]
    return _KINDS[kind][0](draw, setting, length)
