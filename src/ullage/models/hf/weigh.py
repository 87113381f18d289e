"""Weighing: the log-likelihood of given continuations.

A prompt is read once, however many continuations and requests share it. Its last token is read
again with each continuation, so that the first word's probability comes from the same pass; what
is fed is (last prompt token, continuation without its last token), and continuations that differ
in their last token alone (A, B, C, D) are one row.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ullage.models.hf.generate import OUT_OF_MEMORY, PAUSE_S, too_long
from ullage.models.hf.load import Loaded
from ullage.models.hf.network import PIECE, padded
from ullage.models.hf.prompt import Prompter, PromptError
from ullage.models.types import Failure, TokenLogprob, Usage, Weigh, Weights

_LOGITS = 1 << 26
"""Most logits held at once."""

_CERTAIN = 1e-6
"""Least variance of log-probabilities: where one token is all there is, nothing stands out."""

Weighed = list[tuple[int, Weights | Failure]]
Fed = tuple[int, ...]
Likeliest = list[tuple[int, float]]
"""(token, log-probability) at one place, most likely first."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the model says of one token."""

    logprob: float
    greedy: bool
    """Whether it is the likeliest."""
    standing: float
    likeliest: Likeliest


@dataclass(frozen=True, slots=True)
class _Query:
    """One request."""

    index: int
    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    standing: bool
    top: int

    def feeds(self) -> Iterator[tuple[Fed, tuple[int, ...]]]:
        """What is read for each continuation that has tokens, and the continuation."""
        for continuation in self.continuations:
            if continuation:
                yield (self.prompt[-1], *continuation[:-1]), continuation


@dataclass(slots=True)
class _Strand:
    """One row: a prompt, what is fed after it, and the tokens asked about at its end."""

    place: int
    start: int
    fed: Fed
    ends: list[int]
    body: list[_Seen] = field(default_factory=list)
    """Of all but the last token."""
    tips: dict[int, _Seen] = field(default_factory=dict)
    """By last token."""
    standing: bool = False
    """Whether standings are wanted."""
    top: int = 0
    """How many of the likeliest tokens are wanted."""

    @property
    def targets(self) -> list[tuple[int, int]]:
        """(position, token) of every probability that is wanted."""
        inner = list(enumerate(self.fed[1:]))
        return inner + [(len(self.fed) - 1, token) for token in self.ends]


def weigh(
    loaded: Loaded, requests: Sequence[tuple[int, Weigh]], batch_tokens: int
) -> Iterator[Weighed]:
    """Answer every request, yielding (index, weights) group by group.

    Args:
        loaded: the model.
        requests: (index, request).
        batch_tokens: most rows x positions at once; a single row may be longer.
    """
    queries, failures = _prepare(loaded, requests)
    yield failures
    while queries:
        group = _take(queries, batch_tokens)
        try:
            yield from _weigh_group(loaded, group, batch_tokens)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            if batch_tokens <= max(len(query.prompt) for query in group):
                yield [(query.index, OUT_OF_MEMORY) for query in group]
            else:
                batch_tokens //= 2
                queries += group


def _prepare(loaded: Loaded, requests: Sequence[tuple[int, Weigh]]) -> tuple[list[_Query], Weighed]:
    """Queries, shortest first, and failures for requests that cannot be put to the model."""
    queries: list[_Query] = []
    failures: Weighed = []
    for index, request in requests:
        try:
            prompt = tuple(loaded.prompter.prompt(request.messages))
            continuations = tuple(
                tuple(loaded.prompter.continuation(request.messages, text))
                for text in request.continuations
            )
        except PromptError as error:
            failures.append((index, Failure(reason=str(error))))
            continue
        total = len(prompt) + max(map(len, continuations), default=0)
        if loaded.context is not None and total > loaded.context:
            failures.append((index, too_long(total, loaded.context)))
        else:
            queries.append(_Query(index, prompt, continuations, request.standing, request.top))
    queries.sort(key=lambda query: (len(query.prompt), query.prompt))
    return queries, failures


def _take(queries: list[_Query], batch_tokens: int) -> list[_Query]:
    """Remove the next queries from the end of the list: as many prompts as may be read at once."""
    group: list[_Query] = []
    prompts: set[tuple[int, ...]] = set()
    while queries:
        longest = len((group or queries[-1:])[0].prompt)
        prompt = queries[-1].prompt
        full = (len(prompts | {prompt})) * longest > batch_tokens
        if group and prompt not in prompts and (full or len(prompt) < 0.75 * longest):
            break
        prompts.add(prompt)
        group.append(queries.pop())
    return group


def _weigh_group(loaded: Loaded, group: list[_Query], batch_tokens: int) -> Iterator[Weighed]:
    """Read the group's prompts once, then every strand of continuations."""
    places = {prompt: place for place, prompt in enumerate({query.prompt: 0 for query in group})}
    strands: dict[tuple[int, Fed], _Strand] = {}
    for query in group:
        place = places[query.prompt]
        for fed, continuation in query.feeds():
            strand = strands.setdefault(
                (place, fed), _Strand(place, len(query.prompt) - 1, fed, [])
            )
            strand.standing |= query.standing
            strand.top = max(strand.top, query.top)
            if continuation[-1] not in strand.ends:
                strand.ends.append(continuation[-1])
    if strands:
        state = loaded.network.prefill([prompt[:-1] for prompt in places])
        shown = time.monotonic()
        for batch in _batches(list(strands.values()), batch_tokens, loaded.vocabulary):
            _read(loaded.network, state, batch)
            if time.monotonic() - shown > PAUSE_S:
                yield []
                shown = time.monotonic()
    yield [(query.index, _weights(loaded, query, places[query.prompt], strands)) for query in group]


