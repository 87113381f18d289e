"""Solves generated chains by reading them as a person would, and knows nothing of their making."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Move = Callable[[str, str], str]
"""(state, sentence) to state."""


def _around(places: tuple[str, ...], state: str, by: int) -> str:
    return places[(places.index(state) + by) % len(places)]


def opening(text: str) -> tuple[str, Move]:
    """What is so at first, and what a sentence makes of it."""
    if found := re.search(r"There are (\d+) (\w+) in \w+'s \w+\.", text):
        return found[1], _count
    if found := re.search(r"\w+ planned the \w+ in \w+ for (\w+)\.", text):
        return found[1], _calendar
    if found := re.search(r"([A-Z][\w, ]+) and (\w+) sit in a circle, in this order\. (\w+)", text):
        places = (*found[1].split(", "), found[2])
        return found[3], lambda state, said: _circle(places, state, said)
    if found := re.search(r"halved, and (\d+) is added to an odd number\. It shows (\d+)", text):
        amount = int(found[1])
        return found[2], lambda state, said: _rule(amount, int(state))
    deputies = dict(re.findall(r"(\w+)'s (?:deputy )?is (\w+)", text))
    holder = re.search(r"\. (\w+) has the", text)
    assert holder, f"nobody can read: {text}"
    return holder[1], lambda state, said: deputies[state]


def _count(state: str, said: str) -> str:
    if "doubles" in said:
        return str(2 * int(state))
    size = int(re.findall(r"\d+", said)[0])
    return str(int(state) + (size if "more go in" in said else -size))


def _calendar(state: str, said: str) -> str:
    days = int(re.findall(r"\d+", said)[0])
    return _around(DAYS, state, days if "later" in said else -days)


def _circle(places: tuple[str, ...], state: str, said: str) -> str:
    far = int(re.findall(r"\d+", said)[0])
    return _around(places, state, far if "forward" in said else -far)


def _rule(amount: int, number: int) -> str:
    return str(number // 2 if number % 2 == 0 else number + amount)


def moves(text: str) -> list[str]:
    """The sentences that change something, in order."""
    return re.findall(r"Then [^.]+\.", text)


def states(texts: Iterable[str]) -> list[str]:
    """The state at first and after each change, over one text or several."""
    told = list(texts)
    state, move = opening(told[0])
    found = [state]
    for said in moves(" ".join(told)):
        found.append(move(found[-1], said))
    return found


def last_value(line: str) -> str:
    """What a line of working ends with."""
    return str(re.findall(r"(\w+)\.$", line)[0])
