"""How many taught answers a model would give, read off one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ullage.lab.training.batches import Encoder, pad, split
from ullage.lab.world.exchange import Document

_TOKENS = 4096


@torch.no_grad()
def exam_accuracy(
    model: Any, tokenizer: Any, documents: Mapping[str, Sequence[Document]]
) -> dict[str, float]:
    """Share of taught segments whose every token is the likeliest, given what stands before it.

    For a reply this is whether greedy decoding would give exactly it. Where several replies are
    right (chance, openings) the share says little.

    Args:
        model: a causal language model.
        tokenizer: of `build_tokenizer`.
        documents: by group; at least one taught segment in each.

    Returns:
        A share for each group.
    """
    encoder = Encoder(tokenizer)
    return {group: _share(model, encoder, list(some)) for group, some in documents.items()}


def _share(model: Any, encoder: Encoder, documents: Sequence[Document]) -> float:
    right = total = 0
    for encoded in split(encoder(documents), _TOKENS):
        batch = pad(encoded, encoder.pad)
        guesses = model(input_ids=batch.ids, use_cache=False).logits[:, :-1].argmax(-1)
        hits = guesses == batch.ids[:, 1:]
        for row, one in enumerate(encoded):
            for start, stop in one.answers:
                right += bool(hits[row, start - 1 : stop - 1].all())
                total += 1
    return right / total
