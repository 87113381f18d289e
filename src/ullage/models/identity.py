"""What answers, as one hash: weights by tensor content, tokenizer, chat template, defaults.

An identity never looks at a path, a name or a modification time: a checkpoint overwritten in place
gets another identity, and a copied or resharded one keeps it. Safetensors headers are read by hand,
so none of this needs torch.
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullage.errors import InputError

_CHUNK = 1 << 24
_HEADER_LIMIT = 100_000_000
"""The format's own limit on a safetensors header, in bytes."""

_SAFETENSORS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_BIN = "pytorch_model.bin"
_BIN_INDEX = "pytorch_model.bin.index.json"

_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "chat_template.jinja",
    "chat_template.json",
)
_LOADABLE = (
    "*.safetensors",
    "pytorch_model*.bin",
    "*.index.json",
    "*.py",
    "config.json",
    "generation_config.json",
    *_TOKENIZER_FILES,
)
"""What a program may make a model of, be it that another format is there, which ours prefers."""
_SAYS_NOTHING = frozenset(
    {
        "_commit_hash",
        "_from_model_config",
        "_name_or_path",
        "dtype",
        "is_local",
        "local_files_only",
        "name_or_path",
        "tokenizer_file",
        "torch_dtype",
        "transformers_version",
    }
)
"""JSON keys that change no reply: where a file came from, who wrote it, and the stored precision
(the tensors carry that themselves, and `HfOptions.dtype` decides what is computed)."""


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Where one tensor of a safetensors file lies."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def folder_identity(path: Path, *, extra: Mapping[str, Any]) -> str:
    """Identity of a checkpoint folder: ``hf:`` and 64 hex digits.

    Args:
        path: a folder as `transformers` saves it, with ``config.json`` and weights.
        extra: JSON-ready options that change the answer (precision, chat template).

    Raises:
        InputError: no such folder, no configuration, no weights, or a file cut short.
    """
    parts: dict[str, Any] = {
        "weights": weight_digests(path),
        "config": _json_file(path / "config.json"),
        "extra": dict(extra),
    }
    for name in _TOKENIZER_FILES:
        if (file := path / name).is_file():
            parts[name] = _json_file(file) if _is_settings(name) else file_digest(file)
    if (file := path / "generation_config.json").is_file():
        parts["generation"] = _json_file(file)
    return _identity(parts)


def file_identity(path: Path, *, extra: Mapping[str, Any]) -> str:
    """Identity of a model that is one file (GGUF), by its bytes: ``hf:`` and 64 hex digits.

    Raises:
        InputError: there is no such file, or it cannot be read.
    """
    return _identity({"file": file_digest(path), "extra": dict(extra)})


def weight_bytes(path: Path) -> int:
    """Size of the weight files of a checkpoint folder, or of a model that is one file.

    Raises:
        InputError: as `folder_identity`.
    """
    files = _weight_files(path) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def model_files(path: Path) -> dict[str, Path]:
    """Every file that a program may make the model of, by its name: of a folder, or of one file.

    More than an identity is made of: weights in another format, and code.

    Raises:
        InputError: as `folder_identity`.
    """
    if path.is_file():
        return {path.name: path}
    loadable = (file for pattern in _LOADABLE for file in path.glob(pattern) if file.is_file())
    return {file.name: file for file in sorted({*_weight_files(path), *loadable})}


def weight_digests(path: Path) -> dict[str, str]:
    """SHA-256 of every tensor (name, dtype, shape and bytes) of a checkpoint folder, by its name.

    How tensors are spread over shards does not show. A folder that has only ``.bin`` weights, which
    cannot be opened safely without torch, gives the digest of each file instead.

    Raises:
        InputError: as `folder_identity`.
    """
    files = _weight_files(path)
    if files[0].suffix != ".safetensors":
        return {file.name: file_digest(file) for file in files}
    digests: dict[str, str] = {}
    for file in files:
        for name, digest in _tensor_digests(file):
            if name in digests:
                raise InputError(
                    f"{file}: tensor '{name}' is also in another shard; save the model again"
                )
            digests[name] = digest
    return dict(sorted(digests.items()))


