"""Random choices for one generated item, so that item i can be made without items < i.

Two sources of variety: `Draw.pick` and its like draw freely, and `Draw.unique` walks a seeded
permutation, so that what it decides never repeats within a family until its space is exhausted.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

_GOLDEN = (math.sqrt(5) - 1) / 2


class Draw:
    """Choices for item `index` of a probe with `families` families.

    Families take turns in an order shuffled by the seed: every prefix of the stream holds each
    family equally often, give or take one.
    """

    __slots__ = ("_key", "_random", "family", "index", "turn")

    def __init__(self, seed: int, probe: str, index: int, families: int) -> None:
        self.index = index
        self.turn, position = divmod(index, families)
        """How many items of the same family came before."""
        self.family = _order(seed, probe, families)[position]
        """Number of the family, in [0, families)."""
        self._key = f"{seed}/{probe}/{self.family}"
        # random() is the one method whose sequence Python promises to keep across versions.
        self._random = random.Random(f"{seed}/{probe}/{index}").random  # noqa: S311 - no secret

    def below(self, size: int) -> int:
        """A whole number in [0, size)."""
        return int(self._random() * size)

    def integer(self, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        return low + self.below(high - low + 1)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.below(len(options))]

    def some(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different options, in random order."""
        left = list(options)
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def unique(self, space: int) -> int:
        """A number in [0, space) that no other of the family's first `space` items gets."""
        step, start = _stride(self._key, space)
        return (start + step * self.turn) % space


def arranged(code: int, things: Sequence[T], size: int) -> list[T]:
    """The ordered choice of `size` things that a number in [0, math.perm(len, size)) stands for."""
    left, found = list(things), []
    for _ in range(size):
        code, place = divmod(code, len(left))
        found.append(left.pop(place))
    return found


def paired(code: int, things: Sequence[T]) -> tuple[T, T, int]:
    """Two different things that a number stands for, and what is left of the number."""
    code, first = divmod(code, len(things))
    code, steps = divmod(code, len(things) - 1)
    return things[first], things[(first + 1 + steps) % len(things)], code


@lru_cache(maxsize=256)
def _order(seed: int, probe: str, families: int) -> tuple[int, ...]:
    """Families in the order in which they take turns."""
    draw = random.Random(f"{seed}/{probe}/order").random  # noqa: S311 - no secret
    return tuple(sorted(range(families), key=lambda _: draw()))


@lru_cache(maxsize=4096)
def _stride(key: str, space: int) -> tuple[int, int]:
    """Step and start of a walk that visits all of `space` once.

    A step near the golden section of the space spreads any run of consecutive items evenly.
    """
    draw = random.Random(f"{key}/{space}").random  # noqa: S311 - no secret
    step = max(1, int(space * (_GOLDEN + 0.1 * (draw() - 0.5))))
    while math.gcd(step, space) != 1:
        step += 1
    return step, int(draw() * space)
