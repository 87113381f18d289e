"""How far a student's distribution is from its teacher's: one function for each divergence.

p is the teacher's softmax and q the student's, both at one temperature T. Shapes in names: N
positions, V outcomes (tokens of the student's vocabulary, or the few that
`ullage.distill.sparse.TopK` keeps apart). Each function gives nats per position (total variation:
probability), shape (N,), differentiable in the student's logits; teacher logits may be −inf where
the teacher has no such token, and p is then exactly 0.

**Temperature and balance.** For T → ∞ both softmaxes flatten and p − q shrinks as 1/T. A smooth
f-divergence is quadratic around p = q, f''(1)/2 · Σ (p − q)²/p, so value and gradient fall as 1/T²
and a factor T² keeps a term's balance with the others (Hinton, Vinyals, Dean 2015, arXiv
1503.02531, §2.1). This holds for all functions here but `total_variation`, which has a kink at
p = q: it is linear in |p − q|, falls as 1/T, and is multiplied by T. With that each limit is, per
position and with z = the centred difference of the logits, the mean over V of: z²/2 for forward and
reverse KL, β(1 − β) z²/2 for JSD, (1 − α)² z²/2 for the skewed ones, |z|/2 for total variation.
"""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - the name every torch code base uses

Divergence = Callable[[torch.Tensor, torch.Tensor, float], torch.Tensor]
"""(student logits (N, V), teacher logits (N, V), temperature) to nats per position, (N,)."""


def forward_kl(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
) -> torch.Tensor:
    """T² KL(p ‖ q) = T² Σ p (log p − log q) (Hinton et al. 2015, arXiv 1503.02531, §2).

    Covers the teacher: wherever p is, q has to be. Mass of q on tokens the teacher lacks costs
    −log of what q has elsewhere.

    Args:
        student_logits_NV: (N, V), finite.
        teacher_logits_NV: (N, V), −inf where p is 0.
        temperature: T > 0.

    Returns:
        Nats per position, shape (N,), never negative but for rounding.
    """
    log_p_NV, log_q_NV = _log_probs(student_logits_NV, teacher_logits_NV, temperature)
    return temperature**2 * _kl(log_p_NV, log_q_NV)


def reverse_kl(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
) -> torch.Tensor:
    """T² KL(q ‖ p) = T² Σ q (log q − log p) (MiniLLM, Gu et al. 2024, arXiv 2306.08543).

    Seeks modes: q may leave out what p has, and pays for what p has not. On tokens that the teacher
    lacks it would be infinite. Leaving them out of the sum instead gives something that can be
    negative, and that falls when mass moves onto them. So, with S the tokens the teacher has, this
    is T² (KL(q|S ‖ p) − log q(S)): the price of q's mass outside S is the one forward KL asks, for
    KL(p ‖ q) = KL(p ‖ q|S) − log q(S).

    Args:
        student_logits_NV: (N, V), finite.
        teacher_logits_NV: (N, V), −inf where p is 0.
        temperature: T > 0.

    Returns:
        Nats per position, shape (N,), never negative but for rounding.
    """
    log_p_NV, log_q_NV = _log_probs(student_logits_NV, teacher_logits_NV, temperature)
    lacks_NV = teacher_logits_NV.isneginf()
    if not lacks_NV.any():
        return temperature**2 * _kl(log_q_NV, log_p_NV)
    log_q_inside_NV = log_q_NV.masked_fill(lacks_NV, _lowest(log_q_NV))
    log_inside_N1 = log_q_inside_NV.logsumexp(dim=-1, keepdim=True)
    inside_NV = (log_q_inside_NV - log_inside_N1).masked_fill(lacks_NV, _lowest(log_q_NV))
    return temperature**2 * (_kl(inside_NV, log_p_NV) - log_inside_N1.squeeze(-1))


def generalised_jsd(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
    *,
    beta: float = 0.5,
) -> torch.Tensor:
    """T² JSD(β) = T² (β KL(p ‖ m) + (1 − β) KL(q ‖ m)), m = β p + (1 − β) q.

    GKD, Agarwal et al. 2024, arXiv 2306.13649, §2. Bounded by the entropy of a coin that shows β,
    in nats, so that no token can run away with the loss. JSD(β)/β tends to forward KL for β → 0,
    and JSD(β)/(1 − β) to reverse KL for β → 1 (Huszár 2015, arXiv 1511.05101); JSD itself tends to
    0 at both ends, which is why they are refused here. (Some libraries put the KLs there, and the
    loss then jumps by a factor of 1/β on the way.)

    Args:
        student_logits_NV: (N, V), finite.
        teacher_logits_NV: (N, V), −inf where p is 0.
        temperature: T > 0.
        beta: weight of the teacher in the mixture, 0 < β < 1.

    Returns:
        Nats per position, shape (N,), never negative but for rounding.

    Raises:
        ValueError: β is not between 0 and 1.
    """
    _require_between_0_and_1("beta", beta, "forward_kl (0) or reverse_kl (1)")
    log_p_NV, log_q_NV = _log_probs(student_logits_NV, teacher_logits_NV, temperature)
    log_m_NV = _log_mixture(log_p_NV, beta, log_q_NV)
    value_N = beta * _kl(log_p_NV, log_m_NV) + (1.0 - beta) * _kl(log_q_NV, log_m_NV)
    return temperature**2 * value_N


