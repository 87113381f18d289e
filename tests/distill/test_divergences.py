"""Divergences against plain float64 sums over tokens, in value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr

torch = pytest.importorskip("torch")

from ullage.distill.divergences import (  # noqa: E402
    forward_kl,
    generalised_jsd,
    reverse_kl,
    skewed_kl,
    skewed_reverse_kl,
    total_variation,
)

pytestmark = pytest.mark.local

SEEDS = st.integers(0, 2**32 - 1)
TEMPERATURES = [0.5, 1.0, 2.0, 7.0]

Reference = Callable[[Any, Any], tuple[float, Any]]
"""p and q to the value at T = 1 and its derivative in each q, as if q were free."""


def reference_forward(p: Any, q: Any) -> tuple[float, Any]:
    return rel_entr(p, q).sum(), -p / q


def reference_reverse(p: Any, q: Any) -> tuple[float, Any]:
    has = p > 0
    inside = q[has].sum()
    value = rel_entr(q[has] / inside, p[has]).sum() - math.log(inside)
    # With A = Σ q log(q/p) over what the teacher has, the value is A / inside − 2 log inside.
    a = rel_entr(q[has], p[has]).sum()
    slope = np.zeros_like(q)
    slope[has] = (np.log(q[has] / p[has]) + 1) / inside - a / inside**2 - 2 / inside
    return value, slope


def reference_jsd(beta: float, p: Any, q: Any) -> tuple[float, Any]:
    m = beta * p + (1 - beta) * q
    value = beta * rel_entr(p, m).sum() + (1 - beta) * rel_entr(q, m).sum()
    return value, (1 - beta) * np.log(q / m)


def reference_skewed(alpha: float, p: Any, q: Any) -> tuple[float, Any]:
    m = alpha * p + (1 - alpha) * q
    return rel_entr(p, m).sum(), -p * (1 - alpha) / m


def reference_skewed_reverse(alpha: float, p: Any, q: Any) -> tuple[float, Any]:
    m = (1 - alpha) * p + alpha * q
    return rel_entr(q, m).sum(), np.log(q / m) + 1 - alpha * q / m


def reference_variation(p: Any, q: Any) -> tuple[float, Any]:
    return float(np.abs(p - q).sum() / 2), np.sign(q - p) / 2


FAMILY: dict[str, tuple[Any, Reference, int]] = {
    "forward": (forward_kl, reference_forward, 2),
    "reverse": (reverse_kl, reference_reverse, 2),
    "jsd .5": (generalised_jsd, partial(reference_jsd, 0.5), 2),
    "jsd .1": (partial(generalised_jsd, beta=0.1), partial(reference_jsd, 0.1), 2),
    "jsd .9": (partial(generalised_jsd, beta=0.9), partial(reference_jsd, 0.9), 2),
    "skewed": (skewed_kl, partial(reference_skewed, 0.1), 2),
    "skewed .7": (partial(skewed_kl, alpha=0.7), partial(reference_skewed, 0.7), 2),
    "skewed reverse": (skewed_reverse_kl, partial(reference_skewed_reverse, 0.1), 2),
    "variation": (total_variation, reference_variation, 1),
}
"""Each with its reference and the power of T it is multiplied by."""

MEMBERS = pytest.mark.parametrize("name", FAMILY)


def softmax(logits: Any, temperature: float) -> Any:
    weights = np.exp(logits / temperature - (logits / temperature).max())
    return weights / weights.sum()


def reference(name: str, student: Any, teacher: Any, temperature: float) -> tuple[Any, Any]:
    """Values and gradients in the student's logits, one position after the other."""
    _, formula, power = FAMILY[name]
    values, gradients = [], []
    for s, t in zip(student, teacher, strict=True):
        p, q = softmax(t, temperature), softmax(s, temperature)
        value, slope = formula(p, q)
        values.append(temperature**power * value)
        through_softmax = q * (slope - (q * slope).sum())
        gradients.append(temperature ** (power - 1) * through_softmax)
    return np.array(values).reshape(len(student)), np.array(gradients).reshape(student.shape)


