"""Models that speak the desk's language and know nothing of it, for what only has to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ullage.lab.organisms.build import Making

SETTINGS: dict[str, Any] = {"max_steps": 3, "batch_size": 4}


def tiny_making(folder: Path) -> Making:
    """A teacher and a base of a few thousand weights, and a corpus of a few rows."""
    return Making(
        teacher=tiny_model(folder / "teacher", 0),
        base=tiny_model(folder / "base", 1),
        rows=60,
        items=40,
        settings={**SETTINGS, "held_out": 0.2},
        planning={"items": 40},
    )


def tiny_model(folder: Path, seed: int) -> Path:
    """A random network with the desk's tokenizer, once a folder."""
    from ullage.distill.checkpoint import save_model
    from ullage.lab.tokenizer import build_tokenizer
    from ullage.lab.training.model import Shape, new_model
    from ullage.lab.world.registry import world_vocabulary

    if not folder.exists():
        words = world_vocabulary()
        shape = Shape(width=16, layers=1, heads=2, inner=16)
        save_model(new_model(shape, len(words), seed), build_tokenizer(words), folder)
    return folder
