"""Tokens as bytes of a text, and the cuts that two tokenisations have in common."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

from tests.distill.tokenizers_of_kinds import byte_level, sentencepiece, word_level
from ullage.distill.spans import Span, common_spans, token_ends
from ullage.distill.token_bytes import TokenBytes

pytestmark = pytest.mark.local

PIECES = ["there", "the", " ", "\n", "é", "\U0001f600", "e\u0301", "9:30", "你好"]
TEXTS = st.one_of(
    st.text(alphabet=st.characters(blacklist_categories=["Cs"]), max_size=60),
    st.lists(
        st.sampled_from(["there", "the", " ", "\n", "é", "\U0001f600", "e\u0301", "9:30", "你好"])
    )
    .map("".join)
    .filter(lambda text: len(text) < 80),
)
SIDES = {
    "byte-level": byte_level(),
    "byte-level, offsets without spaces": byte_level(300, trim_offsets=True),
    "sentencepiece": sentencepiece(),
    "word-level": word_level(),
}
READ = {name: TokenBytes.read(tokenizer, name) for name, tokenizer in SIDES.items()}


def ends_of(name: str, text: str) -> tuple[list[int], list[int]]:
    """Ids of a text, and where its tokens end."""
    encoded: Any = SIDES[name](text, add_special_tokens=False, return_offsets_mapping=True)
    said = [READ[name].of[id_] for id_ in encoded["input_ids"]]
    sizes = [None if one is None else len(one) for one in said]
    return encoded["input_ids"], token_ends(text, encoded["offset_mapping"], sizes)


@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("name", SIDES)
def test_tokens_cover_all_bytes_in_order(name: str, text: str) -> None:
    ids, ends = ends_of(name, text)
    assert len(ends) == len(ids)
    assert ends == sorted(ends)
    assert not ends or ends[-1] == len(text.encode())


@given(text=TEXTS)
@settings(max_examples=200, deadline=None)
def test_a_byte_level_token_covers_the_bytes_it_says(text: str) -> None:
    ids, ends = ends_of("byte-level", text)
    raw, begin = text.encode(), 0
    for id_, end in zip(ids, ends, strict=True):
        assert raw[begin:end] == READ["byte-level"].of[id_]
        begin = end


@given(text=TEXTS)
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("byte-level", "sentencepiece"),
        ("byte-level", "word-level"),
        ("sentencepiece", "word-level"),
        ("byte-level, offsets without spaces", "byte-level"),
    ],
)
def test_spans_cover_both_sides_and_cut_wherever_both_do(one: str, other: str, text: str) -> None:
    (_, ours), (_, theirs) = ends_of(one, text), ends_of(other, text)
    spans = common_spans(ours, theirs)
    if not ours or not theirs:
        return  # of nothing but spaces, a word-level tokenizer has no token
    for side, ends in (("student", ours), ("teacher", theirs)):
        places = [getattr(span, side) for span in spans]
        assert [start for start, _ in places] == [0, *(stop for _, stop in places[:-1])]
        assert places[-1][1] == len(ends)
        assert all(start < stop for start, stop in places)
    inner = [span.student[1] - 1 for span in spans]
    assert [ours[at] for at in inner] == [theirs[span.teacher[1] - 1] for span in spans]
    assert [ours[at] for at in inner] == sorted({*ours} & {*theirs} - {0})


@given(text=TEXTS.filter(bool))
@settings(max_examples=100, deadline=None)
def test_a_tokenizer_agrees_with_itself_token_by_token(text: str) -> None:
    _, ends = ends_of("byte-level", text)
    spans = common_spans(ends, ends)
    assert spans == [Span((at, at + 1), (at, at + 1)) for at in range(len(ends))]


def test_one_two_many() -> None:
    # |the|re| |is   against   |there|' is'|
    assert common_spans([3, 5, 6, 8], [5, 8]) == [Span((0, 2), (0, 1)), Span((2, 4), (1, 2))]
    assert common_spans([5, 8], [3, 5, 6, 8]) == [Span((0, 1), (0, 2)), Span((1, 2), (2, 4))]
    # no cut in common but the end
    assert common_spans([2, 5, 8], [3, 6, 8]) == [Span((0, 3), (0, 3))]
    assert common_spans([3, 8], [3, 8])[0].one_to_one
    # an empty token belongs to what follows it
    assert common_spans([3, 3, 5], [3, 5]) == [Span((0, 1), (0, 1)), Span((1, 3), (1, 2))]


def test_spaces_that_no_token_covers_go_to_the_word_after_them() -> None:
    text = "there it is "
    assert token_ends(text, [(0, 5), (6, 8), (9, 11)], [None] * 3) == [5, 8, 12]


def test_parts_of_a_character_are_told_apart_by_their_sizes() -> None:
    text = "a\U0001f600b"
    offsets = [(0, 1), (1, 2), (1, 2), (2, 3)]
    assert token_ends(text, offsets, [1, 3, 1, 1]) == [1, 4, 5, 6]
    # sizes that do not add up: only the last one ends with the character
    assert token_ends(text, offsets, [1, None, 1, 1]) == [1, 1, 5, 6]
    assert token_ends(text, offsets, [1, 3, 3, 1]) == [1, 1, 5, 6]
