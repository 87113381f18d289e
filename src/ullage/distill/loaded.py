"""The teacher as loaded once, for whatever of a distillation looks at its weights."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ullage.distill.checkpoint import load_model, load_tokenizer
from ullage.distill.module import require_plain_head
from ullage.distill.packing import require_blind_rows
from ullage.distill.recipe import Recipe
from ullage.models.hf.load import pick_device

_KEY = "distill.teacher"


class LoadedTeacher:
    """Model and tokenizer of an ``hf:`` teacher, each loaded when first asked for.

    Raises:
        InputError: it cannot be loaded, or does something to its logits after the head.
    """

    def __init__(self, recipe: Recipe, root: Path) -> None:
        self._recipe = recipe
        self._root = root

    @cached_property
    def model(self) -> Any:
        """In eval mode, on the device, in the precision it teaches in."""
        bfloat16 = self._recipe.settings.dtype == "bfloat16"
        dtype = torch.bfloat16 if bfloat16 else torch.float32
        model = load_model(self._recipe.teacher, self._root, _KEY, dtype)
        model.to(pick_device("auto"))
        require_plain_head(model, "teacher")
        if self._recipe.settings.packing:
            require_blind_rows(model, "teacher")
        return model

    @cached_property
    def tokenizer(self) -> Any:
        """With the template the configuration gives it."""
        return load_tokenizer(self._recipe.teacher, self._root, _KEY)

    @property
    def pair(self) -> tuple[Any, Any]:
        """Model and tokenizer."""
        return self.model, self.tokenizer

    def release(self) -> None:
        """Let go of the weights; whoever asks for them again has them loaded again."""
        self.__dict__.pop("model", None)
