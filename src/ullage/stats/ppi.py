"""Prediction-powered inference: many verdicts of a judge, mended by a few of people.

A judge that errs moves every mean it is asked for, and more verdicts of it do not help. Where
people have judged some of the same items, drawn at random, what they say of the judge's error is
taken off its mean, and what is not known of that error widens the interval (Angelopoulos et al.
2023, Science 382:669, arXiv 2301.09633). How far the judge is followed is tuned to what it is worth
(PPI++: Angelopoulos, Duchi & Zrnic 2023, arXiv 2311.01453): a useless one is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from ullage.stats.families import Families, FamilyLabels, TooFewError
from ullage.stats.intervals import Interval

FloatArray = npt.NDArray[np.float64]

MIN_LABELLED = 30
"""Fewest items that people must have judged: of fewer, nothing is known of rare errors."""

PSEUDO_EVENTS = 2.0
"""Disagreements of an arm's whole range, one in each direction, that the variance is given beside
those that were seen: a judge whom nobody corrected among n items may still err on one in n."""


@dataclass(frozen=True, slots=True)
class Powered:
    """The estimate, before it is an interval."""

    estimate: float
    variance: float
    power: float
    """λ: how far the judge is followed, from 0 (people alone) to 1 (its errors are taken off)."""


def is_enough(people: FloatArray) -> bool:
    """Whether people judged both arms on enough items; (2, n), NaN where nobody was asked."""
    return int(np.isfinite(people).all(axis=0).sum()) >= MIN_LABELLED


def mean_difference(
    teacher: npt.ArrayLike,
    student: npt.ArrayLike,
    people_teacher: npt.ArrayLike,
    people_student: npt.ArrayLike,
    family: FamilyLabels,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    level: float = 0.95,
) -> Interval:
    """Interval of mean(teacher - student) as people would judge it, over paired items.

    Args:
        teacher: the judge's value of each item, (n,).
        student: its values on the same items, (n,).
        people_teacher: what people say of those items, (n,); NaN where nobody was asked.
        people_student: what they say of the student there, (n,).
        family: label of each item's family, (n,).
        bounds: smallest and largest value one arm can have on an item.
        level: two-sided confidence.

    Raises:
        TooFewError: people judged both arms on fewer than `MIN_LABELLED` items, or on items of
            fewer families than an honest interval needs.
        ValueError: values are NaN or outside the bounds, or shapes disagree.
    """
    low, high = float(bounds[0]), float(bounds[1])
    judged = _inside("judged", teacher, bounds) - _inside("judged", student, bounds)
    people = _inside("labels", people_teacher, bounds) - _inside("labels", people_student, bounds)
    if not np.isfinite(judged).all():
        raise ValueError("judged: an item without a value")
    if people.shape != judged.shape:
        raise ValueError(f"labels: {people.shape} for {judged.shape} items")
    is_labelled = np.isfinite(people)
    count = int(is_labelled.sum())
    if count < MIN_LABELLED:
        raise TooFewError(
            f"people judged {count} items; at least {MIN_LABELLED} are needed to correct a judge"
        )
    families = Families.of(family, len(judged))
    by_people = Families.of(families.codes[is_labelled], count)
    found = powered(judged, people, families)
    width = high - low
    variance = found.variance + PSEUDO_EVENTS * (width / count) ** 2
    df = by_people.degrees_of_freedom()
    quantile = float(stats.t.isf((1.0 - level) / 2.0, df))
    error = math.sqrt(variance)
    estimate = min(max(found.estimate, -width), width)
    ends = max(-width, estimate - quantile * error), min(width, estimate + quantile * error)
    return Interval(
        estimate=estimate,
        low=ends[0],
        high=ends[1],
        standard_error=error,
        families=by_people.count,
        items=len(judged),
        level=level,
        method="clustered prediction-powered t",
        degrees_of_freedom=df,
    )


def powered(judged: FloatArray, people: FloatArray, families: Families) -> Powered:
    """The power-tuned estimate of a mean and its variance, families drawn whole.

    Of labels Y and judgements f, with n items labelled and N not,
    ``θ = mean_n(Y - λ f) + λ mean_N(f)`` (PPI++). Its error is, to first order, the sum
    over families of ``a - λ b``, where a holds the labels and b the judgements, each less its mean
    and divided by its count. The variance is that of those sums, and λ is what makes it least;
    where every item is its own family this is ``cov(Y, f) / ((1 + n/N) var(f))`` (ibid.).

    Args:
        judged: f of every item, (n + N,).
        people: Y, (n + N,); NaN where there is none.
        families: the partition of all items.
    """
    is_labelled = np.isfinite(people)
    count, rest = int(is_labelled.sum()), int((~is_labelled).sum())
    label = float(people[is_labelled].mean())
    theirs = float(judged[is_labelled].mean())
    if not rest:
        share = families.sums((people - label) / count)
        return Powered(label, _clustered(share, families), 0.0)
    others = float(judged[~is_labelled].mean())
    labels = families.sums(np.where(is_labelled, np.nan_to_num(people) - label, 0.0) / count)
    judgements = families.sums(
        np.where(is_labelled, (judged - theirs) / count, -(judged - others) / rest)
    )
    square = float((judgements**2).sum())
    power = float(labels @ judgements) / square if square > 0.0 else 0.0
    power = min(max(power, 0.0), 1.0)
    return Powered(
        estimate=label - power * (theirs - others),
        variance=_clustered(labels - power * judgements, families),
        power=power,
    )


def _clustered(sums: FloatArray, families: Families) -> float:
    """Variance of the total of independent sums whose mean is 0."""
    return float((sums**2).sum()) * families.count / (families.count - 1.0)


def _inside(name: str, values: npt.ArrayLike, bounds: tuple[float, float]) -> FloatArray:
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1:
        raise ValueError(f"{name}: one value per item; got shape {data.shape}")
    known = data[np.isfinite(data)]
    if len(known) and (known.min() < bounds[0] or known.max() > bounds[1]):
        raise ValueError(
            f"{name}: values reach from {known.min():g} to {known.max():g}, outside {bounds}"
        )
    return data