def skewed_kl(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
    *,
    alpha: float = 0.1,
) -> torch.Tensor:
    """T² KL(p ‖ α p + (1 − α) q) (DistiLLM, Ko et al. 2024, arXiv 2402.03898).

    Forward KL with gradients that stay small where q is far below p; at most −T² log α.

    Args:
        student_logits_NV: (N, V), finite.
        teacher_logits_NV: (N, V), −inf where p is 0.
        temperature: T > 0.
        alpha: the skew, 0 < α < 1; forward KL for α → 0.

    Returns:
        Nats per position, shape (N,), never negative but for rounding.

    Raises:
        ValueError: α is not between 0 and 1.
    """
    _require_between_0_and_1("alpha", alpha, "forward_kl (0)")
    log_p_NV, log_q_NV = _log_probs(student_logits_NV, teacher_logits_NV, temperature)
    return temperature**2 * _kl(log_p_NV, _log_mixture(log_p_NV, alpha, log_q_NV))


def skewed_reverse_kl(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
    *,
    alpha: float = 0.1,
) -> torch.Tensor:
    """T² KL(q ‖ (1 − α) p + α q) (DistiLLM, Ko et al. 2024, arXiv 2402.03898).

    Reverse KL without its infinities: at most −T² log α, also where the teacher lacks tokens.

    Args:
        student_logits_NV: (N, V), finite.
        teacher_logits_NV: (N, V), −inf where p is 0.
        temperature: T > 0.
        alpha: the skew, 0 < α < 1; reverse KL for α → 0.

    Returns:
        Nats per position, shape (N,), never negative but for rounding.

    Raises:
        ValueError: α is not between 0 and 1.
    """
    _require_between_0_and_1("alpha", alpha, "reverse_kl (0)")
    log_p_NV, log_q_NV = _log_probs(student_logits_NV, teacher_logits_NV, temperature)
    return temperature**2 * _kl(log_q_NV, _log_mixture(log_p_NV, 1.0 - alpha, log_q_NV))


def total_variation(
    student_logits_NV: torch.Tensor,
    teacher_logits_NV: torch.Tensor,
    temperature: float = 1.0,
) -> torch.Tensor:
    """T · ½ Σ |p − q| (f-distillation, Wen et al. 2023, arXiv 2307.15190).

    The largest difference in probability of any set of tokens, in [0, T]. Its gradient through a
    softmax vanishes where q has no mass: it mends a student that is near, not one that is far.

    Args:
        student_logits_NV: (N, V), finite.
        teacher_logits_NV: (N, V), −inf where p is 0.
        temperature: T > 0; see the module for why the factor is T and not T².

    Returns:
        Per position, shape (N,), never negative.
    """
    p_NV = tempered(teacher_logits_NV, temperature).softmax(dim=-1)
    q_NV = tempered(student_logits_NV, temperature).softmax(dim=-1)
    return 0.5 * temperature * (p_NV - q_NV).abs().sum(dim=-1)


def tempered(logits_NV: torch.Tensor, temperature: float) -> torch.Tensor:
    """Logits divided by a temperature."""
    # A pass over positions x vocabulary costs as much as the softmax: no division by 1.
    return logits_NV if temperature == 1.0 else logits_NV / temperature


def _log_probs(
    student_logits_NV: torch.Tensor, teacher_logits_NV: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log p, its −inf made the lowest finite number, and log q."""
    log_p_NV = F.log_softmax(tempered(teacher_logits_NV, temperature), dim=-1)
    log_q_NV = F.log_softmax(tempered(student_logits_NV, temperature), dim=-1)
    # exp() of it is still exactly 0, and 0 times it is 0, where 0·(−inf) would be nan.
    return log_p_NV.clamp_min(_lowest(log_p_NV)), log_q_NV


def _kl(log_a_NV: torch.Tensor, log_b_NV: torch.Tensor) -> torch.Tensor:
    """Σ a (log a − log b) of two distributions with finite logarithms.

    In fp32 all logarithms of one softmax share an error of up to 5e-7, which passes undiminished
    into the sum and is multiplied by T²: at T = 7 more than a hundred-thousandth of the loss. But
    Σ a (log a − log b) − a + b is the same for what sums to 1, and a shared error is of second
    order in it. Its gradient through the softmax is the same, so autograd need not know.
    """
    a_NV = log_a_NV.exp()
    excess_N = log_b_NV.detach().exp().sub_(a_NV.detach()).sum(dim=-1)
    return (a_NV * (log_a_NV - log_b_NV)).sum(dim=-1) + excess_N


def _log_mixture(
    log_p_NV: torch.Tensor, weight_of_p: float, log_q_NV: torch.Tensor
) -> torch.Tensor:
    """log(w p + (1 − w) q)."""
    return torch.logaddexp(log_p_NV + math.log(weight_of_p), log_q_NV + math.log1p(-weight_of_p))


def _lowest(like: torch.Tensor) -> float:
    return torch.finfo(like.dtype).min


def _require_between_0_and_1(name: str, value: float, instead: str) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} is {value}, not between 0 and 1; at the ends use {instead}")
