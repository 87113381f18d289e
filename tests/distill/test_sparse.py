"""Sparse teachers: bounds, exactness where nothing is left out, and expectations by enumeration."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import rel_entr

torch = pytest.importorskip("torch")

from tests.distill.test_divergences import (  # noqa: E402
    FAMILY,
    MEMBERS,
    SEEDS,
    TEMPERATURES,
    normal,
    pair,
    softmax,
    value_and_gradient,
)
from ullage.distill.divergences import forward_kl, reverse_kl  # noqa: E402
from ullage.distill.objectives import Evidence, divergence_term  # noqa: E402
from ullage.distill.sparse import Background, Sampled, Teacher, TopK  # noqa: E402

pytestmark = pytest.mark.local


def term_and_gradient(name: str, student: Any, teacher: Teacher, temperature: float) -> Any:
    """The value a term gives for any kind of teacher, and its gradient."""
    term = divergence_term(name, FAMILY[name][0], 1.0, temperature)
    leaf = student.clone().requires_grad_()
    value = term.value(Evidence(leaf, torch.zeros(len(leaf), dtype=torch.long), teacher))
    (gradient,) = torch.autograd.grad(value.sum(), leaf)
    return value.detach(), gradient


def merged(student: Any, teacher: Any, kept: list[int], temperature: float) -> Any:
    """p and q of one position over the tokens kept and everything else in a heap."""
    sides = []
    for logits in (teacher, student):
        probs = softmax(logits, temperature)
        sides.append(np.append(probs[kept], np.delete(probs, kept).sum()))
    return sides


@MEMBERS
@given(
    SEEDS,
    st.integers(0, 4),
    st.integers(1, 12),
    st.integers(1, 8),
    st.sampled_from(TEMPERATURES),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_top_k_with_a_bucket_is_the_divergence_of_k_plus_one_outcomes(
    name: str, seed: int, rows: int, more: int, k: int, temperature: float, padded: bool
) -> None:
    student, teacher = pair(seed, rows, k + more, padded=padded)
    top = TopK.of(teacher, k, temperature)
    assert top.ids_NK.shape == (rows, k)

    value, gradient = term_and_gradient(name, student, top, temperature)

    _, formula, power = FAMILY[name]
    for row in range(rows):
        s, t = student[row].numpy(), teacher[row].numpy()
        kept = top.ids_NK[row].tolist()
        assert set(t[kept]) == set(np.sort(t)[::-1][:k])
        p, q = merged(s, t, kept, temperature)
        expected, slope = formula(p, q)
        assert value[row].item() == pytest.approx(temperature**power * expected, 1e-9, 1e-12)
        # A token of the heap feels the slope of the heap.
        every = np.full(len(s), slope[-1])
        every[kept] = slope[:-1]
        probs = softmax(s, temperature)
        wanted = temperature ** (power - 1) * probs * (every - (q * slope).sum())
        np.testing.assert_allclose(gradient[row], wanted, rtol=1e-8, atol=1e-12)
    assert (value >= -1e-12).all()
    if name != "reverse" or not padded:  # Where it is, reverse KL proper is infinite.
        dense, _ = value_and_gradient(name, student, teacher, temperature)
        assert (value <= dense + 1e-9).all(), "merging outcomes raised a divergence"


@MEMBERS
@pytest.mark.parametrize("k", [9, 30])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_tokens_listed_is_dense(
    name: str, k: int, padded: bool, background: bool, dtype: Any
) -> None:
    student, teacher = (x.to(dtype) for x in pair(4, 5, 9, padded=padded))
    top = TopK.of(
        teacher, k, 2.0, Background.of(normal((9,), 8).exp().to(dtype)) if background else None
    )
    sparse, dense = (term_and_gradient(name, student, kind, 2.0) for kind in (top, teacher))
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
    torch.testing.assert_close(sparse[0], dense[0], rtol=tolerance, atol=tolerance / 10)
    torch.testing.assert_close(sparse[1], dense[1], rtol=tolerance, atol=tolerance / 10)


@MEMBERS
def test_all_tokens_listed_by_a_cache_that_rounds(name: str) -> None:
    """What rounding leaves of a tail that is not there must not meet a student's log 0."""
    student, teacher = (x.float() for x in pair(4, 50, 9, padded=False))
    exact = TopK.of(teacher, 9)
    rounded = TopK.listed(exact.ids_NK, exact.log_probs_NK.half().float())
    assert (rounded.log_probs_NK.exp().sum(1) > 1).any()
    assert (rounded.log_probs_NK.exp().sum(1) < 1).any()
    value, gradient = term_and_gradient(name, student, rounded, 1.0)
    dense, slope = term_and_gradient(name, student, teacher, 1.0)
    torch.testing.assert_close(value, dense, rtol=5e-3, atol=5e-3)
    torch.testing.assert_close(gradient, slope, rtol=5e-3, atol=5e-3)


