"""Scoring a reply against its reference, by rule. Pure functions; no user code is run.

Replies are hostile text of any length: every function reads `TEXT_CHARS` characters at most.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ullage.config.models import Rule
from ullage.errors import InputError
from ullage.probes.detect import (
    is_abstention,
    is_clarification,
    is_echo,
    is_refusal,
)
from ullage.probes.normalise import TEXT_CHARS, canonical, numbers, plain, wholes

__all__ = [
    "TEXT_CHARS",
    "canonical",
    "check_rule",
    "compile_pattern",
    "contains",
    "ends_with",
    "is_abstention",
    "is_clarification",
    "is_echo",
    "is_refusal",
    "mentions",
    "numbers",
    "pick_choice",
    "score",
    "short_answer",
    "token_f1",
]

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CUE = re.compile(
    r"\b(?:final answer|correct (?:answer|option|choice)|right (?:answer|one)|answer|option|choice)"
    r"(?: (?:is|would be|should be))?\s*[:=]?\s*"
)
_LETTER_ONLY = re.compile(r"^[(\[]?([a-z])[)\].:]?(?=$|[\s,])")
_LETTER_MARKED = re.compile(r"(?<!\w)(?:[(\[]([a-z])[)\]]|([a-z])[).:])(?=$|\s)")
_LEAD = re.compile(
    r"^(?:(?:so|well|sure|yes|okay|ok|certainly|of course)\b[,!. ]*)?"
    r"(?:(?:the |my |final |correct )*answer(?: is)?\s*[:=]?\s*|it(?:'s| is) )?"
)


def score(text: str, references: Sequence[str], rule: Rule, choices: Sequence[str] = ()) -> float:
    """How well a reply does under a rule, in [0, 1]; the best over the references.

    Args:
        text: the reply; only its first `TEXT_CHARS` characters count.
        references: accepted answers; may be empty for a `regex` rule only.
        rule: how to compare.
        choices: for `choice`, every option, in the order in which the prompt gave them.
    """
    text = text[:TEXT_CHARS]
    if rule.kind == "regex":
        return _regex(text, references, rule)
    if rule.kind == "choice":
        picked = pick_choice(text, choices)
        return float(picked is not None and choices[picked] in references)
    if rule.kind == "numeric":
        return max(ends_with(text, reference, rule.tolerance) for reference in references)
    if rule.kind == "f1":
        return max(token_f1(text, reference, rule) for reference in references)
    if rule.kind == "contains":
        return max(float(contains(text, reference, rule)) for reference in references)
    form = _canonical(text, rule)
    return max(float(form == _canonical(reference, rule)) for reference in references)


def check_rule(rule: Rule) -> None:
    """Refuse a rule that could not score anything.

    Raises:
        InputError: if a regex is broken or dangerous.
    """
    if rule.kind == "regex":
        compile_pattern(rule.pattern or "", rule.ignore_case)


def contains(text: str, reference: str, rule: Rule | None = None) -> bool:
    """Whether the reply holds the reference as whole words, in canonical form."""
    rule = rule or Rule()
    return _holds(_canonical(text, rule), _canonical(reference, rule))


def token_f1(text: str, reference: str, rule: Rule | None = None) -> float:
    """Harmonic mean of token precision and recall.

    Rajpurkar et al. 2016 (arXiv 1606.05250), on canonical tokens.
    """
    rule = rule or Rule()
    said, meant = _canonical(text, rule).split(), _canonical(reference, rule).split()
    shared = sum((Counter(said) & Counter(meant)).values())
    return 2 * shared / (len(said) + len(meant)) if shared else 0.0


def ends_with(text: str, reference: str, tolerance: float = 0.0) -> float:
    """The reply's last number, as GSM8K's scorers read it, against the reference's."""
    said, meant = numbers(text), numbers(reference)
    if not said or not meant:
        return 0.0
    return float(abs(said[-1] - meant[-1]) <= tolerance + 1e-9 * max(1.0, abs(meant[-1])))


def pick_choice(text: str, choices: Sequence[str]) -> int | None:
    """The option a reply settles on: its index, or None where that cannot be told.

    In this order: the whole first line is an option or its letter; an option or letter follows
    "answer is" or the like; exactly one option (or marked letter) is named at all.
    """
    forms = _forms(tuple(choices))
    text = text[:TEXT_CHARS].strip()
    if not text:
        return None
    line = text.splitlines()[0]
    first, whole = plain(line).casefold(), plain(text).casefold()
    named = _named(canonical(text), forms)
    letter = _lettered(first, forms)
    if letter is None or len(named) < 2:  # else it lists the options, letter by letter
        if (form := canonical(line)) in forms:
            return forms.index(form)
        if letter is not None:
            return letter
    for cue in _CUE.finditer(whole):
        if (index := _starts_with(whole[cue.end() :], forms)) is not None:
            return index
    if named:
        return named[0] if len(named) == 1 else None
    marked = {_LETTERS.index(m[1] or m[2]) for m in _LETTER_MARKED.finditer(whole)}
    marked = {index for index in marked if index < len(forms)}
    return marked.pop() if len(marked) == 1 else None


