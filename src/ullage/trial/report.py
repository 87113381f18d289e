"""What a trial came to, judged as a target is: from the log alone.

Two measures, each a number from 0 to 1 of one trial, better when higher: whether people got where
they wanted (`reached`), and the share of the work that was not left to them (`help`). The loss is
that with the teacher less that with the student, over pairs: one task, worked by both of a couple.

Pairs of one family of tasks stand or fall together, and so do those of one couple of people. The
interval is taken both ways, and the wider one judges. A way for which there are too few (families,
or couples) is left out, and the report says so: what is found then holds for these tasks, or in
these people's hands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ullage.stats.families import MIN_FAMILIES
from ullage.stats.intervals import Interval, TooFewError, mean_difference
from ullage.stats.multiplicity import holm
from ullage.stats.power import items_from_standard_error
from ullage.stats.verdicts import decide
from ullage.trial.design import SIDES, Side, couple_of
from ullage.trial.log import Ended, State, read_log

LEFT_AFTER = timedelta(days=1)
"""A trial that nobody touched for so long counts as abandoned: those who go without a word are
more often those who were not helped."""

_REACHED = {"yes": 1.0, "partly": 0.5, "no": 0.0, "abandoned": 0.0}


def reached(trial: Ended) -> float:
    """Whether the person got where they wanted."""
    return _REACHED[trial.outcome]


def help_(trial: Ended) -> float:
    """The share of the work that was not left to the person; none where they gave up."""
    return 0.0 if trial.own is None else 1.0 - trial.own / 100.0


MEASURES: dict[str, tuple[str, Callable[[Ended], float]]] = {
    "reached": ("people got where they wanted (no 0, partly 0.5, yes 1)", reached),
    "help": ("share of the work that was not left to the person", help_),
}
"""By key of `margins`: what it says, and the number of one trial."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One task worked by a couple, once with either arm."""

    family: str
    couple: int
    teacher: Ended
    student: Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One measure."""

    measure: str
    summary: str
    margin: float
    verdict: str
    why: str
    clustered_by: str = ""
    """``families`` or ``couples``: what the interval that judged takes to stand together."""
    caution: str = ""
    """Whom or what it does not speak for."""
    loss: Interval | None = None
    more_trials: int | None = None
    """That would show the loss below the margin were it what it looks like now; None where nothing
    is left to show, or no number is known to show it."""


@dataclass(frozen=True, slots=True)
class Report:
    """A trial, judged."""

    arms: dict[Side, str]
    """Identities of the models."""
    people: int
    pairs: int
    unpaired: int
    """Trials that count and whose other half is missing."""
    left: int
    """Of those that count: never ended, and nobody touched them for a day."""
    unanswered: int
    """Trials that ended without an answer to the last message, or to any: they do not count."""
    outcomes: dict[Side, dict[str, int]]
    """Of the trials that count."""
    failures: int
    judged: tuple[Judged, ...]
    reason: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {"kind": "ullage.trial-report", **asdict(self)}


def report(path: Path, now: datetime) -> Report:
    """Judge a log.

    Args:
        path: of the log.
        now: tells which trials were left.

    Raises:
        InputError: there is no log, or it is damaged.
    """
    state = read_log(path)
    ended = [work.ended for work in state.work.values() if work.ended is not None]
    left = _left(state, now)
    counted = [trial for trial in (*ended, *left) if trial.counts]
    unanswered = len(ended) + len(left) - len(counted)
    pairs = pairs_of(counted)
    spoilt = unanswered / max(1, unanswered + len(counted))
    return Report(
        arms={side: state.protocol[side] for side in SIDES},
        people=len(state.people),
        pairs=len(pairs),
        unpaired=len(counted) - 2 * len(pairs),
        left=sum(trial.counts for trial in left),
        unanswered=unanswered,
        outcomes={
            side: dict(Counter(t.outcome for t in counted if t.arm == side)) for side in SIDES
        },
        failures=state.failures,
        judged=_judge(state.protocol, pairs, spoilt),
        reason=state.protocol["reason"],
    )


def pairs_of(trials: list[Ended]) -> list[Pair]:
    """Trials whose other half is there, in the order of couples and tasks."""
    halves: dict[tuple[int, str], dict[Side, Ended]] = {}
    for trial in trials:
        halves.setdefault((couple_of(trial.person), trial.task), {})[trial.arm] = trial
    return [
        Pair(half["teacher"].family, couple, half["teacher"], half["student"])
        for (couple, _), half in sorted(halves.items())
        if len(half) == len(SIDES)
    ]


def loss_of(pairs: list[Pair], measure: str) -> tuple[Interval, str]:
    """The loss on a measure, and what its interval takes to stand together.

    Raises:
        TooFewError: neither families nor couples are enough for an honest interval.
    """
    value = MEASURES[measure][1]
    teacher = [value(pair.teacher) for pair in pairs]
    student = [value(pair.student) for pair in pairs]
    found: dict[str, Interval] = {}
    for name, labels in (
        ("families", [pair.family for pair in pairs]),
        ("couples", [str(pair.couple) for pair in pairs]),
    ):
        try:
            found[name] = mean_difference(teacher, student, labels)
        except TooFewError:
            continue
    if not found:
        raise TooFewError(
            f"{len(pairs)} pairs cannot bound an error; at least {MIN_FAMILIES} families of tasks, "
            f"or {MIN_FAMILIES} couples of people, are needed"
        )
    name = max(found, key=lambda one: found[one].high - found[one].low)
    return found[name], name


def _judge(protocol: dict[str, Any], pairs: list[Pair], spoilt: float) -> tuple[Judged, ...]:
    losses: dict[str, tuple[Interval, str]] = {}
    obstacle, verdict = "", "unmeasured"
    if spoilt > protocol["errors"]:
        obstacle = (
            f"{spoilt:.1%} of the trials have no answer, more than the {protocol['errors']:.1%} "
            "allowed"
        )
        verdict = "inconclusive"
    else:
        try:
            losses = {measure: loss_of(pairs, measure) for measure in MEASURES}
        except TooFewError as error:
            obstacle = str(error)
    margins = protocol["margins"]
    adjusted = iter(holm([loss.p_greater(margins[m]) for m, (loss, _) in losses.items()]))
    return tuple(
        _judged(measure, margins[measure], *losses[measure], float(next(adjusted)), pairs)
        if measure in losses
        else Judged(
            measure=measure,
            summary=summary,
            margin=margins[measure],
            verdict=verdict,
            why=obstacle,
        )
        for measure, (summary, _) in MEASURES.items()
    )


def _judged(
    measure: str, margin: float, loss: Interval, by: str, p_holm: float, pairs: list[Pair]
) -> Judged:
    judgement = decide(
        loss, margin, p_lost_holm=p_holm, teacher_advantage=None, chance_advantage=None
    )
    return Judged(
        measure=measure,
        summary=MEASURES[measure][0],
        margin=margin,
        verdict=judgement.verdict,
        why=judgement.why,
        clustered_by=by,
        caution=_caution(pairs),
        loss=loss,
        more_trials=_more_trials(loss, margin) if judgement.verdict == "inconclusive" else None,
    )


def _caution(pairs: list[Pair]) -> str:
    """Whom or what it does not speak for."""
    if len({pair.couple for pair in pairs}) < MIN_FAMILIES:
        return (
            f"in these people's hands: {MIN_FAMILIES} couples would be needed to speak for others"
        )
    if len({pair.family for pair in pairs}) < MIN_FAMILIES:
        return f"on these tasks: {MIN_FAMILIES} families would be needed to speak for others"
    return ""


def _more_trials(loss: Interval, margin: float) -> int | None:
    room = margin - max(0.0, loss.estimate)
    if room <= 0.0:
        return None
    needed = items_from_standard_error(loss.items, loss.standard_error, room)
    return None if needed is None else 2 * max(1, needed - loss.items)


def _left(state: State, now: datetime) -> list[Ended]:
    """Trials that nobody ended, and nobody touched for `LEFT_AFTER`, as if they were abandoned."""
    return [
        Ended(
            at=work.last,
            person=work.begun.person,
            task=work.begun.task,
            family=work.begun.family,
            arm=work.begun.arm,
            outcome="abandoned",
            own=None,
            turns=work.answered,
            open=work.open,
        )
        for work in state.work.values()
        if work.begun and work.last and not work.ended and now - work.last >= LEFT_AFTER
    ]