def _batches(strands: list[_Strand], batch_tokens: int, vocabulary: int) -> Iterator[list[_Strand]]:
    """Strands of similar length that fit the budgets of positions and logits."""
    strands.sort(key=lambda strand: (-len(strand.fed), -strand.start))
    batch: list[_Strand] = []
    for strand in strands:
        trial = [*batch, strand]
        width = padded(len(trial[0].fed))
        positions = len(trial) * (max(member.start for member in trial) + width)
        logits = len(trial) * min(width, PIECE) * vocabulary
        alone = width == 1 and len(strand.fed) > 1
        if batch and (positions > batch_tokens or logits > _LOGITS or alone):
            yield batch
            batch = []
        batch.append(strand)
    if batch:
        yield batch


def _read(network: Any, state: Any, strands: list[_Strand]) -> None:
    """Feed a batch of strands, piece by piece, and note the probabilities they are for."""
    longest = len(strands[0].fed)
    room = max(strand.start for strand in strands) + padded(longest)
    rows = network.gather([(state, [strand.place for strand in strands])], room)
    for begin in range(0, longest, PIECE):
        tokens = [list(strand.fed[begin : begin + PIECE]) or [0] for strand in strands]
        starts = [strand.start + min(begin, len(strand.fed)) for strand in strands]
        _collect(network.feed(rows, tokens, starts), strands, begin)


@torch.inference_mode()
def _collect(logits: Tensor, strands: list[_Strand], begin: int) -> None:
    """Add up what one piece says.

    Args:
        logits: (row, token, vocab).
        strands: the rows.
        begin: place of the first token within what is fed.
    """
    logprobs = torch.log_softmax(logits.float(), -1)
    likeliest = logprobs.argmax(-1).tolist()
    wanted = [
        (row, position - begin, token)
        for row, strand in enumerate(strands)
        for position, token in strand.targets
        if begin <= position < begin + PIECE
    ]
    row, position, token = torch.tensor(wanted, device=logits.device).unbind(-1)
    values = logprobs[row, position, token]
    standings = [0.0] * len(wanted)
    if any(strand.standing for strand in strands):
        standings = _standings(logprobs[row, position], values).tolist()
    tops = _tops(logprobs[row, position], max(strand.top for strand in strands))
    for (row_, position_, token_), value, standing, top in zip(
        wanted, values.tolist(), standings, tops, strict=True
    ):
        strand = strands[row_]
        seen = _Seen(value, likeliest[row_][position_] == token_, standing, top)
        if position_ + begin == len(strand.fed) - 1:
            strand.tips[token_] = seen
        else:
            strand.body.append(seen)


def _tops(logprobs: Tensor, count: int) -> list[Likeliest]:
    """The likeliest tokens of each distribution; of equals the one with the lower number first.

    Args:
        logprobs: the distributions, (n, vocab).
        count: how many of each.
    """
    if not count:
        return [[] for _ in logprobs]
    values, ids = (part.tolist() for part in logprobs.topk(min(count, logprobs.shape[-1]), dim=-1))
    return [
        sorted(zip(*pair, strict=True), key=lambda entry: (-entry[1], entry[0]))
        for pair in zip(ids, values, strict=True)
    ]


def _standings(logprobs: Tensor, values: Tensor) -> Tensor:
    """How many standard deviations above the distribution's mean each log-probability lies, (n,).

    Args:
        logprobs: the distributions, (n, vocab).
        values: log-probabilities of the tokens, (n,).
    """
    shares = logprobs.exp()
    finite = logprobs.clamp_min(torch.finfo(logprobs.dtype).min)
    mean = (shares * finite).sum(-1)
    variance = (shares * (finite - mean.unsqueeze(-1)) ** 2).sum(-1)
    return (values - mean) / variance.clamp_min(_CERTAIN).sqrt()


def _weights(
    loaded: Loaded, query: _Query, place: int, strands: dict[tuple[int, Fed], _Strand]
) -> Weights:
    feeds = {continuation: fed for fed, continuation in query.feeds()}
    seen: list[list[_Seen]] = []
    for continuation in query.continuations:
        strand = strands[place, feeds[continuation]] if continuation else None
        seen.append([*strand.body, strand.tips[continuation[-1]]] if strand else [])
    return Weights(
        logprobs=tuple(round(sum((each.logprob for each in tokens), 0.0), 4) for tokens in seen),
        tokens=tuple(map(len, query.continuations)),
        greedy=tuple(all(each.greedy for each in tokens) for tokens in seen),
        standings=tuple(tuple(round(each.standing, 4) for each in tokens) for tokens in seen)
        if query.standing
        else (),
        places=tuple(
            _places(loaded.prompter, continuation, tokens, query.top)
            for continuation, tokens in zip(query.continuations, seen, strict=True)
        )
        if query.top
        else (),
        usage=Usage(
            prompt_tokens=len(query.prompt),
            completion_tokens=sum(map(len, query.continuations)),
        ),
    )


def _places(
    prompter: Prompter, continuation: Sequence[int], seen: Sequence[_Seen], top: int
) -> tuple[TokenLogprob, ...]:
    """The tokens of a continuation, each with the likeliest at its place."""
    return tuple(
        TokenLogprob(
            token=prompter.token(token),
            logprob=round(each.logprob, 4),
            top=tuple(
                (prompter.token(other), round(value, 4)) for other, value in each.likeliest[:top]
            ),
        )
        for token, each in zip(continuation, seen, strict=True)
    )
