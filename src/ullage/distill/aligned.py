"""What a teacher with another vocabulary says at a student's positions, and how it is compared.

Three things, at positions where both have read the same bytes:

- **the next token**, over the outcomes that both vocabularies have: `Aligned.compared` gives both
  distributions, and any divergence of `ullage.distill.divergences` takes them;
- **the words that were written**, where one side needs several tokens for them: `merged`, how far
  the two probabilities of a whole span are apart;
- **what has no counterpart**: `ranked`, the tokens neither side can say in the other's words,
  likeliest against likeliest.

Shapes in names: N positions, C spans, V and U rows of the student's and the teacher's head.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.distill.outcomes import Outcomes

_SURE = -1e-6
"""The highest log-probability of a span: beyond it fp32 cannot tell 1 − P from 0."""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A teacher's word at some positions of a student."""

    outcomes: Outcomes
    logits_NU: torch.Tensor
    """The teacher's, in its own vocabulary, −inf for padding; any where `begins_N` is not."""
    begins_N: torch.Tensor
    """Positions where both are about to say the first token of the same span, and the tokens they
    say are one outcome."""
    span_value_N: torch.Tensor
    """`span_divergence` of a merged span, at the first of its positions; 0 at the others."""
    span_slope_N: torch.Tensor
    """Its derivative by the student's log-probability of the span, at each of its positions."""

    def __getitem__(self, rows: slice) -> Aligned:
        """Some of the positions."""
        return replace(
            self,
            logits_NU=self.logits_NU[rows],
            begins_N=self.begins_N[rows],
            span_value_N=self.span_value_N[rows],
            span_slope_N=self.span_slope_N[rows],
        )

    def compared(
        self, student_logits_NV: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of student and teacher over the common outcomes, at a temperature.

        Equal, and without a gradient, at positions where nothing can be compared.
        """
        teacher_NU = self.logits_NU.to(student_logits_NV.dtype)
        ours, theirs = self.outcomes.compared(student_logits_NV, teacher_NU, temperature)
        begins_N1 = self.begins_N[:, None]
        # Whatever is there must not be −inf on both sides: 0 · nan would be nan.
        return torch.where(begins_N1, ours, 0.0), torch.where(begins_N1, theirs, 0.0)

    def merged(self, student_logits_NV: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
        """The divergence of each merged span, at its first position, (N,).

        A span's probability is a product over positions, which may lie in different chunks. So the
        spans were valued before, with their slopes; what is left is the sum of the tokens'
        log-probabilities, and a sum is told position by position.
        """
        log_q_N = -F.cross_entropy(student_logits_NV, labels_N, reduction="none")
        return self.span_value_N + self.span_slope_N * (log_q_N - log_q_N.detach())

    def ranked(self, student_logits_NV: torch.Tensor) -> torch.Tensor:
        """Σ |p₍ᵢ₎ − q₍ᵢ₎| over the tokens apart, each side's sorted by its own probability, (N,).

        ULD (Boizard et al. 2024, arXiv 2402.12030): the Wasserstein distance of two
        distributions where every token is as far from every other. It compares shapes, as the
        tokens have nothing in common; the shorter list is filled up with zeros.
        """
        teacher_NU = self.logits_NU.to(student_logits_NV.dtype)
        p_NA = _largest_first(teacher_NU.softmax(dim=1), self.outcomes.teacher.apart_A)
        q_NA = _largest_first(student_logits_NV.softmax(dim=1), self.outcomes.student.apart_A)
        missing = q_NA.shape[1] - p_NA.shape[1]
        p_NA, q_NA = F.pad(p_NA, (0, max(missing, 0))), F.pad(q_NA, (0, max(-missing, 0)))
        return torch.where(self.begins_N, (p_NA - q_NA).abs().sum(dim=1), 0.0)


def span_divergence(log_p_C: torch.Tensor, log_q_C: torch.Tensor) -> torch.Tensor:
    """KL between two coins: the text goes on with this span, or it does not, (C,).

    P log(P/Q) + (1 − P) log((1 − P)/(1 − Q)), of the probabilities P of the teacher and Q of the
    student for all tokens of a span, by the chain rule. It is the binarised divergence of
    Approximate Likelihood Matching (Minixhofer et al. 2025, arXiv 2503.20083) at temperature 1, in
    nats: never more than the divergence over all that could have been said (data processing
    inequality), 0 if and only if P = Q.

    Args:
        log_p_C: log-probability of each span under the teacher.
        log_q_C: under the student.
    """
    log_p_C, log_q_C = log_p_C.clamp_max(_SURE), log_q_C.clamp_max(_SURE)
    p_C = log_p_C.exp()
    return p_C * (log_p_C - log_q_C) - torch.expm1(log_p_C) * (
        _log_not(log_p_C) - _log_not(log_q_C)
    )


def certain(log_p_C: torch.Tensor, log_q_C: torch.Tensor) -> torch.Tensor:
    """Where `span_divergence` takes one of the two for less certain than it is, (C,)."""
    return (log_p_C > _SURE) | (log_q_C > _SURE)


def _log_not(log_p_C: torch.Tensor) -> torch.Tensor:
    """log(1 − P)."""
    return torch.log(-torch.expm1(log_p_C))


def _largest_first(probabilities_NV: torch.Tensor, rows_A: torch.Tensor) -> torch.Tensor:
    picked_NA = probabilities_NV.index_select(1, rows_A.to(probabilities_NV.device))
    return picked_NA.sort(dim=1, descending=True).values
