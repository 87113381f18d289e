"""What goes on inside, compared: every function against plain loops, in value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tests.distill.test_divergences import SEEDS, normal  # noqa: E402
from ullage.distill import features  # noqa: E402

pytestmark = pytest.mark.local

Function = Callable[[Any, Any], Any]


def huber(difference: Any) -> Any:
    size = difference.abs()
    return torch.where(size < 1, 0.5 * size**2, size - 0.5)


def looped_mean_squared(student: Any, teacher: Any) -> Any:
    return torch.stack(
        [
            sum((a - b) ** 2 for a, b in zip(s, t, strict=True)) / len(s)
            for s, t in zip(student, teacher, strict=True)
        ]
    )


def looped_cosine(student: Any, teacher: Any) -> Any:
    return torch.stack(
        [
            1 - (s * t).sum() / ((s * s).sum().sqrt() * (t * t).sum().sqrt())
            for s, t in zip(student, teacher, strict=True)
        ]
    )


def looped_distances(student: Any, teacher: Any) -> Any:
    def psi(rows: Any) -> dict[tuple[int, int], Any]:
        found = {
            (i, j): ((rows[i] - rows[j]) ** 2).sum().sqrt()
            for i, j in permutations(range(len(rows)), 2)
        }
        mean = sum(found.values()) / len(found)
        return {pair: value / mean for pair, value in found.items()}

    ours, theirs = psi(student), psi(teacher)
    return sum(huber(theirs[pair] - ours[pair]) for pair in ours) / len(ours)


def looped_angles(student: Any, teacher: Any) -> Any:
    def psi(rows: Any, i: int, j: int, k: int) -> Any:
        one, other = rows[i] - rows[j], rows[k] - rows[j]
        return (one @ other) / ((one @ one).sqrt() * (other @ other).sqrt())

    triples = list(permutations(range(len(student)), 3))
    return sum(huber(psi(teacher, *t) - psi(student, *t)) for t in triples) / len(triples)


def looped_similarity(student: Any, teacher: Any) -> Any:
    def matrix(rows: Any) -> Any:
        lines = [torch.stack([one @ other for other in rows]) for one in rows]
        return [line / (line @ line).sqrt() for line in lines]

    pairs = zip(matrix(student), matrix(teacher), strict=True)
    return sum(((t - s) ** 2).sum() for s, t in pairs) / len(student) ** 2


CASES: dict[str, tuple[Function, Function, bool]] = {
    "mse": (features.mean_squared, looped_mean_squared, True),
    "cosine": (features.cosine, looped_cosine, True),
    "distances": (features.distances, looped_distances, False),
    "angles": (features.angles, looped_angles, False),
    "similarity": (features.similarity, looped_similarity, False),
}


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15, deadline=None)
@given(st.integers(3, 6), st.integers(2, 9), SEEDS)
def test_value_and_gradient_are_the_looped_ones(
    name: str, rows: int, width: int, seed: int
) -> None:
    """In fp32, against loops in fp64."""
    function, reference, same_width = CASES[name]
    student = normal((rows, width), seed)
    teacher = 3 * normal((rows, width if same_width else width + 3), seed + 1)
    ours, theirs = student.float().requires_grad_(), student.clone().requires_grad_()
    found, expected = function(ours, teacher.float()), reference(theirs, teacher.float().double())
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    (gradient,) = torch.autograd.grad(found.sum(), ours)
    (wanted,) = torch.autograd.grad(expected.sum(), theirs)
    torch.testing.assert_close(
        gradient.double(), wanted, rtol=1e-5, atol=1e-5 * float(wanted.abs().max()) + 1e-7
    )


@pytest.mark.parametrize("name", CASES)
def test_the_teacher_itself_is_at_distance_zero_with_no_gradient(name: str) -> None:
    rows = normal((5, 4), 0)
    student = rows.clone().requires_grad_()
    value = CASES[name][0](student, rows).sum()
    (gradient,) = torch.autograd.grad(value, student)
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert gradient.abs().max().item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["distances", "angles", "similarity"])
@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_relate_to_nothing(name: str, rows: int) -> None:
    student = normal((rows, 4), 0).requires_grad_()
    value = CASES[name][0](student, normal((rows, 6), 1))
    (gradient,) = torch.autograd.grad(value, student)
    if rows < 2 or name == "angles" or name == "distances":
        # Of two rows the one distance is the mean, whatever it is.
        assert value.item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["distances", "angles"])
def test_relations_do_not_see_size_place_or_turn(name: str) -> None:
    rows = normal((5, 4), 0)
    turn, _ = torch.linalg.qr(normal((4, 4), 1))
    value = CASES[name][0](7.0 * rows @ turn + 3.0, rows)
    assert value.item() == pytest.approx(0, abs=1e-12)


def test_rows_that_are_all_alike_have_a_finite_gradient() -> None:
    student = torch.ones((4, 3), dtype=torch.double, requires_grad=True)
    for name in ("distances", "angles", "similarity"):
        (gradient,) = torch.autograd.grad(CASES[name][0](student, normal((4, 3), 0)), student)
        assert torch.isfinite(gradient).all(), name


def test_attention_kl_is_the_looped_one() -> None:
    raw = normal((3, 2, 5), 0).requires_grad_()
    teacher = normal((3, 2, 5), 1)
    unseen = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0] * 5]).bool()[:, None]
    p = teacher.masked_fill(unseen, -math.inf).softmax(-1)
    q = raw.masked_fill(unseen, -math.inf).softmax(-1)
    found = features.attention_kl(q, p)
    expected = torch.stack(
        [
            sum(
                p[n, a, t] * (p[n, a, t] / q[n, a, t]).log()
                for a in range(2)
                for t in range(5)
                if p[n, a, t] > 0
            )
            / 2
            for n in range(3)
        ]
    )
    torch.testing.assert_close(found, expected)
    (gradient,) = torch.autograd.grad(found.sum(), raw, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected.sum(), raw)
    torch.testing.assert_close(gradient, wanted)


def test_embeddings_are_means_over_supervised_positions() -> None:
    hidden = normal((3, 4, 2), 0)
    hidden[0, 3] = math.nan
    mask = torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]).bool()
    found = features.embeddings(hidden, mask)
    expected = torch.stack([(hidden[0, 0] + hidden[0, 2]) / 2, hidden[2, 1]])
    torch.testing.assert_close(found, expected)


def test_the_fitted_map_is_the_one_that_made_the_states() -> None:
    states, true = normal((40, 5), 0), normal((7, 5), 1)
    found = features.fitted(states, states @ true.T)
    torch.testing.assert_close(found, true, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(features.fitted(states[:2], normal((2, 3), 2))).all()
