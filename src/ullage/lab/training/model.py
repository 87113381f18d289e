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
_REACH = 12
"""Tokens over which a gathering head spreads."""
_AROUND_GAP = 3.0
"""Logits by which it prefers the token here to one at its reach."""
_GATHERED = 6.0
"""Length of all it gathers, in lengths of an embedding."""
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
    """Write an induction circuit (Olsson et al. 2022) into the heads of the first two layers.

    The residual stream starts split: dimension 0 is the same for every token, the rest of the first
    half holds the token, the second half is empty. In layer 0, half of the heads look at the
    previous token and write it into the third quarter; the others spread over the last dozen of
    tokens and write what they find into the last quarter: a value there knows the words of its
    record, and the place where an answer begins the words of its question. In layer 1, half of the
    heads compare the token here with the previous token there, half the words around here with the
    words around there, and both copy the token found. Queries and keys of layer 0 are constant
    vectors whose rotary phases make the pattern; comparisons use the dimensions that rotary
    embedding turns least. All of it stays trainable, and later layers start at random as usual.
    """
    config = model.config
    width, heads = config.hidden_size, config.num_attention_heads
    half, quarter = width // 2, width // 4
    turn = ROPE_THETA ** (-torch.arange(width // heads // 2) / (width // heads // 2))
    embedding = model.model.embed_tokens.weight
    embedding[:, half:] = 0
    length = _DEVIATION * math.sqrt(width)
    # Of equal length, so that the constant dimension stays constant through normalisation.
    embedding[:, 1:half] *= length / embedding[:, 1:half].norm(dim=1, keepdim=True).clamp(min=1e-9)
    embedding[:, 0] = length * _CONSTANT / math.sqrt(width - _CONSTANT**2)

    token, previous = slice(1, quarter), slice(half + 1, half + quarter)
    around = slice(half + quarter + 1, width)
    basis = torch.linalg.qr(torch.randn(half - 1, half - 1))[0][: quarter - 1]
    first, second = (layer.self_attn for layer in model.model.layers[:2])
    looking, gathering = torch.arange(heads).chunk(2)
    for part, some in ((0, looking.tolist()), (1, gathering.tolist())):
        for index, head in enumerate(some):
            rows = slice(head * width // heads, (head + 1) * width // heads)
            if part == 0:
                _look_back(first, rows, turn)
                read, written, gain = torch.eye(half - 1)[: quarter - 1], previous, 1.0
                _match(second, rows, token, previous, turn)
            else:
                _look_around(first, rows, turn)
                read, written, gain = basis, around, _GATHERED
                _match(second, rows, around, around, turn)
            _carry(first, rows, read, written, gain, share=(index, len(some)))
            whole = torch.eye(half - 1)
            _carry(second, rows, whole, slice(1, half), _COPY, share=(index, len(some)))


def _carry(
    attention: Any,
    rows: slice,
    read: Tensor,
    written: slice,
    gain: float,
    *,
    share: tuple[int, int],
) -> None:
    """Read directions of the token, and write them, `gain` times as long, into the stream.

    Args:
        attention: whose head it is.
        rows: of the head.
        read: directions, (size of `written`, tokens' dimensions).
        written: dimensions of the stream.
        gain: length of what is written, in lengths of an embedding.
        share: the head's index among those that divide the directions, and their number.
    """
    index, count = share
    mine = torch.arange(len(read)).chunk(count)[index]
    scale = math.sqrt(gain * _DEVIATION)  # from a normalised token back to the stream's own scale
    attention.v_proj.weight[rows] = 0
    attention.v_proj.weight[rows.start : rows.start + len(mine), 1 : read.shape[1] + 1] = (
        read[mine] * scale
    )
    attention.o_proj.weight[:, rows] = 0
    for place, row in enumerate(mine.tolist()):
        attention.o_proj.weight[written.start + row, rows.start + place] = scale


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


def _look_around(attention: Any, rows: slice, turn: Tensor) -> None:
    """Queries and keys whose score falls with the distance, by `_AROUND_GAP` over `_REACH`."""
    size = 2 * len(turn)
    kept = ((turn < 1.6 / _REACH) & (turn > 0.25 / _REACH)).to(turn.dtype)
    gap = float((kept * (1 - torch.cos(turn * _REACH))).sum()) * _CONSTANT**2 / math.sqrt(size)
    vector = torch.cat((kept, torch.zeros_like(turn))) * math.sqrt(_AROUND_GAP / gap)
    for weight in (attention.q_proj.weight, attention.k_proj.weight):
        weight[rows] = 0
        weight[rows, 0] = vector


def _match(attention: Any, rows: slice, here: slice, there: slice, turn: Tensor) -> None:
    """Queries of one part of the stream, keys of another, in a random common projection."""
    size = 2 * len(turn)
    slow = torch.nonzero(turn < 0.01).flatten()
    kept = torch.cat((slow, slow + len(turn)))
    width = here.stop - here.start
    basis = torch.linalg.qr(torch.randn(width, width))[0][: len(kept)]
    scale = math.sqrt(_MATCH * math.sqrt(size) / len(kept))
    for weight, part in ((attention.q_proj.weight, here), (attention.k_proj.weight, there)):
        block = torch.zeros(size, width)
        block[kept[: len(basis)]] = basis * scale
        weight[rows] = 0
        weight[rows, part] = block
