"""Checkpoints, as far as more than the Trainer reads them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from ullage.distill.lora import additions
from ullage.distill.module import DistillationModule

BESIDE = "beside.safetensors"
"""In a checkpoint: what is trained beside the student and is no part of it, or is added to it."""


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; torn ones (killed while writing) are removed.

    The Trainer writes ``trainer_state.json`` last, so one that parses says the rest is there.
    """
    whole = []
    for path in folder.glob("checkpoint-*"):
        try:
            json.loads((path / "trainer_state.json").read_bytes())
        except (OSError, ValueError):
            shutil.rmtree(path, ignore_errors=True)
            continue
        whole.append(path)
    return max(whole, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """How many steps were done when it was written."""
    return int(checkpoint.name.rpartition("-")[2])


def load_beside(module: DistillationModule, checkpoint: Path) -> None:
    """Take up what is trained beside the student."""
    beside = checkpoint / BESIDE
    if beside.exists():
        weights = load_file(beside)
        added = additions(weights)
        module.load_state_dict(added, strict=False)
        module.inner.load_state_dict(
            {name: tensor for name, tensor in weights.items() if name not in added}
        )


def under(prefix: str, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of one part of the module, by the names they have within it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in weights.items()
        if name.startswith(prefix)
    }
