"""Students that are damaged on a share of their items, and what they truly lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize

from ullage.config.models import Behaviour
from ullage.probes.protocol import Metric
from ullage.selftest.damages import DAMAGES
from ullage.selftest.plants import Plant
from ullage.selftest.pool import INTACT, TEACHER, Pool, Table, rows
from ullage.selftest.truths import Setting

FloatArray = npt.NDArray[np.float64]

_GRID = 21
"""Shares of damaged items at which a loss that is not linear in them is worked out at first."""
READ = 20_000
"""Items at most that a statistic of a whole pool is worked out on."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One metric with all that is decided about it before its audits."""

    metric: Metric
    plant: Plant | None
    damage: str
    margin: float
    effect: float
    """By how much the damage makes the metric worse, as the pilot has it."""


def places(pool: Pool) -> FloatArray:
    """(items,) in [0, 1): an item is damaged where this is below the share, so that sizes nest."""
    return np.random.default_rng(2).random(len(pool.family))


def damaged_on(pool: Pool, trial: Trial, share: float) -> Table:
    """The student that is damaged on a share of its items."""
    pairs = trial.plant is not None and trial.plant.pairs
    intact = pool.tables[TEACHER if pairs else INTACT]
    if trial.damage not in pool.tables or share <= 0.0:
        return intact
    return mixed(intact, pool.tables[trial.damage], places(pool) < share)


def mixed(intact: Table, damaged: Table, at: npt.NDArray[np.bool_]) -> Table:
    """The damaged student's scores where `at` says so, the intact one's elsewhere."""
    size = len(damaged.errors)
    at = at[:size]
    nothing = np.full(size, np.nan)
    return Table(
        values={
            name: np.where(
                at,
                damaged.values.get(name, nothing),
                intact.values.get(name, nothing)[:size],
            )
            for name in {**intact.values, **damaged.values}
        },
        errors=np.where(at, damaged.errors, intact.errors[:size]),
        reasons=intact.reasons + damaged.reasons,
    )


def _value(metric: Metric, table: Table, where: slice) -> float:
    """The metric on some items; NaN where there is none."""
    values = rows(table, metric.source_columns, where)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) == 0:
        return math.nan
    if metric.functional is None:
        return float(values[:, 0].mean())
    return float(metric.functional(values, np.ones((1, len(values))))[0])


def read_loss(
    metric: Metric, pool: Pool, damage: str, share: float, pairs: bool, where: slice | None = None
) -> float:
    """Loss of a student damaged on a share of items, read through the probe."""
    intact = pool.tables[TEACHER if pairs else INTACT]
    student = mixed(intact, pool.tables[damage], places(pool) < share)
    where = where or slice(0, min(READ, len(student.errors)))
    loss = _value(metric, pool.tables[metric.against], where) - _value(metric, student, where)
    return loss if metric.higher_is_better else -loss


class Truth:
    """The true loss by share of damaged items, declared or (where nothing is) measured."""

    def __init__(self, trial: Trial, pool: Pool, intact: Behaviour) -> None:
        self._trial = trial
        self._pool = pool
        damage = DAMAGES.get(trial.damage)
        behaviour = damage.behaviour(intact) if damage else intact
        invents = damage is not None and damage.invents
        whole = Setting(intact, intact, False, False, pool.prompts)
        twin = Setting(intact, intact, True, False, pool.prompts)
        self.settings = {
            TEACHER: twin,
            INTACT: whole,
            trial.damage: Setting(behaviour, intact, False, invents, pool.prompts),
        }
        """By arm of the pool."""
        pairs = trial.plant is not None and trial.plant.pairs
        self._start = twin if pairs else whole
        self._linear = trial.metric.functional is None
        self._known: dict[float, float] = {}

    def loss(self, share: float) -> float:
        """The true loss, oriented so that positive is worse."""
        if self._linear:
            return (1.0 - share) * self._loss(0.0) + share * self._loss(1.0)
        return self._loss(share)

    def share(self, loss: float) -> float | None:
        """The share of damaged items that loses as much; None if none does."""
        grid = np.linspace(0.0, 1.0, _GRID)
        losses = np.array([self.loss(float(share)) for share in grid])
        enough = np.flatnonzero(losses >= loss)
        if len(enough) == 0:
            return None
        first = int(enough[0])
        if first == 0:
            return 0.0
        low, high = float(grid[first - 1]), float(grid[first])
        return float(optimize.brentq(lambda s: self.loss(s) - loss, low, high, xtol=1e-4))

    def _loss(self, share: float) -> float:
        if share not in self._known:
            self._known[share] = self._worked_out(share)
        return self._known[share]

    def _worked_out(self, share: float) -> float:
        trial, plant = self._trial, self._trial.plant
        if plant is None:
            return read_loss(trial.metric, self._pool, trial.damage, share, False)
        # The base is as the intact student is: it differs from the teacher by its own noise.
        reference = self.settings[TEACHER if trial.metric.against == TEACHER else INTACT]
        damaged = self.settings[trial.damage]
        if plant.mean is not None:
            theirs = plant.mean(reference)
            own = (1.0 - share) * plant.mean(self._start) + share * plant.mean(damaged)
        else:
            assert plant.population is not None  # noqa: S101 - a plant has one of the two
            assert plant.statistic is not None  # noqa: S101
            student = plant.population(self._start).mixed(plant.population(damaged), share)
            theirs, own = plant.statistic(plant.population(reference)), plant.statistic(student)
        return theirs - own if trial.metric.higher_is_better else own - theirs
