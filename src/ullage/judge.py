"""From numbers to verdicts: one `Finding` per target (`findings.json`).

Reads scores and the plan; asks nothing. Every interval comes from `stats`; what is here is which
arms are compared on which items, and what a product owner is told about it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from ullage.config.models import Budget, Scenario, Target
from ullage.plan import Plan, PlannedProbe
from ullage.probes.protocol import PEOPLE, FloatArray, Metric, Probe
from ullage.probes.validation import Fitness, Validation
from ullage.scores import ProbeScores, Scores
from ullage.statement.document import (
    ArmValue,
    Estimate,
    Finding,
    Power,
    ProbeRecord,
    Verdict,
)
from ullage.stats import intervals, ppi, sequential
from ullage.stats.intervals import Interval, TooFewError
from ullage.stats.multiplicity import holm
from ullage.stats.power import items_from_standard_error
from ullage.stats.verdicts import decide

OTHER_ARMS = ("base", "control", "derived")
"""Arms whose loss stands beside the student's, against the same arm."""


class Findings(BaseModel):
    """`findings.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    findings: tuple[Finding, ...]
    probes: dict[str, ProbeRecord]


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One metric over one probe's scores, between any two arms."""

    metric: Metric
    scores: ProbeScores
    plan: Plan
    share: PlannedProbe

    @property
    def stopped(self) -> bool:
        """Whether asking stopped before all that was planned."""
        return self.share.stops_early and len(self.scores.items) < self.share.items

    def loss(self, better: str, worse: str) -> Interval:
        """Loss of `worse` against `better`, positive is worse, on items both were scored on.

        Raises:
            TooFewError: too few items or families for an honest interval.
        """
        metric = self.metric
        first = self.scores.columns(better, metric.source_columns)
        second = self.scores.columns(worse, metric.source_columns)
        both = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
        first, second, family = first[both], second[both], self.scores.family[both]
        people = self._people(better, worse)[:, both]
        if ppi.is_enough(people):
            interval = ppi.mean_difference(
                first[:, 0], second[:, 0], people[0], people[1], family, bounds=metric.bounds
            )
        elif metric.functional is None:
            interval = self._of_means(
                intervals.mean_difference,
                sequential.mean_difference,
                (first[:, 0], second[:, 0], family),
            )
        else:
            interval = intervals.functional_difference(
                metric.functional,
                first,
                second,
                family,
                bounds=metric.bounds,
                seed=self.plan.seed,
            )
        return interval if metric.higher_is_better else interval.negated()

    def _people(self, better: str, worse: str) -> FloatArray:
        """(2, items) what people say of both arms; NaN where they say nothing."""
        metric, nothing = self.metric, np.full(len(self.scores.items), np.nan)
        if metric.even is None:
            return np.stack([nothing, nothing])
        first, second = (
            np.full(len(nothing), metric.even)
            if arm == metric.against
            else self.scores.values.get((arm, PEOPLE), nothing)
            for arm in (better, worse)
        )
        return np.stack([first, second])

    def told_of_judge(self, fitness: Fitness | None) -> str:
        """What a reader must know of verdicts that a model gave; empty where it gave none."""
        if fitness is None:
            return ""
        people = self._people(self.metric.against, "student")
        labelled = int(np.isfinite(people).all(axis=0).sum())
        if ppi.is_enough(people):
            return f"; {fitness.told}; people's labels on {labelled:,} items correct it"
        few = f"people's labels on {labelled} items are too few to" if labelled else "no labels"
        return f"; {fitness.told}; {few} correct it, so that its own error is not in the interval"

    def beside(self, worse: str, better: str = "teacher") -> Interval | None:
        """Another arm against one that stands beside the verdict; None if there is none."""
        if worse not in self.plan.arms or worse not in self.scores.errors:
            return None
        try:
            return self.loss(better, worse)
        except TooFewError:
            return None

    def over_chance(self) -> Interval | None:
        """The teacher's lead over a strategy that knows nothing."""
        metric = self.metric
        if metric.chance is None:
            return None
        values, family = self.valid("teacher")
        try:
            if metric.functional is None:
                level = self._of_means(intervals.mean, sequential.mean, (values[:, 0], family))
            else:
                level = intervals.functional(
                    metric.functional, values, family, bounds=metric.bounds, seed=self.plan.seed
                )
        except TooFewError:
            return None
        lead = replace(
            level,
            estimate=level.estimate - metric.chance,
            low=level.low - metric.chance,
            high=level.high - metric.chance,
        )
        return lead if metric.higher_is_better else lead.negated()

    def _of_means(
        self,
        usual: Callable[..., Interval],
        anytime: Callable[..., Interval],
        values: tuple[npt.ArrayLike, ...],
    ) -> Interval:
        """The interval that holds for how asking ended: as planned, stopped early, or neither."""
        bounds = self.metric.bounds
        if self.stopped:
            return anytime(*values, bounds=bounds)
        if self.share.stops_early:
            return sequential.asked_in_full(
                lambda level: usual(*values, bounds=bounds, level=level)
            )
        return usual(*values, bounds=bounds)

    def valid(self, arm: str) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """(items, columns) and (items,) families of the items an arm was scored on."""
        values = self.scores.columns(arm, self.metric.source_columns)
        valid = np.isfinite(values).all(axis=1)
        return values[valid], self.scores.family[valid]

    def arm_values(self) -> dict[str, ArmValue]:
        """Every arm's own value, where there is one."""
        result = {}
        for role in self.plan.arms:
            values, _ = self.valid(role)
            if len(values) == 0:
                continue
            if self.metric.functional is None:
                value = float(values[:, 0].mean())
            else:
                plain = self.metric.functional(values, np.ones((1, len(values))))[0]
                # A debiased estimate may lie a little outside what is possible.
                value = float(np.clip(plain, *self.metric.bounds))
            if np.isfinite(value):
                errors = int(self.scores.errors[role].sum())
                result[role] = ArmValue(value=value, items=len(values), errors=errors)
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """What comparing two arms on one target gave, before Holm's adjustment."""

    target: Target
    comparison: _Comparison | None = None
    loss: Interval | None = None
    obstacle: str = ""
    """Why there is no loss to judge."""
    infrastructure: bool = False
    fitness: Fitness | None = None
    """What was found of the model that judged the replies, where one did."""

    @property
    def p_lost(self) -> float | None:
        """One-sided p of "the loss is at most the margin"."""
        return None if self.loss is None else self.loss.p_greater(self.target.margin)