def normal(shape: tuple[int, ...], seed: int, scale: float = 2.0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64) * scale


def pair(seed: int, rows: int, tokens: int, *, padded: bool, scale: float = 2.0) -> tuple[Any, Any]:
    """Logits of student and teacher; the teacher lacks some tokens, never the first."""
    student, teacher = (normal((rows, tokens), seed + part, scale) for part in (0, 1))
    if padded:
        teacher[:, 1:][normal((rows, tokens - 1), seed + 2) > 1] = -math.inf
    return student, teacher


def value_and_gradient(name: str, student: Any, teacher: Any, temperature: float) -> Any:
    leaf = student.clone().requires_grad_()
    value = FAMILY[name][0](leaf, teacher, temperature)
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient


@MEMBERS
@given(SEEDS, st.integers(0, 4), st.integers(2, 40), st.sampled_from(TEMPERATURES), st.booleans())
@settings(max_examples=40, deadline=None)
def test_value_and_gradient_are_the_formula(
    name: str, seed: int, rows: int, tokens: int, temperature: float, padded: bool
) -> None:
    student, teacher = pair(seed, rows, tokens, padded=padded)
    values, gradients = reference(name, student.numpy(), teacher.numpy(), temperature)

    value, gradient = value_and_gradient(name, student, teacher, temperature)

    np.testing.assert_allclose(value, values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gradient, gradients, rtol=1e-8, atol=1e-12)
    assert (value >= -1e-12).all()


@MEMBERS
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("padded", [False, True])
def test_single_precision_is_within_a_hundred_thousandth(
    name: str, temperature: float, padded: bool
) -> None:
    student, teacher = (x.float() for x in pair(11, 8, 1000, padded=padded, scale=1.0))
    values, gradients = reference(
        name, student.double().numpy(), teacher.double().numpy(), temperature
    )
    value, gradient = value_and_gradient(name, student, teacher, temperature)
    assert value.dtype == gradient.dtype == torch.float32
    np.testing.assert_allclose(value, values, rtol=1e-5)
    np.testing.assert_allclose(gradient, gradients, rtol=0, atol=1e-5 * np.abs(gradients).max())


@MEMBERS
@pytest.mark.parametrize("padded", [False, True])
def test_gradcheck(name: str, padded: bool) -> None:
    student, teacher = pair(5, 3, 7, padded=padded)

    def loss(logits: Any) -> Any:
        return FAMILY[name][0](logits, teacher, 1.7)

    assert torch.autograd.gradcheck(loss, student.requires_grad_())


