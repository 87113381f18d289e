"""The Probe protocol: a probe is written as if it talked to one model about one item.

``converse`` yields what it wants to ask (`Ask`, `Sample`, `Weigh`) and is sent what came back
(`Reply`, ``tuple[Reply, ...]``, `Weights`); it returns one number per column of the score table.
Batching, caching, retries, errors and statistics belong to the engine: a request that fails ends
the conversation, the item gets status ``error`` and the probe never sees it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ullage.models.types import Access, Ask, Message, Reply, Sample, Subject, Weigh, Weights

FloatArray = npt.NDArray[np.float64]

Functional = Callable[[FloatArray, FloatArray], FloatArray]
"""A statistic of several columns that is not a mean.

Called with ``values`` of shape (items, columns) and ``weights`` of shape (replicates, items), whole
multiplicities of a resample; returns shape (replicates,). Weights of one give the plain estimate.
"""


PEOPLE = "people"
"""Column of the score table for what people say of replies that a model judged, in the unit of the
metric; of most items they say nothing."""


class Dimension(StrEnum):
    """One kind of capability that distillation may lose (DESIGN §5)."""

    FIDELITY = "fidelity"
    UNCERTAINTY = "uncertainty"
    BOUNDARY = "boundary"
    PROCESS = "process"
    STABILITY = "stability"
    GROUNDING = "grounding"
    PRIVACY = "privacy"
    SAFETY = "safety"
    DIVERSITY = "diversity"
    CAPACITY = "capacity"
    AGENCY = "agency"
    INHERITANCE = "inheritance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question of a probe. Items of one template or source share a `family`."""

    id: str
    family: str
    messages: tuple[Message, ...]
    expects: str = "answer"
    """The ideal behaviour, one of those of `Subject.expects`."""
    answer: str = ""
    """A reply that scores full marks; for a choice, the text of the right one."""
    wrong: str = ""
    """A plausible reply that scores none (the remembered answer, a distractor)."""
    choices: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    """More replies that score full marks, where there are many."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else the probe needs; JSON-ready."""

    def subject(self, probe: str) -> Subject:
        """What requests about this item carry for adapters that compute no answer."""
        return Subject(
            item=self.id,
            family=self.family,
            probe=probe,
            expects=self.expects,
            answer=self.answer,
            wrong=self.wrong,
            ways=self.ways,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A number a target can be set on, computed from columns that `converse` returns."""

    name: str
    summary: str
    """One plain sentence for a product owner: what a drop in it means."""
    higher_is_better: bool = True
    columns: tuple[str, ...] = ()
    """Columns it is computed from; empty means the one column of its own name."""
    functional: Functional | None = None
    """None for the mean of one column."""
    bounds: tuple[float, float] = (0.0, 1.0)
    """Smallest and largest value one item (or the statistic, for a functional) can have."""
    chance: float | None = None
    """Value of a strategy that knows nothing, where that is one number."""
    reference: str = ""
    """Paper, section and equation."""
    against: Literal["teacher", "base"] = "teacher"
    """The arm that the student is compared with: `base` where a value of the teacher's means
    nothing, as in what came along from the teacher."""
    is_harm: bool = False
    """Whether it counts a harm (a leak) and no capability: that the base did as little of it takes
    nothing off the student, so *never had* is not said."""
    even: float | None = None
    """Where a model judges whose reply is better: the value of one that is as good as the reply it
    is compared with, and so of the arm compared with. People's labels (`PEOPLE`) mend it."""

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The columns the metric reads."""
        return self.columns or (self.name,)


Conversation = Generator[
    Ask | Sample | Weigh, Reply | tuple[Reply, ...] | Weights, Mapping[str, float]
]
"""What `converse` returns. Annotate each answer: ``reply: Reply = yield Ask(...)`` needs a cast
under mypy, so the helpers `ask`, `sample` and `weigh` below give typed answers with ``yield from``.
"""


class Probe(ABC):
    """A way to measure one dimension."""

    name: str
    """Unique, kebab-case; what a target refers to."""
    dimension: Dimension
    access: frozenset[Access] = frozenset({Access.TEXT})
    """All of these are needed; a model lacking one leaves the probe's targets ``unmeasured``."""
    others: frozenset[Literal["base", "judge"]] = frozenset()
    """Arms it asks beside the teacher (`Ask.of`); without them its targets are ``unmeasured``."""
    validation: Probe | None = None
    """Where a model judges: what tries the judge on labelled items (`ullage.probes.validation`)."""
    is_planted: bool = False
    """Whether its items belong in a training corpus: `ullage distill` leaves them there."""
    gaps: Mapping[str, str] = MappingProxyType({})
    """Columns that `converse` returns where an item can have no score, each with why in words."""
    instead: str = ""
    """What to measure where this cannot be, for want of access or by such a gap."""
    obstacle: str = ""
    """Why nothing can be measured with the items it has; its targets are then ``unmeasured``."""
    metrics: tuple[Metric, ...]
    """Each is defined on (nearly) every item of the probe, so that n items plan n values."""

    size: int | None = None
    """Number of items where it is finite (a file); None where items are generated without end."""
    source: str = "generated"
    """Where items come from, for the statement: ``generated``, or a file's name and hash."""

    @abstractmethod
    def items(self, seed: int) -> Iterator[Item]:
        """The probe's items, in a fixed order: the first n are the same whatever n is.

        Endless for generated probes, with families balanced in every prefix; finite for a file.
        Lazy: the engine never holds them all.
        """

    @abstractmethod
    def converse(self, item: Item) -> Conversation:
        """Ask about one item and return its score columns; leave a column out if not applicable.

        Deterministic: the same answers give the same questions and the same scores.
        """

    def metric(self, name: str) -> Metric:
        """The metric of that name; KeyError if the probe has none."""
        return {metric.name: metric for metric in self.metrics}[name]


def ask(request: Ask) -> Generator[Ask | Sample | Weigh, Any, Reply]:
    """Yield a request and get a typed answer (with ``yield from``)."""
    reply: Reply = yield request
    return reply


def sample(request: Sample) -> Generator[Ask | Sample | Weigh, Any, tuple[Reply, ...]]:
    """Yield a request and get a typed answer (with ``yield from``)."""
    replies: tuple[Reply, ...] = yield request
    return replies


def weigh(request: Weigh) -> Generator[Ask | Sample | Weigh, Any, Weights]:
    """Yield a request and get a typed answer (with ``yield from``)."""
    weights: Weights = yield request
    return weights
