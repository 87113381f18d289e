"""What padded rows need of a transformer: attention by blocks, and keys and values in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

_BLOCK = 128
"""Keys added up at once."""


class UnsupportedAttentionError(RuntimeError):
    """A model wants something of attention that ours does not do; `build` then runs it plainly."""


def blocked_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention whose sum over keys is grouped the same whatever the number of keys.

    Args:
        module: the layer; its heads are grouped over fewer key heads.
        query: (rows, heads, tokens, dim).
        key: (rows, key heads, keys, dim).
        value: (rows, key heads, keys, dim).
        attention_mask: additive, (rows, 1, tokens, keys).
        scaling: of the scores; 1/sqrt(dim) if left out.
        softcap: the scores' soft limit (Gemma 2).
        kwargs: what else the model passes; sinks and position biases are refused.

    Returns:
        (rows, tokens, heads, dim), and None for the attention weights.
    """
    if kwargs.get("s_aux") is not None or kwargs.get("position_bias") is not None:
        raise UnsupportedAttentionError("attention with sinks or a position bias")
    rows, heads, tokens, dim = query.shape
    groups = key.shape[1]
    per_group = heads // groups * tokens
    grouped = query.reshape(rows, groups, per_group, dim)
    if per_group < 4:  # fewer rows go through kernels that depend on where memory is aligned
        grouped = torch.nn.functional.pad(grouped, (0, 0, 0, 4 - per_group))
    scores = torch.matmul(grouped, key.transpose(-1, -2))
    scores = scores[:, :, :per_group] * (dim**-0.5 if scaling is None else scaling)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    scores = scores.view(rows, groups, heads // groups, tokens, -1) + attention_mask[:, :, None]
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    weights = weights.view(rows, groups, per_group, -1)
    if per_group < 4:
        weights = torch.nn.functional.pad(weights, (0, 0, 0, 4 - per_group))
    out = torch.matmul(weights[..., :_BLOCK], value[:, :, :_BLOCK])
    for begin in range(_BLOCK, key.shape[2], _BLOCK):
        end = begin + _BLOCK
        out = out + torch.matmul(weights[..., begin:end], value[:, :, begin:end])
    out = out[:, :, :per_group].reshape(rows, heads, tokens, -1)
    return out.transpose(1, 2).contiguous(), None


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]  # theirs is untyped
    """Keys and values of one layer, each (rows, key heads, capacity, dim), filled in place."""

    is_sliding = False
    keys: Any
    values: Any

    def __init__(self, rows: int, capacity: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.rows, self.capacity = rows, capacity
        self.visible = 0
        self.where: Any = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = self._room(key_states)
        self.values = self._room(value_states)
        self.is_initialized = True

    def _room(self, states: Tensor) -> Tensor:
        _, heads, _, dim = states.shape
        return states.new_zeros((self.rows, heads, self.capacity, dim))

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if isinstance(self.where, slice):
            self.keys[:, :, self.where] = key_states
            self.values[:, :, self.where] = value_states
        else:
            row, position = self.where
            self.keys[row, :, position] = key_states.transpose(1, 2)
            self.values[row, :, position] = value_states.transpose(1, 2)
        return self.keys[:, :, : self.visible], self.values[:, :, : self.visible]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.visible, 0

    def get_seq_length(self) -> int:
        return self.visible

    def get_max_length(self) -> int:
        return self.capacity


class PaddedRows(Cache):
    """State of right-padded rows: as a `transformers` cache, keys and values of every layer.

    Args:
        rows: how many.
        capacity: positions each has room for.
        layers: of the model.
    """

    def __init__(self, rows: int, capacity: int, layers: int) -> None:
        self.rows, self.capacity = rows, capacity
        self.stores = [_Layer(rows, capacity) for _ in range(layers)]
        super().__init__(layers=[*self.stores])

    def aim(self, where: Any, visible: int) -> None:
        """Say where the next pass writes, and how many positions it sees.

        Args:
            where: a slice of positions, the same for all rows, or a pair of indices (rows, 1) and
                (rows, tokens).
            visible: the pass sees positions below it.
        """
        for store in self.stores:
            store.where, store.visible = where, visible

    def copy_rows(self, source: PaddedRows, chosen: Tensor, begin: int) -> None:
        """Copy rows of another state into this one's, from row `begin` on."""
        room, end = min(self.capacity, source.capacity), begin + chosen.shape[0]
        for store, other in zip(self.stores, source.stores, strict=True):
            if not store.is_initialized:
                store.lazy_initialization(other.keys, other.values)
            store.keys[begin:end, :, :room] = other.keys[chosen, :, :room]
            store.values[begin:end, :, :room] = other.values[chosen, :, :room]
