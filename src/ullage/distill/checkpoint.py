"""Loading and saving models and tokenizers through transformers, with errors a person can mend."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from ullage.config.models import Arm
from ullage.errors import InfrastructureError, InputError


def load_model(arm: Arm, root: Path, key: str, dtype: torch.dtype | str) -> Any:
    """A causal language model of an ``hf:`` arm, in eval mode.

    Args:
        arm: an arm of scheme ``hf``: a folder, a .gguf file or a hub id.
        root: what relative paths are relative to.
        key: the configuration key errors name.
        dtype: of the weights; ``auto`` keeps the checkpoint's own.

    Raises:
        InputError: it cannot be loaded as a causal language model.
    """
    where, options = source(arm, root)
    with quiet(), named(key, arm):
        model: Any = AutoModelForCausalLM.from_pretrained(where, dtype=dtype, **options)
    if model.get_output_embeddings() is None:
        raise InputError(f"{key}: '{arm.model}' has no language-model head; use a causal model")
    model.eval()
    return model


def load_config(arm: Arm, root: Path, key: str) -> Any:
    """The configuration of an ``hf:`` arm's model, without its weights.

    Raises:
        InputError: it cannot be found.
    """
    where, options = source(arm, root)
    with quiet(), named(key, arm):
        config: Any = AutoConfig.from_pretrained(where, **options)
    return config


def load_tokenizer(arm: Arm, root: Path, key: str) -> Any:
    """The tokenizer of an ``hf:`` arm, with the arm's chat template where it names one.

    Raises:
        InputError: it cannot be loaded, or the template cannot be read.
    """
    where, options = source(arm, root)
    with quiet(), named(key, arm):
        tokenizer = AutoTokenizer.from_pretrained(where, **options)
    if arm.hf.chat_template is not None:
        path = root / Path(arm.hf.chat_template).expanduser()
        try:
            tokenizer.chat_template = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: cannot be read as a chat template ({error}); check hf.chat_template"
            ) from None
    return tokenizer


@contextmanager
def finished_folder(folder: Path, partial: Path) -> Iterator[Path]:
    """A folder to fill that takes its place, whole, when the block ends well.

    Args:
        folder: where it will be; must not exist.
        partial: where it is filled, on the same file system; emptied first.

    Raises:
        InfrastructureError: the disk is full, read-only or the like.
    """
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(folder)
    except (OSError, SafetensorError) as error:
        raise InfrastructureError(
            f"{folder}: cannot be written ({error}); make room or choose another "
            "distill.output, then run the same command again"
        ) from error


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Weights (safetensors), configuration and tokenizer, as `from_pretrained` reads them."""
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def source(arm: Arm, root: Path) -> tuple[str, dict[str, Any]]:
    """Where an ``hf:`` arm's files are, and the options `from_pretrained` needs to read them."""
    path = root / Path(arm.locator).expanduser()
    if path.suffix == ".gguf":
        return str(path.parent), {"gguf_file": path.name}
    if path.exists():
        return str(path), {}
    return arm.locator, {} if arm.hf.revision is None else {"revision": arm.hf.revision}


@contextmanager
def named(key: str, arm: Arm) -> Iterator[None]:
    """Any way of failing to load, as one line."""
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise InputError(
            f"{key}: '{arm.model}' cannot be loaded ({reason}); give a folder, a .gguf file or a "
            "hub id of a causal language model"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no chatter of transformers' own."""
    chatter: Any = logging
    level = chatter.get_verbosity()
    bars = chatter.is_progress_bar_enabled()
    chatter.set_verbosity_error()
    chatter.disable_progress_bar()
    try:
        yield
    finally:
        chatter.set_verbosity(level)
        if bars:
            chatter.enable_progress_bar()
