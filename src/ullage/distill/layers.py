"""A student made of some of the teacher's layers."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from ullage.errors import InputError


def chosen_layers(choice: tuple[int, ...] | int, depth: int) -> tuple[int, ...]:
    """Indices of the teacher layers a student keeps.

    Args:
        choice: the indices themselves, or how many, evenly spaced with first and last among them.
        depth: layers of the teacher.

    Raises:
        InputError: more layers than there are, out of range, repeated or out of order.
    """
    if isinstance(choice, int):
        if choice > depth:
            raise InputError(
                f"distill.layers: {choice} of {depth} layers; the teacher has no more than {depth}"
            )
        if choice == 1:
            return (0,)
        return tuple(round(index * (depth - 1) / (choice - 1)) for index in range(choice))
    if list(choice) != sorted(set(choice)) or choice[0] < 0 or choice[-1] >= depth:
        raise InputError(
            f"distill.layers: {list(choice)} for a teacher of {depth} layers; give ascending "
            f"indices from 0 to {depth - 1}, each once"
        )
    return choice


def layer_stack(model: Any) -> str:
    """Name of the module list that holds a model's layers, e.g. ``model.layers``.

    Raises:
        InputError: the configuration counts no layers, or not exactly one list has that many.
    """
    depth = getattr(model.config, "num_hidden_layers", None)
    stacks: list[str] = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    if not isinstance(depth, int) or len(stacks) != 1:
        found = ", ".join(stacks) or "none"
        raise InputError(
            f"distill.layers: cannot find the layer stack of {type(model).__name__} "
            f"(num_hidden_layers {depth}, lists of that length: {found}); name a checkpoint under "
            "distill.student instead"
        )
    return stacks[0]


def student_from_layers(teacher: Any, layers: tuple[int, ...]) -> Any:
    """A model of the teacher's kind with only the chosen layers, weights copied, in float32.

    Embeddings, final norm, head and anything else outside the stack are copied as they are; lists
    in the configuration with one entry per layer (attention kinds) are cut to match.

    Args:
        teacher: a causal language model of transformers.
        layers: ascending indices, see `chosen_layers`.

    Raises:
        InputError: the layer stack cannot be found, or weights are left over or missing.
    """
    stack = layer_stack(teacher)
    config = copy.deepcopy(teacher.config)
    depth = config.num_hidden_layers
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == depth:
            setattr(config, name, [value[index] for index in layers])
    config.num_hidden_layers = len(layers)
    # A GGUF or quantised teacher is plain weights by now, and so is its student.
    vars(config).pop("quantization_config", None)
    config.dtype = torch.float32
    student = type(teacher)(config)
    renamed = {f"{stack}.{old}.": f"{stack}.{new}." for new, old in enumerate(layers)}
    weights = {}
    for name, tensor in teacher.state_dict().items():
        if not name.startswith(f"{stack}."):
            weights[name] = tensor
            continue
        prefix = ".".join(name.split(".")[: stack.count(".") + 2]) + "."
        if prefix in renamed:
            weights[renamed[prefix] + name.removeprefix(prefix)] = tensor
    outcome = student.load_state_dict(weights, strict=False)
    if outcome.missing_keys or outcome.unexpected_keys:
        odd = (outcome.missing_keys + outcome.unexpected_keys)[0]
        raise InputError(
            f"distill.layers: {type(teacher).__name__} does not come apart by layers (weight "
            f"'{odd}' has no counterpart); name a checkpoint under distill.student instead"
        )
    student.tie_weights()
    student.generation_config = copy.deepcopy(teacher.generation_config)
    return student.float()
