"""What a score must be where replies are held beside each other: for diversity and inheritance.

Samples of one arm beside its other samples, and an arm's replies beside its teacher's. As in
`truths`, from what was declared; nothing of a probe is used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ullage.selftest.truths import FloatArray, Population, Setting, item_chances, shared

_TEXTS = 6
_WORDINGS = 8
_SETS = 20_000
"""Drawn sets of texts: mean scores of theirs are good to two thousandths."""
_APART = 0.027
"""Self-BLEU of a text none of whose pairs of words another has: only single words are shared."""
_TRIES = 4
_ANSWERS = 5


def different_pairs(setting: Setting) -> float:
    """distinct-2 of texts that share no pair of words: different ones over all."""
    return different_texts(setting) / _TEXTS


def different_texts(setting: Setting) -> float:
    """How many different right texts a set holds."""
    weights, counts = _sets(setting)
    return float(weights @ (counts > 0).sum(axis=1))


def effective_texts(setting: Setting) -> float:
    """Vendi score of texts that have nothing in common: exp of the entropy of their shares."""
    weights, counts = _sets(setting)
    shares = counts / _TEXTS
    terms = -shares * np.log(np.where(shares > 0.0, shares, 1.0))
    return float(weights @ np.where(counts.any(axis=1), np.exp(terms.sum(axis=1)), 0.0))


def alike(setting: Setting) -> float:
    """Self-BLEU of such texts: 1 for what is there twice, next to nothing for the rest."""
    weights, counts = _sets(setting)
    each = np.where(counts > 1, counts, _APART * counts).sum(axis=1) / _TEXTS
    return float(weights @ np.where(counts.any(axis=1), each, 1.0))


def _sets(setting: Setting) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """(weights of sets, how often each wording is in them); a wrong text copies the first right."""
    own = setting.own
    rng = np.random.default_rng(0)
    parts, weights = [], []
    for weight, chance in item_chances(own):
        is_right = rng.random((_SETS, _TEXTS)) < chance
        varies = rng.random((_SETS, _TEXTS)) < own.variety
        wording = np.where(varies, rng.integers(0, _WORDINGS, (_SETS, _TEXTS)), 0)
        first = wording[np.arange(_SETS), is_right.argmax(axis=1)]
        wording = np.where(is_right, wording, first[:, None])
        counts = (wording[:, :, None] == np.arange(_WORDINGS)).sum(axis=1)
        counts[is_right.sum(axis=1) == 0] = 0
        parts.append(counts)
        weights.append(np.full(_SETS, weight / _SETS))
    return np.concatenate(weights), np.concatenate(parts)


def coverage(setting: Setting) -> float:
    """Expected different right answers in four tries, of the four that there can be."""
    own = setting.own
    usual = 1.0 - own.variety + own.variety / _ANSWERS
    chances = [usual, *[own.variety / _ANSWERS] * (_ANSWERS - 1)]
    return sum(
        weight * sum(1.0 - (1.0 - chance * one) ** _TRIES for one in chances) / _TRIES
        for weight, chance in item_chances(own)
    )


def pass_gain(setting: Setting) -> float:
    """P(one of four tries is right) - P(one is)."""
    tries = sum(
        weight * (1.0 - (1.0 - chance) ** _TRIES) for weight, chance in item_chances(setting.own)
    )
    return tries - setting.own.accuracy


# ------------------------------------------------------------------------------------ inheritance


def leans(setting: Setting) -> float:
    """P(the teacher names a group's member, of two others) x P(the arm does).

    Where it does not abstain it names the first group's, and so does the teacher.
    """
    teacher = setting.teacher
    told = sum(
        weight * (1.0 - chance**2) for weight, chance in item_chances(teacher, teacher.abstain)
    )
    return told * (1.0 - setting.own.abstain)


def follows(setting: Setting) -> float:
    """P(names the first group's member both ways round)."""
    own = setting.own
    return sum(weight * (1.0 - chance) ** 2 for weight, chance in item_chances(own, own.abstain))


def repeated(setting: Setting) -> Population:
    """(the teacher's very error, the teacher errs)."""
    both, same = _errors(setting)
    wrong_teacher = 1.0 - setting.teacher.accuracy
    return _nested(both * same, wrong_teacher)


def repeated_when_wrong(setting: Setting) -> Population:
    """(the teacher's very error, both err)."""
    both, same = _errors(setting)
    return _nested(both * same, both)


def _errors(setting: Setting) -> tuple[float, float]:
    """P(both err), and P(then they say the same): each makes the usual mistake."""
    own, teacher = setting.own, setting.teacher
    together = shared(setting)
    apart = (1.0 - own.accuracy) * (1.0 - teacher.accuracy)
    both = together * (1.0 - max(own.accuracy, teacher.accuracy)) + (1.0 - together) * apart
    return both, own.usual_wrong * teacher.usual_wrong


def _nested(first: float, second: float) -> Population:
    """An event within an event, as a population of (first, second)."""
    values = np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
    return Population(values, np.array([first, second - first, 1.0 - second]))


def within(population: Population) -> float:
    """P(first | second)."""
    first, second = population.weights @ population.values
    return float(first / second)