def judge(
    plan: Plan,
    scenario: Scenario,
    budget: Budget,
    probes: Mapping[str, Probe],
    scores: Scores,
) -> Findings:
    """Judge every target of the scenario."""
    measured = [
        _measure(
            target,
            plan,
            budget,
            probes[target.probe],
            scores.probes.get(target.probe),
            _fitness(probes[target.probe], plan, scores),
        )
        for target in scenario.targets
    ]
    adjusted = iter(holm([one.p_lost for one in measured if one.p_lost is not None]))
    findings = [
        _find(
            one,
            None if one.p_lost is None else float(next(adjusted)),
            plan,
            probes[one.target.probe],
        )
        for one in measured
    ]
    return Findings(
        findings=tuple(findings),
        probes={name: _record(probes[name], scores.probes.get(name), plan) for name in plan.probes},
    )


def settled(
    targets: Sequence[Target],
    plan: Plan,
    budget: Budget,
    probe: Probe,
    scores: ProbeScores,
    *,
    of: int,
) -> bool:
    """Whether the verdicts of a probe are in, so that asking may stop.

    A shown loss that may still turn out to be within the margin, or beyond it, is no such verdict.

    Args:
        targets: those of the probe.
        plan: with this probe to be asked in rounds.
        budget: what share of items may have failed.
        probe: the probe.
        scores: of what has been asked.
        of: targets of the whole audit: *lost* must hold however Holm's adjustment turns out.
    """
    for target in targets:
        if target.id in plan.unmeasured:
            continue
        measured = _measure(target, plan, budget, probe, scores)
        if measured.p_lost is None:
            return False
        finding = _find(measured, min(1.0, of * measured.p_lost), plan, probe)
        if finding.verdict not in (Verdict.PRESERVED, Verdict.LOST, Verdict.NEVER_HAD):
            return False
    return True


def _fitness(probe: Probe, plan: Plan, scores: Scores) -> Fitness | None:
    """What was found of the judge that a probe asks; None where it asks none."""
    validation = probe.validation
    if not isinstance(validation, Validation) or validation.name not in plan.probes:
        return None
    tried = scores.probes.get(validation.name)
    nothing = np.full(plan.probes[validation.name].items, np.nan)
    agrees = nothing if tried is None else tried.columns("judge", ("agrees",))[:, 0]
    return validation.fitness(agrees)


def _measure(
    target: Target,
    plan: Plan,
    budget: Budget,
    probe: Probe,
    scores: ProbeScores | None,
    fitness: Fitness | None = None,
) -> _Measured:
    blocked = plan.unmeasured.get(target.id)
    if blocked is not None or scores is None:
        return _Measured(target=target, obstacle=blocked or "no probe ran")
    if fitness is not None and not fitness.is_fit:
        return _Measured(
            target=target, obstacle=fitness.told, infrastructure=fitness.infrastructure
        )
    comparison = _Comparison(probe.metric(target.metric), scores, plan, plan.probes[target.probe])
    against = comparison.metric.against
    failed = scores.errors[against] | scores.errors["student"]
    share = float(failed.mean())
    if share > budget.errors:
        why = (
            f"{failed.sum()} of {len(failed)} items ({share:.1%}) could not be scored, more than "
            f"the {budget.errors:.1%} allowed: {_main_reasons(scores, against)}"
        )
        return _Measured(target=target, comparison=comparison, obstacle=why, infrastructure=True)
    try:
        loss = comparison.loss(against, "student")
    except TooFewError as error:
        why = _gap(probe, scores) or str(error)
        return _Measured(target=target, comparison=comparison, obstacle=why)
    return _Measured(target=target, comparison=comparison, loss=loss, fitness=fitness)


