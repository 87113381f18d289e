"""How far apart two texts are: one minus the cosine of their TF-IDF vectors.

Salton and Buckley 1988, *Term-weighting approaches in automatic text retrieval*. Words and pairs of
words, logarithmic counts, smoothed inverse document frequencies. Chosen over an embedding because
it needs no model, gives the same numbers everywhere, and can be explained by the words two texts
share. It does not know paraphrases, so it errs towards "not covered", which is the safe side.
"""

# ruff: noqa: N803, N806 - arrays carry their shape as a suffix

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import sparse

Floats = npt.NDArray[np.float64]
Vectors = sparse.csr_array

_TERM = re.compile(r"[^\W\d_]+|\d+")
_CHUNK = 256
"""Rows of the matrix of distances held at once."""


def terms(text: str) -> list[str]:
    """Words and pairs of neighbours; every number is the same word, as it names no topic."""
    words = ["#" if word[0].isdecimal() else word for word in _TERM.findall(text.casefold())]
    return words + [f"{one} {other}" for one, other in pairwise(words)]


def vectors(texts: Sequence[str]) -> tuple[Vectors, list[str]]:
    """TF-IDF vectors of length 1 (0 for a text without a word), (N, T), and the terms."""
    counts = [Counter(terms(text)) for text in texts]
    vocabulary = sorted({term for count in counts for term in count})
    place = {term: index for index, term in enumerate(vocabulary)}
    columns = [place[term] for count in counts for term in count]
    values = [1 + np.log(number) for count in counts for number in count.values()]
    starts = np.cumsum([0, *(len(count) for count in counts)])
    shape = (len(texts), len(vocabulary))
    tf_NT = sparse.csr_array((np.array(values, dtype=float), columns, starts), shape=shape)
    documents_T = np.bincount(np.array(columns, dtype=int), minlength=len(vocabulary))
    idf_T = np.log((1 + len(texts)) / (1 + documents_T)) + 1
    weighted_NT = sparse.csr_array(tf_NT.multiply(idf_T))
    norms_N = np.sqrt(np.asarray(weighted_NT.multiply(weighted_NT).sum(axis=1)).ravel())
    scale_N = np.divide(1.0, norms_N, out=np.zeros_like(norms_N), where=norms_N > 0)
    return sparse.csr_array(weighted_NT.multiply(scale_N[:, None])), vocabulary


def nearest(
    from_NT: Vectors, to_MT: Vectors, *, but: npt.NDArray[np.int64] | None = None
) -> Floats:
    """Distance of each text to the nearest of the others, (N,); 1 where there is none.

    Args:
        from_NT: vectors of the texts asked about.
        to_MT: vectors of those they are compared with.
        but: of each text asked about, the one it is not compared with (itself), (N,).
    """
    found_N = np.ones(from_NT.shape[0])
    if to_MT.shape[0] == 0:
        return found_N
    others_TM = sparse.csc_array(to_MT.T)
    for start in range(0, from_NT.shape[0], _CHUNK):
        stop = min(start + _CHUNK, from_NT.shape[0])
        alike_CM = (from_NT[start:stop] @ others_TM).toarray()
        if but is not None:
            alike_CM[np.arange(stop - start), but[start:stop]] = 0.0
        found_N[start:stop] = 1 - alike_CM.max(axis=1)
    return np.clip(found_N, 0.0, 1.0)