@MEMBERS
@pytest.mark.parametrize("tail", [30.0, 60.0, 200.0])
@pytest.mark.parametrize("background", [False, True])
def test_hardly_any_tail_is_finite(name: str, tail: float, background: bool) -> None:
    """From 1e-13 of mass outside the list to less than fp32 can hold, for any student."""
    even = Background.of(torch.ones(6)) if background else None
    teacher = torch.tensor([[3.0, 2.0, -tail, -tail, -tail, -tail]])
    for student in (torch.zeros((1, 6)), teacher.clone(), torch.tensor([[0.0, 0, 90, 0, 0, 0]])):
        exact = TopK.of(teacher, 2, 1.0, even)
        listed = TopK.listed(exact.ids_NK, exact.log_probs_NK, 1.0, even)
        for top in (exact, listed):
            value, gradient = term_and_gradient(name, student, top, 1.0)
            assert torch.isfinite(value).all()
            assert torch.isfinite(gradient).all()
            assert value.item() >= -1e-6


def test_the_tail_is_not_lost_in_rounding() -> None:
    """1 − Σ of the list has no digit left of a tail of 4e-9 in fp32."""
    teacher = torch.tensor([[20.0, 0.0, 0.0]])
    top = TopK.of(teacher, 1)
    assert top.log_tail_N.item() == pytest.approx(math.log(2) - 20.0, abs=1e-5)


def test_a_list_that_lacks_mass_has_a_tail() -> None:
    top = TopK.listed(torch.tensor([[4, 1]]), torch.tensor([[0.5, 0.2]]).log())
    assert top.log_tail_N.exp().tolist() == pytest.approx([0.3])


def test_a_list_that_rounding_made_too_heavy_keeps_a_small_tail() -> None:
    """Nobody's softmax leaves a token without mass, whatever a cache's digits sum to."""
    top = TopK.listed(torch.tensor([[4, 1]]), torch.tensor([[0.8, 0.201]]).log())
    assert top.log_tail_N.exp().tolist() == pytest.approx([1.2e-7], rel=0.01)
    for name in FAMILY:
        value, gradient = term_and_gradient(name, torch.zeros((1, 6)), top, 1.0)
        assert torch.isfinite(value).all()
        assert torch.isfinite(gradient).all()