def _lettered(text: str, forms: Sequence[str]) -> int | None:
    """The option whose letter the text starts with: ``b``, ``(b)``, ``b.`` but not ``a dog``."""
    letter = _LETTER_ONLY.match(text)
    if letter is None or (text != letter.group() and text.startswith(("a ", "i "))):
        return None
    index = _LETTERS.index(letter[1])
    return index if index < len(forms) else None


def mentions(text: str, terms: Sequence[str]) -> list[int]:
    """Indices of the terms a reply names as whole words; a longer term hides one inside it."""
    return _named(canonical(text), _forms(tuple(terms)))


def short_answer(text: str) -> str:
    """The answer proper of a reply, in canonical form: its first line without "the answer is"."""
    lines = text[:TEXT_CHARS].strip().splitlines()
    if not lines:
        return ""
    first = plain(lines[0])
    return canonical(first[_lead_end(first.casefold()) :])


def compile_pattern(pattern: str, ignore_case: bool = True) -> re.Pattern[str]:
    """A user's regular expression, ready to search.

    Raises:
        InputError: if it is not one, or repeats something that itself repeats without end, which
            takes exponential time on the wrong text.
    """
    return _compile(pattern, ignore_case)


@lru_cache(maxsize=256)
def _compile(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, RecursionError, OverflowError) as error:
        raise InputError(f"pattern {pattern!r}: not a regular expression ({error})") from None
    if _nests_repeats(_parsed(pattern), inside=False):
        raise InputError(
            f"pattern {pattern!r}: a repeat inside a repeat can take for ever; make the inner one "
            "possessive, as in (?:[a-z]++ )*"
        )
    return compiled


def _parsed(pattern: str) -> Any:
    """The pattern's parse tree. The module is CPython's own; there is no public way to it."""
    from re import _parser  # type: ignore[attr-defined]

    return _parser.parse(pattern)


def _nests_repeats(node: Any, *, inside: bool) -> bool:
    """Whether a parse tree holds a backtracking repeat within an unbounded one."""
    if isinstance(node, tuple) and len(node) == 2 and str(node[0]).startswith("ATOMIC"):
        return _nests_repeats(node[1], inside=False)
    if isinstance(node, tuple) and node and str(node[0]) in ("MAX_REPEAT", "MIN_REPEAT"):
        low, high, body = node[1]
        open_ended = int(high) - int(low) > 50
        if open_ended and inside:
            return True
        return _nests_repeats(body, inside=inside or open_ended)
    if isinstance(node, tuple) and node and str(node[0]) == "POSSESSIVE_REPEAT":
        return _nests_repeats(node[1][2], inside=False)
    if isinstance(node, str | bytes | int) or node is None:
        return False
    try:
        return any(_nests_repeats(child, inside=inside) for child in node)
    except TypeError:
        return False


def _regex(text: str, references: Sequence[str], rule: Rule) -> float:
    found = compile_pattern(rule.pattern or "", rule.ignore_case).search(text)
    if found is None:
        return 0.0
    if not references:
        return 1.0
    said = _canonical((found[1] if found.re.groups else found[0]) or "", rule)
    return max(float(said == _canonical(reference, rule)) for reference in references)


def _canonical(text: str, rule: Rule) -> str:
    return canonical(
        text[:TEXT_CHARS],
        ignore_case=rule.ignore_case,
        ignore_punctuation=rule.ignore_punctuation,
    )


@lru_cache(maxsize=8192)
def _forms(choices: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(canonical(choice) for choice in choices)


def _holds(text: str, form: str) -> bool:
    """Whether the form is in the text with no word character on either side."""
    return bool(form) and _find(text, form) >= 0


def _find(text: str, form: str) -> int:
    starts = (one for one in wholes(text, form) if not _splits_number(text, one, one + len(form)))
    return next(starts, -1)


def _splits_number(text: str, start: int, end: int) -> bool:
    """Whether the place lies within a decimal, a date or a negative number."""
    left = text[start].isdecimal() and start > 0 and text[start - 1] in ".-"
    right = text[end - 1].isdecimal() and text[end : end + 1] in (".", "-")
    return left or (right and text[end + 1 : end + 2].isdecimal())


def _named(text: str, forms: Sequence[str]) -> list[int]:
    """Indices of the forms a canonical text holds, longest first hiding what lies within."""
    found = []
    for index in sorted(range(len(forms)), key=lambda index: -len(forms[index])):
        form = forms[index]
        if _holds(text, form):
            found.append(index)
            text = _without(text, form)
    return sorted(found)


def _without(text: str, form: str) -> str:
    while (start := _find(text, form)) >= 0:
        text = f"{text[:start]}\x00{text[start + len(form) :]}"
    return text


def _starts_with(text: str, forms: Sequence[str]) -> int | None:
    """The option or letter right at the start of what follows a cue."""
    if (index := _lettered(text, forms)) is not None:
        return index
    head = canonical(text[:200])
    starts = [index for index, form in enumerate(forms) if form and _find(head, form) == 0]
    return max(starts, key=lambda index: len(forms[index])) if starts else None


def _lead_end(text: str) -> int:
    found = _LEAD.match(text)
    return found.end() if found else 0
