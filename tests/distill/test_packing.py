"""Packed rows are read as if alone: values, gradients, and models that cannot do it."""

# ruff: noqa: N806 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    Mamba2Config,
    Qwen2Config,
)

from tests.distill import making  # noqa: E402
from ullage.distill.module import trunk  # noqa: E402
from ullage.distill.order import RowOrder  # noqa: E402
from ullage.distill.packing import pack, packed_trunk, require_blind_rows  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

SMALL: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
}
LENGTHS = (3, 11, 5, 2, 7, 1)


def model(config: Any, attention: str) -> Any:
    torch.manual_seed(5)
    auto: Any = AutoModelForCausalLM
    return auto.from_config(config, attn_implementation=attention).eval()


def rows() -> Any:
    generator = torch.Generator().manual_seed(1)
    ids_BT = torch.zeros((len(LENGTHS), max(LENGTHS)), dtype=torch.long)
    for row, length in enumerate(LENGTHS):
        ids_BT[row, :length] = torch.randint(1, 97, (length,), generator=generator)
    return ids_BT


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_rows_do_not_overlap_and_packs_are_few(lengths: list[int]) -> None:
    packing = pack(lengths, 40)
    taken = [
        (where, column)
        for length, (where, first) in zip(lengths, packing.place_B, strict=True)
        for column in range(first, first + length)
    ]
    assert len(set(taken)) == sum(lengths)
    assert max(column for _, column in taken) < 40
    assert {where for where, _ in taken} == set(range(packing.packs))
    least = -(-sum(lengths) // 40)
    assert least <= packing.packs <= len(lengths)
    # At most one pack is half empty, or two of them would have gone into one.
    assert packing.packs <= 2 * least


def test_a_row_longer_than_a_pack_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="a row of 5 tokens into packs of 4"):
        pack([5], 4)


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(
    "config",
    [
        LlamaConfig(**SMALL),
        Qwen2Config(**SMALL),
        Gemma3TextConfig(**SMALL, head_dim=8, sliding_window=4),
    ],
    ids=["llama", "qwen2", "gemma3"],
)
def test_packed_rows_are_read_as_if_alone(config: Any, attention: str) -> None:
    reader, ids_BT = model(config, attention), rows()
    packed_BTH = packed_trunk(reader, ids_BT, LENGTHS)
    for row, length in enumerate(LENGTHS):
        alone_TH = trunk(reader, ids_BT[row : row + 1, :length])[0]
        torch.testing.assert_close(packed_BTH[row, :length], alone_TH, rtol=1e-5, atol=1e-5)
        assert not packed_BTH[row, length:].any()


def test_gradients_are_those_of_padded_rows() -> None:
    reader, ids_BT = model(LlamaConfig(**SMALL), "sdpa"), rows()
    mask_BT = torch.arange(ids_BT.shape[1]) < torch.tensor(LENGTHS)[:, None]
    weights = list(reader.base_model.parameters())
    found = []
    for hidden_BTH in (packed_trunk(reader, ids_BT, LENGTHS), trunk(reader, ids_BT)):
        loss = hidden_BTH[mask_BT].pow(3).sum()
        found.append(torch.autograd.grad(loss, weights))
    for packed, padded in zip(*found, strict=True):
        torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-4)


def test_rows_that_see_each_other_are_refused() -> None:
    require_blind_rows(model(LlamaConfig(**SMALL), "sdpa"), "student")
    leaky = Mamba2Config(
        vocab_size=97,
        hidden_size=32,
        num_hidden_layers=2,
        head_dim=16,
        num_heads=4,
        n_groups=1,
        state_size=16,
    )
    with pytest.raises(InputError, match=r"rows of Mamba2ForCausalLM \(the student\) see each"):
        require_blind_rows(model(leaky, "eager"), "student")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packing")
    making.prepare(path)
    return path


@pytest.mark.parametrize("method", ["logits", "control"])
def test_a_packed_step_moves_the_student_as_a_padded_one(folder: Path, method: str) -> None:
    """One step over the whole corpus, so that the order of rows decides nothing."""
    steps: dict[str, Any] = {
        "method": method,
        "batch_size": 64,
        "gradient_accumulation": 1,
        "max_steps": 1,
    }
    packed = making.make(folder, f"{method}-packed", packing=True, **steps)
    padded = making.make(folder, f"{method}-padded", **steps)
    weights = [load_file(made.output / "model.safetensors") for made in (packed, padded)]
    for name, tensor in weights[0].items():
        # The first step of AdamW is the sign of the gradient: where that is rounding, so is it.
        near = (tensor - weights[1][name]).abs() < 1e-5
        assert near.float().mean() > 0.999, name
    assert packed.ledger["loss"]["held_out"]["loss"] == pytest.approx(
        padded.ledger["loss"]["held_out"]["loss"], rel=1e-4
    )
    assert packed.ledger["recipe_digest"] != padded.ledger["recipe_digest"]


def test_packed_rows_come_without_regard_to_length(folder: Path) -> None:
    lengths = [1, 9] * 50
    mixed = [
        len({lengths[row] for row in batch})
        for batch in batched(RowOrder(lengths, 4, 0, grouped=False), 4)
    ]
    alike = [len({lengths[row] for row in batch}) for batch in batched(RowOrder(lengths, 4, 0), 4)]
    assert sum(mixed) > 1.5 * len(mixed)
    assert sum(alike) <= len(alike) + 1


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "features"}, "distill.packing: 'hidden' compares what goes on inside"),
        ({"alignment": "bytes", "student": "hf:teacher", "layers": None}, "reads its own"),
    ],
)
def test_packs_are_refused_where_rows_are_read_one_by_one(
    folder: Path, settings: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected):
        making.make(folder, "refused", packing=True, **settings)
    assert not (folder / "refused.work").exists()


def batched(rows: Iterable[int], size: int) -> Iterator[list[int]]:
    whole = list(rows)
    return (whole[start : start + size] for start in range(0, len(whole), size))
