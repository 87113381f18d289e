"""How different the texts of a set are, and how much of what is right a set of samples reaches.

Texts are sequences of tokens. Every measure here grows or shrinks with the number of texts and with
their length: only sets of equally many, equally long texts may be compared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Text = Sequence[str]

BLEU_ORDER = 4
BLEU_FLOOR = 0.1
"""What counts instead of no common n-gram at all."""


def counted(texts: Sequence[Text], n: int) -> FloatArray:
    """How often each text holds each run of `n` tokens that any of them holds, (texts, runs)."""
    places: dict[tuple[str, ...], int] = {}
    held: list[tuple[int, int]] = []
    for row, text in enumerate(texts):
        for gram in zip(*(text[start:] for start in range(n)), strict=False):
            held.append((row, places.setdefault(gram, len(places))))  # noqa: PERF401 - it numbers
    counts = np.zeros((len(texts), len(places)))
    if held:
        np.add.at(counts, tuple(np.array(held).T), 1.0)
    return counts


def distinct(texts: Sequence[Text], n: int) -> float:
    """Different n-grams over all n-grams of a set; 0 where there is none.

    distinct-n of Li et al. 2016 (arXiv 1510.03055), section 5.2.
    """
    counts = counted(texts, n)
    return counts.shape[1] / float(counts.sum()) if counts.size else 0.0


def self_bleu(texts: Sequence[Text]) -> float:
    """Mean BLEU of each text against all others: 1 where all are the same.

    Zhu et al. 2018 (arXiv 1802.01886). BLEU is that of Papineni et al. 2002: the
    geometric mean of clipped precisions of n-grams up to 4, times the brevity penalty against the
    nearest length. A precision of no match among m n-grams counts `BLEU_FLOOR` / m (Chen & Cherry
    2014, smoothing 1), as Zhu et al. have it; with no word in common it is 0.

    Raises:
        ValueError: there are fewer than two texts, or one is shorter than `BLEU_ORDER`.
    """
    lengths = [len(text) for text in texts]
    if len(texts) < 2 or min(lengths) < BLEU_ORDER:
        raise ValueError(
            f"self-BLEU needs two texts or more of {BLEU_ORDER} tokens or more; got {lengths}"
        )
    logs, shares_words = np.zeros(len(texts)), np.zeros(len(texts))
    for n in range(1, BLEU_ORDER + 1):
        counts = counted(texts, n)
        second, first = np.sort(counts, axis=0)[-2:]
        # The most that any other text has of a run.
        elsewhere = np.where(counts == first, second, first)
        matched = np.minimum(counts, elsewhere).sum(axis=1)
        if n == 1:
            shares_words = matched > 0.0
        logs += np.log(np.where(matched > 0.0, matched, BLEU_FLOOR) / counts.sum(axis=1))
    scores = np.where(shares_words, np.exp(logs / BLEU_ORDER) * _brevity(lengths), 0.0)
    return float(scores.mean())


def _brevity(lengths: Sequence[int]) -> FloatArray:
    """Penalty of each text for being shorter than the other that is nearest in length."""
    penalties = []
    for place, own in enumerate(lengths):
        others = [*lengths[:place], *lengths[place + 1 :]]
        nearest = min(others, key=lambda size: (abs(size - own), size))
        penalties.append(math.exp(min(0.0, 1.0 - nearest / own)))
    return np.array(penalties)


def kernel(texts: Sequence[Text], n: int) -> FloatArray:
    """Cosine between the texts' counts of n-grams, (texts, texts); 1 on the diagonal.

    The n-gram kernel of Friedman & Dieng 2023 (arXiv 2210.02410), section 4.5.
    """
    counts = counted(texts, n)
    norms = np.linalg.norm(counts, axis=1)
    unit = counts / np.where(norms > 0.0, norms, 1.0)[:, None]
    similar = unit @ unit.T
    np.fill_diagonal(similar, 1.0)
    return np.asarray(similar)


def vendi(similar: FloatArray) -> float:
    """Effective number of different members: exp of the entropy of the eigenvalues of K / n.

    Friedman & Dieng 2023 (arXiv 2210.02410), definition 3.1: 1 where all are alike, n where no two
    have anything in common.

    Args:
        similar: K, (n, n): symmetric, positive semidefinite, 1 on the diagonal.
    """
    eigenvalues = np.linalg.eigvalsh(similar / len(similar))
    shares = eigenvalues[eigenvalues > 1e-12]
    return min(max(math.exp(-float(shares @ np.log(shares))), 1.0), float(len(similar)))


def clusters(similar: FloatArray, threshold: float) -> int:
    """Groups of members linked by a similarity of `threshold` or more (single linkage)."""
    linked = (similar >= threshold).tolist()
    left, count = set(range(len(linked))), 0
    while left:
        count += 1
        reached = [left.pop()]
        while reached:
            row = linked[reached.pop()]
            near = {other for other in left if row[other]}
            left -= near
            reached += near
    return count


def pass_at_k(samples: int, right: int, k: int) -> float:
    """Probability that k of the samples, drawn without replacement, hold a right one.

    Chen et al. 2021 (arXiv 2107.03374), equation 1: unbiased for the chance that k new samples do.
    """
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def reached(counts: Sequence[int], samples: int, k: int) -> float:
    """Expected number of different answers among k of the samples: `pass_at_k` of each, summed.

    E(S_n), the rarefaction of Hurlbert 1971 (Ecology 52:577); unbiased for k new samples.

    Args:
        counts: how many of the samples gave each answer that counts.
        samples: all samples, those with an answer that does not count included.
        k: how many are drawn.
    """
    return sum(pass_at_k(samples, count, k) for count in counts)
