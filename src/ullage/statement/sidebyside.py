"""Two arms' replies side by side, what only one of them says marked."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from itertools import zip_longest

from markupsafe import Markup

from ullage.statement import sanitise
from ullage.statement.document import Example, Turn

REPLY_LIMIT = 2400
"""Characters of one turn that are shown; `statement.json` has what the audit kept of it."""

_TOKEN = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff]|\w+|[^\w\s]")
_MOST_TOKENS = 800
"""Longer texts are shown unmarked: comparing takes time that grows with their product."""
_LEAST_SHARED = 0.2
"""Of the shorter text's words. Below it marks would cover everything and say nothing."""


def side_by_side(
    example: Example, against: str = "teacher", other: str = "student"
) -> dict[str, list[tuple[str, Markup]]]:
    """The turns of two arms as (role, text ready for the page), what differs marked."""
    sides: dict[str, list[tuple[str, Markup]]] = {against: [], other: []}
    for pair in zip_longest(*(example.replies.get(arm, ()) for arm in sides)):
        for rows, told in zip(sides.values(), _turn(*pair), strict=True):
            if told is not None:
                rows.append(told)
    return sides


def _turn(left: Turn | None, right: Turn | None) -> list[tuple[str, Markup] | None]:
    """One turn of each, compared where both have one of the same role."""
    if left is None or right is None or left.role != right.role:
        return [turn if turn is None else (turn.role, said(turn.content)) for turn in (left, right)]
    return [(left.role, text) for text in compared(left.content, right.content)]


def said(text: str) -> Markup:
    """A turn's text, unmarked."""
    return sanitise.html(text, limit=REPLY_LIMIT, lines=True)


def compared(left: str, right: str) -> tuple[Markup, Markup]:
    """Both texts, what the other does not have in ``<mark>``.

    A run of words counts as shared from two words on, at both texts' start or end, or where it is
    most of the shorter text: other words that happen to coincide would only scatter the marks.
    """
    a, b = (_TOKEN.findall(text[:REPLY_LIMIT]) for text in (left, right))
    if left == right or max(len(a), len(b)) > _MOST_TOKENS:
        return said(left), said(right)
    fewest = min(_words(a), _words(b))
    blocks, shared = [], 0
    for block in SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks():
        count = _words(a[block.a : block.a + block.size])
        starts = block.a == block.b == 0
        ends = block.a + block.size == len(a) and block.b + block.size == len(b)
        if count > 1 or 2 * count > fewest or starts or ends:
            blocks.append(block)
            shared += count
    if shared < _LEAST_SHARED * fewest or not shared:
        return said(left), said(right)
    return (
        _marked(a, [(b.a, b.a + b.size) for b in blocks], left),
        _marked(b, [(b.b, b.b + b.size) for b in blocks], right),
    )


def _words(tokens: list[str]) -> int:
    return sum(token[0].isalnum() for token in tokens)


def _marked(tokens: list[str], shared: list[tuple[int, int]], whole: str) -> Markup:
    """The tokens, those outside the shared ranges marked, and a mark for what was cut off."""
    pieces, at = [], 0
    for start, end in [*shared, (len(tokens), len(tokens))]:
        only = "".join(tokens[at:start])
        words = only.strip()
        before, _, after = only.partition(words) if words else (only, "", "")
        pieces.append(said(before))
        if words:
            pieces += [Markup("<mark>{}</mark>").format(said(words)), said(after)]
        pieces.append(said("".join(tokens[start:end])))
        at = end
    pieces.append(sanitise.html_cut(whole, REPLY_LIMIT))
    return Markup("").join(pieces)
