"""Trying one probe: losses of known sizes planted, audited by the path every audit takes, counted.

The plan is `make_plan`'s, verdicts are `judge`'s. What is not done again and again is asking: see
`pool`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ullage.collect.arms import ArmView
from ullage.config.models import (
    Arm,
    Arms,
    Behaviour,
    Config,
    Planning,
    Scenario,
    SimulatedOptions,
    Target,
)
from ullage.judge import judge
from ullage.models.simulated import SimulatedModel
from ullage.plan import Pilot, Plan, make_plan
from ullage.probes.protocol import Metric, Probe
from ullage.scores import ProbeScores, Scores
from ullage.selftest import checks
from ullage.selftest.damages import DAMAGES
from ullage.selftest.planted import READ, Trial, Truth, damaged_on, mixed, places, read_loss
from ullage.selftest.plants import baseline, default_margin, plant, teacher_of
from ullage.selftest.pool import (
    BASE,
    INTACT,
    JUDGE,
    JUDGING,
    TEACHER,
    Pool,
    Table,
    ask_pool,
    rows,
)
from ullage.selftest.report import SIZES, Check, MetricResult, ProbeResult, Trials
from ullage.stamp import digest
from ullage.statement.document import Finding, Verdict
from ullage.stats.power import flip_rate, intraclass_correlation

_APART = 500_000
"""Between the seeds of pilot and pool."""
_BATCHES = 10
_EVERY_SECOND = 0.5
"""Share of items on which the students of the matrix are damaged."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much is tried."""

    audits: int
    """Of each size."""
    matrix_audits: int
    """Of each damage, for the matrix."""
    seed: int
    planning: Planning = field(default_factory=Planning)
    pilot: int = 600
    """Items that tell how often the arms differ, and what unknown probes are moved by."""


QUICK = Settings(audits=20, matrix_audits=4, seed=1)
FULL = Settings(audits=200, matrix_audits=20, seed=1)


def try_probe(
    probe: Probe,
    settings: Settings,
    *,
    margins: Mapping[str, float] | None = None,
) -> ProbeResult:
    """Every metric of a probe (or those with a margin), at every size.

    Args:
        probe: the probe.
        settings: how much is tried.
        margins: by metric, for those that are wanted; None for all, each at its standard margin.
    """
    intact = baseline(probe)
    every = {name: (damage, 1) for name, damage in DAMAGES.items()}
    # The pilot's items are none of the pool's: another seed.
    pilot = ask_pool(
        probe,
        intact,
        every,
        teacher=teacher_of(probe),
        block=settings.pilot,
        blocks=1,
        seed=settings.seed + _APART,
    )
    trials = [
        _prepare(probe, metric, pilot, (margins or {}).get(metric.name))
        for metric in probe.metrics
        if margins is None or metric.name in margins
    ]
    plan, config, scenario = _plan(probe, trials, pilot, intact, settings)
    block = max((planned.items for planned in plan.targets.values()), default=1)
    wanted = {trial.damage for trial in trials}
    damages = {
        name: (DAMAGES[name], settings.audits if name in wanted else settings.matrix_audits)
        for name in DAMAGES
        if name in pilot.tables
    }
    pool = ask_pool(
        probe,
        intact,
        damages,
        teacher=teacher_of(probe),
        block=block,
        blocks=settings.audits,
        seed=settings.seed,
    )
    audit = _Audits(probe, pool, plan, config, scenario, settings)
    results, reported = [], []
    for trial in trials:
        result, shares = audit.run(trial)
        results.append(result)
        reported.append(shares)
    return ProbeResult(
        probe=probe.name,
        dimension=str(probe.dimension),
        source=probe.source,
        digest=digest(probe),
        metrics=tuple(results),
        reported={
            name: float(np.mean([shares[name] for shares in reported if name in shares] or [0.0]))
            for name in DAMAGES
        },
    )


def _known(check: Check, trial: Trial) -> Check:
    """The check, with the reason where it is known not to hold."""
    if check.passed or trial.plant is None:
        return check
    reasons = [why for start, why in trial.plant.known.items() if check.name.startswith(start)]
    return check.model_copy(update={"known": reasons[0]}) if reasons else check


# ---------------------------------------------------------------------------------- before asking


def _prepare(probe: Probe, metric: Metric, pilot: Pool, margin: float | None) -> Trial:
    """Which damage moves the metric, and by how much."""
    declared = plant(probe, metric)
    margin = margin or (declared.margin if declared else default_margin(metric))
    if declared is not None:
        effect = _effect(metric, pilot, declared.damage, declared.pairs)
        return Trial(metric, declared, declared.damage, margin, effect)
    effects = {
        name: _effect(metric, pilot, name, False) for name in DAMAGES if name in pilot.tables
    }
    effects = {name: effect for name, effect in effects.items() if math.isfinite(effect)}
    if not any(effects.values()):
        return Trial(metric, None, "", margin, 0.0)
    # The largest change, whichever way it goes: a metric that is turned round must not be excused
    # by some lesser damage that happens to please it.
    most = max(effects, key=lambda name: abs(effects[name]))
    return Trial(metric, None, most, margin, effects[most])


