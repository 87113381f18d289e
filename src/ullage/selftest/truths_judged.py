"""What a judged score must be: what the arms do, seen by a judge that errs as declared.

As in `truths`, from what was declared and the latents of `ullage.models.simulated`: one draw of the
world says whether the judge is right on an item, and noise redraws each of its two verdicts.
Nothing of a probe is used.
"""

from __future__ import annotations

from ullage.selftest.pool import JUDGING
from ullage.selftest.truths import Setting, lost_answers
from ullage.selftest.truths_trust import gained_answers


def as_good(setting: Setting) -> float:
    """Half, and what the judge sees of the replies that are better or worse than the teacher's.

    Replies that do all and replies that do not are each one text: between equal ones nothing is to
    be judged.
    """
    if setting.twin:
        return 0.5
    return 0.5 + 0.5 * seen() * (gained_answers(setting) - lost_answers(setting))


def seen() -> float:
    """P(both orders show the better reply) - P(both show the worse one): the rest is even."""
    right, noise = JUDGING.judge, JUDGING.noise
    redrawn = noise * right
    both_right = right * (1.0 - noise + redrawn) ** 2 + (1.0 - right) * redrawn**2
    slips = noise * (1.0 - right)
    both_wrong = right * slips**2 + (1.0 - right) * (1.0 - noise + slips) ** 2
    return both_right - both_wrong
