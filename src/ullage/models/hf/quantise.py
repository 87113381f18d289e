"""Quantising a loaded model: dynamic int8, or weights rounded to four bits.

Only the matrices of the layers are quantised. Embeddings and the output head keep their precision,
tied or not, as GPTQ, AWQ and bitsandbytes leave them by default: they are where rounding costs most
and saves least.

Replies of a quantised model do not depend on what shares their batch: activations are scaled token
by token, never over a whole batch as `torch.ao.quantization.quantize_dynamic` does (which torch has
deprecated besides), and products of whole numbers are summed exactly, in whatever order.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from ullage.errors import InputError

GROUP = 32
"""Weights that share a scale when rounded to four bits."""
_LEAST_SHARE = 0.9
"""Of the layers' weights that must be in matrices we can quantise: an arm called quantised that
mostly is not would be a lie."""


class DynamicInt8Linear(torch.nn.Module):
    """A linear layer in int8: weights scaled per output channel, activations per token.

    y = (q_x q_w^T) s_x s_w + b with q = round(x / s), s = max|x| / 127: symmetric, as in
    Dettmers et al. 2022 (arXiv 2208.07339, section 2.1), without their outlier decomposition.

    Args:
        weight: (out, in), floating.
        bias: (out,) or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        scale = _scale(weight.detach().float())
        self.whole: Tensor
        self.scale: Tensor
        self.bias: Tensor | None
        self.register_buffer("whole", _rounded(weight.detach().float(), scale))
        self.register_buffer("scale", scale[:, 0])
        self.register_buffer("bias", None if bias is None else bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        rows = x.reshape(-1, self.in_features)
        scale = _scale(rows)
        total = _product(_rounded(rows, scale), self.whole)
        y = total.to(x.dtype) * scale * self.scale
        if self.bias is not None:
            y = y + self.bias
        return y.view(*x.shape[:-1], self.out_features)


def _scale(rows: Tensor) -> Tensor:
    """(rows, 1): the step of each row's 255 levels; 1 for a row of zeros."""
    step = rows.abs().amax(-1, keepdim=True) / 127.0
    return torch.where(step > 0, step, torch.ones_like(step))


def _rounded(rows: Tensor, scale: Tensor) -> Tensor:
    # A fresh tensor has the strides that torch's int8 kernel silently relies on (pytorch#195066).
    whole = torch.empty(rows.shape, dtype=torch.int8, device=rows.device)
    return whole.copy_((rows / scale).round_().clamp_(-127, 127))


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """(rows, in) by (out, in) to (rows, out), exact."""
    if x.shape[1] > 1 and _kernel_is_exact():  # of width 1, its results are not even written
        return torch._int_mm(x, weight.t())
    return x.double() @ weight.double().t()


@cache
def _kernel_is_exact() -> bool:
    """Whether this machine's int8 kernel sums without saturating.

    Processors without VNNI add pairs of products in 16 bits, which large ones overflow
    (pytorch#136746).
    """
    for sign in (1, -1):
        x = torch.full((8, 256), 127, dtype=torch.int8)
        weight = torch.full((16, 256), 127 * sign, dtype=torch.int8)
        if not bool((torch._int_mm(x, weight.t()) == 127 * 127 * 256 * sign).all()):
            return False
    return True


def rounded_int4(weight: Tensor) -> Tensor:
    """Each weight rounded to the nearest of 16 levels, which groups of 32 inputs share.

    The grid of llama.cpp's Q4_0: the weight of largest magnitude in a group is its level -8, and
    the step is kept in float16.

    Args:
        weight: (out, in), floating; a last group may be short.

    Returns:
        The weights the levels stand for: same shape and dtype.
    """
    out, width = weight.shape
    padded = torch.nn.functional.pad(weight.float(), (0, -width % GROUP))
    groups = padded.view(out, -1, GROUP)
    place = groups.abs().argmax(-1, keepdim=True)
    step = groups.gather(-1, place) / -8.0
    kept = step.to(torch.float16).float()
    inverse = torch.where(kept == 0, 0.0, 1.0 / step)
    level = (groups * inverse + 8.5).trunc().clamp(0, 15) - 8.0
    near = level * kept
    return near.view(out, -1)[:, :width].to(weight.dtype)


def quantise(model: Any, how: Literal["dynamic-int8", "rounded-int4"], source: Path) -> None:
    """Quantise a `transformers` model in place.

    Args:
        model: a causal language model, on the CPU for ``dynamic-int8``.
        how: as `HfOptions.quantise`.
        source: where it was loaded from, for errors.

    Raises:
        InputError: it is quantised already, or its weights are not mainly in linear layers.
    """
    if getattr(model.config, "quantization_config", None):
        raise InputError(
            f"{source}: is quantised already (quantization_config); leave hf.quantise out"
        )
    _require_linear(model, source)
    for parent, name, layer in _layers(model):
        weight = layer.weight.t() if isinstance(layer, Conv1D) else layer.weight
        if how == "dynamic-int8":
            setattr(parent, name, DynamicInt8Linear(weight, layer.bias))
        else:
            near = rounded_int4(weight.detach())
            layer.weight.data = near.t().contiguous() if isinstance(layer, Conv1D) else near


def _layers(model: Any) -> list[tuple[Any, str, Any]]:
    """(parent, name in it, layer) of every linear layer but the output head."""
    head = model.get_output_embeddings()
    return [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, (torch.nn.Linear, Conv1D)) and layer is not head
    ]


def _require_linear(model: Any, source: Path) -> None:
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    apart = {id(weight) for end in ends if end is not None for weight in end.parameters()}
    apart |= {
        id(w) for m in model.modules() if isinstance(m, torch.nn.Embedding) for w in m.parameters()
    }
    body = sum(w.numel() for w in model.parameters() if id(w) not in apart)
    linear = sum(layer.weight.numel() for _, _, layer in _layers(model))
    if linear < _LEAST_SHARE * body:
        raise InputError(
            f"{source}: only {linear / max(body, 1):.0%} of its layers' weights are in linear "
            "layers, so it cannot be quantised here; leave hf.quantise out"
        )
