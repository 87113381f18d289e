"""Two tokenisations of one text, cut where both of them cut.

Positions are bytes of the text's UTF-8. A byte belongs to the token that ends first at or after it,
so what no token covers (the spaces of a word-level tokenizer) belongs to the token that follows,
where most other tokenizers have it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of both sides that cover some bytes, with no inner cut in common."""

    student: tuple[int, int]
    """Its first token, and one past its last."""
    teacher: tuple[int, int]

    @property
    def one_to_one(self) -> bool:
        """Whether it is one token on either side."""
        return self.student[1] - self.student[0] == self.teacher[1] - self.teacher[0] == 1


def token_ends(
    text: str, offsets: Sequence[tuple[int, int]], sizes: Sequence[int | None]
) -> list[int]:
    """The byte at which each token of a text ends.

    Tokenizers place tokens by characters. Tokens that share one (a letter or an emoji whose bytes
    are several tokens) are told apart by their sizes; where the sizes do not add up, only the last
    of them ends, with the character, and those before it are empty.

    Args:
        text: what was tokenised.
        offsets: first character of each token and one past its last, as tokenizers report them;
            parts outside of the text are ignored.
        sizes: bytes each token stands for, None where that is not known.

    Returns:
        Ascending; the last is the number of bytes of the text.
    """
    byte_at = [0, *accumulate(len(character.encode()) for character in text)]
    inside = [(min(max(a, 0), len(text)), min(max(b, 0), len(text))) for a, b in offsets]
    ends: list[int] = []
    first = 0
    while first < len(inside):
        stop, reach = first + 1, inside[first][1]
        while stop < len(inside) and inside[stop][0] < reach:
            reach = max(reach, inside[stop][1])
            stop += 1
        begin = ends[-1] if ends else 0
        end = max(byte_at[reach], begin)
        ends += _cut(begin, byte_at[inside[first][0]], end, sizes[first:stop])
        first = stop
    if ends:
        ends[-1] = byte_at[-1]
    return ends


def common_spans(student_ends: Sequence[int], teacher_ends: Sequence[int]) -> list[Span]:
    """The finest spans that both tokenisations of a text can be cut into.

    Args:
        student_ends: of `token_ends`, of the same text.
        teacher_ends: likewise.

    Returns:
        In order; all tokens of both sides, if the text has any. An empty token belongs to the span
        of the token after it.
    """
    cuts = sorted(({*student_ends} & {*teacher_ends}) - {0})
    spans, student, teacher = [], 0, 0
    for cut in cuts:
        if cut == cuts[-1]:
            stops = (len(student_ends), len(teacher_ends))
        else:
            stops = (bisect_left(student_ends, cut) + 1, bisect_left(teacher_ends, cut) + 1)
        spans.append(Span((student, stops[0]), (teacher, stops[1])))
        student, teacher = stops
    return spans


def _cut(begin: int, start: int, end: int, sizes: Sequence[int | None]) -> list[int]:
    """Ends of tokens that lie together.

    Args:
        begin: where the token before them ends.
        start: of the first character they touch.
        end: of the last.
        sizes: theirs.
    """
    known = [size for size in sizes if size is not None]
    if len(known) == len(sizes) > 1:
        for first in (begin, start):
            if first + sum(known) == end:
                return list(accumulate(known, initial=first))[1:]
    return [begin] * (len(sizes) - 1) + [end]
