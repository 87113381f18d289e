"""Quantised models: what rounding does, against independent references, and what it must not do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

torch = pytest.importorskip("torch")

from ullage.config.models import Arm, HfOptions  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.models.hf import HfModel  # noqa: E402
from ullage.models.hf import quantise as quantising  # noqa: E402
from ullage.models.hf.load import load  # noqa: E402
from ullage.models.hf.network import PaddedNetwork, PlainNetwork, settle  # noqa: E402
from ullage.models.hf.quantise import DynamicInt8Linear, quantise, rounded_int4  # noqa: E402
from ullage.models.types import Ask, Request, Weigh, user  # noqa: E402

from ..support.tiny import build_tiny_model  # noqa: E402
from .test_hf_generate import QUESTIONS, answers  # noqa: E402
from .test_hf_model import enter  # noqa: E402
from .test_hf_network import ARCHITECTURES, make, tokens  # noqa: E402

pytestmark = pytest.mark.local

How = Literal["dynamic-int8", "rounded-int4"]
HOWS: tuple[How, ...] = ("dynamic-int8", "rounded-int4")
INT8, INT4 = (HfOptions(quantise=how) for how in HOWS)


def noise(*shape: int, seed: int = 0) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_int8_is_whole_number_arithmetic() -> None:
    """The layer against the formula in numpy's 64-bit integers."""
    weight, bias, x = noise(24, 40), noise(24, seed=1), noise(3, 5, 40, seed=2)
    layer = DynamicInt8Linear(weight, bias)
    rows, w = x.reshape(-1, 40).numpy(), weight.numpy()
    x_step = np.abs(rows).max(1, keepdims=True) / np.float32(127)
    w_step = np.abs(w).max(1, keepdims=True) / np.float32(127)
    total = np.rint(rows / x_step).astype(np.int64) @ np.rint(w / w_step).astype(np.int64).T
    want = total * x_step.astype(np.float64) * w_step.T + bias.numpy()
    np.testing.assert_allclose(layer(x).reshape(-1, 24).numpy(), want, rtol=1e-5, atol=1e-5)


def test_int8_is_near_the_layer_it_replaces() -> None:
    layer = torch.nn.Linear(256, 64)
    x = noise(50, 256)
    layer.requires_grad_(False)
    error = DynamicInt8Linear(layer.weight, layer.bias)(x) - layer(x)
    # Two roundings, each uniform over a step of max/127, on 256 independent products.
    steps = (x.abs().amax(1, keepdim=True) / 127, layer.weight.abs().amax(1)[None] / 127)
    expected = (
        (steps[0] ** 2 * layer.weight.pow(2).sum(1) + steps[1] ** 2 * x.pow(2).sum(1)[:, None]) / 12
    ).sqrt()
    assert 0.9 < float((error / expected).pow(2).mean().sqrt()) < 1.1


def test_int8_of_a_row_does_not_depend_on_its_company() -> None:
    layer = DynamicInt8Linear(noise(48, 64), None)
    x = noise(37, 64, seed=3)
    alone = torch.cat([layer(row[None]) for row in x])
    assert torch.equal(layer(x), alone)
    loud = torch.cat([x, 1000 * noise(1, 64, seed=4)])
    assert torch.equal(layer(loud)[:-1], alone)


def test_int8_scaled_over_a_batch_would_depend_on_it() -> None:
    """Why not torch's own: one loud token takes the others' precision away."""
    x = noise(37, 64, seed=3)
    loud = torch.cat([x, 1000 * noise(1, 64, seed=4)])
    together = quantising._rounded(loud, quantising._scale(loud.view(1, -1)))
    assert not together[:-1].any()


@pytest.mark.parametrize("value", [0.0, 1e-40, 1e30])
def test_int8_survives_extreme_rows(value: float) -> None:
    layer = DynamicInt8Linear(torch.eye(8), None)
    out = layer(torch.full((1, 8), value))
    torch.testing.assert_close(out, torch.full((1, 8), value), rtol=1e-2, atol=1e-38)


