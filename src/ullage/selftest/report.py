"""The result of a self-test as data: `ullage selftest --json` is this, and `organisms` joins it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

SIZES = (0.0, 0.5, 1.0, 2.0)
"""Planted losses, in margins."""


class Part(BaseModel):
    """Base of every part of the report."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Trials(Part):
    """Audits of students that lost the same."""

    size: float
    """What was planted, in margins δ."""
    planted: float
    """The same in the metric's unit: the true loss."""
    share: float
    """Share of the items on which the student is damaged."""
    audits: int
    """How many."""
    lost: int
    """Of them, judged `lost`."""
    degraded: int
    """Of them, judged `degraded`."""
    preserved: int
    """Of them, judged `preserved`."""
    other: int
    """Of them, judged anything else (`inconclusive`, mostly)."""
    bias: float
    """Mean estimated loss less the true one."""
    bias_error: float
    """Standard error of `bias` by simulation."""
    covered: int
    """Audits whose 95 % interval holds the true loss."""

    @property
    def found(self) -> float:
        """Share in which a loss was reported, `lost` or `degraded`."""
        return (self.lost + self.degraded) / self.audits

    @property
    def lost_share(self) -> float:
        """Share judged `lost`."""
        return self.lost / self.audits

    @property
    def kept_share(self) -> float:
        """Share judged `preserved`."""
        return self.preserved / self.audits


class Check(Part):
    """One thing that must hold."""

    name: str
    """What is checked."""
    passed: bool
    """Whether it holds, as far as this many trials can tell."""
    found: str
    """What was seen."""
    wanted: str
    """What must be."""
    known: str = ""
    """Where it does not hold and that is a known weakness: which. It is told, and fails nothing."""

    @property
    def fails(self) -> bool:
        """Whether it does not hold, and nobody knew."""
        return not (self.passed or self.known)


class MetricResult(Part):
    """Trials of one metric of one probe."""

    probe: str
    metric: str
    dimension: str
    damage: str
    """What the student lost."""
    truth: Literal["declared", "measured"]
    """Whether the true loss was known beforehand or read through the probe itself."""
    margin: float
    """δ."""
    items: int
    """Items of each audit, as `ullage plan` would have it."""
    power: float
    """To show a student preserved that lost nothing, as planned."""
    trials: tuple[Trials, ...]
    """By size; empty where the metric failed before any audit, and without the sizes that no
    simulated student can lose."""
    checks: tuple[Check, ...]
    untested: str = ""
    """Why simulated students cannot tell anything about this metric."""

    @property
    def passed(self) -> bool:
        """Whether every check holds, or is known not to."""
        return not any(check.fails for check in self.checks)

    @property
    def id(self) -> str:
        """``probe.metric``."""
        return f"{self.probe}.{self.metric}"

    def at(self, size: float) -> Trials | None:
        """The trials at a size, in margins."""
        return next((trials for trials in self.trials if trials.size == size), None)


class ProbeResult(Part):
    """Trials of one probe."""

    probe: str
    dimension: str
    source: str
    """Where its items come from: ``generated``, or a file and its hash."""
    digest: str
    """SHA-256 of everything that judges with this probe."""
    metrics: tuple[MetricResult, ...]
    reported: dict[str, float]
    """By damage: mean share of this probe's metrics judged `lost` in students damaged on every
    second item."""

    @property
    def passed(self) -> bool:
        """Whether every metric passed."""
        return all(metric.passed for metric in self.metrics)


class OrganismResult(Part):
    """The audit of a student that was really distilled with one thing left out."""

    organism: str
    cause: str
    """What was left out of its making."""
    dimension: str | None
    """Where the loss must be; None for a student that lost nothing."""
    target: str | None
    """Which target (``probe.metric``) must show the largest loss of its dimension."""
    verdicts: dict[str, str]
    """By target."""
    losses: dict[str, float]
    """By target, in margins."""
    direct: dict[str, float] = {}
    """By part (`ullage.lab.questions`), the share right by the world's own checker; ``warehouse``:
    the distance from the true odds."""
    passed: bool
    why: str
    """In one sentence, for a person."""


class Report(Part):
    """What the auditor can and cannot see."""

    schema_version: Literal["1.0"] = "1.0"
    kind: Literal["ullage.selftest"] = "ullage.selftest"
    ullage_version: str
    quick: bool
    seed: int
    audits: int
    """Audits of each size."""
    probes: tuple[ProbeResult, ...]
    """On simulated students with losses of a known size."""
    matrix: dict[str, dict[str, float]]
    """Planted against reported: by damage and dimension, the mean share judged `lost` in students
    damaged on every second item."""
    organisms: tuple[OrganismResult, ...] = ()
    """On students made by `ullage distill`; empty where none was audited."""

    @property
    def metrics(self) -> tuple[MetricResult, ...]:
        """Of all probes."""
        return tuple(metric for probe in self.probes for metric in probe.metrics)

    @property
    def passed(self) -> bool:
        """Whether everything passed."""
        return all(probe.passed for probe in self.probes) and all(
            organism.passed for organism in self.organisms
        )