def _effect(metric: Metric, pool: Pool, damage: str, pairs: bool) -> float:
    """Loss of the wholly damaged student, on a whole pool; 0 where no reply changes."""
    if damage not in pool.tables:
        return 0.0
    return read_loss(metric, pool, damage, 1.0, pairs)


def _plan(
    probe: Probe, trials: list[Trial], pilot: Pool, intact: Behaviour, settings: Settings
) -> tuple[Plan, Config, Scenario]:
    """The plan an audit would make that knew how often its arms differ."""
    scenario = Scenario(
        name="selftest",
        title="Self-test",
        use="Simulated students with losses of a known size.",
        targets=tuple(
            Target(
                probe=probe.name,
                metric=trial.metric.name,
                margin=trial.margin,
                reason="A simulated loss of known size.",
            )
            for trial in trials
        ),
    )
    options = SimulatedOptions(default=intact)
    arm = Arm(model="simulated:arm", simulated=options)
    arms = Arms(teacher=arm, student=arm, base=arm, judge=arm)
    config = Config(arms=arms, planning=settings.planning)
    model = SimulatedModel("arm", options)
    views = {role: ArmView.of(role, model) for role in (TEACHER, "student", BASE)}
    if JUDGE in probe.others:
        views[JUDGE] = ArmView.of(JUDGE, SimulatedModel(JUDGE, SimulatedOptions(default=JUDGING)))
    plan = make_plan(
        config,
        scenario,
        {probe.name: probe},
        views,
        {role: {} for role in views},
        config_digest="selftest",
        pilot={
            f"{probe.name}.{trial.metric.name}": told
            for trial in trials
            if (told := _pilot(trial, pilot)) is not None
        },
    )
    return plan, config, scenario


def _pilot(trial: Trial, pool: Pool) -> Pilot | None:
    """How often teacher and a student that lost δ differ; one that lost nothing differs less."""
    if trial.metric.functional is not None or trial.damage not in pool.tables:
        return None
    share = min(1.0, trial.margin / trial.effect) if trial.effect > 0.0 else 1.0
    student, other = damaged_on(pool, trial, share), pool.tables[trial.metric.against]
    column = trial.metric.source_columns
    everything = slice(0, len(student.errors))
    difference = (rows(other, column, everything) - rows(student, column, everything))[:, 0]
    valid = np.isfinite(difference)
    if valid.sum() < 2:
        return None
    return Pilot(
        items=int(valid.sum()),
        flip_rate=flip_rate(difference[valid]),
        intraclass_correlation=intraclass_correlation(difference[valid], pool.family[valid]),
    )


# ------------------------------------------------------------------------------------------ audits


