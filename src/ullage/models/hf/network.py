"""Forward passes whose values for a row do not depend on the rows beside it.

Rows are padded on the right, so that a sequence keeps its positions whatever its company. That
leaves the kernels: a matrix product rounds differently where its shape picks another kernel. In
float32 three rules keep a row's bits the same in every batch, and `build` tries them out on the
loaded model and this machine's kernels; where they do not hold, rows are run one at a time:

- Row counts are a multiple of `unit`, filled up with rows nobody reads. BLAS kernels sum a row
  alike for all row counts from a few per thread on.
- Attention reads keys in blocks of a fixed size, added up in order, so that a longer cache adds
  exact zeros at the end instead of regrouping the sum.
- Every reduction is over an axis whose length the batch does not change, or ends in exact zeros.

A model that cannot be run this way (other attention patterns, recurrent state) reads each sequence
anew for every token, alone: slow, right for every architecture, and independent by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ullage.models.hf.rows import PaddedRows, blocked_attention

ATTENTION = "ullage"
"""Name our attention is registered under."""
PIECE = 256
"""Most tokens of one row in one forward pass."""
_ROUND = 16
"""Lengths are padded to a multiple of this."""
_UNITS = (8, 16, 32, 64)


class Network(Protocol):
    """A causal language model as operations on rows."""

    together: bool
    """Whether rows may share a batch; if not, one at a time keeps each one's bits its own."""

    def prefill(self, prompts: Sequence[Sequence[int]]) -> Any:
        """State after reading each prompt (which may be empty)."""
        ...

    def gather(self, parts: Sequence[tuple[Any, Sequence[int]]], capacity: int) -> Any:
        """New state of the chosen rows of other states, with room for `capacity` tokens each.

        What is fed at once takes `padded` room, for every row from its own start on.
        """
        ...

    def feed(self, rows: Any, tokens: Sequence[Sequence[int]], starts: Sequence[int]) -> Tensor:
        """Read more tokens per row, the first at position `starts`; logits (row, token, vocab)."""
        ...


def padded(tokens: int) -> int:
    """How many positions feeding this many tokens at once takes."""
    return tokens if tokens == 1 else _up(tokens, _ROUND)


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def _shared(prompts: Sequence[Sequence[int]]) -> int:
    """Length of the beginning that several prompts share, where it is worth a pass of its own."""
    if len(prompts) < 2:
        return 0
    one, other = min(map(tuple, prompts)), max(map(tuple, prompts))  # the rest lie between them
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return same if same >= _ROUND else 0


