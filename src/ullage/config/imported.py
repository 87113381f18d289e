"""What `ullage import` writes into a configuration: evals that another tool ran and scored."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ullage.config.base import DimensionName, Slug, Strict

Number = Annotated[float, Field(allow_inf_nan=False)]
Figure = Literal["mean", "perplexity", "weighted-perplexity", "bits-per-byte"]


class ImportedMetric(Strict):
    """One figure of an eval."""

    name: Slug
    """What a target's `metric` refers to."""
    logged: str
    """As the log calls it."""
    figure: Figure = "mean"
    """How the figure follows from the samples: their mean; the exponential of minus their mean
    log-likelihood; the same for each word or byte; bits for each byte."""
    higher_is_better: bool = True
    """Whether a larger figure is better."""
    bounds: tuple[Number, Number] = (0.0, 1.0)
    """Smallest and largest value one sample can have."""
    unmeasured: str = ""
    """Why no verdict is possible, where none is."""

    @model_validator(mode="after")
    def _bounds_rise(self) -> Self:
        if not self.bounds[0] < self.bounds[1]:
            raise ValueError(f"bounds {list(self.bounds)} do not rise; give the smallest first")
        return self


class ImportedEval(Strict):
    """One eval (a task, and where it has several, a filter or scorer of it)."""

    name: Slug
    """What a target's `probe` refers to."""
    source: str
    """Tool, task and version, for the statement."""
    file: str | None = None
    """Its items (JSONL, relative to this configuration file); none where nothing is paired."""
    dimension: DimensionName = "fidelity"
    """Under which the statement lists it."""
    metrics: Annotated[tuple[ImportedMetric, ...], Field(min_length=1)]
    """Its figures."""


class Imported(Strict):
    """Evals whose replies and scores are in the arms' recordings."""

    evals: Annotated[tuple[ImportedEval, ...], Field(min_length=1)]
    """All of them."""
    notes: tuple[str, ...] = ()
    """What importing left out, and what a reader of the statement should know."""