@pytest.mark.parametrize("width", [1, 31, 64, 4099])
def test_the_exact_product_needs_no_kernel(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Where int8 kernels saturate, sums in float64 are the same whole numbers."""
    source = torch.Generator().manual_seed(0)
    x, weight = (torch.randint(-127, 128, (n, width), generator=source) for n in (9, 6))
    want = x @ weight.t()
    x, weight = x.to(torch.int8), weight.to(torch.int8)
    assert torch.equal(quantising._product(x, weight).long(), want)
    monkeypatch.setattr(quantising, "_kernel_is_exact", lambda: False)
    assert torch.equal(quantising._product(x, weight).long(), want)


def test_int8_reads_rows_of_any_stride() -> None:
    layer = DynamicInt8Linear(noise(48, 64), None)
    x = noise(1, 64)
    for odd in (x.as_strided((1, 64), (0, 1)), noise(64, 1).copy_(x.t()).t()):
        assert torch.equal(layer(odd), layer(x))
    wide = noise(6, 5, 64)
    assert torch.equal(layer(wide[:, -1:])[2], layer(wide[2:3, -1].clone()))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0, 300.0]))
def test_int4_is_q4_0(seed: int, size: float) -> None:
    """Against the gguf package, which packs for llama.cpp."""
    gguf = pytest.importorskip("gguf")
    weight = size * noise(6, 96, seed=seed)
    weight[2, 32:64] = 0.0
    kind = gguf.GGMLQuantizationType.Q4_0
    want = gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind)
    np.testing.assert_array_equal(rounded_int4(weight).numpy(), want)


def test_int4_of_next_to_nothing_is_nothing() -> None:
    weight = torch.zeros(2, 32)
    weight[0, 3], weight[1, 5] = 1e-40, 1e-9
    assert not rounded_int4(weight).any()


def test_int4_has_sixteen_levels_a_group_and_a_short_last_one() -> None:
    weight = noise(5, 70)
    near = rounded_int4(weight)
    assert near.shape == weight.shape and near.dtype == weight.dtype
    for row, rounded in zip(weight, near, strict=True):
        for begin in (0, 32, 64):
            group, got = row[begin : begin + 32], rounded[begin : begin + 32]
            step = float(group.abs().max() / 8)
            levels = got / step
            assert float((levels - levels.round()).abs().max()) < 1e-2
            # The grid ends at +7, one step short of -8: what lies there loses up to a step.
            assert float((group - got).abs().max()) <= 1.01 * step
            assert float((group - got).abs().median()) <= 0.5 * step
    assert torch.equal(rounded_int4(weight[:, :32]), near[:, :32])
    half = rounded_int4(weight.bfloat16())
    assert half.dtype == torch.bfloat16 and torch.allclose(half.float(), near, atol=0.02, rtol=0.2)


@pytest.fixture(scope="module")
def wide_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("wide"), hidden=64, layers=3)


REQUESTS: tuple[Request, ...] = (
    *(Ask(messages=(user(text),), max_tokens=12, top_logprobs=2) for text in QUESTIONS),
    Weigh(messages=(user("two plus two"),), continuations=("four", "Paris, and", "")),
    Ask(messages=(user("two plus two"),), max_tokens=9, temperature=1.0, seed=3),
)


@pytest.mark.parametrize("how", HOWS)
def test_replies_do_not_depend_on_the_batch(wide_model: Path, how: How) -> None:
    options = HfOptions(quantise=how)
    together = answers(wide_model, REQUESTS, options)
    assert answers(wide_model, REQUESTS[::-1], options)[::-1] == together
    assert [answers(wide_model, [request], options)[0] for request in REQUESTS] == together
    assert answers(wide_model, REQUESTS, HfOptions(quantise=how, batch_tokens=1)) == together
    assert answers(wide_model, REQUESTS) != together


@pytest.mark.parametrize("how", HOWS)
def test_rows_share_batches_and_the_head_is_kept(wide_model: Path, how: How) -> None:
    network = load(
        wide_model, dtype="float32", device="auto", chat_template=None, quantise=how
    ).network
    assert isinstance(network, PaddedNetwork)
    plain = load(wide_model, dtype="float32", device="cpu", chat_template=None).network
    assert isinstance(plain, PaddedNetwork)
    assert network.together and network.device.type == "cpu"
    before, after = plain.model, network.model
    assert after.lm_head.weight is after.model.embed_tokens.weight
    assert torch.equal(after.lm_head.weight, before.lm_head.weight)
    layers = [m for m in after.model.layers.modules() if not list(m.children())]
    int8 = sum(isinstance(layer, DynamicInt8Linear) for layer in layers)
    assert int8 == (7 * 3 if how == "dynamic-int8" else 0)
    if how == "rounded-int4":
        up, was = (
            after.model.layers[1].mlp.up_proj.weight,
            before.model.layers[1].mlp.up_proj.weight,
        )
        assert torch.equal(up, rounded_int4(was))


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("name", ["llama", "learnt positions", "ALiBi", "mixed windows"])
def test_other_architectures_keep_their_logits_nearly(name: str, how: How) -> None:
    kind, changes, _ = ARCHITECTURES[name]
    ids = torch.tensor([tokens(40, seed=1)])
    model = make(kind, changes)
    with torch.inference_mode():
        exact = model(input_ids=ids).logits
        quantise(model, how, Path("here"))
        near = model(input_ids=ids).logits
    settle(PlainNetwork(model))
    assert not torch.equal(near, exact)
    likeness = torch.nn.functional.cosine_similarity(near, exact, dim=-1)
    assert float(likeness.mean()) > (0.99 if how == "dynamic-int8" else 0.6)


def test_a_quantised_model_is_another_model(tiny_model_dir: Path) -> None:
    models = [
        HfModel(str(tiny_model_dir), options, Path()) for options in (HfOptions(), INT8, INT4)
    ]
    assert len({model.identity for model in models}) == 3
    assert [model.description.get("quantise") for model in models] == [None, *HOWS]
    assert models[1].description["batch_invariant"]
    json.dumps([dict(model.description) for model in models])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"hf": {"quantise": "dynamic-int8", "device": "cuda"}}, "runs on the CPU, not on cuda"),
        ({"hf": {"quantise": "dynamic-int8", "dtype": "bfloat16"}}, "not bfloat16"),
        ({"hf": {"quantise": "int3"}}, "'dynamic-int8' or 'rounded-int4'"),
        ({"model": "hf:m.gguf", "hf": {"quantise": "rounded-int4"}}, "brings its own"),
    ],
)
def test_what_cannot_be_is_refused_before_loading(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Arm.model_validate({"model": "hf:m", **fields})


def test_half_precision_takes_rounded_weights(tiny_model_dir: Path) -> None:
    options = HfOptions(quantise="rounded-int4", dtype="bfloat16")
    ask = Ask(messages=(user("two plus two"),), max_tokens=4)
    assert len(answers(tiny_model_dir, [ask], options)) == 1


@pytest.mark.parametrize("how", HOWS)
def test_a_model_that_would_mostly_stay_as_it_is_gets_one_line(how: How) -> None:
    kind, changes, _ = ARCHITECTURES["llama"]
    model = make(kind, changes)
    for layer in model.model.layers:
        layer.extra = torch.nn.Parameter(torch.zeros(3, 64, 64))  # as fused experts are
    with pytest.raises(InputError, match=r"here: only \d+% of its layers' weights") as caught:
        quantise(model, how, Path("here"))
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_is_quantised_already_gets_one_line(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_model_dir, tmp_path / "model"))
    network = load(folder, dtype="float32", device="cpu", chat_template=None).network
    assert isinstance(network, PaddedNetwork)
    model = network.model
    model.config.quantization_config = {"quant_method": "gptq", "bits": 4}
    with pytest.raises(InputError, match="is quantised already") as caught:
        quantise(model, "rounded-int4", folder)
    assert "\n" not in str(caught.value)


def test_a_layer_that_is_read_by_hand_gets_one_line(
    tiny_model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some architectures take `layer.weight` themselves, which an int8 layer does not have."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    def by_hand(self: Any, x: Any) -> Any:
        return self.down_proj(self.act_fn(x @ self.gate_proj.weight.t()))

    monkeypatch.setattr(LlamaMLP, "forward", by_hand)
    with pytest.raises(InputError, match="does not run quantised") as caught:
        enter(HfModel(str(tiny_model_dir), INT8, Path()))
    assert "\n" not in str(caught.value)
