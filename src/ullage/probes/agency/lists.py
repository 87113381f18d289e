"""Lists that are edited in conversation: their topics, how they are read, and what is left to do.

A list is what a person works on with a model: it can be steered by plain requests, and whether a
request was carried out can be read off the next list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ullage.probes.domains import CITIES, COLOURS, DAYS, FIRST_NAMES
from ullage.probes.knowledge import CATEGORIES
from ullage.probes.normalise import TEXT_CHARS, any_word, canonical

TOPICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "shopping": ("my shopping list", CATEGORIES["fruit"]),
    "zoo": ("my list of animals to see", CATEGORIES["animal"]),
    "repair": ("my list of tools", CATEGORIES["tool"]),
    "packing": ("my packing list", CATEGORIES["piece of clothing"]),
    "moving": ("my list for the movers", CATEGORIES["piece of furniture"]),
    "band": ("my list for the band", CATEGORIES["musical instrument"]),
    "tour": ("my list of stops", CITIES),
    "speakers": ("my list of speakers", FIRST_NAMES),
    "stripes": ("my list of stripes", COLOURS),
    "duty": ("my list of days", DAYS),
}
"""What the list is called, and what may stand in it; by topic."""

AS_LIST = "Reply with the whole list and nothing else, separated by commas."


def joined(items: Sequence[str]) -> str:
    """A list as it is written."""
    return ", ".join(items)


def listed(text: str, terms: Sequence[str]) -> list[str]:
    """The terms a reply names, in its order and as often as it names them.

    What comes before a reply's last colon introduces the list and does not count.
    """
    said = text[:TEXT_CHARS].rpartition(":")[2]
    forms = {canonical(term): term for term in terms}
    return [forms[found] for found in any_word(tuple(forms)).findall(canonical(said))]


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to change in a list."""

    text: str
    """As the user puts it."""
    result: tuple[str, ...]
    """The list after it."""


def next_request(current: Sequence[str], goal: Sequence[str]) -> Request | None:
    """What somebody who knows the goal asks for next; None where the goal is reached.

    First what is too much goes, then what is missing comes, then the order is put right: each
    request brings the goal one of `steps_left` nearer.
    """
    extra = _extra(current, goal)
    if extra is not None:
        name = current[extra]
        again = " once" if name in goal else ""
        text = f'Please take "{name}" off the list{again}.'
        return Request(text, (*current[:extra], *current[extra + 1 :]))
    kept = _in_order(current, goal)
    place = next((p for p, name in enumerate(goal) if name not in kept), None)
    if place is None:
        return None
    name, before = goal[place], goal[:place]
    rest = [one for one in current if one != name]
    # All before it in the goal are there and in order: it comes right after the last of them.
    at = rest.index(before[-1]) + 1 if before else 0
    verb, there = ("move", "to") if name in current else ("add", "at")
    where = f'right after "{before[-1]}"' if before else f"{there} the start of the list"
    result = (*rest[:at], name, *rest[at:])
    return Request(f'Please {verb} "{name}" {where}.', result)


def steps_left(current: Sequence[str], goal: Sequence[str]) -> int:
    """How many more requests the goal takes: things too much, missing, or out of order."""
    shared, in_order = len(set(current) & set(goal)), len(_in_order(current, goal))
    return (len(current) - shared) + (len(goal) - shared) + (shared - in_order)


def _extra(current: Sequence[str], goal: Sequence[str]) -> int | None:
    """Place of the first thing that should not be there, or is there for the second time."""
    return next(
        (p for p, name in enumerate(current) if name not in goal or name in current[:p]), None
    )


def _in_order(current: Sequence[str], goal: Sequence[str]) -> list[str]:
    """Most things of the goal that the list holds in the goal's order; earlier ones preferred."""
    wanted = {name: place for place, name in enumerate(goal)}
    best: list[list[str]] = []
    for name in dict.fromkeys(current):
        if name in wanted:
            before = [run for run in best if wanted[run[-1]] < wanted[name]]
            best.append([*max(before, key=len, default=[]), name])
    return max(best, key=len, default=[])
