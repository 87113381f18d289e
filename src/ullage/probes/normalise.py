"""Bringing answers into one form: Unicode, numbers, currencies, dates, case and punctuation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

TEXT_CHARS = 10_000
"""Of a longer reply only this much, from the start, is ever scored."""

MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" if month[3:] else month for month in MONTHS)
_MONTH = _MONTH.replace("sep(?:tember)?", "sept?(?:ember)?")
_DAY_FIRST = re.compile(
    rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)?[ -]({_MONTH})\.?[ ,-]{{1,2}}(\d{{4}})\b"
)
_MONTH_FIRST = re.compile(rf"\b({_MONTH})\.? (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})\b")
_YEAR_FIRST = re.compile(r"\b(\d{4})([-/.])(\d{1,2})\2(\d{1,2})\b")
_DOTTED = re.compile(r"\b(\d{1,2})\.(\d{1,2})\.(\d{4})\b")
_SLASHED = re.compile(r"\b(\d{1,2})/(\d{1,2})/(\d{4})\b")

_YEAR = re.compile(r"\d{4}")
_DIGIT = re.compile(r"\d")

_SPACES = "\u00a0\u2009\u202f"
_SIGN = r"(?:(?<![\w.,])[-+])?"
_NUMBER = re.compile(
    rf"(?=[-+.\d]){_SIGN}(?:\d{{1,3}}(?:[,'’ {_SPACES}]\d{{3}})+(?![\d])(?:\.\d+)?"
    r"|\d{1,3}(?:\.\d{3})+,\d+|\d+[.,]\d+|\d+|(?<![\w.])\.\d+)"
    r"(?:e[-+]?\d{1,3}\b)?"
)
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = {word: value for value, word in enumerate(_UNITS)}
_WORDS |= {word: 10 * value for value, word in enumerate(_TENS, start=2)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_NUMBER_WORD = "|".join(sorted({*_WORDS, *_SCALES}, key=len, reverse=True))
_NUMBER_WORDS = re.compile(rf"\b(?:{_NUMBER_WORD})(?:(?:[ -]| and )(?:{_NUMBER_WORD}))*\b")
_CURRENCIES = {"$": "usd", "€": "eur", "£": "gbp", "¥": "jpy"}
_CURRENCY_WORDS = re.compile(r"\b(?:us )?(dollars?|euros?|pounds?(?: sterling)?|yen)\b")
_CURRENCY_CODES = {"dollar": "usd", "euro": "eur", "pound": "gbp", "yen": "jpy"}
_BEFORE = re.compile(r"\b(usd|eur|gbp|jpy) (-?\d[\d.]*)")
_QUOTES = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "−": "-", "–": "-", "—": "-"})
_LOOSE_PUNCTUATION = re.compile(r"(?<!\d)[.]|[.](?!\d)|(?<!\w)-(?!\d)|(?<=\w)-(?!\w)|[^\w\s.\-]|_")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def plain(text: str) -> str:
    """Text as detectors read it: bounded, NFKC, straight quotes and dashes, single spaces."""
    text = unicodedata.normalize("NFKC", text[:TEXT_CHARS])[:TEXT_CHARS]
    return " ".join(text.translate(_QUOTES).split())


@lru_cache(maxsize=4096)
def canonical(text: str, *, ignore_case: bool = True, ignore_punctuation: bool = True) -> str:
    """The form in which two answers are compared.

    Dates become ISO (``5 March 2024`` is ``2024-03-05``; slashed dates only where day and month
    cannot be confused), numbers lose their thousands separators, currency signs become codes after
    the amount, number words become digits, articles go.

    Args:
        text: an answer; only its first `TEXT_CHARS` characters count.
        ignore_case: compare without regard to case.
        ignore_punctuation: compare without punctuation, but for what is part of a number or date.
    """
    text = plain(text)
    if ignore_case:
        text = text.casefold()
        text = _currencies(_dates(text))
        text = _NUMBER_WORDS.sub(lambda found: _spelled(found.group()), text)
    if _DIGIT.search(text):
        text = _NUMBER.sub(lambda found: _digits(found.group()), text)
    if ignore_case:
        text = _BEFORE.sub(r"\2 \1", text)
    if ignore_punctuation:
        text = " ".join(_LOOSE_PUNCTUATION.sub(" ", text).split())
        # "A" alone is an option's letter, not an article.
        text = " ".join(_ARTICLES.sub(" ", text).split()) or text
    return " ".join(text.split())


def wholes(text: str, part: str) -> Iterator[int]:
    """Where a part stands in a text with no letter or digit on either side."""
    start = text.find(part)
    while start >= 0:
        before, after = text[max(start - 1, 0) : start], text[start + len(part) :][:1]
        if not (before.isalnum() or after.isalnum()):
            yield start
        start = text.find(part, start + 1)


@lru_cache(maxsize=1024)
def any_word(forms: tuple[str, ...]) -> re.Pattern[str]:
    """Any of the forms as a whole word, in any case; where several fit, the longest."""
    longest = sorted(forms, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest))})(?!\w)", re.IGNORECASE)


def numbers(text: str) -> list[float]:
    """Every number in a text, in order: digits in any grouping, and number words.

    ``1,200``, ``1 200``, ``1.200,50`` and ``twelve hundred`` are read; a lone comma followed by
    anything but three digits is a decimal comma.
    """
    text = _dates(plain(text).casefold())
    text = _NUMBER_WORDS.sub(lambda found: _spelled(found.group()), text)
    return [_value(found.group()) for found in _NUMBER.finditer(text)]


def _value(token: str) -> float:
    """The number that a matched token stands for."""
    token = re.sub(rf"['’ {_SPACES}]", "", token)
    if re.fullmatch(r"[-+]?\d{1,3}(?:\.\d{3})+,\d+", token):
        token = token.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[-+]?\d{1,3}(?:,\d{3})+(?:\.\d+)?", token):
        token = token.replace(",", "")
    else:
        token = token.replace(",", ".")
    return float(token)


def _digits(token: str) -> str:
    """A number in its shortest form; what floats cannot hold stays as written."""
    if token.isdecimal():
        return token
    value = _value(token)
    if abs(value) >= 1e15:
        return token
    return str(int(value)) if value == int(value) else repr(value)


def _spelled(words: str) -> str:
    """Number words as digits: ``one thousand two hundred`` is ``1200``."""
    total, current = 0, 0
    for word in re.split(r"[ -]", words):
        if word in _SCALES:
            scale = _SCALES[word]
            current = max(1, current) * scale
            if scale >= 1000:
                total, current = total + current, 0
        elif word != "and":
            current += _WORDS.get(word, 0)
    return str(total + current)


def _currencies(text: str) -> str:
    for sign, code in _CURRENCIES.items():
        if sign in text:
            text = text.replace(sign, f" {code} ")
    text = _CURRENCY_WORDS.sub(lambda found: _CURRENCY_CODES[_singular(found[1])], text)
    return " ".join(text.split())


def _singular(word: str) -> str:
    return word.split(maxsplit=1)[0].removesuffix("s")


def _dates(text: str) -> str:
    """Dates as ISO; expects lower case."""
    if not _YEAR.search(text):
        return text
    text = _DAY_FIRST.sub(lambda m: _iso(m[0], m[3], _month(m[2]), m[1]), text)
    text = _MONTH_FIRST.sub(lambda m: _iso(m[0], m[3], _month(m[1]), m[2]), text)
    text = _YEAR_FIRST.sub(lambda m: _iso(m[0], m[1], m[3], m[4]), text)
    text = _DOTTED.sub(lambda m: _iso(m[0], m[3], m[2], m[1]), text)
    return _SLASHED.sub(lambda m: _slashed(m[0], m[1], m[2], m[3]), text)


def _month(name: str) -> int:
    return next(i for i, month in enumerate(MONTHS, start=1) if month.startswith(name[:3]))


def _iso(text: str, year: str, month: str | int, day: str) -> str:
    if 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
        return f"{year}-{int(month):02d}-{int(day):02d}"
    return text


def _slashed(text: str, first: str, second: str, year: str) -> str:
    """A slashed date, unless it could be read both ways."""
    if int(first) > 12 or first == second:
        return _iso(text, year, second, first)
    return _iso(text, year, first, second) if int(second) > 12 else text
