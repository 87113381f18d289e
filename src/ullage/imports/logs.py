"""What a log of any tool comes to: evals, each of samples that were asked, answered and scored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ullage.config.imported import Figure
from ullage.errors import InputError
from ullage.probes.imported import FUNCTIONALS
from ullage.statement.sanitise import mend, visible

MOST_TEXT = 20_000
"""Characters of a prompt or a reply that are kept; a statement shows some 1,200 of them."""

MOST_KEY = 200
"""Characters of an id or a family."""

MOST_SCORE = 1e15
"""Of a score: beyond it sums lose whole numbers."""

_CLOSE = 1e-9
"""Of a figure: what summing in another order may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How samples are read."""

    family: str | None = None
    """Key of a sample's document or metadata that says which samples belong together."""
    by_document: bool = False
    """Pair samples of one document even where the prompts made of it differ."""
    subtasks: bool = False
    """Keep the subtasks of a group apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One question with its answer."""

    digest: str
    """Of what was asked: samples of two models are a pair only if it is the same."""
    family: str
    messages: tuple[tuple[str, str], ...]
    """(role, content), for showing."""
    reference: str
    text: str
    """What the model said, or how likely it found what."""
    scores: Mapping[str, tuple[float, ...]]
    """By metric: the score, or (log-likelihood, words or bytes). A metric that did not apply, or a
    sample that failed, has none."""
    failed: bool = False
    """Whether the tool could not ask it or score it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedMetric:
    """One figure, as the log reports it."""

    theirs: float
    """The figure."""
    figure: Figure = "mean"
    """How it should follow from the samples."""
    higher_is_better: bool | None = None
    """None where the log does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEval:
    """One task, and where it has several, a filter or scorer of it."""

    version: str
    samples: Mapping[str, Sample]
    metrics: Mapping[str, LoggedMetric]
    leftovers: tuple[str, ...] = ()
    """What of it was not read, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Everything one model was asked."""

    tool: str
    """Name and version."""
    about: Mapping[str, str]
    """Who answered."""
    evals: Mapping[str, LoggedEval] = field(default_factory=dict)
    """By title."""


def together(logs: Iterable[Log], place: Path) -> Log | None:
    """The runs of one model as one log; None where there is no run.

    Raises:
        InputError: they are of several models, or two of them of one task.
    """
    found: Log | None = None
    for log in logs:
        if found is None:
            found = log
            continue
        differing = {
            key for key in (*found.about, *log.about) if found.about.get(key) != log.about.get(key)
        }
        if found.tool != log.tool or differing - _SETTINGS:
            raise InputError(f"{place}: logs of several models; name the folder of one")
        if twice := log.evals.keys() & found.evals.keys():
            raise InputError(
                f"{place}: two runs of {named(min(twice))}; name the folder of one run"
            )
        about = {key: value for key, value in found.about.items() if key not in differing}
        found = replace(found, about=about, evals={**found.evals, **log.evals})
    return found


def figure_of(samples: Iterable[Sample], name: str, figure: Figure) -> float | None:
    """A figure worked out again from samples; None where they do not hold what it needs."""
    rows = [sample.scores[name] for sample in samples if name in sample.scores]
    width = 2 if figure in ("weighted-perplexity", "bits-per-byte") else 1
    if not rows or any(len(row) != width or (width == 2 and row[1] <= 0) for row in rows):
        return None
    table = np.asarray(rows, dtype=np.float64)
    functional = FUNCTIONALS.get(figure)
    if functional is None:
        return float(table[:, 0].mean())
    return float(functional(table, np.ones((1, len(table))))[0])


def follows(eval_: LoggedEval, name: str) -> bool:
    """Whether a figure of the log is what its samples come to."""
    metric = eval_.metrics[name]
    ours = figure_of(eval_.samples.values(), name, metric.figure)
    return ours is not None and abs(ours - metric.theirs) <= _CLOSE * max(1.0, abs(metric.theirs))


def digest(data: object) -> str:
    """SHA-256 of a JSON value, hex."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def number(value: object) -> float | None:
    """A score or a figure; None for what is none, or none that can be reckoned with."""
    if not isinstance(value, int | float) or not abs(value) <= MOST_SCORE:
        return None
    return float(value)


def key_of(value: object) -> str:
    """An id or a family as it is kept: as it is, or its hash where it is no fit name."""
    text = mend(str(value))
    return text if text.strip() and len(text) <= MOST_KEY else f"sha256:{digest(text)}"


def cut(text: str) -> str:
    """A text as it is kept: long ones shortened with a mark."""
    text = mend(text)
    if len(text) <= MOST_TEXT:
        return text
    return f"{text[:MOST_TEXT]}… ({len(text) - MOST_TEXT:,} more characters)"


def named(text: object, limit: int = 120) -> str:
    """A name of a log (task, model, metric) as it may be shown anywhere."""
    return visible(str(text), limit=limit).strip() or "(blank)"


_SETTINGS = frozenset(("temperature", "top_p", "top_k", "max_tokens", "seed"))
"""What one model may be asked with in one task and not in another."""

_TOLD = _SETTINGS | {
    "pretrained",
    "model",
    "model_path",
    "revision",
    "dtype",
    "quantization",
    "peft",
    "delta",
    "gguf_file",
    "subfolder",
}
"""Arguments of a model that say what it is; others may be secrets."""


def told(arguments: object) -> dict[str, str]:
    """What of a model's arguments a statement may show.

    Args:
        arguments: an object, or ``key=value,…`` as old lm-eval logs have it.
    """
    if isinstance(arguments, str):
        pairs: list[tuple[Any, Any]] = [
            (key.strip(), value)
            for key, _, value in (p.partition("=") for p in arguments.split(","))
        ]
    else:
        pairs = list(arguments.items()) if isinstance(arguments, dict) else []
    return {
        key: named(value)
        for key, value in pairs
        if key in _TOLD and isinstance(value, str | int | float) and value not in ("", False)
    }
