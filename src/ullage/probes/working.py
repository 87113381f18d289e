"""Reading shown working: what each line arrives at, and what a reply settles on.

A value is a number, or one of the item's `choices` where it has any.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ullage.probes.chains import Change, applied
from ullage.probes.jsonl import Record
from ullage.probes.normalise import TEXT_CHARS, any_word, numbers, plain

_LABEL = re.compile(r"^\W*(?:step\s*\d+\s*[:.)-]*|\d{1,2}[.)](?=\s))?\s*", re.IGNORECASE)
_END = re.compile(r"(?<=[.!?;])\s+|,\s+(?=\d+ ?[-+*/x×÷] ?\d+ ?=)")
"""Of a step: of its sentence, or before the next sum."""
_CUE = re.compile(r"\banswer(?: is| would be|:)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Path:
    """The steps that a text shows."""

    reached: tuple[str, ...]
    """What each step arrives at, at most as many as were wanted."""
    errors: int
    """Wanted steps that are not there or do not follow from the value before them.

    A right step after a wrong one is no error: local errors, not propagated ones (Dziri et al.
    2023, arXiv 2305.18654)."""
    whole: bool
    """Whether all wanted steps are there."""

    @property
    def outcome(self) -> str:
        """What the steps lead to; empty where they are not whole."""
        return self.reached[-1] if self.whole else ""


def lines(text: str) -> list[str]:
    """Lines, sentences and sums of a text, without numbers and bullets; blank ones go."""
    found: list[str] = []
    for line in text[:TEXT_CHARS].splitlines():
        bare = _LABEL.sub("", plain(line), count=1)
        found.extend(part for part in _END.split(bare) if part)
    return found


def path(
    shown: Sequence[str], choices: tuple[str, ...], start: str, changes: Sequence[Change]
) -> Path:
    """The steps that lines show.

    A line that names no value, or only the one that was reached before, is no step; nor is one
    without an equals sign where others have one, for it says again what is given. Where a line
    names several, the last that is not the one before counts: ``34 + 7 = 41``.

    Args:
        shown: see `lines`.
        choices: what a value can be; empty for numbers.
        start: the value before the first step.
        changes: what each step has to do.
    """
    if not choices and (sums := [line for line in shown if "=" in line]):
        shown = sums
    reached: list[str] = []
    errors, value = 0, start
    for line in shown:
        if len(reached) == len(changes):
            break
        said = [one for one in values(line, choices) if one != value]
        if not said:
            continue
        errors += said[-1] != applied(changes[len(reached)], value)
        value = said[-1]
        reached.append(value)
    missing = len(changes) - len(reached)
    return Path(tuple(reached), errors + missing, missing == 0)


def settled(text: str, choices: tuple[str, ...]) -> str:
    """The value a reply settles on, or nothing: the one after "answer is", else the last it names.

    The last number is how GSM8K's scorers read a reply (Cobbe et al. 2021, arXiv 2110.14168).
    """
    text = text[:TEXT_CHARS]
    cues = list(_CUE.finditer(text))
    if cues and (after := values(text[cues[-1].end() :], choices)):
        return after[0]
    said = values(text, choices)
    return said[-1] if said else ""


def values(text: str, choices: tuple[str, ...]) -> list[str]:
    """Every value that a text names, in order."""
    if not choices:
        return [f"{number:.15g}" for number in numbers(text)]
    names = {plain(choice).casefold(): choice for choice in choices}
    found = any_word(tuple(map(plain, choices))).findall(plain(text))
    said = (names.get(one.casefold()) for one in found)
    return [name for name in said if name is not None]


def read_choices(record: Record, needed: Sequence[str]) -> tuple[str, ...]:
    """What values can be in a user's line: its `choices`, else nothing for numbers, else `needed`.

    Raises:
        InputError: if one of those needed is not among the line's `choices`.
    """
    choices = record.texts("choices")
    for value in needed:
        record.check_among(choices, value, "")
    if choices or all(values(value, ()) == [value] for value in needed):
        return choices
    return tuple(dict.fromkeys(needed))
