"""The ``hf:`` adapter: what it accepts, what it refuses in one line, and what it says of itself."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ullage.config.models import HfOptions  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.models.hf import HfModel  # noqa: E402
from ullage.models.types import Access, Ask, Reply, Weigh, Weights, user  # noqa: E402

from ..support.tiny import build_tiny_model  # noqa: E402
from .test_hf_generate import answers  # noqa: E402

pytestmark = pytest.mark.local

ASK = Ask(messages=(user("two plus two"),), max_tokens=8)


def enter(model: HfModel) -> None:
    async def run() -> None:
        async with model:
            pass

    asyncio.run(run())


def test_a_path_is_relative_to_the_configuration(tiny_model_dir: Path) -> None:
    near = HfModel(tiny_model_dir.name, HfOptions(), tiny_model_dir.parent)
    far = HfModel(str(tiny_model_dir), HfOptions(), Path("/"))
    assert near.identity == far.identity
    assert near.path == far.path


def test_two_models_behind_one_path_never_share_an_identity(tmp_path: Path) -> None:
    folder = build_tiny_model(tmp_path / "model", seed=1)
    first, said = HfModel(str(folder), HfOptions(), Path()).identity, answers(folder, [ASK])
    build_tiny_model(folder, seed=2)
    assert HfModel(str(folder), HfOptions(), Path()).identity != first
    assert answers(folder, [ASK]) != said


def test_options_that_change_answers_change_the_identity(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    template = tmp_path / "t.jinja"
    template.write_text("{{ messages[0].content }}")
    options = [
        HfOptions(),
        HfOptions(dtype="bfloat16"),
        HfOptions(chat_template="t.jinja"),
    ]
    models = [HfModel(str(tiny_model_dir), chosen, tmp_path) for chosen in options]
    assert len({model.identity for model in models}) == 3
    same = [HfOptions(batch_tokens=7), HfOptions(device="cpu")]
    for chosen in same:
        assert HfModel(str(tiny_model_dir), chosen, tmp_path).identity == models[0].identity
    before = HfModel(str(tiny_model_dir), options[2], tmp_path).identity
    template.write_text("{{ messages[0].content }} ")
    assert HfModel(str(tiny_model_dir), options[2], tmp_path).identity != before


def test_it_says_what_it_is(tiny_model_dir: Path) -> None:
    model = HfModel(str(tiny_model_dir), HfOptions(), Path())
    assert model.access == set(Access)
    assert model.deterministic and not model.keyed_by_item and model.window > 1
    assert model.description["dtype"] == "float32" and model.description["batch_invariant"]
    (weights,) = tiny_model_dir.glob("*.safetensors")
    assert model.description["weight_bytes"] == weights.stat().st_size
    half = HfModel(str(tiny_model_dir), HfOptions(dtype="bfloat16"), Path())
    assert half.description["batch_invariant"] is False
    json.dumps([dict(model.description), dict(half.description)])
    assert model.description["model"] == tiny_model_dir.name, "a folder of this machine"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_answers_nearly_the_same(tiny_model_dir: Path, dtype: Any) -> None:
    weigh = Weigh(messages=ASK.messages, continuations=("Yes", "four. And"))
    exact = answers(tiny_model_dir, [weigh])[0]
    rough, told = answers(tiny_model_dir, [weigh, ASK], HfOptions(dtype=dtype))
    assert isinstance(exact, Weights) and isinstance(rough, Weights) and isinstance(told, Reply)
    assert rough.tokens == exact.tokens
    assert rough.logprobs == pytest.approx(exact.logprobs, rel=0.1, abs=0.3)
    assert rough.logprobs != exact.logprobs


def spoil_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.0.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})


def rewrite(folder: Path, **changes: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing weights": (spoil_weights, "1 weights of the model are missing"),
    "other shapes": (lambda m: rewrite(m, hidden_size=16), "weights of the model are mismatched"),
    "unknown architecture": (lambda m: rewrite(m, model_type="nonesuch"), "nonesuch"),
    "no tokenizer": (lambda m: (m / "tokenizer.json").unlink(), "cannot load it"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_folder_that_cannot_be_loaded_gets_one_line(
    tiny_model_dir: Path, tmp_path: Path, case: str
) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    spoil, said = SPOILED[case]
    spoil(folder)
    with pytest.raises(InputError, match=said) as caught:
        enter(HfModel(str(folder), HfOptions(), Path()))
    assert "\n" not in str(caught.value) and "model" in str(caught.value)


@pytest.mark.parametrize(
    ("locator", "said"),
    [
        ("./nowhere", "there is no folder"),
        ("a/b/c", "there is no folder"),
        ("weights.bin", "give a model folder or a .gguf file"),
        ("no-such-owner-here/no-such-model", "neither a folder"),
    ],
)
def test_a_locator_that_leads_nowhere_gets_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locator: str, said: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read once, at import
    (tmp_path / "weights.bin").write_bytes(b"x")
    model = HfModel(locator, HfOptions(), tmp_path)
    with pytest.raises(InputError, match=said) as caught:
        _ = model.identity
    assert "\n" not in str(caught.value) and locator in str(caught.value)


def test_a_chat_template_that_is_not_there_gets_one_line(
    tiny_model_dir: Path, tmp_path: Path
) -> None:
    model = HfModel(str(tiny_model_dir), HfOptions(chat_template="none.jinja"), tmp_path)
    with pytest.raises(InputError, match=r"none\.jinja: the chat template"):
        _ = model.identity


def test_a_device_that_is_not_there_gets_one_line(tiny_model_dir: Path) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(InputError, match="torch finds none here"):
        enter(HfModel(str(tiny_model_dir), HfOptions(device="mps"), Path()))
