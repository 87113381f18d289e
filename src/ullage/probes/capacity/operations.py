"""Small operations on words, numbers, lists and tables: seven of a kind, no two of which commute.

That none commute makes order matter: "f, then g" and "g, then f" have different answers, though
they share every word of their prompts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import permutations

from ullage.probes.draw import arranged

COLOURS = ("red", "blue", "pink", "grey")
_SYLLABLES = (
    "ba", "de", "fi", "go", "lu", "me", "ni", "po", "ra", "si", "tu", "ve", "ka", "zo", "hu", "jo",
)  # fmt: skip
_THINGS = ("pear", "fig", "plum", "lime", "kiwi", "melon", "apple", "peach", "grape", "mango")
_LARGEST = 9_999


@dataclass(frozen=True, slots=True)
class Operation:
    """One primitive."""

    says: str
    """What the prompt calls it: ``write it backwards``."""
    does: Callable[[str], str]
    """From a value as it is written to another; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Case:
    """Something to operate on."""

    given: Callable[[tuple[int, ...]], str]
    """What the prompt says first, by the operations that are used."""
    start: str
    operations: tuple[Operation, ...]
    choices: tuple[str, ...] = ()
    """All that an answer can be, where the prompt has to name it."""

    def run(self, composition: tuple[int, ...]) -> str:
        """The value after these operations in this order; empty where there is none."""
        value = self.start
        for index in composition:
            value = self.operations[index].does(value) if value else ""
        return value


@dataclass(frozen=True, slots=True)
class Kind:
    """Seven operations on one kind of thing."""

    name: str
    cases: int
    """How many things there are to operate on."""
    case: Callable[[int], Case]


def _on_sequence(change: Callable[[list[str]], list[str]], gap: str) -> Callable[[str], str]:
    """An operation on the parts of a text: letters, or the entries of a list."""

    def does(text: str) -> str:
        parts = text.split(gap) if gap else list(text)
        return gap.join(change(parts))

    return does


def _letters(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return _on_sequence(change, "")


def _entries(change: Callable[[list[str]], list[str]]) -> Callable[[str], str]:
    return _on_sequence(change, ", ")


def _on_number(change: Callable[[int], int]) -> Callable[[str], str]:
    """An operation on a whole number; what leaves 1 to 9,999 is no value."""

    def does(text: str) -> str:
        value = change(int(text))
        return str(value) if 1 <= value <= _LARGEST else ""

    return does


def _swapped(number: int) -> int:
    """With its last two digits in the other order; 0 where that would begin with a zero."""
    tens, ones = number // 10 % 10, number % 10
    return 0 if number < 100 and ones == 0 else number // 100 * 100 + 10 * ones + tens


_ON_WORDS = (
    Operation("write it backwards", _letters(lambda s: s[::-1])),
    Operation("move its first letter to the end", _letters(lambda s: [*s[1:], s[0]])),
    Operation("put a copy of its last letter in front", _letters(lambda s: [s[-1], *s])),
    Operation("leave out its third letter", _letters(lambda s: [*s[:2], *s[3:]])),
    Operation("double its first letter", _letters(lambda s: [s[0], *s])),
    Operation("move its second letter to the end", _letters(lambda s: [s[0], *s[2:], s[1]])),
    Operation("put the letter o in front", _letters(lambda s: ["o", *s])),
)
_ON_NUMBERS = (
    Operation("add 7", _on_number(lambda n: n + 7)),
    Operation("take it from 500", _on_number(lambda n: 500 - n)),
    Operation("add its own last digit", _on_number(lambda n: n + n % 10)),
    Operation("add the sum of its digits", _on_number(lambda n: n + sum(map(int, str(n))))),
    Operation("cross out its last digit", _on_number(lambda n: n // 10)),
    Operation("swap its last two digits", _on_number(_swapped)),
    Operation("turn its last digit into 1", _on_number(lambda n: n - n % 10 + 1)),
)
_ON_LISTS = (
    Operation("turn its order round", _entries(lambda s: s[::-1])),
    Operation("move its first entry to the end", _entries(lambda s: [*s[1:], s[0]])),
    Operation("swap its first two entries", _entries(lambda s: [s[1], s[0], *s[2:]])),
    Operation("write its last entry in front as well", _entries(lambda s: [s[-1], *s])),
    Operation("move its second entry to the end", _entries(lambda s: [s[0], *s[2:], s[1]])),
    Operation("move its third entry to the front", _entries(lambda s: [s[2], *s[:2], *s[3:]])),
    Operation("put rice in front", _entries(lambda s: ["rice", *s])),
)
_TABLES = "BCDFGHK"
_ORDERS = tuple(order for order in permutations(range(4)) if order != (0, 1, 2, 3))


def _plain(says: str, start: str, operations: tuple[Operation, ...]) -> Case:
    return Case(lambda used: f"{says}: {start}.", start, operations)


@cache
def _word(index: int) -> Case:
    size = len(_SYLLABLES)
    first, rest = divmod(index, (size - 1) * (size - 2))
    left = list(_SYLLABLES)
    parts = [left.pop(place) for place in (first, *divmod(rest, size - 2))]
    return _plain("Take this made-up word", "".join(parts), _ON_WORDS)


@cache
def _number(index: int) -> Case:
    return _plain("Take this number", str(101 + index), _ON_NUMBERS)


@cache
def _list(index: int) -> Case:
    return _plain("Take this list", ", ".join(arranged(index, _THINGS, 5)), _ON_LISTS)


@cache
def _table(index: int) -> Case:
    """Seven tables, each of which exchanges four colours in a way of its own.

    Any two of them tell which case it is, as two points tell a line modulo a prime.
    """
    index, start = divmod(index, len(COLOURS))
    first, step = divmod(index, len(_ORDERS))
    orders = [_ORDERS[(first + step * place) % len(_ORDERS)] for place in range(7)]
    tables = [dict(zip(COLOURS, (COLOURS[to] for to in order), strict=True)) for order in orders]

    def given(used: tuple[int, ...]) -> str:
        told = "; ".join(
            f"{_TABLES[place]}: " + ", ".join(f"{a}-{b}" for a, b in tables[place].items())
            for place in sorted(used)
        )
        return f"Tables: {told}. Start with {COLOURS[start]}."

    operations = tuple(
        Operation(f"look it up in {name}", table.__getitem__)
        for name, table in zip(_TABLES, tables, strict=True)
    )
    return Case(given, COLOURS[start], operations, choices=COLOURS)


KINDS = (
    Kind("words", 16 * 15 * 14, _word),
    Kind("numbers", 299, _number),
    Kind("lists", 10 * 9 * 8 * 7 * 6, _list),
    Kind("tables", 23 * 23 * 4, _table),
)
"""Words of three syllables, numbers from 101 to 399, lists of five, tables of four colours."""
