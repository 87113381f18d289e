"""The loss over supervised positions without ever holding positions x vocabulary logits.

The head is the dearest tensor of small models with large vocabularies. Here it is applied to a few
hundred positions at a time, the objective and its gradient are taken, and the logits are dropped:
the same idea as Liger's fused linear losses (arXiv 2410.10989, §3.2), with any `Objective` in the
middle. The derivative of the objective is autograd's, so each formula exists once.
"""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.distill.objectives import Evidence, Objective

CHUNK = {"cpu": 128}
"""Positions per chunk by device; `CHUNK_ELSEWHERE` on others. 25 MB of fp32 logits at 49k tokens:
larger blocks are mapped afresh by the allocator each time, which costs more than the arithmetic."""
CHUNK_ELSEWHERE = 1024

TeacherLogits = Callable[[slice], torch.Tensor]
"""Teacher logits in the student's vocabulary for some of the N positions, shape (n, V)."""


@dataclass(frozen=True, slots=True)
class ChunkedLoss:
    """Sums over positions: divide by their number for means."""

    total: torch.Tensor
    """Weighted sum of all terms, differentiable in the student's hidden states and head."""
    terms: dict[str, torch.Tensor]
    """Each term by itself, unweighted and detached."""


def chunked_loss(
    hidden_NH: torch.Tensor,
    weight_VH: torch.Tensor,
    bias_V: torch.Tensor | None,
    labels_N: torch.Tensor,
    objective: Objective,
    teacher_logits: TeacherLogits | None = None,
    *,
    chunk: int | None = None,
) -> ChunkedLoss:
    """The objective summed over N positions, computed `chunk` positions at a time.

    Args:
        hidden_NH: the student's last hidden states at the supervised positions, (N, H).
        weight_VH: weight of the student's head, (V, H).
        bias_V: its bias, (V,), where it has one.
        labels_N: the token each position should predict, (N,).
        objective: terms and weights.
        teacher_logits: called once per chunk, without gradient.
        chunk: positions per chunk, chosen by device if left out; changes memory and rounding,
            never the sum.

    Returns:
        Sums over positions; N = 0 gives a zero that still has a (zero) gradient.
    """
    apply: Any = _ChunkedHead.apply
    total, terms = apply(
        hidden_NH,
        weight_VH,
        bias_V,
        labels_N,
        objective,
        teacher_logits,
        chunk or CHUNK.get(hidden_NH.device.type, CHUNK_ELSEWHERE),
        torch.is_grad_enabled() and (hidden_NH.requires_grad or weight_VH.requires_grad),
    )
    names = [term.name for term in objective.terms]
    return ChunkedLoss(total, dict(zip(names, terms.unbind(), strict=True)))


class _ChunkedHead(torch.autograd.Function):
    """Loss and gradient in one pass over chunks; backward only scales what forward kept."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_NH: torch.Tensor,
        weight_VH: torch.Tensor,
        bias_V: torch.Tensor | None,
        labels_N: torch.Tensor,
        objective: Objective,
        teacher_logits: TeacherLogits | None,
        chunk: int,
        with_grad: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = _compute_dtype(hidden_NH)
        head_VH = weight_VH.to(dtype)
        head_bias_V = None if bias_V is None else bias_V.to(dtype)
        sum_dtype = torch.promote_types(weight_VH.dtype, torch.float32)
        terms_T = torch.zeros(len(objective.terms), dtype=sum_dtype, device=hidden_NH.device)
        total = torch.zeros((), dtype=sum_dtype, device=hidden_NH.device)
        d_hidden = torch.zeros_like(hidden_NH) if with_grad else None
        d_weight = torch.zeros_like(weight_VH, dtype=sum_dtype) if with_grad else None
        d_bias = torch.zeros_like(bias_V) if with_grad and bias_V is not None else None
        with torch.autocast(hidden_NH.device.type, enabled=False):
            for start in range(0, hidden_NH.shape[0], chunk):
                here = slice(start, min(start + chunk, hidden_NH.shape[0]))
                hidden_nH = hidden_NH[here].to(dtype)
                logits_nV = F.linear(hidden_nH, head_VH, head_bias_V)
                # Softmax sums over the vocabulary: never in half precision.
                logits_nV = logits_nV.to(torch.promote_types(dtype, torch.float32))
                teacher_nV = None if teacher_logits is None else teacher_logits(here)
                with torch.set_grad_enabled(with_grad):
                    logits_nV.requires_grad_(with_grad)
                    values = objective.values(Evidence(logits_nV, labels_N[here], teacher_nV))
                    loss = objective.total(values).sum()
                del teacher_nV
                total += loss.detach()
                terms_T += torch.stack([value.detach().sum() for value in values.values()])
                if d_hidden is None or d_weight is None:
                    continue
                d_logits_nV = torch.autograd.grad(loss, logits_nV)[0].to(dtype)
                d_hidden[here] = (d_logits_nV @ head_VH).to(d_hidden.dtype)
                d_weight += d_logits_nV.T @ hidden_nH
                if d_bias is not None:
                    d_bias += d_logits_nV.sum(dim=0).to(d_bias.dtype)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.weight_dtype = weight_VH.dtype
        ctx.mark_non_differentiable(terms_T)
        return total, terms_T

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        scale = grad_outputs[0]
        d_hidden, d_weight, d_bias = ctx.saved_tensors
        return (
            d_hidden * scale,
            (d_weight * scale).to(ctx.weight_dtype),
            None if d_bias is None else d_bias * scale,
            *([None] * 5),
        )


def _compute_dtype(hidden_NH: torch.Tensor) -> torch.dtype:
    """The dtype autocast would give a linear layer here."""
    device = hidden_NH.device.type
    return (
        torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_NH.dtype
    )
