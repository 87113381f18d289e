"""Statistics of a whole set that are no means: of confidence, of a group, of membership.

They are *functionals*: ``functional(values, weights)`` takes ``values`` of shape (items,
columns) and ``weights`` of shape (replicates, items), whole multiplicities of a resample, and
returns shape (replicates,). A row of weight 2 counts exactly as that row written twice, and the
order of rows never matters: items of equal confidence are pooled, not broken by position.

Unless said otherwise the columns are (confidence, correct), both in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import fft, special

FloatArray = npt.NDArray[np.float64]

Functional = Callable[[FloatArray, FloatArray], FloatArray]
"""``functional(values (n, k), weights (B, n)) -> (B,)``; see the module."""

ECE_BINS = 5
"""Equal-mass bins of `ece`: with ten, fifty items leave a bias no interval covers."""

_FOLDING = 1.5
"""Multiple of the folding bias that `ece` subtracts. No unbiased estimate of an absolute value
exists; measured over calibrated and overconfident arms, 1 leaves too much bias and 2 too much
noise."""

_GRID = 256
"""Cells of the confidence axis in `smooth_ece`: its answers are always wider than two of them."""
_BISECTIONS = 14
"""Halvings of [0, 1] in `smooth_ece`: an answer good to 6e-5."""

LOW_FPR = 0.01
"""False positive rate at which `tpr_at_low_fpr` reads the curve."""
_FEWEST_OTHERS = 50
"""Non-members of whom one would be 2 %: with fewer there is no reading the curve so far down."""


def ece(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Expected calibration error over `ECE_BINS` equal-mass bins of confidence, L1, debiased.

    Items are sorted by confidence and cut into bins of equal weight; an item (or a pool of items of
    one confidence) on a cut is shared between its bins. What is estimated is the mean over bins of
    |mean confidence - accuracy| in the population (Naeini et al. 2015; equal mass as in Nguyen &
    O'Connor 2015). Sampling noise makes the absolute gap of a bin too large, by that of a folded
    normal; a multiple of that is subtracted (compare Kumar et al. 2019, arXiv 1909.10155). So
    the answer may be slightly negative where there is next to no calibration error, and it is above
    it otherwise only by what `docs/statistics.md` states.
    """
    gap, error = _bin_gaps(values, weights)
    z = np.divide(gap, error, out=np.full_like(gap, np.inf), where=error > 0.0)
    folding = error * math.sqrt(2.0 / math.pi) * np.exp(-(z**2) / 2.0)
    folding -= 2.0 * gap * special.ndtr(-z)
    return np.asarray((gap - _FOLDING * folding).mean(axis=1))


def ece_plugin(values: FloatArray, weights: FloatArray) -> FloatArray:
    """`ece` as published, without its correction: biased upwards, most where least is to be found.

    Good for whole populations and for comparison with other tools.
    """
    gap, _ = _bin_gaps(values, weights)
    return np.asarray(gap.mean(axis=1))


