"""New networks of the Llama architecture, started with a ready induction circuit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

ROPE_THETA = 100_000.0
"""Slow enough that half of a head's dimensions hardly turn over the desk's contexts."""
_DEVIATION = 0.02
_CONSTANT = 5.0
"""What the constant dimension is worth after normalisation, where others are worth about 1."""
_PREVIOUS_GAP = 6.0
"""Logits by which a previous-token head prefers the previous token to its neighbours."""
_MATCH = 24.0
"""Logit of a matching token; others are spread around 0."""
_COPY = 6.0
"""Length of the copied embedding, in lengths of the embedding itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The size of a network."""

    width: int
    layers: int
    heads: int
    inner: int
    """Width of the feed-forward layers."""
    longest: int = 512
    """Tokens it can read."""

    @property
    def head_width(self) -> int:
        """Dimensions of one head."""
        return self.width // self.heads


def new_model(shape: Shape, vocabulary: int, seed: int, *, induction: bool = True) -> Any:
    """A `LlamaForCausalLM` in float32 with tied embeddings.

    Args:
        shape: its size; `width` is a multiple of twice `heads`.
        vocabulary: number of tokens; ids 0, 1 and 4 are padding, beginning and end.
        seed: of the weights; the global generator is left as it was.
        induction: start with the circuit of `start_induction`.
    """
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.longest,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        initializer_range=_DEVIATION,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
        model.set_attn_implementation("sdpa")
        if induction and shape.layers >= 2:
            start_induction(model)
    return model


@torch.no_grad()
def start_induction(model: Any) -> None:
    """Write an induction circuit (Olsson et al. 2022) into half of the heads of two layers.

    The residual stream starts split: dimension 0 is the same for every token, the first half holds
    the token, the second half is empty. In layer 0, half of the heads look at the previous token
    (their queries and keys are constant vectors whose rotary phases agree at distance 1) and write
    it into the second half. In layer 1, half of the heads compare the token here with the previous
    token there, in the dimensions that rotary embedding turns least, and copy the token found.
    All of it stays trainable, and the other heads start at random as usual.
    """
    config = model.config
    width, heads = config.hidden_size, config.num_attention_heads
    size, half, used = width // heads, width // 2, heads // 2
    turn = ROPE_THETA ** (-torch.arange(size // 2) / (size // 2))
    embedding = model.model.embed_tokens.weight
    embedding[:, half:] = 0
    length = _DEVIATION * math.sqrt(width)
    # Of equal length, so that the constant dimension stays constant through normalisation.
    embedding[:, 1:half] *= length / embedding[:, 1:half].norm(dim=1, keepdim=True).clamp(min=1e-9)
    embedding[:, 0] = length * _CONSTANT / math.sqrt(width - _CONSTANT**2)

    first, second = (layer.self_attn for layer in model.model.layers[:2])
    gain = length / math.sqrt(width)  # from a normalised token back to the stream's own scale
    for head in range(used):
        rows = slice(head * size, (head + 1) * size)
        content = slice(head * half // used, (head + 1) * half // used)
        written = slice(half + content.start, half + content.stop)
        span = content.stop - content.start
        eye = torch.eye(size, span)

        _look_back(first, rows, turn)
        first.v_proj.weight[rows] = 0
        first.v_proj.weight[rows, content] = eye * math.sqrt(gain)
        first.o_proj.weight[:, rows] = 0
        first.o_proj.weight[written, rows] = eye.T * math.sqrt(gain)

        _match(second, rows, half, turn)
        second.v_proj.weight[rows] = 0
        second.v_proj.weight[rows, content] = eye * math.sqrt(gain * _COPY)
        second.o_proj.weight[:, rows] = 0
        second.o_proj.weight[content, rows] = eye.T * math.sqrt(gain * _COPY)
    first.v_proj.weight[: used * size, 0] = 0
    second.v_proj.weight[: used * size, 0] = 0


def _look_back(attention: Any, rows: slice, turn: Tensor) -> None:
    """Queries and keys whose score over a distance d is proportional to Σ cos((d - 1)·turn)."""
    size = 2 * len(turn)
    fast = (turn > 0.1).to(turn.dtype)  # the slow ones tell no neighbours apart
    gap = float((fast * (1 - torch.cos(turn))).sum()) * _CONSTANT**2 / math.sqrt(size)
    scale = math.sqrt(_PREVIOUS_GAP / gap)
    query = torch.cat((fast * torch.cos(turn), -fast * torch.sin(turn)))
    key = torch.cat((fast, torch.zeros_like(turn)))
    for weight, vector in ((attention.q_proj.weight, query), (attention.k_proj.weight, key)):
        weight[rows] = 0
        weight[rows, 0] = vector * scale


def _match(attention: Any, rows: slice, half: int, turn: Tensor) -> None:
    """Queries of the token here, keys of the token before there, in a random common projection."""
    size = 2 * len(turn)
    slow = torch.nonzero(turn < 0.01).flatten()
    kept = torch.cat((slow, slow + len(turn)))
    basis = torch.linalg.qr(torch.randn(half - 1, half - 1))[0][: len(kept)]
    # A normalised stream of two equal parts gives each about half of its squared length; the
    # projection keeps len(kept) of its half - 1 dimensions.
    common = half * len(kept) / (half - 1) / math.sqrt(size)
    scale = math.sqrt(_MATCH / common)
    for weight, start in ((attention.q_proj.weight, 1), (attention.k_proj.weight, half + 1)):
        block = torch.zeros(size, half - 1)
        block[kept[: len(basis)]] = basis * scale
        weight[rows] = 0
        weight[rows, start : start + half - 1] = block
