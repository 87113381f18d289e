"""What a student minimises: a weighted sum of named terms over supervised positions.

Shapes in names: N supervised positions, V rows of the student's vocabulary. Every term gives one
value per position and leaves the reduction to its caller, so that a chunk of positions and all of
them are computed by the same lines.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch code base uses

from ullage.distill.aligned import Aligned
from ullage.distill.divergences import Divergence, forward_kl, total_variation
from ullage.distill.inner import Inner
from ullage.distill.signals import Signal
from ullage.distill.sparse import Teacher, TopK

IGNORED = -100
"""Label of a position that is not supervised, as in torch and transformers."""
OWN = -101
"""Label of a supervised position at which no token is right: the text is the student's own."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a term may look at, for some supervised positions."""

    student_logits_NV: torch.Tensor
    labels_N: torch.Tensor
    teacher: Teacher | Aligned | None = None
    """None where the recipe asks no teacher for probabilities."""
    rationale_N: torch.Tensor | None = None
    """Where the label belongs to a rationale; None where none does."""


Tokens = Literal["all", "answer", "rationale"]
"""Supervised positions that a term is the mean over."""
_TOKENS: tuple[Tokens, ...] = ("all", "answer", "rationale")


def label_counts(labels: torch.Tensor, rationale: torch.Tensor | None = None) -> torch.Tensor:
    """How many supervised positions there are, (3,): all, of answers, of rationales.

    Args:
        labels: of any shape.
        rationale: where the label belongs to a rationale, of the same shape.
    """
    supervised = labels != IGNORED
    every = supervised.sum()
    steps = torch.zeros_like(every) if rationale is None else (supervised & rationale).sum()
    return torch.stack([every, every - steps, steps])


@dataclass(frozen=True, slots=True)
class Schedule:
    """A weight that goes from one value to another while training."""

    start: float
    end: float
    over: tuple[float, float] = (0.0, 1.0)
    """Shares of all steps between which it moves; before and after, it stands still."""
    shape: Literal["linear", "cosine"] = "linear"
    """`cosine` leaves and arrives slowly."""

    def __post_init__(self) -> None:
        first, last = self.over
        if not 0.0 <= first < last <= 1.0:
            raise ValueError(f"a schedule over {self.over} is not over a part of (0, 1)")

    def at(self, progress: float) -> float:
        """The weight after a share of all steps."""
        first, last = self.over
        way = min(max((progress - first) / (last - first), 0.0), 1.0)
        if self.shape == "cosine":
            way = (1.0 - math.cos(math.pi * way)) / 2.0
        # Of this form both ends are met exactly.
        return (1.0 - way) * self.start + way * self.end


@dataclass(frozen=True, slots=True)
class Term:
    """One named part of the loss."""

    name: str
    weight: float | Schedule
    eats: Signal | None
    """The teacher signal it needs, None where the corpus's references do; see
    `ullage.distill.signals` for who can give each."""
    value: Callable[[Evidence], torch.Tensor]
    """Per position, shape (N,)."""
    in_nats: bool = True
    """Or in what its own definition says."""
    tokens: Tokens = "all"
    """Where it counts; its value elsewhere is left out."""

    def counted(self, evidence: Evidence) -> torch.Tensor:
        """Its value where it counts, 0 elsewhere, shape (N,)."""
        value_N = self.value(evidence)
        if self.tokens == "all":
            return value_N
        rationale_N = evidence.rationale_N
        if rationale_N is None:
            return value_N if self.tokens == "answer" else torch.zeros_like(value_N)
        return value_N.masked_fill(rationale_N if self.tokens == "answer" else ~rationale_N, 0.0)


