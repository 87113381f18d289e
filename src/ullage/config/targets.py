"""What is accounted for: targets with their margins, and the scenarios they make up."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from ullage.config.base import Slug, Strict, unique


class Severity(StrEnum):
    """How much a loss on a target matters."""

    MUST = "must"
    SHOULD = "should"
    MAY_LOSE = "may_lose"


class Target(Strict):
    """One capability to account for: written down, with its margin, before anything is asked."""

    probe: Slug
    """Name of a probe (`ullage probes`) or of a task of this file."""
    metric: Slug
    """A metric of that probe."""
    margin: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    """δ: the largest loss that would still be called kept, in the metric's own unit."""
    severity: Severity = Severity.SHOULD
    """`must` and `should` are gated, `may_lose` is reported."""
    reason: Annotated[str, Field(min_length=10)]
    """Why this margin and severity: what breaks, for whom, if more is lost."""
    headline: bool = False
    """Whether this is the performance axis (what the usual eval already measures)."""

    @property
    def id(self) -> str:
        """``probe.metric``, unique within a scenario."""
        return f"{self.probe}.{self.metric}"


class Scenario(Strict):
    """A set of targets fit for one use."""

    name: Slug
    """What `scenario:` refers to."""
    title: str
    """As the statement shows it."""
    use: str
    """What the student will be used for, in a sentence or two."""
    not_for: str = ""
    """What it must not be used for on the strength of this scenario."""
    falls_back: str = ""
    """What goes to the teacher instead of the student."""
    demands_proof: bool = True
    """Whether inconclusive or unmeasured `must` targets fail the gate (exit 3)."""
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    """What is accounted for."""

    @model_validator(mode="after")
    def _targets_areunique(self) -> Self:
        unique("target", (target.id for target in self.targets))
        return self