@dataclass(frozen=True, slots=True)
class _Audits:
    """Audits of one probe's students."""

    probe: Probe
    pool: Pool
    plan: Plan
    config: Config
    scenario: Scenario
    settings: Settings

    def run(self, trial: Trial) -> tuple[MetricResult, dict[str, float]]:
        """One metric's trials and checks, and by damage the share of `lost` for the matrix."""
        target = next(t for t in self.scenario.targets if t.metric == trial.metric.name)
        planned = self.plan.targets[target.id]
        truth = Truth(trial, self.pool, baseline(self.probe), teacher_of(self.probe))
        found = self._before(trial, truth)
        trials: dict[float, Trials] = {}
        reported: dict[str, float] = {}
        if all(check.passed for check in found):
            for size in SIZES:
                share = truth.share(size * trial.margin)
                if share is not None:
                    trials[size] = self._at(size, share, truth.loss(share), trial, target)
            enough = planned.power >= self.settings.planning.power
            found += checks.of_trials(
                trials, trial.margin, enough=enough, planned=enough and planned.piloted
            )
            found = [_known(check, trial) for check in found]
            reported = self._reported(trial, target, trials.get(0.0))
        untested = "" if self.pool.answered or trial.plant else "no item says what is right"
        result = MetricResult(
            probe=self.probe.name,
            metric=trial.metric.name,
            dimension=str(self.probe.dimension),
            damage=trial.damage,
            truth="declared" if trial.plant else "measured",
            margin=trial.margin,
            items=planned.items,
            power=planned.power,
            trials=tuple(trials.values()),
            checks=() if untested else tuple(found),
            untested=untested,
        )
        return result, reported

    def _before(self, trial: Trial, truth: Truth) -> list[Check]:
        """What can be told from the scores alone: whether they are what was declared."""
        failed = self.pool.tables[TEACHER].errors | self.pool.tables[INTACT].errors
        reasons: Counter[str] = sum(
            (self.pool.tables[arm].reasons for arm in (TEACHER, INTACT)), Counter()
        )
        reason = reasons.most_common(1)[0][0] if reasons else ""
        found = [checks.scored(int(failed.sum()), len(failed), reason)]
        if trial.plant is None:
            return [*found, checks.moves(trial.effect, trial.margin, trial.damage)]
        if trial.damage not in self.pool.tables:
            return [*found, checks.moves(0.0, trial.margin, "")]
        if trial.plant.mean is None:
            return [*found, self._reads_statistic(trial, truth), self._worse(trial)]
        for arm, setting in truth.settings.items():
            values = rows(self.pool.tables[arm], trial.metric.source_columns, slice(None))[:, 0]
            values = values[np.isfinite(values)]
            read = float(values.mean()) if len(values) else math.nan
            error = checks.standard_error(values)
            declared = trial.plant.mean(setting)
            name = arm if arm in (TEACHER, INTACT) else f"without {arm}"
            found.append(checks.reads(f"reads {name}", read, declared, error, trial.margin))
        return [*found, self._worse(trial)]

    def _worse(self, trial: Trial) -> Check:
        """The damage makes it worse, not better: the metric is the right way round."""
        pairs = trial.plant is not None and trial.plant.pairs
        effect = read_loss(trial.metric, self.pool, trial.damage, 1.0, pairs)
        return checks.moves(effect, trial.margin, trial.damage)

    def _reads_statistic(self, trial: Trial, truth: Truth) -> Check:
        """The loss of a wholly damaged student on the pool is the declared one."""
        size = min(READ, len(self.pool.tables[trial.damage].errors))
        step = size // _BATCHES
        batches = np.array(
            [
                read_loss(
                    trial.metric,
                    self.pool,
                    trial.damage,
                    1.0,
                    False,
                    slice(place * step, (place + 1) * step),
                )
                for place in range(_BATCHES)
            ]
        )
        read = read_loss(trial.metric, self.pool, trial.damage, 1.0, False)
        return checks.reads(
            f"reads the loss without {trial.damage}",
            read,
            truth.loss(1.0),
            checks.standard_error(batches),
            trial.margin,
        )

    def _at(
        self, size: float, share: float, planted: float, trial: Trial, target: Target
    ) -> Trials:
        """All audits of one size."""
        student = damaged_on(self.pool, trial, share)
        findings = [
            self._judge(target, student, replicate) for replicate in range(self.settings.audits)
        ]
        verdicts = Counter(finding.verdict for finding in findings)
        losses = [finding.loss for finding in findings if finding.loss is not None]
        estimates = np.array([loss.estimate for loss in losses])
        named = (Verdict.LOST, Verdict.DEGRADED, Verdict.PRESERVED)
        return Trials(
            size=size,
            planted=planted,
            share=share,
            audits=len(findings),
            lost=verdicts[Verdict.LOST],
            degraded=verdicts[Verdict.DEGRADED],
            preserved=verdicts[Verdict.PRESERVED],
            other=len(findings) - sum(verdicts[verdict] for verdict in named),
            bias=float(estimates.mean() - planted) if len(estimates) else 0.0,
            bias_error=checks.standard_error(estimates) if len(estimates) > 1 else 0.0,
            covered=sum(loss.low <= planted <= loss.high for loss in losses),
        )

    def _reported(self, trial: Trial, target: Target, none: Trials | None) -> dict[str, float]:
        """By damage, how often `lost` is reported of students damaged on every second item."""
        audits = self.settings.matrix_audits
        pairs = trial.plant is not None and trial.plant.pairs
        intact = self.pool.tables[TEACHER if pairs else INTACT]
        shares = {}
        for name in DAMAGES:
            if name not in self.pool.tables:
                shares[name] = none.lost_share if none else 0.0
                continue
            at = places(self.pool) < _EVERY_SECOND
            student = mixed(intact, self.pool.tables[name], at)
            verdicts = [self._judge(target, student, place).verdict for place in range(audits)]
            shares[name] = verdicts.count(Verdict.LOST) / audits
        return shares

    def _judge(self, target: Target, student: Table, replicate: int) -> Finding:
        """One audit of one target, on its own block of the pool."""
        items = self.plan.targets[target.id].items
        start = replicate * self.pool.block
        where = slice(start, start + items)
        metric = self.probe.metric(target.metric)
        columns = metric.source_columns
        arms = {metric.against: self.pool.tables[metric.against], "student": student}
        scores = ProbeScores(
            items=[str(index) for index in range(items)],
            family_names=self.pool.family_names,
            family=self.pool.family[where],
            values={
                (arm, name): table.values[name][where]
                for arm, table in arms.items()
                for name in columns
                if name in table.values
            },
            errors={arm: table.errors[where] for arm, table in arms.items()},
            reasons={arm: table.reasons for arm, table in arms.items()},
        )
        return judge(
            self.plan.model_copy(update={"seed": replicate}),
            self.scenario.model_copy(update={"targets": (target,)}),
            self.config.budget,
            {self.probe.name: self.probe},
            Scores({self.probe.name: scores}, {}, ""),
        ).findings[0]
