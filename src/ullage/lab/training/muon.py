"""Muon on the matrices, AdamW on the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ullage.distill.muon import orthogonalised


class Optimiser:
    """One step for a whole model: Muon (Jordan et al. 2024) and AdamW side by side.

    Args:
        model: whose hidden matrices (two dimensions, not the embedding) go to Muon.
        muon_rate: learning rate of Muon, in spectral norm per step; a matrix with more rows than
            columns moves by √(rows / columns) more, as in the reference implementation.
        adam_rate: learning rate of AdamW (betas 0.9 and 0.95, no weight decay).
        momentum: of Muon, Nesterov's.
    """

    def __init__(
        self, model: Any, *, muon_rate: float, adam_rate: float, momentum: float = 0.95
    ) -> None:
        self._rate, self._momentum = muon_rate, momentum
        rest: dict[str, Tensor] = {}
        stacks: dict[tuple[int, int], list[Tensor]] = {}
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embed" not in name and "lm_head" not in name:
                rows, columns = parameter.shape
                stacks.setdefault((rows, columns), []).append(parameter)
            else:
                rest[name] = parameter
        self._stacks = list(stacks.values())
        self._buffers = [torch.zeros_like(torch.stack(stack)) for stack in self._stacks]
        self._rest = rest
        self._adam = torch.optim.AdamW(
            rest.values(), lr=adam_rate, betas=(0.9, 0.95), weight_decay=0.0, foreach=True
        )
        self._adam_rate = adam_rate
        self._parameters = [p for stack in self._stacks for p in stack] + list(rest.values())

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move along the gradients, with both rates times `factor`, and clear them."""
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0, foreach=True)
        for stack, buffer in zip(self._stacks, self._buffers, strict=True):
            gradient = torch.stack([_gradient(parameter) for parameter in stack])
            buffer.mul_(self._momentum).add_(gradient)
            update = gradient.add_(buffer, alpha=self._momentum)
            rows, columns = stack[0].shape
            tall = rows > columns
            update = orthogonalised(update.mT).mT if tall else orthogonalised(update)
            rate = self._rate * factor * math.sqrt(max(1.0, rows / columns))
            for parameter, change in zip(stack, update, strict=True):
                parameter.add_(change, alpha=-rate)
        for group in self._adam.param_groups:
            group["lr"] = self._adam_rate * factor
        self._adam.step()
        for parameter in self._parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, besides the model, as named tensors."""
        state = {f"muon.{index}": buffer for index, buffer in enumerate(self._buffers)}
        for name, parameter in self._rest.items():
            for key, value in self._adam.state[parameter].items():
                state[f"adam.{key}.{name}"] = value
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state`."""
        for index, buffer in enumerate(self._buffers):
            buffer.copy_(state[f"muon.{index}"])
        for name, parameter in self._rest.items():
            kept = {
                key: state[f"adam.{key}.{name}"].clone()
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in state
            }
            if kept:
                self._adam.state[parameter] = kept


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        return torch.zeros_like(parameter)
    return parameter.grad
