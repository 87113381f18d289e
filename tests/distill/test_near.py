"""Near-duplicates: what is called alike is alike, by the plain definition. Needs no torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.distill.near import (
    SHINGLE,
    NearTexts,
    band_rows,
    jaccard,
    minhash,
    shingle_codes,
)

TEXT = "my bicycle makes a strange noise when i brake on the way down into the valley near home"


def plain_jaccard(one: str, other: str) -> float:
    first, second = (
        {tuple(words[at : at + SHINGLE]) for at in range(len(words) - SHINGLE + 1)}
        for words in (one.split(), other.split())
    )
    return len(first & second) / len(first | second)


words = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=SHINGLE, max_size=30)


@given(words, words, st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_alike_is_alike_by_the_definition(
    one: list[str], other: list[str], threshold: float
) -> None:
    texts = NearTexts(threshold)
    assert texts.admit(" ".join(one))
    found = texts.holds(" ".join(other))
    true = plain_jaccard(" ".join(one), " ".join(other))
    assert not found or true >= threshold
    assert found or true < 1.0, "equal texts have equal signatures"


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9, 0.95])
def test_bands_overlook_one_in_a_hundred_at_most(threshold: float) -> None:
    rows = band_rows(threshold)
    bands = 128 // rows
    assert (1 - threshold**rows) ** bands <= 0.01
    assert (1 - threshold ** (rows + 1)) ** (128 // (rows + 1)) > 0.01


def test_the_share_of_equal_minima_estimates_the_index() -> None:
    """Broder 1997: mean over the hashes, of sets whose overlap is known to be 1/3."""
    draw = np.random.default_rng(0)
    errors = []
    for _ in range(50):
        codes = draw.integers(0, 2**63, 300, dtype=np.uint64)
        equal = (minhash(codes[:200]) == minhash(codes[100:])).mean()
        assert jaccard(frozenset(codes[:200].tolist()), frozenset(codes[100:].tolist())) == 1 / 3
        errors.append(equal - 1 / 3)
    assert abs(float(np.mean(errors))) < 3 * np.sqrt(2 / 9 / 128 / 50)


def test_order_within_a_shingle_counts() -> None:
    one, other = (np.array(codes, dtype=np.uint64) for codes in ([1, 2, 3], [3, 2, 1]))
    assert shingle_codes(one)[0] != shingle_codes(other)[0]
    assert len(shingle_codes(np.arange(9, dtype=np.uint64))) == 9 - SHINGLE + 1


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (TEXT.upper() + "!!", True),
        (TEXT + " please", True),
        (TEXT.replace("bicycle", "tricycle"), True),
        (TEXT.replace("brake on the way down into", "ride up and out of"), False),
        (TEXT + " 2", False),
    ],
)
def test_what_a_reader_would_call_the_same(other: str, alike: bool) -> None:
    texts = NearTexts(0.75)
    texts.admit(TEXT)
    assert texts.holds(other) is alike


def test_numbers_kinds_and_short_texts_are_apart() -> None:
    long = " ".join(["word"] + [chr(97 + number) * 3 for number in range(26)])
    texts = NearTexts(0.5)
    assert texts.admit(f"{long} 17 plus 4", "yes")
    assert not texts.admit(f"{long} 17 plus 4", "yes")
    assert texts.admit(f"{long} 17 plus 5", "yes")
    assert texts.admit(f"{long} 17 plus 4", "no")
    assert texts.admit("hello")
    assert texts.admit("hello"), "equal short texts are for the exact comparison to find"


def test_scripts_without_spaces_are_read_by_character() -> None:
    texts = NearTexts(0.7)
    texts.admit("请问我的自行车什么时候可以修好")
    assert texts.holds("请问我的自行车什么时候可以修好呢")
    assert not texts.holds("今天的天气真的非常好我们去公园")
