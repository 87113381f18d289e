"""Measures of variety against sacrebleu, a dense eigendecomposition, and counting all cases."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, stats
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics.pairwise import cosine_similarity

from ullage.stats.diversity import (
    clusters,
    counted,
    distinct,
    kernel,
    pass_at_k,
    reached,
    self_bleu,
    vendi,
)

TOKENS = st.lists(st.sampled_from("abcdefg"), min_size=4, max_size=12)
SETS = st.lists(TOKENS, min_size=2, max_size=6)


def reference_bleu(text: list[str], others: list[list[str]]) -> float:
    scorer = sacrebleu.BLEU(
        smooth_method="floor", smooth_value=0.1, tokenize="none", effective_order=False
    )
    return scorer.sentence_score(" ".join(text), [" ".join(one) for one in others]).score / 100


@given(SETS)
def test_self_bleu_is_the_mean_of_sacrebleus(texts: list[list[str]]) -> None:
    expected = [
        reference_bleu(text, texts[:place] + texts[place + 1 :]) for place, text in enumerate(texts)
    ]
    assert self_bleu(texts) == pytest.approx(np.mean(expected), abs=1e-9)


def test_self_bleu_is_1_of_copies_and_0_without_a_common_word() -> None:
    assert self_bleu([["a", "b", "c", "d", "e"]] * 3) == pytest.approx(1.0)
    assert self_bleu(["abcd", "efgh"]) == 0.0
    for texts in ([], ["abcd"], ["abcd", "abc"]):
        with pytest.raises(ValueError, match="two texts or more of 4 tokens"):
            self_bleu(texts)


def test_distinct_counts_different_n_grams_over_all() -> None:
    texts = [["the", "red", "car"], ["the", "red", "cat"]]
    assert distinct(texts, 1) == pytest.approx(4 / 6)
    assert distinct(texts, 2) == pytest.approx(3 / 4)
    assert distinct(texts, 3) == 1.0
    assert distinct(texts, 4) == distinct([], 1) == 0.0


@given(SETS, st.integers(1, 3))
def test_the_kernel_is_sklearns_cosine(texts: list[list[str]], n: int) -> None:
    vectorizer = CountVectorizer(analyzer="word", token_pattern=r"\w", ngram_range=(n, n))
    counts = vectorizer.fit_transform([" ".join(text) for text in texts])
    assert kernel(texts, n) == pytest.approx(cosine_similarity(counts), abs=1e-12)
    assert counted(texts, n).sum() == counts.sum()


@given(SETS)
def test_vendi_is_the_entropy_of_the_matrix_itself(texts: list[list[str]]) -> None:
    """Definition 3.1 as it stands: -tr(K/n log K/n), here by a dense matrix logarithm."""
    similar = kernel(texts, 2) + 1e-9 * np.eye(len(texts))
    dense = similar / len(texts)
    entropy = -np.trace(dense @ linalg.logm(dense)).real
    assert vendi(similar) == pytest.approx(math.exp(entropy), rel=1e-5)


def test_vendi_counts_what_has_nothing_in_common() -> None:
    assert vendi(np.eye(5)) == pytest.approx(5.0)
    assert vendi(np.ones((5, 5))) == pytest.approx(1.0)
    shares = np.array([3, 2, 1]) / 6
    blocks = linalg.block_diag(np.ones((3, 3)), np.ones((2, 2)), np.ones((1, 1)))
    assert vendi(blocks) == pytest.approx(math.exp(stats.entropy(shares)))


def test_clusters_are_linked_through_others() -> None:
    chain = np.eye(5)
    for one, other in ((0, 1), (1, 2), (3, 4)):
        chain[one, other] = chain[other, one] = 0.6
    assert clusters(chain, 0.5) == 2
    assert clusters(chain, 0.7) == 5
    assert clusters(np.ones((4, 4)), 1.0) == 1


@pytest.mark.parametrize("right", range(9))
@pytest.mark.parametrize("k", [1, 4, 8])
def test_pass_at_k_counts_every_draw(right: int, k: int) -> None:
    draws = list(combinations([True] * right + [False] * (8 - right), k))
    assert pass_at_k(8, right, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_reached_counts_every_draw() -> None:
    samples = ["a", "a", "a", "b", "c", "", "", ""]
    draws = list(combinations(samples, 4))
    found = sum(len(set(draw) - {""}) for draw in draws) / len(draws)
    assert reached([3, 1, 1], 8, 4) == pytest.approx(found)


def test_both_are_unbiased_for_new_samples() -> None:
    rng = np.random.default_rng(1)
    shares = np.array([0.4, 0.2, 0.1, 0.3])  # the last one is wrong
    counts = rng.multinomial(8, shares, 40_000)[:, :3]
    passes = [pass_at_k(8, int(row.sum()), 4) for row in counts]
    assert np.mean(passes) == pytest.approx(1 - 0.3**4, abs=2e-3)
    found = [reached(row.tolist(), 8, 4) for row in counts]
    assert np.mean(found) == pytest.approx((1 - (1 - shares[:3]) ** 4).sum(), abs=1e-2)
