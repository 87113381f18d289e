"""What must hold, allowing for exactly as much as this many simulations leave uncertain."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from ullage.selftest.report import Check, Trials

ALPHA = 1e-4
"""How unlikely what was seen must be, were all as it should, to be called a failure. A whole
self-test makes a few hundred checks; a sound auditor fails one of them in about one of forty."""

FALSE_ALARMS = 0.05
"""Most students that lost nothing with a loss reported. Half of it is what one side of a 95 %
interval errs by; intervals are approximate, and of several arms' statistics more so."""
UNEARNED = 0.025
"""Most students that lost δ and are called preserved: one side of a 95 % interval."""
DETECTION = 0.8
"""Fewest students that lost 2δ with a loss reported, where n was planned for as much power: it is
the distance from 2δ to δ that shows the loss, the same as from δ to 0 that shows there is none."""

POWER = 0.8
"""Fewest students that lost nothing and are called preserved, where n was planned for as much."""

SLACK = 0.1
"""Bias that is no harm, in margins."""


def reads(name: str, read: float, declared: float, error: float, margin: float) -> Check:
    """A score is what was declared of the arm, within simulation or a tenth of the margin."""
    allowed = max(SLACK * margin, float(stats.norm.isf(ALPHA / 2.0)) * error)
    return Check(
        name=name,
        passed=math.isfinite(read) and abs(read - declared) <= allowed,
        found=f"{read:.3f}",
        wanted=f"{declared:.3f} ± {allowed:.3f}",
    )


def moves(effect: float, margin: float, damage: str) -> Check:
    """Some damage makes the metric worse by 2δ; it is the one that changes it most."""
    return Check(
        name="some damage makes it worse",
        passed=effect >= 2.0 * margin,
        found=f"by {effect:.3f} at most ({damage})" if damage else "nothing changes it",
        wanted=f"by 2δ = {2.0 * margin:g} or more",
    )


def scored(failed: int, of: int, reason: str) -> Check:
    """Next to no item fails: the budget of an audit has room for 2 %."""
    return Check(
        name="items can be scored",
        passed=failed <= 0.02 * of,
        found=f"{failed} of {of} could not" + (f" ({reason})" if reason else ""),
        wanted="2 % at most",
    )


def at_most(name: str, count: int, of: int, share: float) -> Check:
    """A rate stays under a bar, as far as the binomial tail can tell."""
    return Check(
        name=name,
        passed=float(stats.binom.sf(count - 1, of, share)) >= ALPHA,
        found=f"{count} of {of} ({count / of:.1%})",
        wanted=f"{share:.1%} at most",
    )


def at_least(name: str, count: int, of: int, share: float) -> Check:
    """A rate reaches a bar, as far as the binomial tail can tell."""
    return Check(
        name=name,
        passed=float(stats.binom.cdf(count, of, share)) >= ALPHA,
        found=f"{count} of {of} ({count / of:.1%})",
        wanted=f"{share:.1%} at least",
    )


def unbiased(trials: Trials, margin: float) -> Check:
    """The estimate is right on average, within simulation or a tenth of the margin."""
    allowed = SLACK * margin
    if trials.audits > 1:
        quantile = float(stats.t.isf(ALPHA / 2.0, trials.audits - 1))
        allowed = max(allowed, quantile * trials.bias_error)
    return Check(
        name=f"bias at {trials.size:g}δ",
        passed=math.isfinite(trials.bias) and abs(trials.bias) <= allowed,
        found=f"{trials.bias:+.4f}",
        wanted=f"within {allowed:.4f}",
    )


def of_trials(
    trials: dict[float, Trials], margin: float, *, enough: bool, planned: bool
) -> list[Check]:
    """Everything that must hold of the audits.

    Args:
        trials: by size.
        margin: δ.
        enough: whether there were items for 80 % power; detection is only then promised.
        planned: whether that power is known, and no guess (of a statistic that is no mean it is).
    """
    found = []
    if 0.0 in trials:
        none = trials[0.0]
        alarms = none.lost + none.degraded
        found.append(at_most("false alarms", alarms, none.audits, FALSE_ALARMS))
        if planned:
            found.append(at_least("preserved at 0", none.preserved, none.audits, POWER))
    if 1.0 in trials:
        once = trials[1.0]
        found.append(at_most("preserved at δ", once.preserved, once.audits, UNEARNED))
    if 2.0 in trials and enough:
        twice = trials[2.0]
        found.append(
            at_least("detection at 2δ", twice.lost + twice.degraded, twice.audits, DETECTION)
        )
    return found + [unbiased(one, margin) for one in trials.values()]


def standard_error(values: npt.NDArray[np.float64]) -> float:
    """Of a mean."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.inf
