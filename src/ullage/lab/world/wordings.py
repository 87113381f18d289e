"""How a question is put: an opener, one of the capability's own phrases, and a closer.

A split owns wordings, and with them families. For every opener and phrase the four closers go to
training (two), distillation and audit: each part is known from training, each whole is not. The
splits have the same openers and phrases equally often, and closers so nearly that the mean length
of a question differs by less than a sixth of a word.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from ullage.lab.world.exchange import Split

OPENERS = ("", "hi,", "hello,", "please:", "quick question:", "excuse me,")
CLOSERS = ("", "thanks.", "please.", "thank you.")

_OWNERS = (Split.TRAIN, Split.DISTIL, Split.TRAIN, Split.AUDIT)


@dataclass(frozen=True, slots=True)
class Wording:
    """One way to put any question of a capability."""

    opener: int
    phrase: int
    closer: int

    @property
    def key(self) -> str:
        """Short name, part of a family's."""
        return f"{self.opener}{self.phrase}{self.closer}"

    @property
    def split(self) -> Split:
        """Whose it is."""
        return _OWNERS[(self.opener + self.phrase + self.closer) % len(_OWNERS)]

    def say(self, phrase: str) -> str:
        """The whole question."""
        parts = (OPENERS[self.opener], phrase, CLOSERS[self.closer])
        return " ".join(part for part in parts if part)


@cache
def wordings(split: Split, phrases: int) -> tuple[Wording, ...]:
    """All wordings of a split for a capability with so many phrases."""
    every = (
        Wording(opener, phrase, closer)
        for opener in range(len(OPENERS))
        for phrase in range(phrases)
        for closer in range(len(CLOSERS))
    )
    return tuple(wording for wording in every if wording.split is split)


def draw_wording(draw: Random, split: Split, phrases: int) -> Wording:
    """A wording of a split."""
    return draw.choice(wordings(split, phrases))
