"""What a score must be where a model stands on other words: steps, and earlier turns.

As in `truths`, from what was declared and the latents of `ullage.models.simulated`: the world says
whether an item goes right (one draw for each thing expected of a model), and noise redraws a
request. Nothing of a probe is used.
"""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from scipy import stats

from ullage.config.models import Behaviour
from ullage.selftest.truths import Setting, answers_anyway, consistent, item_chances, right

_STEPS = 3
_TURNS = 4
_LOOPS, _RUNAWAYS, _CUTS = 0.4, 0.8, 0.6
"""Of texts that go wrong: two in five loop until they are cut off, as many ramble to an end, and
one in five is cut off early."""

Case = tuple[float, float, float]
"""Share of the items, and P(right) of one asking there: the arm's and the teacher's."""


def step_errors(setting: Setting) -> float:
    """Whoever errs does so in one step, and goes on rightly from it."""
    return (1.0 - right(setting)) / _STEPS


def worked_right(setting: Setting) -> float:
    """P(right steps, and the answer they lead to)."""
    return right(setting) * setting.own.follow


def follows(setting: Setting) -> float:
    """P(the answer is the one that the steps lead to)."""
    return setting.own.follow


def cut_short(setting: Setting) -> float:
    """P(follows the steps, and fewer of them): who does in one of two changes in both conditions.

    Whoever does not follow says the same whatever the steps are.
    """
    own = setting.own
    return sum(share * chance**2 for share, chance in item_chances(own, own.follow))


def answer_change(setting: Setting) -> float:
    """P(changed by a mistake) - P(changed by a paraphrase).

    The mistake's outcome is nobody's answer otherwise; who does not follow says the right one.
    """
    own = setting.own
    by_mistake = own.follow + (1.0 - own.follow) * (1.0 - right(setting))
    return by_mistake - reworded_change(setting)


def reworded_change(setting: Setting) -> float:
    """P(two askings in other words differ)."""
    return 1.0 - consistent(setting)


def sharded(setting: Setting) -> float:
    """P(right) at the end of several turns."""
    return setting.own.hold


def drop(setting: Setting) -> float:
    """P(right) at once, less at the end of several turns."""
    return right(setting) - setting.own.hold


def error_growth(setting: Setting) -> float:
    """Slope of the errors."""
    errors = _errors(setting)
    middle = (_TURNS - 1) / 2
    rise = sum((turn - middle) * error for turn, error in enumerate(errors))
    return rise / sum((turn - middle) ** 2 for turn in range(_TURNS))


def excess_error(setting: Setting) -> float:
    """Errors after the first turn, less those after right words."""
    later = _errors(setting)[1:]
    return sum(later) / len(later) - (1.0 - setting.own.hold)


def right_in_turn(setting: Setting) -> float:
    """P(right) over all turns."""
    return 1.0 - sum(_errors(setting)) / _TURNS


def after_slip(setting: Setting) -> float:
    """P(right) after something wrong."""
    return setting.own.recover


def slip_cost(setting: Setting) -> float:
    """P(right) after right words, less after something wrong."""
    return setting.own.hold - setting.own.recover


def after_own(setting: Setting) -> float:
    """P(right) at the third turn."""
    return 1.0 - _errors(setting)[2]


def after_teacher(setting: Setting) -> float:
    """P(right) at the third turn, where the first two are the teacher's."""
    if setting.twin:
        return after_own(setting)
    own, total = setting.own, 0.0
    for first, later in _worlds(own, setting.teacher):
        unbroken = first[2] * later[2]
        total += first[0] * later[0] * (unbroken * later[1] + (1.0 - unbroken) * own.recover)
    return total


def ends(setting: Setting) -> float:
    """P(a text is as it should be)."""
    return setting.own.end


def loops(setting: Setting) -> float:
    """P(goes round in circles)."""
    return _LOOPS * (1.0 - setting.own.end)


def runaway(setting: Setting) -> float:
    """P(far too long)."""
    return _RUNAWAYS * (1.0 - setting.own.end)


def missing_end(setting: Setting) -> float:
    """P(cut off)."""
    return _CUTS * (1.0 - setting.own.end)


def swallows(setting: Setting) -> float:
    """P(gives up a right answer)."""
    return 1.0 - setting.own.stand


def correction_contrast(setting: Setting) -> float:
    """P(takes what is right) - P(takes what is wrong)."""
    return right(setting) - swallows(setting)


def uptake(setting: Setting) -> float:
    """P(right where it was taught) - P(right where it was not)."""
    return right(setting) - answers_anyway(setting)


def steered(setting: Setting) -> float:
    """Share of three steps that are made in four turns, of which each goes right or wrong."""
    made = np.minimum(np.arange(_TURNS + 1), _STEPS) / _STEPS
    return sum(
        weight * float(stats.binom.pmf(np.arange(_TURNS + 1), _TURNS, chance) @ made)
        for weight, chance in item_chances(setting.own)
    )


def arrives(setting: Setting) -> float:
    """P(three of four turns go right)."""
    return sum(
        weight * float(stats.binom.sf(_STEPS - 1, _TURNS, chance))
        for weight, chance in item_chances(setting.own)
    )


def _errors(setting: Setting) -> list[float]:
    """P(wrong) at each turn, on its own words: what is due depends on whether all were right."""
    own = setting.own
    errors = [0.0] * _TURNS
    for first, later in _worlds(own, own):
        unbroken = 1.0
        for turn in range(_TURNS):
            chance = later[1] if turn else first[1]
            found = unbroken * chance + (1.0 - unbroken) * own.recover
            errors[turn] += first[0] * later[0] * (1.0 - found)
            unbroken *= chance
    return errors


def _worlds(own: Behaviour, teacher: Behaviour) -> list[tuple[Case, Case]]:
    """What may be due at the first turn and at a later one, after right replies."""
    return list(
        product(
            _cases(own.accuracy, own.noise, teacher.accuracy, teacher.noise),
            _cases(own.hold, own.noise, teacher.hold, teacher.noise),
        )
    )


def _cases(own: float, noise: float, teacher: float, their_noise: float) -> list[Case]:
    """Items by whether the world, whose draw all arms share, says right for arm and teacher."""
    found = []
    edges = sorted({0.0, own, teacher, 1.0})
    for low, high in pairwise(edges):
        chance = noise * own + (1.0 - noise) * (high <= own)
        theirs = their_noise * teacher + (1.0 - their_noise) * (high <= teacher)
        found.append((high - low, chance, theirs))
    return found