def smooth_ece(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Smooth calibration error smECE (Blasiok & Nakkiran 2023, arXiv 2309.12236).

    The residual (correct - confidence) is smoothed over confidence with a Gaussian reflected at 0
    and 1; its L1 norm shrinks as the bandwidth grows, and smECE is the bandwidth equal to the norm.
    No bins, hence no cliff. Confidence is laid on 256 cells; reflection makes the smoothing
    diagonal in the cosine basis.
    """
    residual = values[:, 1] - values[:, 0]
    place = np.clip(values[:, 0] * _GRID - 0.5, 0.0, _GRID - 1.0)
    left = np.minimum(place.astype(np.intp), _GRID - 2)
    share = place - left
    split = np.zeros((len(values), _GRID))
    rows = np.arange(len(values))
    split[rows, left] = residual * (1.0 - share)
    split[rows, left + 1] = residual * share
    density = weights @ split / weights.sum(axis=1, keepdims=True)
    waves = fft.dct(density, axis=1, norm="ortho")
    decay = -0.5 * (np.pi * np.arange(_GRID)) ** 2
    low, high = np.zeros(len(weights)), np.ones(len(weights))
    for _ in range(_BISECTIONS):
        sigma = (low + high) / 2
        smoothed = fft.idct(waves * np.exp(decay * sigma[:, None] ** 2), axis=1, norm="ortho")
        above = np.abs(smoothed).sum(axis=1) > sigma
        low, high = np.where(above, sigma, low), np.where(above, high, sigma)
    return np.asarray((low + high) / 2)


def auroc(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Probability that a right answer was given more confidence than a wrong one (ties half).

    NaN in a replicate where all answers are right, or all wrong.
    """
    mass, right = pools(values[:, 0], weights, values[:, 1])
    wrong = mass - right
    below = np.cumsum(wrong, axis=1) - wrong
    wins = (right * (below + wrong / 2)).sum(axis=1)
    pairs = right.sum(axis=1) * wrong.sum(axis=1)
    undefined = np.full(len(weights), np.nan)
    return np.asarray(np.divide(wins, pairs, out=undefined, where=pairs > 0))


def e_aurc(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Excess area under the risk-coverage curve (Geifman et al. 2019, arXiv 1805.08206).

    AURC is the mean over k = 1..n of the error rate of the k most confident answers, taken in
    expectation over the order of equally confident ones; the least AURC that the same answers could
    have, with all the right ones first, is subtracted. 0 is a perfect ordering.

    Raises:
        ValueError: weights are not whole numbers (the curve has one point per item).
    """
    mass, right = pools(-values[:, 0], weights, values[:, 1])
    counts = np.rint(mass)
    if not np.array_equal(counts, mass):
        raise ValueError("e_aurc: weights must be whole multiplicities")
    reached = np.cumsum(counts, axis=1)
    total = reached[:, -1]
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1.0, total.max() + 1.0))])
    at_end = harmonic[reached.astype(np.intp)]
    at_start = np.concatenate([np.zeros((len(weights), 1)), at_end[:, :-1]], axis=1)
    wrong = mass - right
    rate = np.divide(wrong, mass, out=np.zeros_like(wrong), where=mass > 0)
    # Within a pool that starts after N0 items and E0 errors, the expected risk at coverage k is
    # (E0 + rate (k - N0)) / k; summed over the pool it is rate * size + (E0 - rate N0)(H1 - H0).
    errors_before = np.cumsum(wrong, axis=1) - wrong
    start = reached - counts
    area = (wrong + (errors_before - rate * start) * (at_end - at_start)).sum(axis=1)
    errors = wrong.sum(axis=1)
    best = errors - (total - errors) * (
        harmonic[total.astype(np.intp)] - _at(harmonic, total - errors)
    )
    return np.asarray((area - best) / total)


def share_where(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean of the first column over the items whose second column is 1; NaN where there is none."""
    chosen = weights * values[:, 1]
    size = chosen.sum(axis=1)
    undefined = np.full(len(weights), np.nan)
    return np.asarray(np.divide(chosen @ values[:, 0], size, out=undefined, where=size > 0))


def share_difference(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean of the first column where the second is 1, minus where it is 0 (Youden 1950)."""
    rest = np.column_stack([values[:, 0], 1.0 - values[:, 1]])
    return np.asarray(share_where(values, weights) - share_where(rest, weights))


def tpr_at_low_fpr(values: FloatArray, weights: FloatArray) -> FloatArray:
    """True positive rate at 1 % false positives at most (Carlini et al. 2022, arXiv 2112.03570).

    The columns are (score, is member). The threshold is the lowest that passes at most 1 % of the
    non-members; items of one score pass together. With fewer than a hundred non-members it passes
    none. NaN with fewer than fifty of them, or without members.
    """
    mass, members = pools(-values[:, 0], weights, values[:, 1])
    passed, right = np.cumsum(mass - members, axis=1), np.cumsum(members, axis=1)
    others, total = passed[:, -1:], right[:, -1]
    found = np.where(passed <= LOW_FPR * others + 1e-9, right, 0.0).max(axis=1)
    enough = (total > 0.0) & (others[:, 0] >= _FEWEST_OTHERS)
    undefined = np.full(len(weights), np.nan)
    return np.asarray(np.divide(found, total, out=undefined, where=enough))


def pools(
    confidence: FloatArray, weights: FloatArray, *columns: FloatArray
) -> tuple[FloatArray, ...]:
    """Items pooled by equal confidence, rising: weight, then weight times each column, (B, u)."""
    order = np.argsort(confidence, kind="stable")
    ordered = confidence[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    mass = weights[:, order]
    parts = [mass, *(mass * column[order] for column in columns)]
    if len(starts) < len(ordered):
        parts = [np.add.reduceat(part, starts, axis=1) for part in parts]
    return tuple(parts)


def _at(table: FloatArray, place: FloatArray) -> FloatArray:
    """`table` at a possibly fractional place (scores between 0 and 1), linear in between."""
    return np.asarray(np.interp(place, np.arange(len(table)), table))


def _bin_gaps(values: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """|mean confidence - accuracy| of every bin, and the standard error of the mean, (B, bins)."""
    residual = values[:, 0] - values[:, 1]
    mass, total, squares = pools(values[:, 0], weights, residual, residual**2)
    reached = np.cumsum(mass, axis=1)
    size = reached[:, -1:] / ECE_BINS
    cuts = size * np.arange(1, ECE_BINS)
    # One sorted search for all replicates: each row is lifted above the one before.
    lift = np.arange(len(mass))[:, None] * (reached[:, -1].max() + 1.0)
    places = np.searchsorted((reached + lift).ravel(), (cuts + lift).ravel())
    beyond = (reached.ravel()[places].reshape(cuts.shape) - cuts) / mass.ravel()[places].reshape(
        cuts.shape
    )

    def per_item(amount: FloatArray) -> FloatArray:
        """Mean of `amount` per unit of weight in each bin, (B, bins)."""
        running = np.cumsum(amount, axis=1)
        at_cuts = running.ravel()[places].reshape(cuts.shape)
        at_cuts = at_cuts - beyond * amount.ravel()[places].reshape(cuts.shape)
        ends = np.concatenate([at_cuts, running[:, -1:]], axis=1)
        return np.asarray(np.diff(ends, axis=1, prepend=0.0) / size)

    gap = per_item(total)
    variance = np.maximum(per_item(squares) - gap**2, 0.0)
    return np.abs(gap), np.sqrt(variance / np.maximum(size - 1.0, 1.0))
