"""A checkpoint on disk to a tokenizer and a `Network`, with every trouble as one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from ullage.errors import InputError
from ullage.models.hf.network import Network, build, settle
from ullage.models.hf.prompt import Prompter
from ullage.models.hf.quantise import quantise as quantise_layers


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to be asked."""

    network: Network
    prompter: Prompter
    ends: frozenset[int]
    """Token ids that end a reply."""
    context: int | None
    """Most positions the model was made for, where it says."""
    vocabulary: int


def pick_device(name: str) -> torch.device:
    """The device an option asks for; ``auto`` prefers CUDA, then MPS.

    Raises:
        InputError: the device is not there.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there[name]:
        raise InputError(f"device '{name}': torch finds none here; use device: auto or cpu")
    return torch.device(name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep `transformers`' progress bars and advice off the terminal, which shows ours."""
    log: Any = transformers.utils.logging
    log.disable_progress_bar()
    verbosity = log.get_verbosity()
    log.set_verbosity_error()
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # GGUF's bar heeds no switch
            yield
    finally:
        log.set_verbosity(verbosity)


def load(
    path: Path,
    *,
    dtype: str,
    device: str,
    chat_template: str | None,
    quantise: Literal["dynamic-int8", "rounded-int4"] | None = None,
) -> Loaded:
    """Load a checkpoint folder or a .gguf file.

    Args:
        path: where it is; nothing is fetched.
        dtype: ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        chat_template: Jinja source that replaces the tokenizer's own.
        quantise: how to quantise its layers, see `HfOptions.quantise`.

    Raises:
        InputError: it cannot be loaded, weights are missing, or it cannot be quantised.
    """
    target = pick_device("cpu" if quantise == "dynamic-int8" and device == "auto" else device)
    try:
        with quiet():
            tokenizer, model = _load(path, getattr(torch, dtype))
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(
            f"{path}: transformers {transformers.__version__} cannot load it: {reason}; "
            "check that the folder holds a causal language model that version knows"
        ) from error
    model = model.to(target).eval()
    text = model.config.get_text_config()
    network = build(model)
    if quantise is not None:
        # Only now: `build` compares ways of running the model, and the rounding of activations
        # would make steps of differences that are none.
        quantise_layers(model, quantise, path)
        try:
            settle(network)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: does not run quantised ({' '.join(str(error).split())[:200]}); "
                "leave hf.quantise out"
            ) from error
    return Loaded(
        network=network,
        prompter=Prompter(tokenizer, chat_template),
        ends=_ends(model, tokenizer),
        context=getattr(text, "max_position_embeddings", None),
        vocabulary=int(text.vocab_size),
    )


def _load(path: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    gguf = {"gguf_file": path.name} if path.is_file() else {}
    folder = path.parent if gguf else path
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **gguf)
    auto: Any = AutoModelForCausalLM
    model, report = auto.from_pretrained(
        folder,
        dtype=dtype,
        local_files_only=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below, with the name of a weight
        **gguf,
    )
    for trouble in ("missing_keys", "mismatched_keys"):
        keys = report.get(trouble) or ()
        if found := sorted(key if isinstance(key, str) else key[0] for key in keys):
            raise InputError(
                f"{path}: {len(found)} weights of the model are {trouble.partition('_')[0]}, "
                f"such as '{found[0]}'; save the model again"
            )
    return tokenizer, model


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    """What ends a reply: the generation defaults' EOS ids and the tokenizer's."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(end) for end in [*ids, tokenizer.eos_token_id] if end is not None)
