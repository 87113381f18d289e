"""Objectives as a configuration would ask for them."""

from __future__ import annotations

from typing import Any

from tests.distill.test_layers import build
from ullage.config.models import Distill
from ullage.distill import presets
from ullage.distill.objectives import Objective
from ullage.distill.terms import build_objective


def settings(method: str = "logits", **changes: Any) -> Distill:
    """A recipe with what every recipe must have."""
    return Distill.model_validate({"method": method, "corpus": "c", "output": "o", **changes})


def objective(method: str = "logits", **changes: Any) -> Objective:
    """What a recipe minimises."""
    recipe = settings(method, **changes)
    answers = presets.text(recipe) == "answers"
    models = (build("llama"), build("llama"))
    return build_objective(presets.terms(recipe), answers=answers, models=models)
