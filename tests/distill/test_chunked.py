"""The chunked head against all logits held at once, in value and gradient, for every teacher."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from tests.distill.recipes import objective  # noqa: E402
from tests.distill.test_divergences import SEEDS, normal  # noqa: E402
from ullage.distill import chunked  # noqa: E402
from ullage.distill.chunked import chunked_loss  # noqa: E402
from ullage.distill.divergences import (  # noqa: E402
    Divergence,
    forward_kl,
    generalised_jsd,
    reverse_kl,
    skewed_kl,
    skewed_reverse_kl,
    total_variation,
)
from ullage.distill.objectives import (  # noqa: E402
    IGNORED,
    Evidence,
    Objective,
    Schedule,
    cross_entropy_term,
    divergence_term,
)
from ullage.distill.sparse import Background, Sampled, Teacher, TopK  # noqa: E402

pytestmark = pytest.mark.local

TEXT = objective("black-box")
LOGITS = objective("logits", temperature=3.0, cross_entropy=0.3)


def differentiate(loss: Any) -> None:
    loss.backward()


def everything(teacher: Any, temperature: float, kind: str) -> tuple[Objective, Teacher]:
    """Every divergence that a kind of teacher allows, and cross-entropy, at different weights."""
    if kind == "sampled":
        draw = torch.Generator().manual_seed(0)
        sampled = Sampled.draw(teacher, 4, temperature, top=2, generator=draw)
        terms = [divergence_term("forward", forward_kl, 0.7, temperature)]
        return Objective((*terms, cross_entropy_term(0.3))), sampled
    background = Background.of(normal(teacher.shape[1:], 9).exp()) if kind == "background" else None
    divergences: dict[str, Divergence] = {
        "forward": forward_kl,
        "reverse": reverse_kl,
        "jsd": partial(generalised_jsd, beta=0.3),
        "skewed": skewed_kl,
        "skewed_reverse": skewed_reverse_kl,
        "variation": total_variation,
    }
    terms = [
        divergence_term(name, divergence, 0.1 + 0.2 * place, temperature)
        for place, (name, divergence) in enumerate(divergences.items())
    ]
    objective = Objective((*terms, cross_entropy_term(Schedule(0.0, 0.6)))).at(0.5)
    return objective, teacher if kind == "dense" else TopK.of(teacher, 5, temperature, background)


def whole(
    leaves: list[Any], labels: Any, objective: Objective, teacher: Teacher
) -> tuple[Any, dict[str, Any]]:
    """The total and its terms with every logit held at once, by autograd alone."""
    hidden, head, *bias = leaves
    logits = hidden @ head.T + (bias[0] if bias else 0)
    values = objective.values(Evidence(logits, labels, teacher))
    return objective.total(values).sum(), {name: x.sum().detach() for name, x in values.items()}


def both_ways(
    leaves: list[Any],
    labels: Any,
    objective: Objective,
    teacher: Teacher,
    *,
    chunk: int | None,
    scale: float = 1.0,
) -> tuple[list[Any], list[Any]]:
    """Total, terms and gradients: held whole, and chunked."""
    results = []
    for way in ("whole", "chunked"):
        fresh = [leaf.clone().requires_grad_() for leaf in leaves]
        if way == "whole":
            total, terms = whole(fresh, labels, objective, teacher)
            total = scale * total
        else:
            hidden, head, bias = (*fresh, None)[:3]
            loss = chunked_loss(
                hidden,
                head,
                bias,
                labels,
                objective,
                lambda h: teacher[h],
                scale=scale,
                chunk=chunk,
            )
            total, terms = loss.total, loss.terms
        # A factor other than 1 arrives at backward, as it does under gradient accumulation.
        (2.5 * total).backward()
        results.append([total.detach(), terms, *(leaf.grad for leaf in fresh)])
    return results[0], results[1]


KINDS = pytest.mark.parametrize("kind", ["dense", "bucket", "background", "sampled"])


@KINDS
@given(
    SEEDS, st.integers(0, 12), st.integers(1, 15), st.sampled_from([0.5, 1.0, 3.0]), st.booleans()
)
@settings(max_examples=25, deadline=None)
def test_chunks_change_nothing(
    kind: str, seed: int, rows: int, chunk: int, temperature: float, with_bias: bool
) -> None:
    leaves = [normal((rows, 6), seed, 1.0), normal((13, 6), seed + 1, 1.0)]
    leaves += [normal((13,), seed + 2)] if with_bias else []
    logits = normal((rows, 13), seed + 3)
    logits[:, 11:] = -torch.inf
    labels = torch.randint(0, 11, (rows,), generator=torch.Generator().manual_seed(seed))
    labels[1::3] = IGNORED
    objective, teacher = everything(logits, temperature, kind)
    dense, chunks = both_ways(leaves, labels, objective, teacher, chunk=chunk, scale=0.3)
    torch.testing.assert_close(chunks, dense, rtol=1e-10, atol=1e-10)


@KINDS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_blocks_within_a_chunk_change_nothing(kind: str, dtype: Any, temperature: float) -> None:
    """A vocabulary so large that the objective sees a chunk in parts."""
    tokens, rows = 5000, 70
    assert chunked.BLOCK["cpu"] // tokens < rows - 1
    leaves = [normal((rows, 8), 1, 0.5).to(dtype), normal((tokens, 8), 2, 0.5).to(dtype)]
    logits = normal((rows, tokens), 3, 1.0).to(dtype)
    logits[:, 4900:] = -torch.inf
    objective, teacher = everything(logits, temperature, kind)
    labels = torch.arange(rows) * 60
    dense, chunks = both_ways(leaves, labels, objective, teacher, chunk=None)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-10}[dtype]
    for found, expected in zip([chunks[0], *chunks[2:]], [dense[0], *dense[2:]], strict=True):
        largest = tolerance * float(expected.abs().max())
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=largest)
    torch.testing.assert_close(chunks[1], dense[1], rtol=tolerance, atol=0)


def dense(hidden: Any, head: Any, bias: Any, teacher: Any, labels: Any, t: float, ce: float) -> Any:
    """The whole loss with every logit held at once."""
    logits = hidden @ head.T + (0 if bias is None else bias)
    q, p = (logits / t).log_softmax(-1), (teacher / t).log_softmax(-1)
    kl = t**2 * torch.where(p.exp() > 0, p.exp() * (p - q), 0.0).sum()
    nll = -logits.log_softmax(-1).gather(1, labels[:, None]).sum()
    return (1 - ce) * kl + ce * nll, kl, nll


def test_logits_objective_is_the_formula_and_holds_no_more_than_a_chunk() -> None:
    hidden, head, teacher = normal((7, 6), 1), normal((13, 6), 2), normal((7, 13), 4)
    labels = torch.arange(7)
    teacher[:, 11:] = -torch.inf
    asked = []

    def teacher_at(here: slice) -> Any:
        asked.append((here.start, here.stop))
        return teacher[here]

    total, kl, nll = dense(hidden, head, None, teacher, labels, 3.0, 0.3)
    loss = chunked_loss(hidden, head, None, labels, LOGITS, teacher_at, chunk=3)
    torch.testing.assert_close(loss.total, total)
    torch.testing.assert_close(loss.terms, {"forward_kl": kl, "cross_entropy": nll})
    assert asked == [(0, 3), (3, 6), (6, 7)]


def test_chunked_passes_gradcheck() -> None:
    teacher, labels = normal((5, 8), 3), torch.tensor([0, 7, 3, 3, 1])

    def loss(hidden: Any, head: Any) -> Any:
        return chunked_loss(
            hidden, head, None, labels, LOGITS, lambda here: teacher[here], chunk=2
        ).total

    inputs = (normal((5, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)


def test_nothing_supervised_is_zero_with_a_gradient() -> None:
    hidden, head = normal((0, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_()
    labels = torch.zeros(0, dtype=torch.long)
    loss = chunked_loss(hidden, head, None, labels, TEXT)
    differentiate(loss.total)
    assert loss.total.item() == 0
    assert head.grad is not None
    assert head.grad.abs().sum() == 0


def test_without_gradient_none_is_computed() -> None:
    hidden, head = normal((3, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_()
    with torch.no_grad():
        loss = chunked_loss(hidden, head, None, torch.tensor([1, 2, 3]), TEXT)
    assert not loss.total.requires_grad
    assert loss.total.item() == pytest.approx(
        torch.nn.functional.cross_entropy(
            hidden @ head.T, torch.tensor([1, 2, 3]), reduction="sum"
        ).item()
    )


@pytest.mark.parametrize("frozen", ["hidden", "head"])
def test_what_is_frozen_gets_no_gradient_and_changes_no_other(frozen: str) -> None:
    labels, grads = torch.tensor([1, 2, 3]), {}
    for still in ("nothing", frozen):
        leaves = {"hidden": normal((3, 4), 1), "head": normal((8, 4), 2)}
        for name, leaf in leaves.items():
            leaf.requires_grad_(name != still)
        differentiate(chunked_loss(leaves["hidden"], leaves["head"], None, labels, TEXT).total)
        grads[still] = {name: leaf.grad for name, leaf in leaves.items()}
    assert grads[frozen].pop(frozen) is None
    for name, grad in grads[frozen].items():
        torch.testing.assert_close(grad, grads["nothing"][name])


def test_backward_twice_adds_up() -> None:
    """The gradient kept since forward is handed out as it is: what receives it must not own it."""
    hidden, head = normal((3, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_()
    total = chunked_loss(hidden, head, None, torch.tensor([1, 2, 3]), TEXT).total
    (once,) = torch.autograd.grad(total, head, retain_graph=True)
    expected = 3 * once.clone()
    for _ in range(3):
        torch.autograd.backward(total, retain_graph=True)
    torch.testing.assert_close(head.grad, expected)


def test_a_masked_batch_is_zero_with_a_zero_gradient() -> None:
    hidden, head = normal((3, 4), 1).requires_grad_(), normal((8, 4), 2).requires_grad_()
    total = chunked_loss(hidden, head, None, torch.full((3,), IGNORED), TEXT).total
    differentiate(total)
    assert total.item() == 0
    assert head.grad is not None
    assert head.grad.abs().sum() == 0


def test_half_precision_products_sum_in_single_precision() -> None:
    """400 chunks of one position: in bfloat16 the head's gradient would stop growing early."""
    hidden, head = torch.ones((400, 2)), torch.zeros((4, 2)).requires_grad_()
    labels = torch.zeros(400, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        differentiate(chunked_loss(hidden, head, None, labels, TEXT, chunk=1).total)
    assert head.grad is not None
    assert head.grad.dtype == torch.float32
    assert head.grad[:, 0].tolist() == [-300.0, 100.0, 100.0, 100.0]


def test_half_precision_hidden_states_do_not_make_half_precision_losses() -> None:
    """Softmax over a vocabulary in bfloat16 would be off by percents."""
    hidden, head = normal((4, 16), 1, 1.0), normal((500, 16), 2, 1.0)
    labels = torch.tensor([1, 20, 300, 4])
    whole = chunked_loss(hidden, head, None, labels, TEXT).total
    half = chunked_loss(hidden.bfloat16(), head.float(), None, labels, TEXT).total
    rounded = chunked_loss(
        hidden.bfloat16().double(), head.bfloat16().double(), None, labels, TEXT
    ).total
    assert half.dtype == torch.float32
    assert abs(half.item() - rounded.item()) < 0.02 * whole.item()
