"""Low-rank additions to a student's weights (LoRA, arXiv 2106.09685), through peft.

They sit in the student's own layers, so that everything else sees the model it knows. They are
trained in the weights' place, and folded into them at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ullage.config.models import Lora
from ullage.errors import InputError

ADAPTER = "adapter"
"""Folder in a student's: what was folded in, as `PeftModel.from_pretrained` reads it."""

_MARK = ".lora_"
"""In the names of all that LoRA adds."""


def adapt(student: Any, how: Lora, seed: int) -> None:
    """Add to the student's linear layers, and train nothing else of it.

    Args:
        student: a causal language model of transformers; changed in place, its output is not.
        how: which layers, and how much.
        seed: of the additions' first weights.

    Raises:
        InputError: a target that is not there, or is no layer in between.
    """
    from peft import inject_adapter_in_model

    embeddings = student.get_input_embeddings(), student.get_output_embeddings()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            inject_adapter_in_model(_config(how), student)
        except ValueError as error:
            raise InputError(
                f"distill.lora.targets: {', '.join(how.targets or ())} cannot all be added to "
                f"({str(error).splitlines()[0][:160]}); name linear layers of the student, as "
                "q_proj, or leave targets out"
            ) from None
    if (student.get_input_embeddings(), student.get_output_embeddings()) != embeddings:
        raise InputError(
            "distill.lora.targets: embeddings and head are read as whole weights; name layers in "
            "between, as q_proj, or leave targets out"
        )


def additions(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those of some weights, by name, that LoRA added."""
    return {name: tensor for name, tensor in weights.items() if _MARK in name}


def is_adapted(student: Any) -> bool:
    """Whether LoRA was added to a model."""
    return any(_MARK in name for name, _ in student.named_parameters())


def trained_parameters(module: Any) -> int:
    """How many numbers of a module are trained."""
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)


def fold(student: Any, how: Lora, folder: Path) -> None:
    """Add the additions to the weights they belong to, and keep them apart as well.

    Args:
        student: an adapted model; left as it was before, with other weights.
        how: as it was adapted.
        folder: where the additions are kept.
    """
    from peft import get_peft_model_state_dict
    from peft.tuners.tuners_utils import BaseTunerLayer

    folder.mkdir()
    apart = get_peft_model_state_dict(student)
    save_file(
        {f"base_model.model.{name}": tensor.contiguous() for name, tensor in apart.items()},
        folder / "adapter_model.safetensors",
    )
    _config(how).save_pretrained(str(folder))
    for name, layer in list(student.named_modules()):
        if isinstance(layer, BaseTunerLayer):
            merging: Any = layer
            merging.merge()
            parent, _, child = name.rpartition(".")
            setattr(student.get_submodule(parent), child, merging.get_base_layer())
    del student.peft_config


def _config(how: Lora) -> Any:
    import peft

    # Its annotation wants a whole number, its arithmetic does not.
    lora_config: Any = peft.LoraConfig
    return lora_config(
        r=how.rank,
        lora_alpha=how.alpha,
        lora_dropout=how.dropout,
        target_modules="all-linear" if how.targets is None else list(how.targets),
        task_type="CAUSAL_LM",
    )
