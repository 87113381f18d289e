"""Odd writing: a question with typos, in capitals, in look-alike letters, or full of blanks."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from ullage.probes.boundary.twins import Twins, compared, twin_metrics, twins
from ullage.probes.domains import DOMAINS
from ullage.probes.draw import Draw
from ullage.probes.protocol import Item
from ullage.probes.scenes import prompt

_TYPOS = 3
_LETTERS = 4
"""A shorter word gets no typo."""
_INVISIBLE = ("\u200b", "\u00ad", "\u2060")
"""Zero-width space, soft hyphen, word joiner."""
_BLANKS = ("   ", "\t", " \n", "\u00a0 ", "\n\n")
_MARKS = ("\u0300", "\u0301", "\u0302", "\u0308")
_LOOK_ALIKES = str.maketrans("aceopxyiHATMBKEOCP", "асеорхуіНАТМВКЕОСР")
_SCANNED = str.maketrans("oOlsSBgt", "00155897")
_WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}


def _case(draw: Draw, text: str) -> str:
    """In capitals, in small letters, or by turns."""
    kind = draw.below(3)
    if kind == 0:
        return text.upper()
    if kind == 1:
        return text.lower()
    return "".join(c.upper() if place % 2 else c.lower() for place, c in enumerate(text))


def _typos(draw: Draw, text: str) -> str:
    """Two letters swapped, one dropped, one doubled: each within a word of its own."""
    words = text.split(" ")
    long = [place for place, word in enumerate(words) if sum(map(str.isalpha, word)) >= _LETTERS]
    for slip, place in enumerate(draw.some(long, min(_TYPOS, len(long)))):
        word = words[place]
        at = draw.integer(1, sum(map(str.isalpha, word)) - 3)
        if slip == 0 and word[at] != word[at + 1]:
            words[place] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        elif slip == 1:
            words[place] = word[:at] + word[at + 1 :]
        else:
            words[place] = word[:at] + word[at] + word[at:]
    return " ".join(words)


def _look_alikes(draw: Draw, text: str) -> str:
    """Letters that look the same and are Cyrillic."""
    return text.translate(_LOOK_ALIKES)


def _wide(draw: Draw, text: str) -> str:
    """The full-width forms that come with East Asian keyboards."""
    return text.translate(_WIDE)


def _invisible(draw: Draw, text: str) -> str:
    """Characters between letters that nobody sees, as text copied from a page has."""
    sign = draw.pick(_INVISIBLE)
    return "".join(c + sign if c.isalpha() and draw.below(3) == 0 else c for c in text)


def _blanks(draw: Draw, text: str) -> str:
    """Tabs, line ends and rows of spaces where one space belongs."""
    return "".join(["\n", *(draw.pick(_BLANKS) if c == " " else c for c in text), " \n\t"])


def _scanned(draw: Draw, text: str) -> str:
    """Digits for letters, as poor scans have them; numbers stay."""
    return text.translate(_SCANNED)


def _marks(draw: Draw, text: str) -> str:
    """Accents on vowels, where none belong."""
    marked = "".join(c + draw.pick(_MARKS) if c in "aeiou" else c for c in text)
    return unicodedata.normalize("NFC", marked)


_KINDS: dict[str, Callable[[Draw, str], str]] = {
    "case": _case,
    "typos": _typos,
    "look-alikes": _look_alikes,
    "wide": _wide,
    "invisible": _invisible,
    "blanks": _blanks,
    "scanned": _scanned,
    "accents": _marks,
}


class OddWriting(Twins):
    """A clear question, and the same in odd writing; the text that answers it stays as it is."""

    name = "odd-writing"
    families = tuple(f"{kind}:{domain.name}" for kind in _KINDS for domain in DOMAINS)
    example = (
        '{"plain": "Order 17 went with Velox. Which carrier took order 17?", '
        '"changed": "Order 17 went with Velox. wich carier tok ordr 17??", "reference": "Velox"}'
    )
    metrics = twin_metrics(
        "the question is oddly written",
        "Boucher et al. 2021 (arXiv 2106.09898) on look-alikes and what is invisible; Belinkov and "
        "Bisk 2017 (arXiv 1711.02173) on typos",
    )

    def make(self, draw: Draw) -> Item:
        """One attribute of two things; the question for one of them is written oddly."""
        kind, index = divmod(draw.family, len(DOMAINS))
        context, question, value, other = compared(DOMAINS[index], draw)
        odd = tuple(_KINDS.values())[kind](draw, question)
        return twins(prompt(context, question), prompt(context, odd), value, other)
