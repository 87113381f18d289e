"""Terms on the inside of real models: as dense references have them, and refused elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812

from tests.distill.test_layers import build  # noqa: E402
from tests.distill.test_module import VOCAB, examples  # noqa: E402
from ullage.config.models import Distill  # noqa: E402
from ullage.distill.inner import layer_pairs  # noqa: E402
from ullage.distill.inside import Wanted, listening  # noqa: E402
from ullage.distill.module import DistillationModule, LogitsTeacher, collate  # noqa: E402
from ullage.distill.objectives import IGNORED  # noqa: E402
from ullage.distill.terms import build_objective  # noqa: E402
from ullage.distill.vocabulary import align_vocabularies  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local


def module(*terms: dict[str, Any], student: Any = None, teacher: Any = None) -> DistillationModule:
    student = student or build("llama", num_hidden_layers=2)
    teacher = teacher or build("llama", num_hidden_layers=4, hidden_size=24, num_attention_heads=2)
    recipe = Distill.model_validate({"corpus": "c", "output": "o", "objective": terms})
    assert recipe.objective is not None
    objective = build_objective(recipe.objective, models=(student, teacher))
    vocabulary = align_vocabularies(VOCAB, 61, VOCAB, 61)
    return DistillationModule(student, objective, LogitsTeacher(teacher, vocabulary))


def gradients(made: DistillationModule, loss: Any) -> dict[str, Any]:
    made.zero_grad()
    loss.backward()
    return {
        name: weight.grad.clone()
        for name, weight in made.named_parameters()
        if weight.grad is not None and weight.grad.abs().sum() > 0
    }


def compare(made: DistillationModule, expected: Any) -> None:
    """The module's loss against a dense one, in fp32."""
    wanted = gradients(made, expected)
    outputs = made(**collate(examples()))
    found = gradients(made, outputs["loss"])
    torch.testing.assert_close(outputs["loss"], expected.detach(), rtol=1e-5, atol=1e-7)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        largest = float(gradient.abs().max())
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * largest, msg=name)