@dataclass(frozen=True, slots=True)
class InnerTerm:
    """One named part of the loss that looks inside the models, and not at their logits."""

    name: str
    weight: float | Schedule
    eats: Signal
    """States or attention maps."""
    value: Inner
    """Summed over positions."""
    in_nats: bool = False
    """Distances as its own definition says."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A weighted sum of named terms; the one thing the engine knows about a method."""

    terms: tuple[Term, ...]
    """On logits and labels."""
    inner: tuple[InnerTerm, ...] = ()
    """On what goes on inside."""
    progress: float = 0.0
    """Share of all steps that are done: schedules are read here."""
    labels: tuple[int, int, int] = (1, 1, 1)
    """`label_counts` of what the total is a mean over. A term on a part of the tokens is the mean
    over that part: `total` makes up for the others, which a caller divides by as well."""

    def __post_init__(self) -> None:
        names = [term.name for term in self.every]
        if len(set(names)) < len(names):
            raise ValueError(f"terms {names}: each needs a name of its own")

    def at(self, progress: float) -> Objective:
        """The same objective after a share of all steps."""
        return replace(self, progress=progress)

    def over(self, labels: torch.Tensor) -> Objective:
        """The same objective for a mean over so many labels (`label_counts`)."""
        every, answer, rationale = (int(count) for count in labels)
        return replace(self, labels=(every, answer, rationale))

    def mean(self, sums: Mapping[str, float], labels: Sequence[int]) -> dict[str, float]:
        """Each term per label it counts at.

        Args:
            sums: of terms by name.
            labels: their `label_counts`.
        """
        tokens = self._tokens
        return {
            name: total / max(labels[_TOKENS.index(tokens[name])], 1)
            for name, total in sums.items()
        }

    def loss(self, means: Mapping[str, float]) -> float:
        """The weighted sum of `mean`."""
        return sum(weight * means[name] for name, weight in self.weights.items())

    @property
    def _tokens(self) -> dict[str, Tokens]:
        """Where each term counts."""
        return {term.name: term.tokens if isinstance(term, Term) else "all" for term in self.every}

    @property
    def every(self) -> tuple[Term | InnerTerm, ...]:
        """All terms."""
        return (*self.terms, *self.inner)

    @property
    def eats(self) -> frozenset[Signal]:
        """Every teacher signal some term needs."""
        return frozenset(term.eats for term in self.every if term.eats is not None)

    @property
    def weights(self) -> dict[str, float]:
        """Each term's weight, as of `progress`."""
        return {
            term.name: term.weight.at(self.progress)
            if isinstance(term.weight, Schedule)
            else term.weight
            for term in self.every
        }

    @property
    def units(self) -> dict[str, str]:
        """What each term is counted in, and their weighted sum ``loss``."""
        in_nats = {term.name: term.in_nats for term in self.every}
        in_nats["loss"] = all(in_nats.values())
        return {
            name: f"{'nats ' if known else ''}per supervised token"
            for name, known in in_nats.items()
        }

    def values(self, evidence: Evidence) -> dict[str, torch.Tensor]:
        """Each term on logits per position, unweighted."""
        return {term.name: term.counted(evidence) for term in self.terms}

    def total(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of `values` (of some or all terms), of the same shape."""
        weights, tokens = self.weights, self._tokens
        share = {
            part: self.labels[0] / max(count, 1)
            for part, count in zip(_TOKENS, self.labels, strict=True)
        }
        return torch.stack(
            [weights[name] * share[tokens[name]] * value for name, value in values.items()]
        ).sum(dim=0)


def divergence_term(
    name: str,
    divergence: Divergence,
    weight: float | Schedule = 1.0,
    temperature: float = 1.0,
    tokens: Tokens = "all",
) -> Term:
    """A divergence from whatever the teacher gives: dense logits, a top k or sampled ids.

    Args:
        name: of the term.
        divergence: a function of `ullage.distill.divergences`; where it has a parameter of its
            own, bound with `functools.partial`.
        weight: in the objective.
        temperature: of the loss. A sparse teacher has one already: the two have to agree.
        tokens: where it counts.
    """

    def value(evidence: Evidence) -> torch.Tensor:
        student_NV, teacher = evidence.student_logits_NV, evidence.teacher
        if teacher is None:
            raise ValueError(f"{name} needs the teacher's probabilities")
        if isinstance(teacher, torch.Tensor):
            return divergence(student_NV, teacher, temperature)
        if isinstance(teacher, Aligned):
            return divergence(*teacher.compared(student_NV, temperature), temperature)
        if teacher.temperature != temperature:
            raise ValueError(
                f"{name} is at temperature {temperature}, the teacher's probabilities at "
                f"{teacher.temperature}"
            )
        if isinstance(teacher, TopK):
            if teacher.background is not None:
                if divergence is forward_kl:
                    return teacher.forward_kl(student_NV)
                return divergence(student_NV, teacher.dense(), temperature)
            return divergence(*teacher.outcomes(student_NV), temperature)
        if divergence is not forward_kl:
            raise ValueError(f"{name}: sampled ids estimate forward KL alone")
        return teacher.forward_kl(student_NV)

    in_nats = divergence is not total_variation
    return Term(name, weight, Signal.LOGITS, value, in_nats=in_nats, tokens=tokens)


def merged_term(weight: float | Schedule = 1.0, name: str = "merged_spans") -> Term:
    """The probabilities of spans that take several tokens of one side, as a term."""

    def value(evidence: Evidence) -> torch.Tensor:
        teacher = _on_bytes(name, evidence)
        return teacher.merged(evidence.student_logits_NV, evidence.labels_N)

    return Term(name, weight, Signal.LOGITS, value)


def ranked_term(weight: float | Schedule = 1.0, name: str = "ranked_rest") -> Term:
    """The tokens that the other vocabulary has no words for: a sum of probabilities, as a term."""

    def value(evidence: Evidence) -> torch.Tensor:
        return _on_bytes(name, evidence).ranked(evidence.student_logits_NV)

    return Term(name, weight, Signal.LOGITS, value, in_nats=False)


def _on_bytes(name: str, evidence: Evidence) -> Aligned:
    if not isinstance(evidence.teacher, Aligned):
        raise ValueError(f"{name} is of a teacher aligned on bytes")
    return evidence.teacher


def cross_entropy_term(
    weight: float | Schedule = 1.0,
    eats: Signal | None = None,
    name: str = "cross_entropy",
    tokens: Tokens = "all",
) -> Term:
    """Cross-entropy on the labels, as a term."""

    def value(evidence: Evidence) -> torch.Tensor:
        return cross_entropy(evidence.student_logits_NV, evidence.labels_N)

    return Term(name, weight, eats, value, tokens=tokens)


def cross_entropy(
    student_logits_NV: torch.Tensor,
    labels_N: torch.Tensor,
) -> torch.Tensor:
    """−log q of each label at temperature 1, shape (N,); 0 where the label is `IGNORED`."""
    return F.cross_entropy(student_logits_NV, labels_N, reduction="none", ignore_index=IGNORED)
