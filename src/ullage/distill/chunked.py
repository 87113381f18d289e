"""The loss over supervised positions without ever holding positions x vocabulary logits.

The head is the dearest tensor of small models with large vocabularies. Here it is applied to a few
hundred positions at a time, the objective and its gradient are taken, and the logits are dropped:
the same idea as Liger's fused linear losses (arXiv 2410.10989, §3.2), with any `Objective` in the
middle.

Within a chunk the objective sees a few rows at a time, and their gradient takes the place of their
logits. What autograd keeps between forward and backward is then a handful of rows, which stay in
the processor's cache, and each formula exists once.
"""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.distill.aligned import Aligned
from ullage.distill.objectives import Evidence, Objective
from ullage.distill.sparse import Teacher

CHUNK = {"cpu": 128}
"""Positions per chunk of fp32 by device, twice as many in half precision; `CHUNK_ELSEWHERE` on
others. 25 MB of logits at 49k tokens: larger ones are mapped afresh by the allocator each time,
which costs more than the arithmetic."""
CHUNK_ELSEWHERE = 1024

BLOCK = {"cpu": 2**18}
"""Numbers looked at at once by device, 1 MB in fp32: what a core's cache holds. On others a whole
chunk, as launching a kernel costs more there than memory does."""

TeacherAt = Callable[[slice], Teacher | Aligned]
"""What the teacher says at some of the N positions."""


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
    teacher: TeacherAt | None = None,
    *,
    rationale_N: torch.Tensor | None = None,
    scale: float = 1.0,
    chunk: int | None = None,
) -> ChunkedLoss:
    """The objective summed over N positions, computed `chunk` positions at a time.

    Args:
        hidden_NH: the student's last hidden states at the supervised positions, (N, H).
        weight_VH: weight of the student's head, (V, H).
        bias_V: its bias, (V,), where it has one.
        labels_N: the token each position should predict, (N,).
        objective: terms and weights.
        teacher: called once per chunk, without gradient.
        rationale_N: where the label belongs to a rationale, (N,); left out, nowhere.
        scale: multiplies the total (1 / labels makes a mean of it). A factor applied afterwards
            gives the same gradient at the price of a second copy of the head's.
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
        teacher,
        rationale_N,
        scale,
        chunk,
        torch.is_grad_enabled(),
    )
    names = [term.name for term in objective.terms]
    return ChunkedLoss(total, dict(zip(names, terms.unbind(), strict=True)))


LogitsAt = Callable[[slice], torch.Tensor]
"""Logits at some of N positions."""


def head_logits(head: Any, hidden_NH: torch.Tensor) -> LogitsAt:
    """A head applied as `chunked_loss` applies it, to some positions at a time."""
    dtype = _compute_dtype(hidden_NH)
    bias_V = getattr(head, "bias", None)
    weight_VH, bias_V = head.weight.to(dtype), None if bias_V is None else bias_V.to(dtype)
    return lambda here: F.linear(hidden_NH[here].to(dtype), weight_VH, bias_V)


@torch.no_grad()
def label_log_probs(
    logits: LogitsAt, labels_N: torch.Tensor, *, chunk: int | None = None
) -> torch.Tensor:
    """Log-probability of each label, (N,), fp32 or wider, a chunk of positions at a time."""
    found = [labels_N.new_zeros(0, dtype=torch.float32)]
    with torch.autocast(labels_N.device.type, enabled=False):
        for here in _slices(len(labels_N), chunk or _chunk(labels_N.device, torch.float32)):
            logits_nV = logits(here)
            for rows in _blocks(logits_nV):
                part_bV, label_b1 = _widened(logits_nV[rows]), labels_N[here][rows][:, None]
                found.append(part_bV.gather(1, label_b1)[:, 0] - part_bV.logsumexp(dim=1))
    return torch.cat(found)


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
        teacher: TeacherAt | None,
        rationale_N: torch.Tensor | None,
        scale: float,
        chunk: int | None,
        grad_enabled: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        dtype = _compute_dtype(hidden_NH)
        head_VH = weight_VH.to(dtype)
        head_bias_V = None if bias_V is None else bias_V.to(dtype)
        sum_dtype = torch.promote_types(weight_VH.dtype, torch.float32)
        # The total, then every term.
        sums = torch.zeros(1 + len(objective.terms), dtype=sum_dtype, device=hidden_NH.device)
        wanted = [grad_enabled and needed for needed in ctx.needs_input_grad[:3]]
        d_hidden_NH = torch.zeros_like(hidden_NH) if wanted[0] else None
        d_weight_VH = torch.zeros_like(weight_VH, dtype=sum_dtype) if wanted[1] else None
        d_bias_V = torch.zeros_like(weight_VH[:, 0], dtype=sum_dtype) if wanted[2] else None
        with torch.autocast(hidden_NH.device.type, enabled=False):
            for here in _slices(hidden_NH.shape[0], chunk or _chunk(hidden_NH.device, dtype)):
                hidden_nH = hidden_NH[here].to(dtype)
                logits_nV = F.linear(hidden_nH, head_VH, head_bias_V)
                said = None if teacher is None else teacher(here)
                steps_n = None if rationale_N is None else rationale_N[here]
                evidence = Evidence(logits_nV, labels_N[here], said, steps_n)
                sums += _descend(evidence, objective, scale, any(wanted))
                del evidence
                del said
                if d_hidden_NH is not None:
                    d_hidden_NH[here] = (logits_nV @ head_VH).to(d_hidden_NH.dtype)
                if d_weight_VH is not None:
                    _add_product(d_weight_VH, logits_nV.T, hidden_nH)
                if d_bias_V is not None:
                    d_bias_V += logits_nV.sum(dim=0, dtype=sum_dtype)
        ctx.save_for_backward(d_hidden_NH, d_weight_VH, d_bias_V)
        ctx.dtypes = [None if x is None else x.dtype for x in (hidden_NH, weight_VH, bias_V)]
        total, terms_T = sums[0].clone(), sums[1:].clone()
        ctx.mark_non_differentiable(terms_T)
        return total, terms_T

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        factor = grad_outputs[0]
        grads = ctx.saved_tensors
        if factor != 1:
            grads = [None if grad is None else grad * factor for grad in grads]
        cast = (
            None if grad is None else grad.to(dtype)
            for grad, dtype in zip(grads, ctx.dtypes, strict=True)
        )
        return (*cast, *([None] * 7))


@torch.no_grad()
def _descend(
    evidence: Evidence, objective: Objective, scale: float, with_grad: bool
) -> torch.Tensor:
    """Sums of the scaled total and of each term; logits are replaced by the total's gradient."""
    sums: list[torch.Tensor] = []
    logits_nV, teacher, steps_n = evidence.student_logits_NV, evidence.teacher, evidence.rationale_N
    for rows in _blocks(logits_nV):
        part_bV = _widened(logits_nV[rows])
        said = None if teacher is None else teacher[rows]
        if isinstance(said, torch.Tensor):
            said = _widened(said)
        with torch.set_grad_enabled(with_grad):
            part_bV = part_bV.detach().requires_grad_(with_grad)
            part = Evidence(
                part_bV,
                evidence.labels_N[rows],
                said,
                None if steps_n is None else steps_n[rows],
            )
            values = objective.values(part)
            loss = scale * objective.total(values).sum()
        if with_grad:
            logits_nV[rows] = torch.autograd.grad(loss, part_bV)[0]
        sums.append(torch.stack([loss.detach(), *(x.detach().sum() for x in values.values())]))
    return torch.stack(sums).sum(dim=0)


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    """At least in fp32: a softmax sums over the vocabulary."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def _slices(rows: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _chunk(device: torch.device, dtype: torch.dtype) -> int:
    if device.type not in CHUNK:
        return CHUNK_ELSEWHERE
    return CHUNK[device.type] * torch.float32.itemsize // dtype.itemsize


def _blocks(tensor_RC: torch.Tensor) -> Iterator[slice]:
    size = BLOCK.get(tensor_RC.device.type, tensor_RC.numel())
    return _slices(len(tensor_RC), max(size // max(tensor_RC.shape[1], 1), 1))


def _add_product(sum_VH: torch.Tensor, left_Vn: torch.Tensor, right_nH: torch.Tensor) -> None:
    """Add left @ right to it, without room for a product as large as the sum."""
    if sum_VH.dtype == left_Vn.dtype:
        sum_VH.addmm_(left_Vn, right_nH)
        return
    for rows in _blocks(sum_VH):
        sum_VH[rows] += left_Vn[rows] @ right_nH


def _compute_dtype(hidden_NH: torch.Tensor) -> torch.dtype:
    """The dtype autocast would give a linear layer here."""
    device = hidden_NH.device.type
    return (
        torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden_NH.dtype
    )
