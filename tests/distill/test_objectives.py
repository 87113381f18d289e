"""Losses against a plain dense reference in float64, in value and gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ullage.distill.chunked import chunked_loss  # noqa: E402
from ullage.distill.divergences import forward_kl  # noqa: E402
from ullage.distill.objectives import (  # noqa: E402
    IGNORED,
    cross_entropy,
    logits_objective,
    text_objective,
)

pytestmark = pytest.mark.local

SEEDS = st.integers(0, 2**32 - 1)


def differentiate(loss: Any) -> None:
    loss.backward()


def normal(shape: tuple[int, ...], seed: int, scale: float = 2.0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * scale


def reference_kl(student: Any, teacher: Any, temperature: float) -> list[float]:
    """T² Σ p (log p − log q), one number at a time; 0 log 0 is 0."""
    values = []
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        q_sum = math.fsum(math.exp(x / temperature) for x in s)
        p_sum = math.fsum(math.exp(x / temperature) for x in t)
        total = 0.0
        for x, y in zip(s, t, strict=True):
            p = math.exp(y / temperature) / p_sum
            if p > 0:
                total += p * (math.log(p) - (x / temperature - math.log(q_sum)))
        values.append(temperature**2 * total)
    return values


@given(SEEDS, st.integers(1, 5), st.integers(2, 40), st.sampled_from([0.5, 1.0, 2.0, 7.0]))
@settings(max_examples=60, deadline=None)
def test_forward_kl_is_the_formula(seed: int, rows: int, tokens: int, temperature: float) -> None:
    student, teacher = normal((rows, tokens), seed), normal((rows, tokens), seed + 1)
    teacher[:, 1:][normal((rows, tokens - 1), seed + 2) > 2] = -math.inf
    student.requires_grad_()

    value = forward_kl(student, teacher, temperature)

    np.testing.assert_allclose(
        value.detach(), reference_kl(student, teacher, temperature), rtol=1e-10, atol=1e-12
    )
    assert (value >= -1e-12).all()
    # d/ds T² KL = T (q − p), Hinton et al. 2015, eq. 2.
    differentiate(value.sum())
    q, p = (student / temperature).softmax(-1), (teacher / temperature).softmax(-1)
    torch.testing.assert_close(student.grad, temperature * (q - p).detach())


def test_temperature_acts_on_the_loss() -> None:
    student, teacher = normal((3, 11), 1), normal((3, 11), 2)
    values = [forward_kl(student, teacher, temperature).sum().item() for temperature in (1, 2, 4)]
    assert len({round(value, 6) for value in values}) == 3


def test_high_temperature_matches_logits() -> None:
    """For T → ∞ the loss is half the mean squared difference of centred logits (Hinton §2.1)."""
    student, teacher = normal((4, 9), 1), normal((4, 9), 2)
    centred = (student - student.mean(-1, keepdim=True)) - (
        teacher - teacher.mean(-1, keepdim=True)
    )
    torch.testing.assert_close(
        forward_kl(student, teacher, 1e4), centred.square().mean(-1) / 2, rtol=1e-3, atol=1e-6
    )


def test_a_token_the_teacher_lacks_teaches_its_absence() -> None:
    """−inf means probability 0: the student is pushed off that row, and nothing is nan."""
    student = torch.zeros((1, 4), requires_grad=True)
    teacher = torch.tensor([[1.0, 2.0, 3.0, -math.inf]])
    value = forward_kl(student, teacher)
    differentiate(value.sum())
    assert torch.isfinite(value).all()
    assert student.grad is not None
    assert student.grad[0, 3].item() == pytest.approx(0.25)


def test_cross_entropy_skips_what_is_not_supervised() -> None:
    logits = normal((3, 5), 0)
    values = cross_entropy(logits, torch.tensor([2, IGNORED, 0]))
    assert values[1] == 0
    assert values[0].item() == pytest.approx(-logits[0].log_softmax(-1)[2].item())


def dense(hidden: Any, head: Any, bias: Any, teacher: Any, labels: Any, t: float, ce: float) -> Any:
    """The whole loss with every logit held at once."""
    logits = hidden @ head.T + (0 if bias is None else bias)
    q, p = (logits / t).log_softmax(-1), (teacher / t).log_softmax(-1)
    kl = t**2 * torch.where(p.exp() > 0, p.exp() * (p - q), 0.0).sum()
    nll = -logits.log_softmax(-1).gather(1, labels[:, None]).sum()
    return (1 - ce) * kl + ce * nll, kl, nll


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
@pytest.mark.parametrize(("rows", "temperature"), [(7, 1.0), (7, 3.0), (1, 2.0)])
def test_chunked_is_dense(chunk: int, rows: int, temperature: float, with_bias: bool) -> None:
    hidden, head, bias = normal((rows, 6), 1), normal((13, 6), 2), normal((13,), 3)
    teacher = normal((rows, 13), 4)
    teacher[:, 11:] = -math.inf
    labels = torch.arange(rows) % 11
    leaves = [hidden, head, *([bias] if with_bias else [])]
    largest = 0

    def teacher_logits(here: slice) -> Any:
        nonlocal largest
        part = teacher[here]
        largest = max(largest, len(part))
        return part

    grads = []
    totals = []
    for way in ("dense", "chunked"):
        fresh = [leaf.clone().requires_grad_() for leaf in leaves]
        h, w, b = (*fresh, None)[:3] if not with_bias else fresh
        if way == "dense":
            total, kl, nll = dense(h, w, b, teacher, labels, temperature, 0.3)
            terms = {"forward_kl": kl.detach(), "cross_entropy": nll.detach()}
        else:
            objective = logits_objective(temperature, 0.3)
            loss = chunked_loss(h, w, b, labels, objective, teacher_logits, chunk=chunk)
            total = loss.total
            torch.testing.assert_close(loss.terms, terms)
        # A factor other than 1 arrives at backward, as it does under gradient accumulation.
        (2.5 * total).backward()
        totals.append(total.detach())
        grads.append([leaf.grad for leaf in fresh])

    torch.testing.assert_close(*totals)
    torch.testing.assert_close(*grads)
    assert largest == min(chunk, rows), "teacher logits were held for more than a chunk"


def test_chunked_passes_gradcheck() -> None:
    teacher, labels = normal((5, 8), 3), torch.tensor([0, 7, 3, 3, 1])
    objective = logits_objective(2.0, 0.5)

    def loss(hidden: Any, head: Any) -> Any:
        return chunked_loss(
            hidden, head, None, labels, objective, lambda here: teacher[here], chunk=2
        ).total

    inputs = (normal((5, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)


def test_nothing_supervised_is_zero_with_a_gradient() -> None:
    hidden, head = normal((0, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_()
    labels = torch.zeros(0, dtype=torch.long)
    loss = chunked_loss(hidden, head, None, labels, text_objective())
    differentiate(loss.total)
    assert loss.total.item() == 0
    assert head.grad is not None
    assert head.grad.abs().sum() == 0


def test_without_gradient_none_is_computed() -> None:
    hidden, head = normal((3, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_()
    with torch.no_grad():
        loss = chunked_loss(hidden, head, None, torch.tensor([1, 2, 3]), text_objective())
    assert not loss.total.requires_grad
    assert loss.total.item() == pytest.approx(
        torch.nn.functional.cross_entropy(
            hidden @ head.T, torch.tensor([1, 2, 3]), reduction="sum"
        ).item()
    )


def test_half_precision_hidden_states_do_not_make_half_precision_losses() -> None:
    """Softmax over a vocabulary in bfloat16 would be off by percents."""
    hidden, head = normal((4, 16), 1, 1.0), normal((500, 16), 2, 1.0)
    labels = torch.tensor([1, 20, 300, 4])
    whole = chunked_loss(hidden, head, None, labels, text_objective()).total
    half = chunked_loss(hidden.bfloat16(), head.float(), None, labels, text_objective()).total
    rounded = chunked_loss(
        hidden.bfloat16().double(), head.bfloat16().double(), None, labels, text_objective()
    ).total
    assert half.dtype == torch.float32
    assert abs(half.item() - rounded.item()) < 0.02 * whole.item()
