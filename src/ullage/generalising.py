"""How far from what was taught a student's capability reaches: the curve, its band, and the word.

For findings of `capacity` that compare near with far. What is drawn is the student less the
teacher, so that what makes an item hard for both is in no point of it. The rule that gives the word
is in `docs/dimensions/capacity.md`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ullage.plan import Plan
from ullage.probes.capacity import CorpusDistance, HeldOutPairs
from ullage.probes.protocol import FloatArray
from ullage.scores import ProbeScores, Scores
from ullage.statement.document import CurvePoint, Finding, Generalisation, Verdict
from ullage.stats import intervals
from ullage.stats.decline import LineAt
from ullage.stats.intervals import Interval, TooFewError

_MOST_LEVELS = 6
"""More distances than these are drawn as `_BINS` bins of equal size."""
_BINS = 5
_ALONG = 5
"""Places at which the line and its band are worked out."""

_TAUGHT_NOTHING = (
    "nothing says that any of this was taught: put compositions into the corpus with `ullage "
    "compositions`, and name the lists it keeps under 'items'"
)


@dataclass(frozen=True, slots=True)
class _Answers:
    """Both arms' answers by distance; columns are (distance, correct, group)."""

    teacher: FloatArray
    student: FloatArray
    family: npt.NDArray[np.int64]
    axis: str
    fitted: bool

    @property
    def distance(self) -> FloatArray:
        """(n,)."""
        return self.teacher[:, 0]


def with_generalisation(
    findings: tuple[Finding, ...], plan: Plan, scores: Scores
) -> tuple[Finding, ...]:
    """The findings, those of near against far with their curve and word."""
    return tuple(
        finding.model_copy(update={"generalisation": _generalisation(finding, plan, scores)})
        if finding.loss is not None and (finding.target.probe, finding.target.metric) in _READ
        else finding
        for finding in findings
    )


def _generalisation(finding: Finding, plan: Plan, scores: Scores) -> Generalisation | None:
    name, metric = finding.target.probe, finding.target.metric
    answers = _READ[name, metric](scores.probes[name])
    points = tuple(_points(answers))
    if not points:
        return None
    generated = plan.probes[name].source == "generated"
    word, why = _word(finding, answers, points[-1], generated=generated)
    return Generalisation(
        word=word,
        why=why,
        axis=answers.axis,
        points=points,
        line=tuple(_line(answers, plan.seed)) if answers.fitted else (),
    )


def _pairs(scores: ProbeScores) -> _Answers:
    """Near and far answers of held-out pairs, one below the other."""
    nothing = np.zeros(2 * len(scores.items))
    distance = np.repeat([0.0, 1.0], len(scores.items))
    teacher, student = (
        np.column_stack(
            [distance, scores.columns(arm, ("in-family", "out-of-family")).T.ravel(), nothing]
        )
        for arm in ("teacher", "student")
    )
    return _both(teacher, student, np.tile(scores.family, 2), "not taught (0 taught, 1 not)")


def _distances(scores: ProbeScores) -> _Answers:
    names = ("distance", "accuracy", "group")
    teacher, student = (scores.columns(arm, names) for arm in ("teacher", "student"))
    return _both(teacher, student, scores.family, "distance to the corpus", fitted=True)


_READ = {
    (HeldOutPairs.name, "shortfall"): _pairs,
    (CorpusDistance.name, "decline"): _distances,
}


def _both(
    teacher: FloatArray,
    student: FloatArray,
    family: npt.NDArray[np.int64],
    axis: str,
    *,
    fitted: bool = False,
) -> _Answers:
    """What both arms answered."""
    both = np.isfinite(teacher).all(axis=1) & np.isfinite(student).all(axis=1)
    return _Answers(teacher[both], student[both], family[both], axis, fitted)


def _levels(distance: FloatArray) -> Iterator[npt.NDArray[np.bool_]]:
    """Items of one distance, or of one bin of distances, from near to far."""
    found = np.unique(distance)
    if len(found) <= _MOST_LEVELS:
        yield from (distance == one for one in found)
        return
    cuts = np.quantile(distance, np.linspace(0.0, 1.0, _BINS + 1)[1:-1])
    place = np.searchsorted(cuts, distance, side="left")
    yield from (place == one for one in np.unique(place))


def _points(answers: _Answers) -> Iterator[CurvePoint]:
    """Student less teacher at every distance at which there are families enough."""
    for at in _levels(answers.distance):
        try:
            found = intervals.mean_difference(
                answers.student[at, 1], answers.teacher[at, 1], answers.family[at]
            )
        except TooFewError:
            continue
        yield _point(float(answers.distance[at].mean()), found, found.items)


def _line(answers: _Answers, seed: int) -> Iterator[CurvePoint]:
    """The fixed-effects line and its band, from the nearest to the farthest item."""
    ends = float(answers.distance.min()), float(answers.distance.max())
    for at in np.linspace(*ends, _ALONG):
        try:
            found = intervals.functional_difference(
                LineAt(float(at)), answers.student, answers.teacher, answers.family, seed=seed
            )
        except TooFewError:
            return
        yield _point(float(at), found, None)


def _point(at: float, found: Interval, items: int | None) -> CurvePoint:
    return CurvePoint(at=at, estimate=found.estimate, low=found.low, high=found.high, items=items)


def _word(
    finding: Finding, answers: _Answers, far: CurvePoint, *, generated: bool
) -> tuple[Literal["principle-like", "lookup-like", "cannot tell"], str]:
    """The word, and the rule that gave it (`Generalisation.word`)."""
    margin = finding.target.margin
    against = f"the teacher's by {far.estimate:+.2f} [{far.low:+.2f}, {far.high:+.2f}]"
    if generated:
        return "cannot tell", _TAUGHT_NOTHING
    if finding.verdict == Verdict.LOST:
        if far.high < 0.0:
            return "lookup-like", (
                f"it is shown to fall behind by more than δ = {margin:g} with distance, and its "
                f"accuracy farthest from what was taught differs from {against}"
            )
        return "cannot tell", (
            "it gained more near what was taught than far from it, and farthest from it is not "
            f"shown to be worse than the teacher: its accuracy there differs from {against}"
        )
    if finding.verdict != Verdict.PRESERVED:
        return "cannot tell", (
            f"it is neither shown to fall behind by more than δ = {margin:g} with distance nor "
            "shown not to"
        )
    own = _own(answers)
    if own is not None and own.low > margin:
        return "principle-like", (
            f"it is shown not to fall behind by δ = {margin:g} with distance, and is right in "
            f"{own.estimate:.0%} [{own.low:.0%}, {own.high:.0%}] farthest from what was taught"
        )
    return "cannot tell", (
        "it does not fall behind with distance, but farthest from what was taught it is not shown "
        f"to be right in more than {margin:.0%}: nothing is there that could carry over"
    )


def _own(answers: _Answers) -> Interval | None:
    """The student's accuracy at the farthest distance."""
    *_, at = _levels(answers.distance)
    try:
        return intervals.mean(answers.student[at, 1], answers.family[at])
    except TooFewError:
        return None
