"""Which samples of two models are one question, and which figures can be judged on them.

Nothing is guessed: samples are a pair where their id and what was asked are the same, a figure is
judged where it is what its samples come to and it is known which way is better. The rest is
unmeasured, and says why.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ullage.config.imported import ImportedMetric
from ullage.errors import InputError
from ullage.imports.logs import Log, LoggedEval, LoggedMetric, Sample, figure_of, follows, named

_SLUG = 64
_EXPONENTIAL = ("perplexity", "weighted-perplexity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """One eval of both models."""

    name: str
    """What targets call it."""
    title: str
    """As the log calls it, fit to be shown."""
    version: str
    samples: Mapping[str, Mapping[str, Sample]]
    """By arm and id: the questions that teacher and student were both asked."""
    metrics: tuple[ImportedMetric, ...]
    logged: Mapping[str, str]
    """By name of a metric, what its scores are kept under: the log's own name, fit to be shown or
    not."""
    notes: tuple[str, ...]
    """What was left out."""

    def figure(self, arm: str, metric: ImportedMetric) -> float | None:
        """What an arm's samples come to."""
        return figure_of(self.samples[arm].values(), self.logged[metric.name], metric.figure)


def pair(
    logs: Mapping[str, Log],
    *,
    higher: Collection[str],
    lower: Collection[str],
    taken: Iterable[str],
) -> list[Paired]:
    """All evals of teacher and student, those that cannot be judged among them.

    Args:
        logs: by arm; `teacher` and `student` are there, `base` may be.
        higher: targets (``eval.metric``) of which more is better, where the logs do not tell.
        lower: the same, where less is.
        taken: names that evals may not have.

    Raises:
        InputError: the two have no eval in common, or `higher` and `lower` name no metric.
    """
    teacher, student = logs["teacher"].evals, logs["student"].evals
    if not teacher.keys() & student.keys():
        raise InputError(
            f"--student: no eval in common with the teacher's (it has {_some(student)}; the "
            f"teacher {_some(teacher)}); name logs of the same tasks"
        )
    names, made = set(taken), []
    for title in dict.fromkeys((*teacher, *student)):
        name = _unused(slug(title), names)
        names.add(name)
        evals = {arm: log.evals[title] for arm, log in logs.items() if title in log.evals}
        made.append(_pair_eval(name, title, evals, set(higher), set(lower)))
    known = {f"{one.name}.{metric.name}" for one in made for metric in one.metrics}
    for option, given in (("--higher", higher), ("--lower", lower)):
        if unknown := set(given) - known:
            raise InputError(
                f"{option} {named(min(unknown))}: no such figure; there are {_some(sorted(known))}"
            )
    return made


def slug(title: str) -> str:
    """A name for configuration: lower case, digits, hyphens."""
    text = re.sub(r"[^a-z0-9]+", "-", title.lower().replace("_", "-")).strip("-")
    return text[:_SLUG].strip("-") or "unnamed"


def _unused(name: str, used: Collection[str]) -> str:
    number, candidate = 1, name
    while candidate in used:
        number += 1
        ending = f"-{number}"
        candidate = name[: _SLUG - len(ending)] + ending
    return candidate


def _some(names: Iterable[str]) -> str:
    shown = [named(name, 60) for name in names]
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return ", ".join(shown[:6]) + more if shown else "none"


def _pair_eval(
    name: str, title: str, evals: Mapping[str, LoggedEval], higher: set[str], lower: set[str]
) -> Paired:
    teacher, student = evals.get("teacher"), evals.get("student")
    common: list[str] = []
    why, notes = "", []
    if teacher is None or student is None:
        why = f"only the {'teacher' if student is None else 'student'}'s logs have it"
    elif teacher.version != student.version:
        why = f"the teacher's is version {teacher.version} and the student's {student.version}"
    else:
        common = [id_ for id_ in teacher.samples if _same(id_, teacher, student)]
        notes = _left_out(title, teacher, student, len(common))
        if not common:
            why = f"none of its {len(teacher.samples)} samples was asked of both in the same words"
    some = teacher or student
    assert some is not None  # noqa: S101 (a title comes from one of the two)
    samples = {
        arm: {id_: one.samples[id_] for id_ in common if teacher and _same(id_, teacher, one)}
        for arm, one in evals.items()
    }
    base = evals.get("base")
    if base is not None and len(samples["base"]) < len(common):
        missing = len(common) - len(samples["base"])
        notes.append(f"{named(title)}: base was not asked {missing} of {len(common)} samples.")
    both = [evals[arm] for arm in ("teacher", "student") if arm in evals]
    logged = _names_of(both)
    metrics = tuple(
        _metric(
            own,
            theirs,
            both,
            samples,
            why,
            _direction(f"{name}.{own}", theirs, both, higher, lower),
        )
        for own, theirs in logged.items()
    )
    if base is not None:
        samples["base"], beyond = _within(samples["base"], metrics, logged)
        notes += [
            f"{named(title)}: base's {one} is beyond comparing, and left out." for one in beyond
        ]
    return Paired(
        name=name,
        title=named(title),
        version=some.version,
        samples=samples,
        metrics=metrics,
        logged=logged,
        notes=tuple(notes),
    )


