"""The module's loss against the models' own dense logits."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill.recipes import objective  # noqa: E402
from tests.distill.test_layers import build  # noqa: E402
from ullage.distill.module import (  # noqa: E402
    DistillationModule,
    LogitsTeacher,
    collate,
    require_plain_head,
)
from ullage.distill.objectives import IGNORED  # noqa: E402
from ullage.distill.order import RowOrder  # noqa: E402
from ullage.distill.rendering import Example  # noqa: E402
from ullage.distill.vocabulary import align_vocabularies  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

VOCAB = {f"t{index}": index for index in range(61)}


def examples() -> list[Example]:
    draw = torch.Generator().manual_seed(3)
    made = []
    for length, first in ((9, 4), (14, 10), (2, 1), (6, 6)):
        ids = torch.randint(1, 61, (length,), generator=draw).tolist()
        labels = [ids[i + 1] if first <= i + 1 else IGNORED for i in range(length - 1)]
        made.append(Example(tuple(ids), (*labels, IGNORED)))
    return made


def module(*, teacher_rows: int = 61, chunk: int = 4) -> DistillationModule:
    student = build("llama", num_hidden_layers=2).double()
    teacher = build("llama", num_hidden_layers=3, vocab_size=teacher_rows).double()
    vocabulary = align_vocabularies(VOCAB, teacher_rows, VOCAB, 61)
    return DistillationModule(
        student,
        objective("logits", temperature=2.0, cross_entropy=0.25),
        LogitsTeacher(teacher, vocabulary),
        chunk=chunk,
    )


def dense_terms(made: DistillationModule, rows: list[Example]) -> dict[str, Any]:
    """Sums over labels, one row at a time, no padding, every logit held."""
    (teacher,) = made._teacher
    assert teacher is not None
    kl = nll = torch.zeros((), dtype=torch.float64)
    for row in rows:
        ids = torch.tensor([row.ids])
        s = made.student(input_ids=ids, use_cache=False).logits[0]
        with torch.no_grad():
            t = teacher.model(input_ids=ids, use_cache=False).logits[0, :, :61]
        for position, label in enumerate(row.labels):
            if label != IGNORED:
                p, q = (t[position] / 2).softmax(-1), (s[position] / 2).softmax(-1)
                kl = kl + 4 * (p * (p.log() - q.log())).sum()
                nll = nll - s[position].log_softmax(-1)[label]
    return {"forward_kl": kl, "cross_entropy": nll}


@pytest.mark.parametrize("teacher_rows", [61, 64])
def test_loss_and_gradient_are_the_dense_ones(teacher_rows: int) -> None:
    made, rows = module(teacher_rows=teacher_rows), examples()
    labels = sum(row.supervised for row in rows)
    terms = dense_terms(made, rows)
    expected = (0.75 * terms["forward_kl"] + 0.25 * terms["cross_entropy"]) / labels
    expected.backward()
    wanted = {name: weight.grad for name, weight in made.named_parameters()}
    made.zero_grad()

    outputs = made(**collate(rows))
    outputs["loss"].backward()

    torch.testing.assert_close(outputs["loss"], expected)
    for name, value in terms.items():
        torch.testing.assert_close(outputs[name], value.detach())
    for name, weight in made.named_parameters():
        torch.testing.assert_close(weight.grad, wanted[name], msg=name)


def test_company_in_a_batch_changes_nothing() -> None:
    made, rows = module(), examples()
    together = made(**collate(rows))
    alone = [made(**collate([row])) for row in rows]
    for name in ("forward_kl", "cross_entropy"):
        torch.testing.assert_close(together[name], sum(output[name] for output in alone))


def test_a_batch_without_labels_is_zero_and_finite() -> None:
    made = module()
    outputs = made(**collate([Example((5, 6, 7), (IGNORED,) * 3)]))
    outputs["loss"].backward()
    assert outputs["loss"].item() == 0
    assert all(weight.grad is None or weight.grad.abs().sum() == 0 for weight in made.parameters())


def test_one_token_sequences() -> None:
    made = module()
    assert made(**collate([Example((5,), (IGNORED,))]))["loss"].item() == 0
    assert made(**collate([Example((5,), (8,))]))["loss"].item() > 0


def test_the_teacher_is_neither_trained_nor_saved() -> None:
    made = module()
    (teacher,) = made._teacher
    assert teacher is not None
    owned = {id(weight) for weight in made.parameters()}
    assert not owned & {id(weight) for weight in teacher.model.parameters()}
    assert all(name.startswith("student.") for name in made.state_dict())
    made(**collate(examples()))["loss"].backward()
    assert all(weight.grad is None for weight in teacher.model.parameters())


def test_logits_changed_after_the_head_are_refused() -> None:
    require_plain_head(build("llama"), "teacher")
    capped = build("gemma2", head_dim=8, final_logit_softcapping=0.05, query_pre_attn_scalar=8)
    with pytest.raises(InputError, match=r"distill.teacher: Gemma2ForCausalLM changes its logits"):
        require_plain_head(capped, "teacher")
    scaled = build("cohere", logit_scale=0.25)
    with pytest.raises(InputError, match="CohereForCausalLM"):
        require_plain_head(scaled, "student")


def test_logits_need_a_teacher() -> None:
    with pytest.raises(ValueError, match="no teacher gives them"):
        DistillationModule(build("llama"), objective("logits"))


def test_text_needs_no_teacher() -> None:
    student = build("llama", num_hidden_layers=2)
    outputs = DistillationModule(student, objective("black-box"))(**collate(examples()))
    assert set(outputs) == {"loss", "cross_entropy"}


def test_row_order_is_a_permutation_that_depends_on_seed_and_epoch_alone() -> None:
    lengths = [7 * index % 31 + 1 for index in range(103)]

    def order(seed: int, epoch: int) -> list[int]:
        rows = RowOrder(lengths, 4, seed)
        rows.set_epoch(epoch)
        torch.rand(5)
        return list(rows)

    assert sorted(order(1, 0)) == list(range(103))
    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(1, 1)
    assert order(1, 0) != order(2, 0)
    spread = [
        max(lengths[row] for row in batch) - min(lengths[row] for row in batch)
        for batch in (order(1, 0)[start : start + 4] for start in range(0, 100, 4))
    ]
    assert sum(spread) / len(spread) < 4, "rows of a batch should be of a length"


def test_attention_is_plain_where_its_scores_fit_and_says_the_same() -> None:
    batch = collate(examples())
    fused, plain = module(), module()
    plain.suit_attention(rows=8, length=512)
    kinds = []
    for made in (fused, plain):
        assert made._teacher[0] is not None
        models = (made.student, made._teacher[0].model)
        kinds += [model.config._attn_implementation for model in models]
    assert kinds == ["sdpa", "sdpa", "eager", "eager"]
    assert torch.allclose(fused(**batch)["loss"], plain(**batch)["loss"], rtol=1e-5)
    fused.suit_attention(rows=8, length=100_000)
    assert fused.student.config._attn_implementation == "sdpa"
