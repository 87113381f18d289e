"""Objectives: names, weights, schedules, and the terms every recipe has."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tests.distill.test_divergences import normal  # noqa: E402
from ullage.distill.divergences import forward_kl, reverse_kl  # noqa: E402
from ullage.distill.objectives import (  # noqa: E402
    IGNORED,
    Evidence,
    Objective,
    Schedule,
    cross_entropy,
    cross_entropy_term,
    divergence_term,
)
from ullage.distill.signals import Signal  # noqa: E402

pytestmark = pytest.mark.local

SHARES = st.floats(0, 1)


def test_cross_entropy_skips_what_is_not_supervised() -> None:
    logits = normal((3, 5), 0)
    values = cross_entropy(logits, torch.tensor([2, IGNORED, 0]))
    assert values[1] == 0
    assert values[0].item() == pytest.approx(-logits[0].log_softmax(-1)[2].item())


def test_all_rows_masked() -> None:
    logits = normal((3, 5), 0).requires_grad_()
    total = cross_entropy(logits, torch.full((3,), IGNORED)).sum()
    (gradient,) = torch.autograd.grad(total, logits)
    assert total.item() == 0
    assert (gradient == 0).all()


def test_a_linear_schedule_by_hand() -> None:
    weight = Schedule(1.0, 0.2, over=(0.25, 0.75))
    found = [weight.at(progress) for progress in (0.0, 0.25, 0.5, 0.625, 0.75, 1.0)]
    assert found == pytest.approx([1.0, 1.0, 0.6, 0.4, 0.2, 0.2])


def test_a_cosine_schedule_by_hand() -> None:
    weight = Schedule(0.0, 2.0, shape="cosine")
    found = [weight.at(progress) for progress in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert found == pytest.approx([0.0, 1 - math.sqrt(0.5), 1.0, 1 + math.sqrt(0.5), 2.0])


@given(SHARES, SHARES, st.floats(-5, 5), st.floats(-5, 5), st.sampled_from(["linear", "cosine"]))
def test_a_schedule_moves_one_way_and_meets_its_ends(
    one: float, other: float, start: float, end: float, shape: str
) -> None:
    weight = Schedule(start, end, over=(0.1, 0.9), shape=shape)  # type: ignore[arg-type]
    assert (weight.at(0.0), weight.at(0.1)) == (start, start)
    assert (weight.at(0.9), weight.at(1.0)) == (end, end)
    low, high = weight.at(min(one, other)), weight.at(max(one, other))
    assert low <= high + 1e-12 if start <= end else low >= high - 1e-12


@pytest.mark.parametrize("over", [(0.5, 0.5), (0.6, 0.4), (-0.1, 1.0), (0.0, 1.1)])
def test_a_schedule_over_nothing_is_refused(over: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="is not over a part of"):
        Schedule(1.0, 0.0, over=over)


def test_an_objective_weighs_by_the_progress_it_is_told() -> None:
    objective = Objective(
        (
            divergence_term("forward_kl", forward_kl, Schedule(1.0, 0.0)),
            divergence_term("reverse_kl", reverse_kl, Schedule(0.0, 1.0), 2.0),
            cross_entropy_term(0.5),
        )
    )
    student, teacher, labels = (
        normal((4, 6), 1),
        normal((4, 6), 2),
        torch.tensor([0, 5, 2, IGNORED]),
    )
    parts = {
        "forward_kl": forward_kl(student, teacher),
        "reverse_kl": reverse_kl(student, teacher, 2.0),
        "cross_entropy": cross_entropy(student, labels),
    }
    for progress in (0.0, 0.25, 1.0):
        now = objective.at(progress)
        expected = [1 - progress, progress, 0.5]
        assert list(now.weights.values()) == pytest.approx(expected)
        values = now.values(Evidence(student, labels, teacher))
        torch.testing.assert_close(values, parts)
        weighted = sum(w * x for w, x in zip(expected, parts.values(), strict=True))
        torch.testing.assert_close(now.total(values), weighted)
    assert objective.progress == 0.0
    assert objective.eats == {Signal.LOGITS}


def test_terms_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="each needs a name of its own"):
        Objective((cross_entropy_term(), cross_entropy_term(0.5)))