def _same(id_: str, one: LoggedEval, other: LoggedEval) -> bool:
    return id_ in other.samples and one.samples[id_].digest == other.samples[id_].digest


def _left_out(title: str, teacher: LoggedEval, student: LoggedEval, common: int) -> list[str]:
    """What a reader has to know about samples and figures that are not judged."""
    ids = teacher.samples.keys() | student.samples.keys()
    both = len(teacher.samples.keys() & student.samples.keys())
    notes = []
    if common < len(ids):
        notes.append(
            f"{named(title)}: {len(ids) - common} of {len(ids)} samples are no pair and were left "
            f"out ({both - common} ask another question under the same id, {len(ids) - both} are "
            "in one log only), so figures here are not those of the logs."
        )
    notes += [f"{named(title)}: {one} was not imported." for one in teacher.leftovers]
    return notes


def _within(
    base: Mapping[str, Sample], metrics: Iterable[ImportedMetric], logged: Mapping[str, str]
) -> tuple[dict[str, Sample], list[str]]:
    """The base's samples without scores of figures that lie out of bounds, and those figures."""
    beyond = []
    for metric in metrics:
        value = figure_of(base.values(), logged[metric.name], metric.figure)
        if value is not None and metric.figure in _EXPONENTIAL and value > metric.bounds[1]:
            beyond.append(logged[metric.name])
    kept = {
        id_: replace(
            sample, scores={name: v for name, v in sample.scores.items() if name not in beyond}
        )
        for id_, sample in base.items()
    }
    return kept, [named(name) for name in beyond]


def _names_of(both: list[LoggedEval]) -> dict[str, str]:
    """Every metric of the logs by a name that targets may have."""
    names: dict[str, str] = {}
    for logged in dict.fromkeys(metric for one in both for metric in one.metrics):
        names[_unused(slug(logged), names)] = logged
    return names


def _metric(
    own: str,
    logged: str,
    both: list[LoggedEval],
    samples: Mapping[str, Mapping[str, Sample]],
    why: str,
    better: bool | None,
) -> ImportedMetric:
    some = next(one.metrics[logged] for one in both if logged in one.metrics)
    return ImportedMetric(
        name=own,
        logged=named(logged),
        figure=some.figure,
        higher_is_better=better is not False,
        bounds=_bounds(samples, logged, some),
        unmeasured=why or _obstacle(logged, both, better),
    )


def _direction(
    target: str, logged: str, both: list[LoggedEval], higher: set[str], lower: set[str]
) -> bool | None:
    """Whether more is better: as the user says, else as both logs do; None where neither does."""
    if target in higher or target in lower:
        return target in higher
    told = {one.metrics[logged].higher_is_better for one in both if logged in one.metrics}
    return told.pop() if len(told) == 1 else None


def _obstacle(logged: str, both: list[LoggedEval], better: bool | None) -> str:
    """Why a figure cannot be judged; "" where it can."""
    for role, one in zip(("teacher", "student"), both, strict=True):
        if logged not in one.metrics:
            return f"the {role}'s log has no such figure"
        if not follows(one, logged):
            return (
                f"the {role}'s figure ({one.metrics[logged].theirs:g}) does not follow from its "
                f"samples as {one.metrics[logged].figure}"
            )
    if better is None:
        return "the logs do not tell which way is better; say it with --higher or --lower"
    return ""


def _bounds(
    samples: Mapping[str, Mapping[str, Sample]], logged: str, metric: LoggedMetric
) -> tuple[float, float]:
    """[0, 1] where every score lies in it, else the range that scores were seen to have.

    A perplexity is an exponential, and one sample's can be anything: its range is what one sample
    could move it by, to first order, times their number. A base that is far worse would stretch
    it until nothing could be shown, so teacher and student alone decide, and see `_within`.
    """
    if metric.figure in _EXPONENTIAL:
        samples = {arm: each for arm, each in samples.items() if arm != "base"}
    values = [
        value
        for arm in samples.values()
        for one in arm.values()
        if (value := figure_of((one,), logged, metric.figure)) is not None
    ]
    if values and metric.figure in _EXPONENTIAL:
        wholes = [figure_of(arm.values(), logged, metric.figure) for arm in samples.values()]
        largest = max(whole for whole in wholes if whole is not None)
        return 0.0, largest * max(2.0, math.log(max(values)) - math.log(min(values)))
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low >= 0.0 and high <= 1.0:
        return 0.0, 1.0
    return (low, high) if low < high else (low, low + 1.0)
