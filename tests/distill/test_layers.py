"""Students cut out of their teacher."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM  # noqa: E402
from transformers.models.auto.configuration_auto import CONFIG_MAPPING  # noqa: E402

from ullage.distill.layers import chosen_layers, layer_stack, student_from_layers  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 6,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
}


def build(kind: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**{**SIZES, **changes})
    auto: Any = AutoModelForCausalLM
    return auto.from_config(config).eval()


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_evenly_spaced(choice: tuple[int, int]) -> None:
    count, depth = choice
    layers = chosen_layers(count, depth)
    assert len(layers) == count == len(set(layers))
    assert layers[0] == 0
    if count > 1:
        assert layers[-1] == depth - 1
        gaps = [later - earlier for earlier, later in pairwise(layers)]
        assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("choice", [7, (0, 6), (3, 1), (1, 1), (-1, 2)])
def test_layers_that_are_not_there(choice: Any) -> None:
    with pytest.raises(InputError, match=r"distill.layers: .* 6"):
        chosen_layers(choice, 6)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"tie_word_embeddings": False}),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 3, "sliding_window": 4}),
        ("gemma3_text", {"head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8}),
        ("gpt_neox", {}),
    ],
)
def test_keeping_layers_is_skipping_the_others(kind: str, changes: dict[str, Any]) -> None:
    """The student computes what the teacher computes with the other layers passed over."""
    teacher = build(kind, **changes)
    layers = (0, 2, 5)
    student = student_from_layers(teacher, layers).eval()
    stack = teacher.get_submodule(layer_stack(teacher))
    types = getattr(teacher.config, "layer_types", None)
    if types is not None:
        assert student.config.layer_types == [types[index] for index in layers]

    ids = torch.randint(1, 61, (2, 9), generator=torch.Generator().manual_seed(1))
    for index in (1, 3, 4):
        stack[index].forward = lambda hidden, *_, **__: hidden
    with torch.no_grad():
        torch.testing.assert_close(
            student(input_ids=ids, use_cache=False).logits,
            teacher(input_ids=ids, use_cache=False).logits,
        )


def test_student_owns_its_weights_and_keeps_tying() -> None:
    teacher = build("llama", tie_word_embeddings=True).bfloat16()
    student = student_from_layers(teacher, (0, 5))
    assert student.dtype == torch.float32
    assert student.config.num_hidden_layers == 2
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight
    with torch.no_grad():
        student.get_input_embeddings().weight.zero_()
    assert teacher.get_input_embeddings().weight.abs().sum() > 0


def test_a_stack_that_cannot_be_found_is_refused() -> None:
    teacher = build("llama")
    teacher.extra = torch.nn.ModuleList(torch.nn.Identity() for _ in range(6))
    with pytest.raises(InputError, match=r"cannot find the layer stack of LlamaForCausalLM"):
        layer_stack(teacher)
    del teacher.extra
    teacher.config.num_hidden_layers = 5
    with pytest.raises(InputError, match=r"num_hidden_layers 5, lists of that length: none"):
        layer_stack(teacher)