def _gap(probe: Probe, scores: ProbeScores) -> str:
    """Why most items of the student have no score, as the probe tells it; empty where it does not.

    And what to measure instead.
    """
    for column, why in probe.gaps.items():
        items = int(np.isfinite(scores.columns("student", (column,))).sum())
        if items > len(scores.items) / 2:
            told = f"{why} ({items:,} of {len(scores.items):,} items)"
            return f"{told}; use {probe.instead}" if probe.instead else told
    return ""


def _main_reasons(scores: ProbeScores, against: str) -> str:
    """The most frequent reasons for errors, each with its arm and count."""
    return ", ".join(
        f"{role} {reason} x{count}"
        for role in (against, "student")
        for reason, count in sorted(scores.reasons[role].most_common(2))
    )


def _find(measured: _Measured, p_holm: float | None, plan: Plan, probe: Probe) -> Finding:
    """The finding of one target; without a loss it says why there is none."""
    target, comparison = measured.target, measured.comparison
    metric = probe.metric(target.metric)
    planned = plan.targets.get(target.id)
    finding = Finding(
        target=target,
        dimension=str(probe.dimension),
        metric_summary=metric.summary,
        higher_is_better=metric.higher_is_better,
        against=metric.against,
        verdict=Verdict.INCONCLUSIVE if measured.infrastructure else Verdict.UNMEASURED,
        why=measured.obstacle,
        chance=metric.chance,
        infrastructure=measured.infrastructure,
        values={} if comparison is None else comparison.arm_values(),
        power=None
        if planned is None
        else Power(planned_items=planned.items, planned_power=planned.power, achieved_items=0),
    )
    if measured.loss is None or comparison is None or p_holm is None:
        return finding
    return finding.model_copy(update=_judgement(measured, measured.loss, comparison, p_holm))


def _judgement(
    measured: _Measured, loss: Interval, comparison: _Comparison, p_holm: float
) -> dict[str, object]:
    """The verdict and everything it rests on, as fields of a `Finding`."""
    target, against = measured.target, comparison.metric.against
    # Where `base` is the reference, the teacher's value is none to be had.
    with_teacher = against == "teacher"
    is_capability = with_teacher and not comparison.metric.is_harm
    advantage = comparison.beside("base") if is_capability else None
    judgement = decide(
        loss,
        target.margin,
        p_lost_holm=p_holm,
        teacher_advantage=advantage,
        chance_advantage=comparison.over_chance() if is_capability else None,
    )
    noise = comparison.beside("teacher_again") if with_teacher else None
    others = {role: comparison.beside(role, against) for role in OTHER_ARMS if role != against}
    derived = comparison.beside("derived", better="student")
    planned = comparison.plan.targets[target.id]
    why = judgement.why if with_teacher else f"against '{against}': {judgement.why}"
    if comparison.stopped:
        asked, of = len(comparison.scores.items), comparison.share.items
        why += f"; asking stopped at {asked:,} of {of:,} items, where the verdict was in"
    why += comparison.told_of_judge(measured.fitness)
    return {
        "verdict": Verdict(judgement.verdict),
        "why": why,
        "loss": _estimate(loss),
        "p_lost": measured.p_lost,
        "p_lost_holm": p_holm,
        "noise_floor": None if noise is None else _estimate(noise),
        "teacher_advantage": None if advantage is None else _estimate(advantage),
        "other_losses": {
            role: _estimate(interval) for role, interval in others.items() if interval is not None
        },
        "derived_loss": None if derived is None else _estimate(derived),
        "power": Power(
            planned_items=planned.items,
            planned_power=planned.power,
            achieved_items=loss.items,
            items_needed=_items_needed(loss, target.margin)
            if judgement.verdict == Verdict.INCONCLUSIVE
            else None,
        ),
    }


def _items_needed(loss: Interval, margin: float) -> int | None:
    """Items that would show the loss below the margin, were it what it looks like now.

    None where it does not look below the margin: no number of items is known to show that.
    """
    room = margin - max(0.0, loss.estimate)
    if room <= 0.0:
        return None
    return items_from_standard_error(loss.items, loss.standard_error, room)


def _estimate(interval: Interval) -> Estimate:
    return Estimate(
        estimate=interval.estimate,
        low=interval.low,
        high=interval.high,
        method=interval.method,
        items=interval.items,
        families=interval.families,
    )


def _record(probe: Probe, scores: ProbeScores | None, plan: Plan) -> ProbeRecord:
    errors = {} if scores is None else {r: int(m.sum()) for r, m in scores.errors.items()}
    return ProbeRecord(
        dimension=str(probe.dimension),
        items=0 if scores is None else len(scores.items),
        families=0 if scores is None else len(scores.family_names),
        errors=errors,
        source=f"generated from seed {plan.seed}" if probe.source == "generated" else probe.source,
    )