class PaddedNetwork:
    """A `Network` over right-padded rows.

    Args:
        model: a `transformers` causal language model, in eval mode, with our attention set.
        windows: width of the sliding window per kind of layer, None for a full view.
    """

    def __init__(self, model: Any, windows: dict[str, int | None]) -> None:
        self.model, self.windows = model, windows
        self.device, self.dtype = model.device, model.dtype
        self.unit = _UNITS[0]
        self.together = True
        self._layers = int(model.config.get_text_config().num_hidden_layers)
        self._body = getattr(model, model.base_model_prefix, model)

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[Sequence[int]]) -> PaddedRows:
        """State after reading each prompt; a beginning that all share is read once."""
        shared = _shared(prompts)
        longest = max(map(len, prompts))
        length = shared + _up(max(longest - shared, 1), max(_ROUND, self.unit))
        state = PaddedRows(len(prompts), length, self._layers)
        if shared:
            header = self.prefill([prompts[0][:shared]])
            every = torch.zeros(len(prompts), dtype=torch.long, device=self.device)
            state.copy_rows(header, every, 0)
        ids = torch.zeros((len(prompts), length), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt, dtype=torch.long)
        ids = ids.to(self.device)
        for begin in range(shared, length, PIECE):
            end = min(begin + PIECE, length)
            state.aim(slice(begin, end), end)
            positions = torch.arange(begin, end, device=self.device).expand(len(prompts), -1)
            self._pass(self._body, ids[:, begin:end], positions, state, end)
        return state

    @torch.inference_mode()
    def gather(
        self, parts: Sequence[tuple[PaddedRows, Sequence[int]]], capacity: int
    ) -> PaddedRows:
        """Copy chosen rows into a new state, filled up to a multiple of `unit` rows."""
        count = sum(len(chosen) for _, chosen in parts)
        state = PaddedRows(_up(count, self.unit), _up(capacity, _ROUND), self._layers)
        begin = 0
        for part, chosen in parts:
            state.copy_rows(part, torch.tensor(chosen, device=self.device), begin)
            begin += len(chosen)
        return state

    @torch.inference_mode()
    def feed(
        self, rows: PaddedRows, tokens: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> Tensor:
        """Read up to `PIECE` more tokens per row; logits (row, token, vocab) of the real rows."""
        length = max(map(len, tokens))
        width = padded(length)
        ids = torch.zeros((rows.rows, width), dtype=torch.long)
        start = torch.zeros((rows.rows, 1), dtype=torch.long)
        for row, (more, at) in enumerate(zip(tokens, starts, strict=True)):
            ids[row, : len(more)] = torch.tensor(more, dtype=torch.long)
            start[row] = at
        visible = min(_up(max(starts) + width, _ROUND), rows.capacity)
        positions = (start + torch.arange(width)).to(self.device)
        every = torch.arange(rows.rows, device=self.device)[:, None]
        rows.aim((every, positions), visible)
        out = self._pass(self.model, ids.to(self.device), positions, rows, visible)
        logits: Tensor = out.logits
        return logits[: len(tokens), :length]

    def _pass(
        self, module: Any, ids: Tensor, positions: Tensor, state: PaddedRows, visible: int
    ) -> Any:
        return module(
            input_ids=ids,
            attention_mask=self._masks(positions, visible),
            position_ids=positions,
            past_key_values=state,
            use_cache=True,
        )

    def _masks(self, positions: Tensor, visible: int) -> Any:
        """Additive masks (rows, 1, tokens, visible), one per kind of layer if there are several."""
        key = torch.arange(visible, device=self.device)
        query = positions[:, None, :, None]
        masks = {}
        for kind, window in self.windows.items():
            seen = key <= query
            if window is not None:
                seen &= key > query - window
            hidden = torch.finfo(self.dtype).min
            mask = torch.zeros(seen.shape, dtype=self.dtype, device=self.device)
            masks[kind] = mask.masked_fill_(~seen, hidden)
        return masks if len(masks) > 1 else next(iter(masks.values()))


class PlainNetwork:
    """A `Network` that reads every sequence anew, alone and without a cache."""

    together = True

    def __init__(self, model: Any) -> None:
        self.model = model

    def prefill(self, prompts: Sequence[Sequence[int]]) -> list[list[int]]:
        """The prompts themselves."""
        return [list(prompt) for prompt in prompts]

    def gather(
        self, parts: Sequence[tuple[list[list[int]], Sequence[int]]], capacity: int
    ) -> list[list[int]]:
        """Copies of the chosen sequences."""
        return [list(part[row]) for part, chosen in parts for row in chosen]

    @torch.inference_mode()
    def feed(
        self, rows: list[list[int]], tokens: Sequence[Sequence[int]], starts: Sequence[int]
    ) -> Tensor:
        """Read more tokens per row; logits (row, token, vocab), zero where a row has no token."""
        length = max(map(len, tokens))
        out = []
        for row, (more, start) in enumerate(zip(tokens, starts, strict=True)):
            rows[row][start:] = more
            ids = torch.tensor([rows[row]], dtype=torch.long, device=self.model.device)
            logits = self.model(input_ids=ids, use_cache=False).logits[0, start:]
            out.append(torch.nn.functional.pad(logits, (0, 0, 0, length - len(more))))
        return torch.stack(out)


def attention_windows(config: Any) -> dict[str, int | None] | None:
    """Width of the view per kind of attention layer, or None for kinds we do not know."""
    text = config.get_text_config()
    kinds = getattr(text, "layer_types", None)
    window = getattr(text, "sliding_window", None)
    if not kinds:
        # Without a list all layers are alike: a window, where one is set and used, is everyone's.
        used = window is not None and getattr(text, "use_sliding_window", True)
        return {"sliding_attention": window} if used else {"full_attention": None}
    known = {"full_attention": None, "sliding_attention": window}
    if any(kind not in known for kind in kinds):
        return None
    return {kind: known[kind] for kind in sorted(set(kinds))}


def build(model: Any) -> Network:
    """The fastest `Network` that gives this model's own logits.

    Raises:
        nothing: a model that padded rows get wrong is run one row at a time.
    """
    windows = attention_windows(model.config)
    if windows is None:
        return PlainNetwork(model)
    default = model.config._attn_implementation
    prompts = _check_prompts(int(model.config.get_text_config().vocab_size))
    expected = PlainNetwork(model).feed([[] for _ in prompts], prompts, [0] * len(prompts))
    ALL_ATTENTION_FUNCTIONS.register(ATTENTION, blocked_attention)
    try:
        network = PaddedNetwork(model, windows)
        if model.dtype == torch.float32:
            model.set_attn_implementation(ATTENTION)
        settle(network)
        if _close(_last_logits(network, prompts), expected, prompts):
            return network
    except torch.OutOfMemoryError:
        raise  # says nothing of the architecture, and running plainly would need no less
    except (TypeError, ValueError, RuntimeError, AttributeError, KeyError):
        pass  # some architectures take no such mask, cache, position ids or attention
    model.set_attn_implementation(default)
    return PlainNetwork(model)


def settle(network: Network) -> None:
    """Try a network out, as its model is now, and find how its rows may share a batch."""
    if isinstance(network, PaddedNetwork):
        prompts = _check_prompts(int(network.model.config.get_text_config().vocab_size))
        if network.dtype == torch.float32:
            unit = next((unit for unit in _UNITS if _agree(network, prompts, unit)), None)
            network.unit, network.together = unit or _UNITS[0], unit is not None
    else:
        network.feed(network.prefill([[]]), [[0]], [0])


def _check_prompts(vocabulary: int) -> list[list[int]]:
    """A few unequal token sequences to compare ways of running a model on."""
    noise = torch.Generator().manual_seed(0)
    return [
        torch.randint(0, vocabulary, (length,), generator=noise).tolist() for length in (37, 5, 18)
    ]


def _last_logits(network: PaddedNetwork, prompts: list[list[int]], repeat: int = 1) -> Tensor:
    """Logits after each prompt, decoded in a batch that holds every prompt `repeat` times."""
    state = network.prefill([prompt[:-1] for prompt in prompts])
    chosen = list(range(len(prompts))) * repeat
    rows = network.gather([(state, chosen)], max(map(len, prompts)))
    tokens = [prompts[index][-1:] for index in chosen]
    return network.feed(rows, tokens, [len(prompts[index]) - 1 for index in chosen])[:, 0]


def _agree(network: PaddedNetwork, prompts: list[list[int]], unit: int) -> bool:
    """Whether a sequence gets the same bits alone, in one unit of rows, and in several."""
    network.unit = unit
    few = _last_logits(network, prompts)
    many = _last_logits(network, prompts, repeat=3 * unit // len(prompts) + 1)
    copies = many.view(-1, len(prompts), many.shape[-1])
    return bool((copies == few).all()) and torch.equal(
        few[1:2], _last_logits(network, prompts[1:2])
    )


def _close(got: Tensor, expected: Tensor, prompts: list[list[int]]) -> bool:
    """Whether the padded rows give the model's own logits, within its precision."""
    tolerance = 1e-3 if got.dtype == torch.float32 else 0.1
    last = torch.stack([expected[row, len(prompt) - 1] for row, prompt in enumerate(prompts)])
    scale = float(last.float().abs().max())
    return float((got - last).float().abs().max()) <= tolerance * max(scale, 1.0)