def _identity(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "hf:" + hashlib.sha256(text.encode()).hexdigest()


def _is_settings(name: str) -> bool:
    """Whether a tokenizer file is settings, of which some say nothing about a reply."""
    return name in ("tokenizer_config.json", "special_tokens_map.json")


def _weight_files(path: Path) -> list[Path]:
    """The files that `from_pretrained` would read, in its order of preference."""
    if not path.is_dir():
        raise InputError(f"{path}: no such model folder; give a folder, a .gguf file or a hub id")
    if not (path / "config.json").is_file():
        hint = (
            "it holds an adapter: merge it into its base model first"
            if (path / "adapter_config.json").is_file()
            else "give the folder that `save_pretrained` wrote"
        )
        raise InputError(f"{path}: has no config.json, so it is not a model folder; {hint}")
    if (path / "adapter_config.json").is_file():
        # Loaded on top of the weights, unasked, where the library for it is there.
        raise InputError(
            f"{path}: holds an adapter beside its weights, so what answers is neither; merge it "
            "into them, or move adapter_config.json away"
        )
    for single, index in ((_SAFETENSORS, _INDEX), (_BIN, _BIN_INDEX)):
        if (path / single).is_file():
            return [path / single]
        if (path / index).is_file():
            return _shards(path, path / index)
    raise InputError(
        f"{path}: has a config.json but no weights ({_SAFETENSORS}, {_INDEX} or {_BIN}); "
        "finish the download or save the model again"
    )


def _shards(path: Path, index: Path) -> list[Path]:
    weight_map = _json_file(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{index}: has no weight_map; save the model again")
    files = [path / name for name in sorted({str(name) for name in weight_map.values()})]
    for file in files:
        if file.parent != path or not file.is_file():
            raise InputError(
                f"{index}: names the shard '{file.name}', which is not in the folder; "
                "finish the download or save the model again"
            )
    return files


def _json_file(path: Path) -> dict[str, Any]:
    """A JSON object from a file, without the keys that say nothing about a reply."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error}); save the model again") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: holds a {type(data).__name__}, not an object; save it again")
    return {key: value for key, value in data.items() if key not in _SAYS_NOTHING}


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex.

    Raises:
        InputError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_CHUNK):
                digest.update(block)
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> str:
    what = "no such file" if isinstance(error, FileNotFoundError) else "cannot be read"
    return f"{path}: {what} ({error.strerror}); check the path and its permissions"


def _tensor_digests(path: Path) -> Iterator[tuple[str, str]]:
    """(name, SHA-256) of every tensor of one safetensors file."""
    try:
        with path.open("rb") as stream:
            size = path.stat().st_size
            tensors = _tensors(path, size, stream.read(8), stream.read)
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                for tensor in tensors:
                    head = json.dumps([tensor.name, tensor.dtype, tensor.shape])
                    digest = hashlib.sha256(head.encode())
                    with memoryview(content) as view, view[tensor.begin : tensor.end] as part:
                        digest.update(part)
                    yield tensor.name, digest.hexdigest()
    except OSError as error:
        raise InputError(_unreadable(path, error)) from error


def _tensors(path: Path, size: int, prefix: bytes, read: Any) -> list[_Tensor]:
    """The header of a safetensors file, checked against the file's size."""
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > _HEADER_LIMIT or 8 + length > size:
        raise InputError(
            f"{path}: is not a whole safetensors file ({size} bytes, too few for its header); "
            "finish the download or save the model again"
        )
    try:
        header = json.loads(read(length))
        tensors = [
            _Tensor(
                name,
                str(entry["dtype"]),
                tuple(int(n) for n in entry["shape"]),
                8 + length + int(entry["data_offsets"][0]),
                8 + length + int(entry["data_offsets"][1]),
            )
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: its safetensors header does not make sense; save the model again"
        ) from error
    for tensor in tensors:
        if not 8 + length <= tensor.begin <= tensor.end <= size:
            raise InputError(
                f"{path}: is cut short: tensor '{tensor.name}' ends at byte {tensor.end} "
                f"of {size}; finish the download or save the model again"
            )
    return tensors
