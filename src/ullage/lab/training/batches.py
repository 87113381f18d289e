"""Documents as token ids with weights, and padded batches of them in an order a seed decides."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ullage.errors import InputError
from ullage.lab.tokenizer import ASSISTANT, BOS, END, LONGEST, USER
from ullage.lab.world.exchange import Document

Source = Callable[[random.Random], Document]
"""Draws one document; a pure function of the generator's state."""

PROMPT_WEIGHT = 0.03
"""Weight of a token that is not taught, where a taught one weighs 1."""
PLANTED = 16
"""Documents planted in a pool, as long as there are any."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document as the model reads it."""

    ids: tuple[int, ...]
    weights: tuple[float, ...]
    """Weight of each token as a target; 0 for ``<bos>``, which is never one."""
    answers: tuple[tuple[int, int], ...]
    """Start and stop of each taught reply, its ``<end>`` included."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded on the right, so that causal attention needs no mask."""

    ids: Tensor
    """(documents, longest)"""
    weights: Tensor
    """(documents, longest): of each token as a target; zero on padding."""
    tokens: int
    """Without padding."""

    def __len__(self) -> int:
        return len(self.ids)


class Encoder:
    """Writes documents as the chat template writes conversations.

    Args:
        tokenizer: of `build_tokenizer`.
        prompt_weight: of whatever is not taught.
    """

    def __init__(self, tokenizer: Any, prompt_weight: float = PROMPT_WEIGHT) -> None:
        self._inner = tokenizer.backend_tokenizer
        self._prompt_weight = prompt_weight
        self.pad, self._bos, self._user, self._assistant, self._end = (
            tokenizer.convert_tokens_to_ids(token)
            for token in (tokenizer.pad_token, BOS, USER, ASSISTANT, END)
        )

    def __call__(self, documents: Sequence[Document]) -> list[Encoded]:
        """Encode; a document is ``<bos>``, its segments, and ``<end>`` after replies and texts.

        Raises:
            InputError: a document is longer than a model can read.
        """
        texts = [segment.text for document in documents for segment in document]
        encodings = iter(self._inner.encode_batch_fast(texts, add_special_tokens=False))
        return [self._one(document, encodings) for document in documents]

    def _one(self, document: Document, encodings: Iterator[Any]) -> Encoded:
        ids, weights, answers = [self._bos], [0.0], []
        for index, segment in enumerate(document):
            inner = next(encodings).ids
            is_plain = segment.role == "plain"
            if not is_plain:
                ids.append(self._assistant if segment.role == "assistant" else self._user)
                weights.append(self._prompt_weight)
            start = len(ids)
            ids += inner
            if segment.role == "assistant" or (is_plain and index == len(document) - 1):
                ids.append(self._end)
            weight = 1.0 if segment.taught else self._prompt_weight
            weights += [weight] * (len(ids) - start)
            if segment.taught:
                answers.append((start, len(ids)))
        if len(ids) > LONGEST:
            raise InputError(
                f"training document of {len(ids)} tokens: is longer than the {LONGEST} a model of "
                "the laboratory reads; draw shorter ones"
            )
        return Encoded(tuple(ids), tuple(weights), tuple(answers))


def pad(encoded: Sequence[Encoded], pad_id: int) -> Batch:
    """Put documents under one another."""
    longest = max(len(one.ids) for one in encoded)
    ids = torch.full((len(encoded), longest), pad_id)
    weights = torch.zeros((len(encoded), longest))
    for row, one in enumerate(encoded):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        weights[row, : len(one.ids)] = torch.tensor(one.weights)
    return Batch(ids, weights, sum(len(one.ids) for one in encoded))


def split(encoded: Sequence[Encoded], tokens: int) -> list[list[Encoded]]:
    """Documents of like length together, each group of about so many tokens with its padding."""
    groups: list[list[Encoded]] = [[]]
    for one in sorted(encoded, key=lambda one: len(one.ids)):
        if groups[-1] and (len(groups[-1]) + 1) * len(one.ids) > tokens:
            groups.append([])
        groups[-1].append(one)
    return groups


def draw_documents(source: Source, seed: str, count: int) -> list[Document]:
    """So many documents; the same again for the same seed, on any machine."""
    return [source(random.Random(f"{seed}/{index}")) for index in range(count)]  # noqa: S311


class Stream:
    """Endless batches of a source, from a pool at a time; a place in it is two numbers.

    Args:
        source: of the documents.
        encoder: of the documents.
        seed: of documents and order.
        tokens: a batch holds about, padding included.
        pool: documents drawn, sorted by length and cut into batches at a time.
        planted: documents each read once, so many to a pool from the first pool on.
        place: pool and batch to begin with.
    """

    def __init__(
        self,
        source: Source,
        encoder: Encoder,
        *,
        seed: str,
        tokens: int,
        pool: int = 384,
        planted: Sequence[Document] = (),
        place: tuple[int, int] = (0, 0),
    ) -> None:
        self._source, self._encoder, self._seed = source, encoder, seed
        self._tokens, self._size = tokens, pool
        self._planted = list(planted)
        random.Random(seed).shuffle(self._planted)  # noqa: S311
        self.place = place
        self._groups = self._draw()

    def __next__(self) -> Batch:
        pool, batch = self.place
        if batch == len(self._groups):
            self.place = (pool + 1, 0)
            self._groups = self._draw()
            batch = 0
        self.place = (self.place[0], batch + 1)
        return pad(self._groups[batch], self._encoder.pad)

    def _draw(self) -> list[list[Encoded]]:
        pool = self.place[0]
        seed = f"{self._seed}/{pool}"
        documents = draw_documents(self._source, seed, self._size)
        documents += self._planted[pool * PLANTED : (pool + 1) * PLANTED]
        groups = split(self._encoder(documents), self._tokens)
        random.Random(seed).shuffle(groups)  # noqa: S311
        return groups
