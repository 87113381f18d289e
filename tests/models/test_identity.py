"""Identity: what changes it, and what must not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.errors import InputError
from ullage.models.identity import file_identity, folder_identity, weight_digests

Tensors = dict[str, npt.NDArray[np.float32]]


def write_safetensors(path: Path, tensors: Tensors) -> None:
    """The format by hand: length, JSON header, bytes."""
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.tobytes()
        header[name] = {
            "dtype": "F32",
            "shape": list(tensor.shape),
            "data_offsets": [at, at + len(blob)],
        }
        blobs.append(blob)
        at += len(blob)
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(blobs))


def tensors(seed: int = 0) -> Tensors:
    draw = np.random.default_rng(seed)
    shapes = {"embed": (7, 4), "layer.0.w": (4, 4), "layer.0.b": (4,), "head": (4, 7)}
    return {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def write_model(folder: Path, content: Tensors | None = None, shards: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    content = content or tensors()
    if shards == 1:
        write_safetensors(folder / "model.safetensors", content)
    else:
        names = list(content)
        weight_map: dict[str, str] = {}
        for shard in range(shards):
            file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
            part = {name: content[name] for name in names[shard::shards]}
            write_safetensors(folder / file, part)
            weight_map |= dict.fromkeys(part, file)
        (folder / "model.safetensors.index.json").write_text(
            json.dumps({"metadata": {}, "weight_map": weight_map})
        )
    write_json(folder / "config.json", {"model_type": "llama", "hidden_size": 4})
    write_json(folder / "generation_config.json", {"eos_token_id": 2})
    write_json(folder / "tokenizer_config.json", {"bos_token": "<s>"})
    write_json(folder / "tokenizer.json", {"version": "1.0"})
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


def write_json(path: Path, data: object) -> None:
    path.write_text(json.dumps(data))


def identity(folder: Path) -> str:
    return folder_identity(folder, extra={"dtype": "float32"})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_it_is_a_scheme_and_a_hash(model: Path) -> None:
    scheme, _, digits = identity(model).partition(":")
    assert scheme == "hf" and len(digits) == 64 and int(digits, 16)


def test_a_copy_elsewhere_and_a_touch_keep_it(model: Path, tmp_path: Path) -> None:
    before = identity(model)
    copy = shutil.copytree(model, tmp_path / "elsewhere" / "copy")
    for file in model.iterdir():
        os.utime(file, (1, 1))
    assert identity(copy) == identity(model) == before


@settings(max_examples=25, deadline=None)
@given(shards=st.integers(1, 4), seed=st.integers(0, 3), turned=st.booleans())
def test_resharding_keeps_it(
    tmp_path_factory: pytest.TempPathFactory, shards: int, seed: int, turned: bool
) -> None:
    folder = tmp_path_factory.mktemp("reshard")
    content = tensors(seed)
    order = list(content)[::-1] if turned else list(content)
    one = write_model(folder / "one", content)
    other = write_model(folder / "other", {name: content[name] for name in order}, shards)
    assert identity(one) == identity(other)
    assert weight_digests(one) == weight_digests(other)


def test_overwriting_in_place_changes_it(model: Path) -> None:
    before, digests = identity(model), weight_digests(model)
    weights = model / "model.safetensors"
    stat = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert weights.stat().st_mtime_ns == stat.st_mtime_ns
    assert weights.stat().st_size == stat.st_size
    assert identity(model) != before
    changed = {name for name, digest in weight_digests(model).items() if digest != digests[name]}
    assert changed == {"head"}


CHANGES: dict[str, Callable[[Path], object]] = {
    "config": lambda m: write_json(m / "config.json", {"model_type": "llama", "hidden_size": 8}),
    "eos": lambda m: write_json(m / "generation_config.json", {"eos_token_id": [2, 3]}),
    "tokenizer": lambda m: write_json(m / "tokenizer.json", {"version": "1.1"}),
    "tokenizer config": lambda m: write_json(m / "tokenizer_config.json", {"bos_token": "<b>"}),
    "template": lambda m: (m / "chat_template.jinja").write_text("{{ messages }}!"),
    "no template": lambda m: (m / "chat_template.jinja").unlink(),
    "swapped names": lambda m: write_safetensors(
        m / "model.safetensors",
        {**tensors(), "layer.0.w": tensors()["head"], "head": tensors()["layer.0.w"]},
    ),
    "reshaped": lambda m: write_safetensors(
        m / "model.safetensors", {**tensors(), "head": tensors()["head"].reshape(7, 4)}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_an_answer_changes_it(model: Path, change: str) -> None:
    before = identity(model)
    CHANGES[change](model)
    assert identity(model) != before


def test_options_are_part_of_it(model: Path) -> None:
    assert folder_identity(model, extra={"dtype": "bfloat16"}) != identity(model)
    assert folder_identity(model, extra={"dtype": "float32", "t": None}) != identity(model)


def test_where_it_came_from_is_not(model: Path) -> None:
    before = identity(model)
    write_json(
        model / "config.json",
        {
            "hidden_size": 4,
            "model_type": "llama",
            "_name_or_path": "somewhere/else",
            "transformers_version": "9.9",
            "dtype": "bfloat16",
        },
    )
    (model / "README.md").write_text("a model card")
    assert identity(model) == before


def test_a_single_file_is_its_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "a.gguf", tmp_path / "b.gguf"
    one.write_bytes(b"GGUF" * 9)
    other.write_bytes(b"GGUF" * 9)
    assert file_identity(one, extra={}) == file_identity(other, extra={})
    assert file_identity(one, extra={"x": 1}) != file_identity(one, extra={})
    other.write_bytes(b"GGUF" * 8 + b"GGUf")
    assert file_identity(one, extra={}) != file_identity(other, extra={})


def test_bin_weights_are_their_bytes(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "pytorch_model.bin").write_bytes(b"weights")
    before = identity(model)
    assert list(weight_digests(model)) == ["pytorch_model.bin"]
    (model / "pytorch_model.bin").write_bytes(b"Weights")
    assert identity(model) != before


def test_an_empty_tensor_is_no_trouble(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", {**tensors(), "empty": np.zeros((0, 4), np.float32)})
    assert "empty" in weight_digests(folder)


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def folder_for_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()
    (model / "model.safetensors").mkdir()


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such model folder"),
    "no config": (lambda m: (m / "config.json").unlink(), "no config.json"),
    "an adapter": (
        lambda m: (m / "config.json").rename(m / "adapter_config.json"),
        "merge it into its base model",
    ),
    "an adapter beside the weights": (
        lambda m: (m / "adapter_config.json").write_text("{}"),
        "holds an adapter beside its weights",
    ),
    "config is not JSON": (lambda m: (m / "config.json").write_text("{"), "is not JSON"),
    "config is a list": (lambda m: (m / "config.json").write_text("[]"), "holds a list"),
    "config is not UTF-8": (lambda m: (m / "config.json").write_bytes(b"\xff{"), "is not JSON"),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "no weights"),
    "empty weights": (lambda m: cut(m / "model.safetensors", 0), "not a whole safetensors"),
    "cut in the header": (lambda m: cut(m / "model.safetensors", 99), "not a whole safetensors"),
    "cut in the tensors": (lambda m: cut(m / "model.safetensors", -5), "is cut short"),
    "header is not JSON": (
        lambda m: (m / "model.safetensors").write_bytes((4).to_bytes(8, "little") + b"oops"),
        "does not make sense",
    ),
    "header without offsets": (
        lambda m: (m / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b'{"a":{}}'),
        "does not make sense",
    ),
    "weights are a folder": (folder_for_weights, "no weights"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_folders_get_one_line(model: Path, case: str) -> None:
    spoil, said = BAD[case]
    spoil(model)
    with pytest.raises(InputError, match=said) as caught:
        identity(model)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match="model-00002-of-00002"):
        identity(folder)


def test_a_shard_outside_the_folder_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", shards=2)
    write_json(
        folder / "model.safetensors.index.json", {"weight_map": {"head": "../m/config.json"}}
    )
    with pytest.raises(InputError, match="not in the folder"):
        identity(folder)


def test_a_tensor_in_two_shards_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", shards=2)
    write_safetensors(folder / "model-00002-of-00002.safetensors", tensors())
    with pytest.raises(InputError, match="also in another shard"):
        identity(folder)


def test_it_needs_no_torch(model: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ullage.config.models import HfOptions\n"
        "from ullage.models.hf import HfModel\n"
        f"model = HfModel({str(model)!r}, HfOptions(), Path())\n"
        "print(model.identity, dict(model.description), 'torch' in sys.modules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.startswith("hf:") and out.endswith("False\n")