def test_truncated_kl_without_a_bucket_would_have_been_negative() -> None:
    """The trap that the bucket mends: a student surer of the list than its teacher is."""
    student = torch.tensor([[4.0, 4.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    teacher = torch.tensor([[0.1, 0.1, 0.0, 0.0, 0.0]], dtype=torch.float64)
    top = TopK.of(teacher, 2)
    p, log_q = top.log_probs_NK.exp(), student.log_softmax(1).gather(1, top.ids_NK)
    assert (p * (top.log_probs_NK - log_q)).sum() < 0
    value, _ = term_and_gradient("forward", student, top, 1.0)
    assert value > 0


@MEMBERS
@given(SEEDS, st.integers(1, 9), st.sampled_from(TEMPERATURES))
@settings(max_examples=30, deadline=None)
def test_a_model_of_the_tail_is_the_rebuilt_distribution(
    name: str, seed: int, k: int, temperature: float
) -> None:
    student, teacher = pair(seed, 3, 10, padded=True)
    background = normal((10,), seed + 7).exp()
    background[3] = 0.0
    top = TopK.of(teacher, k, temperature, Background.of(background))

    value, gradient = term_and_gradient(name, student, top, temperature)

    _, formula, power = FAMILY[name]
    for row in range(3):
        kept = top.ids_NK[row].tolist()
        true = softmax(teacher[row].numpy(), temperature)
        rest = background.numpy().copy()
        rest[kept] = 0.0
        rebuilt = rest * np.delete(true, kept).sum() / rest.sum() if rest.sum() else rest
        rebuilt[kept] = true[kept]
        rebuilt /= rebuilt.sum()
        probs = softmax(student[row].numpy(), temperature)
        expected, slope = formula(rebuilt, probs)
        assert value[row].item() == pytest.approx(temperature**power * expected, 1e-7, 1e-9)
        wanted = temperature ** (power - 1) * probs * (slope - (probs * slope).sum())
        np.testing.assert_allclose(gradient[row], wanted, rtol=1e-6, atol=1e-9)


def test_the_true_tail_as_its_model_loses_nothing() -> None:
    student, teacher = pair(1, 1, 12, padded=False)
    top = TopK.of(teacher, 4, 1.5, Background.of((teacher[0] / 1.5).exp()))
    rebuilt = term_and_gradient("forward", student, top, 1.5)
    torch.testing.assert_close(rebuilt, term_and_gradient("forward", student, teacher, 1.5))
    with pytest.raises(ValueError, match="without a background cannot be rebuilt"):
        TopK.of(teacher, 4).dense()


def proposal(teacher: Any, temperature: float, top: int, power: float) -> tuple[Any, list[int]]:
    """What samples of one position are drawn from, and the tokens taken for certain."""
    p = softmax(teacher, temperature)
    certain = np.argsort(-p)[:top].tolist()
    r = p**power
    r[certain] = 0.0
    return r / r.sum(), certain


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("power", [1.0, 0.5, 1.3])
@pytest.mark.parametrize("top", [0, 2])
@pytest.mark.parametrize("padded", [False, True])
def test_sampled_ids_are_unbiased(temperature: float, power: float, top: int, padded: bool) -> None:
    """Exactly: all 5³ draws, each by its probability, in value and gradient."""
    student, teacher = pair(3, 1, 5, padded=False)
    if padded:
        teacher[0, 1] = -math.inf
    r, _ = proposal(teacher[0].numpy(), temperature, top, power)
    draws = list(itertools.product(range(5), repeat=3))
    chances = torch.tensor([math.prod(r[token] for token in draw) for draw in draws])
    assert chances.sum().item() == pytest.approx(1.0)
    many = len(draws)
    sampled = Sampled.weigh(
        teacher.expand(many, -1), torch.tensor(draws), temperature, top=top, power=power
    )
    possible = chances > 0
    value, gradient = term_and_gradient("forward", student.expand(many, -1), sampled, temperature)
    mean = (chances * value)[possible].sum()
    slope = (chances[:, None] * gradient)[possible].sum(0)
    expected = term_and_gradient("forward", student, teacher, temperature)
    torch.testing.assert_close(mean, expected[0][0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(slope, expected[1][0], rtol=1e-9, atol=1e-12)
    # The mass itself: what makes cross-entropy, and anything else linear in p, unbiased as well.
    mass = torch.zeros((many, 5), dtype=torch.float64).scatter_add_(
        1, sampled.ids_NK, sampled.weights_NK
    )
    torch.testing.assert_close(
        (chances[:, None] * mass)[possible].sum(0), (teacher[0] / temperature).softmax(0)
    )


@pytest.mark.parametrize(("top", "power"), [(0, 1.0), (2, 0.7)])
def test_samples_are_drawn_from_what_their_weights_assume(top: int, power: float) -> None:
    teacher = normal((1, 6), 2, 1.0)
    r, certain = proposal(teacher[0].numpy(), 2.0, top, power)
    generator = torch.Generator().manual_seed(0)
    drawn = Sampled.draw(teacher, 20_000, 2.0, top=top, power=power, generator=generator)
    assert drawn.ids_NK[0, :top].tolist() == certain
    counts = np.bincount(drawn.ids_NK[0, top:].numpy(), minlength=6)
    assert (counts[certain] == 0).all()
    error = np.sqrt(r * (1 - r) * 20_000)
    assert (np.abs(counts - 20_000 * r) <= 4 * error).all()
    if power == 1.0 and top == 0:
        np.testing.assert_allclose(drawn.weights_NK, 1 / 20_000, rtol=1e-9)


def test_nothing_left_to_chance_is_dense() -> None:
    """Also where the certain tokens are all the teacher has, but not all there are."""
    student, teacher = pair(6, 4, 7, padded=False)
    teacher[:, 5:] = -math.inf
    for top in (5, 6, 7, 9):
        sampled = Sampled.draw(teacher, 3, 2.0, top=top)
        torch.testing.assert_close(
            term_and_gradient("forward", student, sampled, 2.0),
            term_and_gradient("forward", student, teacher, 2.0),
        )


def test_a_bucket_is_biased_where_samples_are_not() -> None:
    """What sampling is for: a heap teaches its sum, and not what is in it."""
    student, teacher = torch.zeros((1, 8), dtype=torch.float64), normal((1, 8), 5, 1.0)
    _, dense = term_and_gradient("forward", student, teacher, 1.0)
    _, bucket = term_and_gradient("forward", student, TopK.of(teacher, 3), 1.0)
    assert (bucket - dense).abs().max() > 0.01


def test_sampled_ids_estimate_forward_kl_alone() -> None:
    student, teacher = pair(0, 1, 4, padded=False)
    evidence = Evidence(student, torch.zeros(1), Sampled.draw(teacher, 2))
    with pytest.raises(ValueError, match="reverse: sampled ids estimate forward KL alone"):
        divergence_term("reverse", reverse_kl).value(evidence)


def test_another_temperature_than_the_list_has_is_refused() -> None:
    student, teacher = pair(0, 1, 4, padded=False)
    for sparse in (TopK.of(teacher, 2, 2.0), Sampled.draw(teacher, 2, 2.0)):
        with pytest.raises(ValueError, match=r"at temperature 1.0, the teacher's .* at 2.0"):
            divergence_term("kl", forward_kl).value(Evidence(student, torch.zeros(1), sparse))


def test_no_teacher_is_refused() -> None:
    with pytest.raises(ValueError, match="kl needs the teacher's probabilities"):
        divergence_term("kl", forward_kl).value(Evidence(torch.zeros((1, 3)), torch.zeros(1)))


@MEMBERS
@pytest.mark.parametrize("kind", ["bucket", "background", "sampled"])
def test_gradcheck_of_sparse_teachers(name: str, kind: str) -> None:
    if kind == "sampled" and name != "forward":
        return
    student, teacher = pair(5, 3, 7, padded=True)
    made: dict[str, Teacher] = {
        "bucket": TopK.of(teacher, 3, 1.7),
        "background": TopK.of(teacher, 3, 1.7, Background.of(normal((7,), 1).exp())),
        "sampled": Sampled.draw(teacher, 4, 1.7, top=1),
    }
    term = divergence_term(name, FAMILY[name][0], 1.0, 1.7)

    def loss(logits: Any) -> Any:
        return term.value(Evidence(logits, torch.zeros(3), made[kind]))

    assert torch.autograd.gradcheck(loss, student.requires_grad_())


def test_rows_are_the_positions() -> None:
    _, teacher = pair(0, 5, 6, padded=False)
    whole = TopK.of(teacher, 3, 1.0, Background.of(torch.ones(6)))
    torch.testing.assert_close(whole[1:3].dense(), whole.dense()[1:3])
    drawn = Sampled.draw(teacher, 3)
    student = normal((5, 6), 9)
    torch.testing.assert_close(drawn[1:3].forward_kl(student[1:3]), drawn.forward_kl(student)[1:3])


def test_reference_of_merged_outcomes_is_the_textbook_sum() -> None:
    """The bucket's KL by hand: p = (½, ¼ | ¼), q = (¼, ¼ | ½)."""
    teacher = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64).log()
    student = torch.tensor([[0.25, 0.25, 0.2, 0.3]], dtype=torch.float64).log()
    value, _ = term_and_gradient("forward", student, TopK.of(teacher, 2), 1.0)
    by_hand = rel_entr([0.5, 0.25, 0.25], [0.25, 0.25, 0.5]).sum()
    assert by_hand == pytest.approx(0.25 * math.log(2))
    assert value.item() == pytest.approx(by_hand)