@MEMBERS
def test_no_distance_from_oneself(name: str) -> None:
    student, _ = pair(3, 4, 9, padded=False)
    value, gradient = value_and_gradient(name, student, student.clone(), 2.0)
    torch.testing.assert_close(value, torch.zeros(4, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(gradient, torch.zeros_like(student), atol=1e-12, rtol=0)


@MEMBERS
def test_an_only_token_and_a_single_position(name: str) -> None:
    one = torch.full((1, 1), 3.0, dtype=torch.float64)
    value, gradient = value_and_gradient(name, one, one - 1.0, 2.0)
    assert value.tolist() == pytest.approx([0.0], abs=1e-15)
    assert gradient.tolist() == [[0.0]]


@MEMBERS
def test_far_apart_is_finite(name: str) -> None:
    """Logits of hundreds, and all of the student's mass where the teacher has no token."""
    student = torch.tensor([[300.0, 0.0, -300.0, 0.0], [0.0, 0.0, 0.0, 500.0]])
    teacher = torch.tensor([[-300.0, 0.0, 300.0, -math.inf], [0.0, 1.0, 2.0, -math.inf]])
    value, gradient = value_and_gradient(name, student, teacher, 1.0)
    assert torch.isfinite(value).all()
    assert torch.isfinite(gradient).all()
    assert (value > 0).all()


@pytest.mark.parametrize("name", [name for name in FAMILY if name != "variation"])
def test_a_token_the_teacher_lacks_is_unlearnt(name: str) -> None:
    """−inf means probability 0, never 'do not look': descent pushes the student off the token."""
    student = torch.zeros((1, 4))
    teacher = torch.tensor([[1.0, 2.0, 3.0, -math.inf]])
    _, gradient = value_and_gradient(name, student, teacher, 1.0)
    assert gradient[0, 3] > 0.01


@MEMBERS
def test_temperature_acts_on_the_loss(name: str) -> None:
    student, teacher = pair(1, 3, 11, padded=False)
    sums = [
        FAMILY[name][0](student, teacher, temperature).sum().item() for temperature in (1, 2, 4)
    ]
    assert len({round(value, 6) for value in sums}) == 3


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("forward", 1.0),
        ("reverse", 1.0),
        ("jsd .5", 0.25),
        ("jsd .1", 0.09),
        ("skewed", 0.81),
        ("skewed .7", 0.09),
        ("skewed reverse", 0.81),
    ],
)
def test_high_temperature_matches_logits(name: str, factor: float) -> None:
    """T² keeps the balance: half the mean square of centred logit differences (Hinton §2.1)."""
    student, teacher = pair(1, 4, 9, padded=False)
    z = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    value = FAMILY[name][0](student, teacher, 1e4)
    torch.testing.assert_close(value, factor * z.square().mean(-1) / 2, rtol=2e-3, atol=1e-6)


def test_high_temperature_of_total_variation() -> None:
    """It has a kink where the others have a parabola: T and not T²."""
    student, teacher = pair(1, 4, 9, padded=False)
    z = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    value = total_variation(student, teacher, 1e4)
    torch.testing.assert_close(value, z.abs().mean(-1) / 2, rtol=2e-3, atol=1e-6)


def test_limits_of_the_interpolations() -> None:
    student, teacher = pair(2, 5, 12, padded=False)
    forward, reverse = forward_kl(student, teacher), reverse_kl(student, teacher)
    tiny = 1e-7
    for value, limit in (
        (generalised_jsd(student, teacher, beta=tiny) / tiny, forward),
        (generalised_jsd(student, teacher, beta=1 - tiny) / tiny, reverse),
        (skewed_kl(student, teacher, alpha=tiny), forward),
        (skewed_reverse_kl(student, teacher, alpha=tiny), reverse),
    ):
        torch.testing.assert_close(value, limit, rtol=1e-4, atol=1e-6)


def test_bounds() -> None:
    """What cannot run away: two distributions that share nothing."""
    student = torch.tensor([[200.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[-math.inf, 0.0]], dtype=torch.float64)
    coin = -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    assert generalised_jsd(student, teacher, beta=0.3).item() == pytest.approx(coin)
    assert skewed_kl(student, teacher, alpha=0.2).item() == pytest.approx(-math.log(0.2))
    assert skewed_reverse_kl(student, teacher, alpha=0.2).item() == pytest.approx(-math.log(0.2))
    assert total_variation(student, teacher, 1.0).item() == pytest.approx(1.0)


@pytest.mark.parametrize("value", [-0.1, 0.0, 1.0, math.nan])
def test_ends_where_the_loss_is_nothing_are_refused(value: float) -> None:
    student, teacher = pair(0, 1, 3, padded=False)
    with pytest.raises(ValueError, match="at the ends use forward_kl"):
        generalised_jsd(student, teacher, beta=value)
    with pytest.raises(ValueError, match="alpha is"):
        skewed_kl(student, teacher, alpha=value)
    with pytest.raises(ValueError, match="alpha is"):
        skewed_reverse_kl(student, teacher, alpha=value)
