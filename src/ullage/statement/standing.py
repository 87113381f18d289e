"""Where each arm stands: performance (what the usual eval measures) against capability kept.

Performance is the mean of an arm's values on the headline targets. Capability is the mean, over all
other targets, of the share of the teacher's capability that the arm has: 0 % is what a strategy
that knows nothing reaches, 100 % the teacher. An arm that does better than the teacher somewhere
counts 100 % there, so that no gain pays for a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean

from ullage.statement.document import Finding, Statement, Verdict
from ullage.statement.words import in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One arm in the picture; None where nothing was measured."""

    arm: str
    performance: float | None
    headline_targets: int
    capability: float | None
    other_targets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All arms, and how many targets each axis could rest on."""

    standings: tuple[Standing, ...]
    headline_targets: int
    other_targets: int
    left_out: int
    """Targets outside both axes: not a share between 0 and 1, not answered by both teacher and
    student, or (for capability) the teacher has nothing to retain."""


def picture(statement: Statement) -> Picture:
    """Performance and capability of every arm.

    Both axes use only targets that teacher and student both answered; an arm that misses some of
    these is averaged over those it has, and its `Standing` says how many.
    """
    shares = [f for f in statement.findings if _is_share(f)]
    headline = [f for f in shares if f.target.headline]
    other = [f for f in shares if not f.target.headline and _has_something_to_retain(f)]
    return Picture(
        standings=tuple(
            Standing(
                arm=arm,
                performance=_mean(headline, arm, lambda finding, level: level),
                headline_targets=sum(arm in f.values for f in headline),
                capability=_mean(other, arm, _retained),
                other_targets=sum(arm in f.values for f in other),
            )
            for arm in in_order(statement.arms)
        ),
        headline_targets=len(headline),
        other_targets=len(other),
        left_out=len(statement.findings) - len(headline) - len(other),
    )


def _mean(
    findings: Iterable[Finding], arm: str, of: Callable[[Finding, float], float]
) -> float | None:
    values = [of(f, _level(f, f.values[arm].value)) for f in findings if arm in f.values]
    return fmean(values) if values else None


def _retained(finding: Finding, level: float) -> float:
    """The share of the teacher's distance from knowing nothing that is kept, within 0 and 1."""
    floor = _floor(finding)
    reach = _level(finding, finding.values["teacher"].value) - floor
    return min(1.0, max(0.0, (level - floor) / reach))


def _level(finding: Finding, value: float) -> float:
    """The value oriented so that higher is better."""
    return value if finding.higher_is_better else 1.0 - value


def _floor(finding: Finding) -> float:
    return 0.0 if finding.chance is None else _level(finding, finding.chance)


def _is_share(finding: Finding) -> bool:
    needed = [finding.values.get(arm) for arm in ("teacher", "student")]
    if None in needed or finding.verdict == Verdict.UNMEASURED:
        return False
    numbers = [entry.value for entry in finding.values.values()]
    if finding.chance is not None:
        numbers.append(finding.chance)
    return all(0.0 <= value <= 1.0 for value in numbers)


def _has_something_to_retain(finding: Finding) -> bool:
    """Whether the teacher is what to keep, and above the floor; `never_had` says that it is not."""
    if finding.against != "teacher":
        return False
    above = _level(finding, finding.values["teacher"].value) > _floor(finding)
    return above and finding.verdict != Verdict.NEVER_HAD
