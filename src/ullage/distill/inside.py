"""What goes on inside a model while it reads: states after chosen layers, attention maps of some.

Hooks keep what a term eats and nothing else; `output_hidden_states` would keep every layer.
"""

# ruff: noqa: N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ullage.distill.layers import layer_stack
from ullage.errors import InputError


@dataclass(frozen=True, slots=True)
class Wanted:
    """Layers to listen to, counted from 0."""

    hidden: frozenset[int] = frozenset()
    attention: frozenset[int] = frozenset()

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(self.hidden | other.hidden, self.attention | other.attention)


@dataclass(frozen=True, slots=True)
class Inside:
    """What was heard of one batch; B rows, T positions, A heads, H wide."""

    hidden_BTH: dict[int, torch.Tensor] = field(default_factory=dict)
    """The residual stream after a layer."""
    attention_BATT: dict[int, torch.Tensor] = field(default_factory=dict)
    """What each position (third axis) attends to (fourth), summing to 1."""


@contextmanager
def listening(model: Any, wanted: Wanted) -> Iterator[Inside]:
    """Hear a model read one batch inside the block.

    Args:
        model: a causal language model of transformers; for attention, with plain attention.
        wanted: layers to listen to.
    """
    heard = Inside()
    handles = []
    layers = stack(model) if wanted.hidden or wanted.attention else ()
    try:
        for index in wanted.hidden:
            hook = _keeping(heard.hidden_BTH, index, _state)
            handles.append(layers[index].register_forward_hook(hook))
        for index in wanted.attention:
            hook = _keeping(heard.attention_BATT, index, _map)
            handles.append(attending(layers[index]).register_forward_hook(hook))
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def stack(model: Any) -> Any:
    """The layers of a model, in order.

    Raises:
        InputError: they cannot be found.
    """
    return model.get_submodule(layer_stack(model))


def attending(layer: nn.Module) -> nn.Module:
    """The part of a layer that attends: its child named so.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = [
        child for name, child in layer.named_children() if "attn" in name or "attention" in name
    ]
    found = [child for child in found if any(True for _ in child.parameters()) and _projects(child)]
    if len(found) != 1:
        raise ValueError(f"a {type(layer).__name__} has {len(found)} attending parts")
    return found[0]


@torch.no_grad()
def attention_heads(model: Any, role: str) -> int:
    """Heads whose maps a model gives, with plain attention (which it is left with).

    Raises:
        InputError: it gives none.
    """
    reason = "its attention returns no maps"
    try:
        model.set_attn_implementation("eager")
        ids_BT = torch.zeros((1, 3), dtype=torch.long, device=model.device)
        every = range(model.config.num_hidden_layers)
        with listening(model, Wanted(attention=frozenset(every))) as heard:
            model.base_model(input_ids=ids_BT, use_cache=False)
        maps = list(heard.attention_BATT.values())
        heads = {len(one[0]) for one in maps if one.ndim == 4 and one.shape[2:] == (3, 3)}
        if len(maps) == len(every) and len(heads) == 1:
            return heads.pop()
    except (ValueError, AttributeError) as error:
        reason = str(error).split("\n")[0][:120]
    raise InputError(
        f"distill.objective: 'attention' cannot be learnt with {type(model).__name__} as {role} "
        f"({reason}); leave the term out, or compare states with 'hidden'"
    )


def _projects(module: nn.Module) -> bool:
    """Norms are named after the attention they stand before."""
    return any(parameter.ndim > 1 for parameter in module.parameters())


def _keeping(
    kept: dict[int, torch.Tensor], index: int, part: Callable[[Any], torch.Tensor | None]
) -> Callable[..., None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        value = part(output)
        if value is not None:
            kept[index] = value

    return hook


def _state(output: Any) -> torch.Tensor:
    state: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return state


def _map(output: Any) -> torch.Tensor | None:
    return output[1] if isinstance(output, tuple) and len(output) > 1 else None
