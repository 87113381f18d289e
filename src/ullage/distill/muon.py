"""Muon on hidden matrices, AdamW on the rest, as one optimiser that the Trainer can keep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_RMS = 0.2
"""What AdamW's updates are like, root mean square, in learning rates."""


class Muon(torch.optim.AdamW):
    """AdamW whose hidden matrices move along an orthogonalised momentum instead.

    Jordan et al. 2024 ("Muon: an optimizer for hidden layers in neural networks"), Nesterov
    momentum 0.95. Updates are scaled as Liu et al. 2025 ("Muon is scalable for LLM training", §2.2)
    do, by 0.2·√(larger dimension), so that one learning rate serves both kinds of parameter.

    Args:
        model: a causal language model; embeddings, head and everything that is no matrix are
            AdamW's.
        lr: learning rate.
        momentum: of the matrices.
        beside: parameters trained beside the model; AdamW's.
    """

    def __init__(
        self, model: Any, lr: float, momentum: float = 0.95, *, beside: Iterable[Tensor] = ()
    ) -> None:
        embeddings = (model.get_input_embeddings(), model.get_output_embeddings())
        outer = {id(layer.weight) for layer in embeddings if layer is not None}
        every = [parameter for parameter in model.parameters() if parameter.requires_grad]
        hidden = [one for one in every if one.ndim == 2 and id(one) not in outer]
        chosen = {id(one) for one in hidden}
        rest = [*(one for one in every if id(one) not in chosen), *beside]
        groups = [{"params": hidden, "muon": True}, {"params": rest, "muon": False}]
        super().__init__([group for group in groups if group["params"]], lr=lr, weight_decay=0.0)
        self._momentum = momentum

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient."""
        kept: list[tuple[Tensor, Tensor]] = []
        for group in self.param_groups:
            if group["muon"]:
                moved = [one for one in group["params"] if one.grad is not None]
                self._move(moved, group["lr"])
                kept += [(one, one.grad) for one in moved]
        # What has no gradient is left alone by AdamW.
        for parameter, _ in kept:
            parameter.grad = None
        result = super().step(closure)
        for parameter, gradient in kept:
            parameter.grad = gradient
        return result

    def _move(self, parameters: list[Tensor], rate: float) -> None:
        stacks: dict[tuple[int, ...], list[Tensor]] = {}
        for parameter in parameters:
            stacks.setdefault(tuple(parameter.shape), []).append(parameter)
        for (rows, columns), stack in stacks.items():
            # Equal shapes together: many small products would be mostly waiting.
            update = torch.stack([self._pushed(parameter) for parameter in stack])
            tall = rows > columns
            change = orthogonalised(update.mT).mT if tall else orthogonalised(update)
            scale = rate * _RMS * math.sqrt(max(rows, columns))
            for parameter, one in zip(stack, change, strict=True):
                parameter.add_(one, alpha=-scale)

    def _pushed(self, parameter: Tensor) -> Tensor:
        """The gradient with its momentum (Nesterov)."""
        assert parameter.grad is not None  # noqa: S101 - the caller has looked
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
            # AdamW looks for it in every state that it loads.
            state["step"] = torch.zeros(())
        buffer: Tensor = state["momentum"]
        buffer.mul_(self._momentum).add_(parameter.grad)
        return parameter.grad.add(buffer, alpha=self._momentum)


def orthogonalised(update: Tensor) -> Tensor:
    """Bring the singular values of a stack of matrices near 1, by Newton-Schulz iterations.

    The quintic of Jordan et al. 2024, whose singular values end between about 0.7 and 1.2; in
    bfloat16, as there.

    Args:
        update: (matrices, rows, columns), with no more rows than columns.
    """
    a, b, c = _COEFFICIENTS
    matrices = update.bfloat16()
    matrices = matrices / matrices.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = matrices @ matrices.mT
        step = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        matrices = torch.baddbmm(matrices, step, matrices, beta=a)
    return matrices.to(update.dtype)
