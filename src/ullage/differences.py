"""How much more one student lost than another: an interval for the difference itself.

Two verdicts rest on two intervals, and that one holds and the other does not shows no difference.
Where both runs asked the same items, the students are compared item by item instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ullage.audit import set_up_again
from ullage.errors import InputError
from ullage.probes.protocol import FloatArray, Metric, Probe
from ullage.run_folder import RunFolder
from ullage.scores import IntArray, ProbeScores, Scores, read_scores
from ullage.statement.compare import Difference, Pairing
from ullage.statement.document import Statement
from ullage.stats import intervals
from ullage.stats.intervals import Interval, TooFewError


@dataclass(frozen=True, slots=True)
class _Run:
    """A statement with the scores it follows from."""

    statement: Statement
    probes: Mapping[str, Probe]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Answers:
    """What teacher and student of one run scored on items that all of both runs answered."""

    teacher: FloatArray
    """(items, columns)."""
    student: FloatArray
    """(items, columns)."""


def paired_differences(
    first: tuple[Statement, Path], second: tuple[Statement, Path]
) -> dict[str, Difference]:
    """The differences that can be told from items that both runs asked, by target.

    Args:
        first: a statement and its file; its scores are looked for beside it.
        second: another, about another student.

    Returns:
        Loss in the second less loss in the first. A target is not there where the scores of a run
        are not, or the runs asked other items.
    """
    runs = [_run(statement, path.parent) for statement, path in (first, second)]
    if runs[0] is None or runs[1] is None:
        return {}
    found = {}
    for target in (finding.id for finding in second[0].findings):
        difference = _difference(target, runs[0], runs[1])
        if difference is not None:
            found[target] = difference
    return found


def loss_difference(
    metric: Metric, first: Answers, second: Answers, family: IntArray, *, seed: int = 0
) -> tuple[Interval, Pairing] | None:
    """Interval of the loss in the second run less that in the first, on the same items.

    Where the teacher scored the same on every item it cancels, and the students are compared with
    each other. Where it did not (it was asked again, and sampled), the losses are compared item by
    item; a metric that is no mean has none, and so no such interval.

    Args:
        metric: what is compared.
        first: of the one run.
        second: of the other.
        family: (items,) the independent units.
        seed: of the resampling.

    Raises:
        TooFewError: too few items or families for an honest interval.
    """
    if np.array_equal(first.teacher, second.teacher):
        pairing = Pairing.REPLIES
        if metric.functional is None:
            interval = intervals.mean_difference(
                first.student[:, 0], second.student[:, 0], family, bounds=metric.bounds
            )
        else:
            interval = intervals.functional_difference(
                metric.functional,
                first.student,
                second.student,
                family,
                bounds=metric.bounds,
                seed=seed,
            )
    elif metric.functional is None:
        pairing = Pairing.ITEMS
        low, high = metric.bounds
        before, after = ((run.teacher - run.student)[:, 0] for run in (first, second))
        interval = intervals.mean_difference(after, before, family, bounds=(low - high, high - low))
    else:
        return None
    return (interval if metric.higher_is_better else interval.negated()), pairing


def _run(statement: Statement, folder: Path) -> _Run | None:
    """A run with its scores; None where the statement is alone, or is another than the run's."""
    run = RunFolder(folder)
    if not (run.scores.is_file() and run.config.is_file()):
        return None
    try:
        scores = read_scores(run.scores)
        probes = set_up_again(run, statement).probes
    except InputError:
        return None
    if scores.replies_digest != statement.replies_digest:
        return None
    return _Run(statement, probes, scores)


def _difference(target: str, first: _Run, second: _Run) -> Difference | None:
    name, _, of_metric = target.partition(".")
    if name not in first.probes or any(_source(run, name) is None for run in (first, second)):
        return None
    if _source(first, name) != _source(second, name):
        return None
    metric = second.probes[name].metric(of_metric)
    aligned = _aligned(first.scores.probes[name], second.scores.probes[name], metric)
    try:
        found = loss_difference(metric, *aligned, seed=second.statement.seed)
    except TooFewError:
        return None
    if found is None:
        return None
    interval, pairing = found
    return Difference(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        method=interval.method,
        pairing=pairing,
        items=interval.items,
        families=interval.families,
    )


def _source(run: _Run, probe: str) -> str | None:
    """Where a probe's items come from; None where it was not asked."""
    record = run.statement.probes.get(probe)
    return None if record is None or probe not in run.scores.probes else record.source


def _aligned(
    first: ProbeScores, second: ProbeScores, metric: Metric
) -> tuple[Answers, Answers, IntArray]:
    """Both runs on the items that both arms compared answered in both, in one order."""
    places = {item: place for place, item in enumerate(second.items)}
    pairs = [(i, places[item]) for i, item in enumerate(first.items) if item in places]
    rows = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    tables = [
        run.columns(arm, metric.source_columns)[rows[:, side]]
        for side, run in enumerate((first, second))
        for arm in (metric.against, "student")
    ]
    valid = np.all([np.isfinite(table).all(axis=1) for table in tables], axis=0)
    one, other, again, another = (table[valid] for table in tables)
    return Answers(one, other), Answers(again, another), first.family[rows[valid, 0]]
