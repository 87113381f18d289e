"""Distillation losses as pure functions of logits, and the weighted sum a recipe makes of them.

Shapes in names: N supervised positions, V rows of the student's vocabulary. Every function returns
one value per position and leaves the reduction to its caller, so that a chunk of positions and all
of them are computed by the same lines.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch code base uses

from ullage.distill.signals import Signal

IGNORED = -100
"""Label of a position that is not supervised, as in torch and transformers."""


def forward_kl(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
) -> torch.Tensor:
    """KL(teacher || student) at a temperature, times its square.

    With p = softmax(t / T) and q = softmax(s / T), the value is T² Σ p (log p − log q). Dividing
    logits by T shrinks gradients by about 1/T²; the factor keeps the balance with cross-entropy
    where it was (Hinton, Vinyals, Dean 2015, arXiv 1503.02531, §2).

    Args:
        student_logits_NV: student logits, shape (N, V).
        teacher_logits_NV: teacher logits in the student's vocabulary, shape (N, V); −inf where the
            teacher has no such token, which then adds nothing.
        temperature: T > 0.

    Returns:
        Nats per position, shape (N,), never negative but for rounding.
    """
    log_p_NV = _log_softmax(teacher_logits_NV, temperature)
    log_q_NV = _log_softmax(student_logits_NV, temperature)
    # p·(log p − log q) is 0 where p is 0, but 0·(−inf) would be nan.
    finite_log_p_NV = log_p_NV.clamp_min(torch.finfo(log_p_NV.dtype).min)
    return (log_p_NV.exp() * (finite_log_p_NV - log_q_NV)).sum(dim=-1) * temperature**2


def cross_entropy(
    student_logits_NV: torch.Tensor,
    labels_N: torch.Tensor,
) -> torch.Tensor:
    """−log q of each label at temperature 1, shape (N,); 0 where the label is `IGNORED`."""
    return F.cross_entropy(student_logits_NV, labels_N, reduction="none", ignore_index=IGNORED)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a term may look at, for some supervised positions."""

    student_logits_NV: torch.Tensor
    labels_N: torch.Tensor
    teacher_logits_NV: torch.Tensor | None = None
    """None where the recipe uses no teacher logits."""


@dataclass(frozen=True, slots=True)
class Term:
    """One named part of the loss."""

    name: str
    weight: float
    eats: Signal | None
    """The teacher signal it needs, None where the corpus's references do; see
    `ullage.distill.signals` for who can give each."""
    value: Callable[[Evidence], torch.Tensor]
    """Per position, shape (N,)."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A weighted sum of named terms; the one thing the engine knows about a method."""

    terms: tuple[Term, ...]

    @property
    def eats(self) -> frozenset[Signal]:
        """Every teacher signal some term needs."""
        return frozenset(term.eats for term in self.terms if term.eats is not None)

    def values(self, evidence: Evidence) -> dict[str, torch.Tensor]:
        """Each term per position, unweighted."""
        return {term.name: term.value(evidence) for term in self.terms}

    def total(self, values: dict[str, torch.Tensor]) -> torch.Tensor:
        """The weighted sum of `values`, of the same shape."""
        return torch.stack([term.weight * values[term.name] for term in self.terms]).sum(dim=0)


def logits_objective(temperature: float, cross_entropy_share: float) -> Objective:
    """Forward KL at a temperature, mixed with cross-entropy on the references.

    Both terms are always computed, so that a weight of 0 still reports what it ignores.
    """

    def kl(evidence: Evidence) -> torch.Tensor:
        if evidence.teacher_logits_NV is None:
            raise ValueError("forward KL needs the teacher's logits")
        return forward_kl(evidence.student_logits_NV, evidence.teacher_logits_NV, temperature)

    return Objective(
        (
            Term("forward_kl", 1.0 - cross_entropy_share, Signal.LOGITS, kl),
            Term("cross_entropy", cross_entropy_share, None, _reference_cross_entropy),
        )
    )


def text_objective() -> Objective:
    """Cross-entropy on text: sequence-level distillation (Kim and Rush 2016, arXiv 1606.07947)."""
    return Objective((Term("cross_entropy", 1.0, Signal.TEXT, _reference_cross_entropy),))


def _reference_cross_entropy(evidence: Evidence) -> torch.Tensor:
    return cross_entropy(evidence.student_logits_NV, evidence.labels_N)


def _log_softmax(logits_NV: torch.Tensor, temperature: float) -> torch.Tensor:
    # A pass over positions x vocabulary costs as much as the softmax: no division by 1.
    scaled_NV = logits_NV if temperature == 1.0 else logits_NV / temperature
    return F.log_softmax(scaled_NV, dim=-1)