def states(made: DistillationModule, row: Any) -> tuple[Any, Any]:
    """States after each layer of student and teacher, as transformers gives them."""
    (teacher,) = made._teacher
    assert teacher is not None
    ids = torch.tensor([row.ids])
    ours = made.student(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    with torch.no_grad():
        theirs = teacher.model(input_ids=ids, output_hidden_states=True, use_cache=False)
    return ours, theirs.hidden_states


@pytest.mark.parametrize("distance", ["mse", "cosine"])
def test_hidden_states_are_the_dense_ones(distance: str) -> None:
    """Layers that are not the last, whose states transformers gives without the final norm."""
    term = {"term": "hidden", "distance": distance, "layers": [[0, 0], [0, 2]], "weight": 0.5}
    made = module(term)
    first, second = made.inner.parameters()
    total, labels = torch.zeros(()), 0
    for row in examples():
        ours, theirs = states(made, row)
        for at, label in enumerate(row.labels):
            if label != IGNORED:
                labels += 1
                for weight, layer in ((first, 0), (second, 2)):
                    s, t = weight @ ours[1][0, at], theirs[layer + 1][0, at]
                    one = (
                        ((s - t) ** 2).mean()
                        if distance == "mse"
                        else 1 - s @ t / (s.norm() * t.norm())
                    )
                    total = total + one / 2
    compare(made, 0.5 * total / labels)


def test_attention_maps_are_the_dense_ones() -> None:
    made = module({"term": "attention", "layers": [[0, 1], [1, 3]]})
    (teacher,) = made._teacher
    assert teacher is not None
    total, labels = torch.zeros(()), 0
    for row in examples():
        ids = torch.tensor([row.ids])
        ours = made.student(input_ids=ids, output_attentions=True, use_cache=False).attentions
        with torch.no_grad():
            theirs = teacher.model(
                input_ids=ids, output_attentions=True, use_cache=False
            ).attentions
        for at, label in enumerate(row.labels):
            if label != IGNORED:
                labels += 1
                for s, t in ((0, 1), (1, 3)):
                    q, p = ours[s][0, :, at, : at + 1], theirs[t][0, :, at, : at + 1]
                    total = total + F.kl_div(q.log(), p, reduction="sum") / 2 / 2
    compare(made, total / labels)


def test_attention_that_fp32_rounds_to_nothing_is_counted_while_training() -> None:
    """Of a student that looks at one token alone, weight by weight."""
    made = module({"term": "attention", "layers": [[0, 1], [1, 3]]})
    with torch.no_grad():
        for layer in made.student.model.layers:
            layer.self_attn.q_proj.weight.mul_(3e4)
    (teacher,) = made._teacher
    assert teacher is not None
    cut = 0
    for row in examples():
        ids = torch.tensor([row.ids])
        ours, theirs = (
            model(input_ids=ids, output_attentions=True, use_cache=False).attentions
            for model in (made.student, teacher.model)
        )
        for at, label in enumerate(row.labels):
            for s, t in ((0, 1), (1, 3)):
                q, p = ours[s][0, :, at, : at + 1], theirs[t][0, :, at, : at + 1]
                cut += sum(
                    before < 1.2e-38 and after > 0
                    for before, after in zip(q.flatten(), p.flatten(), strict=True)
                    if label != IGNORED
                )
    assert cut > 0
    made.eval()(**collate(examples()))
    assert not made.clamped
    outputs = made.train()(**collate(examples()))
    assert made.clamped == {"attention_weights": cut}
    assert torch.isfinite(outputs["loss"])


@pytest.mark.parametrize("kind", ["distances", "angles", "similarity"])
def test_relations_are_between_the_sequences_of_a_batch(kind: str) -> None:
    from ullage.distill import features

    made = module({"term": kind, "layers": [[0, 2]]})
    embedded: tuple[list[Any], list[Any]] = ([], [])
    for row in examples():
        at = [index for index, label in enumerate(row.labels) if label != IGNORED]
        if at:
            ours, theirs = states(made, row)
            embedded[0].append(ours[1][0, at].mean(dim=0))
            embedded[1].append(theirs[3][0, at].mean(dim=0))
    compare(made, getattr(features, kind)(*(torch.stack(side) for side in embedded)))


def test_terms_add_up_to_the_weighted_sum() -> None:
    made = module(
        {"term": "forward-kl", "weight": 0.7, "temperature": 1.0},
        {"term": "hidden", "weight": {"start": 0.0, "end": 4.0}},
        {"term": "distances", "weight": 0.3},
    )
    made.at(0.5)
    batch = collate(examples())
    labels = int((batch["labels"] != IGNORED).sum())
    outputs = made(**batch)
    expected = 0.7 * outputs["forward_kl"] + 2 * outputs["hidden"] + 0.3 * outputs["distances"]
    torch.testing.assert_close(outputs["loss"], expected / labels)
    halves = made(**batch, num_items_in_batch=2 * labels)
    torch.testing.assert_close(halves["loss"], outputs["loss"] / 2)


def test_nothing_supervised_is_zero_and_finite() -> None:
    made = module({"term": "hidden"}, {"term": "angles"}, {"term": "attention"})
    batch = collate(examples())
    batch["labels"][:] = IGNORED
    outputs = made(**batch)
    outputs["loss"].backward()
    assert outputs["loss"].item() == 0
    assert all(
        weight.grad is None or torch.isfinite(weight.grad).all() for weight in made.parameters()
    )


def test_a_projection_starts_where_it_fits_best() -> None:
    made = module({"term": "hidden", "distance": "mse"})
    batch = collate(examples())
    drawn = made(**batch)["hidden"].item()
    made.fit_projections([batch])
    fitted = made(**batch)["hidden"].item()
    assert fitted < 0.5 * drawn
    for weight in made.inner.parameters():
        weight.data += 0.01 * torch.randn(weight.shape)
    assert made(**batch)["hidden"].item() > fitted


def test_only_what_is_eaten_is_kept() -> None:
    model = build("llama")
    with listening(model, Wanted(hidden=frozenset({1, 4}))) as heard:
        model(input_ids=torch.tensor([[1, 2, 3]]))
    assert sorted(heard.hidden_BTH) == [1, 4]
    assert heard.attention_BATT == {}
    with listening(model, Wanted()) as heard:
        model(input_ids=torch.tensor([[1, 2, 3]]))
    assert heard.hidden_BTH == {}
    assert not any(layer._forward_hooks for layer in model.modules())


@pytest.mark.parametrize(
    ("student", "teacher", "expected"),
    [
        (2, 4, ((0, 1), (1, 3))),
        (3, 3, ((0, 0), (1, 1), (2, 2))),
        (4, 2, ((0, 0), (1, 0), (2, 1), (3, 1))),
        (4, 30, ((0, 7), (1, 14), (2, 21), (3, 29))),
    ],
)
def test_uniform_maps_end_to_end(student: int, teacher: int, expected: Any) -> None:
    found = layer_pairs("uniform", student, teacher, term="hidden")
    assert [ours for ours, _ in found] == list(range(student))
    assert found[-1] == (student - 1, teacher - 1)
    assert all(abs(a - b) <= 1 for (_, a), (_, b) in zip(found, expected, strict=True))
    assert layer_pairs("last", student, teacher, term="hidden") == ((student - 1, teacher - 1),)


@pytest.mark.parametrize(
    ("term", "teacher", "expected"),
    [
        ({"term": "hidden", "layers": [[2, 0]]}, {}, "layers are 0 to 1, the teacher's 0 to 5"),
        (
            {"term": "hidden", "projection": "none"},
            {"hidden_size": 24},
            "16 wide, the teacher's 24",
        ),
        (
            {"term": "attention"},
            {"hidden_size": 32, "num_attention_heads": 4},
            "the student has 2 heads, the teacher 4: say heads: mean",
        ),
    ],
)
def test_architectures_that_do_not_allow_it(
    term: dict[str, Any], teacher: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        module(term, teacher=build("llama", **teacher))
    assert "\n" not in str(caught.value)


def test_a_model_without_attention_is_refused() -> None:
    student = build("mamba", state_size=4)
    with pytest.raises(InputError, match="MambaForCausalLM as student") as caught:
        module({"term": "attention"}, student=student)
    assert "\n" not in str(caught.value)


def test_means_of_heads_need_no_equal_number() -> None:
    teacher = build("llama", hidden_size=32, num_attention_heads=4)
    made = module({"term": "attention", "heads": "mean"}, teacher=teacher)
    assert made(**collate(examples()))["attention"].item() > 0


@pytest.mark.parametrize("kind", ["gpt_neox", "qwen2", "gemma3_text", "gpt2", "opt"])
def test_other_architectures_are_heard_too(kind: str) -> None:
    changes = {"head_dim": 8, "query_pre_attn_scalar": 8} if kind == "gemma3_text" else {}
    if kind == "gpt2":
        changes = {"n_embd": 16, "n_layer": 6, "n_head": 2}
    if kind == "opt":
        changes = {"word_embed_proj_dim": 16, "ffn_dim": 24}
    model = build(kind, **changes)
    made = module({"term": "hidden"}, {"term": "attention"}, {"term": "angles"}, teacher=model)
    outputs = made(**collate(examples()))
    assert all(torch.isfinite(value) for value in outputs.values())
    assert outputs["attention"].item() > 0
