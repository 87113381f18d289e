"""Generation: a decode loop over rows that come and go.

Requests wait, the longest first. Rows that finish leave their seats, and once half of the seats
are free the next requests take them, so that a batch stays full. What a row says depends on its
request alone: `network` keeps a row's logits independent of the others, and noise is drawn per
request.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ullage.models.hf.load import Loaded
from ullage.models.hf.prompt import PLAIN_STOP, Prompter, PromptError
from ullage.models.types import (
    Ask,
    Failure,
    FinishReason,
    Reply,
    TokenLogprob,
    Usage,
    request_payload,
)

PAUSE_S = 0.5
"""Longest time between two returns to the caller, who may want to stop."""
OUT_OF_MEMORY = Failure(reason="out of memory: lower batch_tokens or use a larger device")

Answered = list[tuple[int, Reply | Failure]]


@dataclass(slots=True)
class _Row:
    """One request being answered."""

    index: int
    ask: Ask
    prompt: list[int]
    room: int
    """Tokens it may write."""
    stops: tuple[str, ...]
    noise: torch.Generator | None = None
    written: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Positions it may come to take."""
        return len(self.prompt) + self.room

    @property
    def last(self) -> int:
        """The token to read next."""
        return self.written[-1] if self.written else self.prompt[-1]

    @property
    def start(self) -> int:
        """The position of `last`."""
        return len(self.prompt) + len(self.written) - 1

    def restart(self) -> None:
        """Forget what was written; the same will be written again."""
        self.written.clear()
        self.logprobs.clear()
        self.noise = _noise(self.ask)


def generate(
    loaded: Loaded, asks: Sequence[tuple[int, Ask]], batch_tokens: int
) -> Iterator[Answered]:
    """Answer every request, yielding (index, reply) as rows finish, and every half second.

    Args:
        loaded: the model.
        asks: (index, request).
        batch_tokens: most rows x positions at once; a single row may be longer.
    """
    rows, failures = _prepare(loaded, asks)
    yield failures
    yield from _Decoder(loaded, rows, batch_tokens).run()


def _prepare(loaded: Loaded, asks: Sequence[tuple[int, Ask]]) -> tuple[list[_Row], Answered]:
    """Rows for the requests that can be put to the model, and failures for the others."""
    rows: list[_Row] = []
    failures: Answered = []
    for index, ask in asks:
        try:
            prompt = loaded.prompter.prompt(ask.messages)
        except PromptError as error:
            failures.append((index, Failure(reason=str(error))))
            continue
        room = ask.max_tokens
        if loaded.context is not None:
            room = min(room, loaded.context - len(prompt))
        if room < 1:
            failures.append((index, too_long(len(prompt), loaded.context)))
            continue
        stops = (*ask.stop, PLAIN_STOP) if loaded.prompter.plain else ask.stop
        rows.append(_Row(index, ask, prompt, room, stops, _noise(ask)))
    return rows, failures


def too_long(tokens: int, context: int | None) -> Failure:
    """The failure of a request that the model's context cannot hold."""
    return Failure(reason=f"{tokens} tokens do not fit the model's context of {context}")


def _noise(ask: Ask) -> torch.Generator | None:
    """A source of noise that depends on the request (its seed and replicate) and nothing else."""
    if ask.temperature <= 0.0:
        return None
    text = json.dumps(request_payload(ask), sort_keys=True, separators=(",", ":"))
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return torch.Generator().manual_seed(seed >> 1)


class _Decoder:
    """The rows that wait, the seats that rows have in the state, and the state."""

    def __init__(self, loaded: Loaded, rows: list[_Row], batch_tokens: int) -> None:
        self.loaded, self.network = loaded, loaded.network
        self.batch_tokens = batch_tokens
        self.waiting = deque(sorted(rows, key=lambda row: (-row.total, row.prompt)))
        self.seats: list[_Row | None] = []
        self.entering: list[_Row] = []
        self.state: Any = None

    def run(self) -> Iterator[Answered]:
        """Yield replies until no row is left."""
        done: Answered = []
        shown = time.monotonic()
        while self.waiting or any(self.seats):
            try:
                self._admit()
                done += self._step()
            except torch.cuda.OutOfMemoryError:
                done += self._shrink()
            if done or time.monotonic() - shown > PAUSE_S:
                yield done
                done, shown = [], time.monotonic()

    def _shrink(self) -> Answered:
        """Halve the batch and put the rows back; a row that does not even fit alone fails."""
        rows = [row for row in self.seats if row] + self.entering
        self.seats, self.entering, self.state = [], [], None
        torch.cuda.empty_cache()
        if len(rows) == 1:
            return [(rows[0].index, OUT_OF_MEMORY)]
        self.batch_tokens = max(row.total for row in rows) * (len(rows) // 2)
        for row in sorted(rows, key=lambda row: row.total):
            row.restart()
            self.waiting.appendleft(row)
        return []

    def _admit(self) -> None:
        """Fill free seats where that is worth a new state, or shrink one that is half empty."""
        live = [row for row in self.seats if row]
        longest = max(row.total for row in (*live, *list(self.waiting)[:1]))
        places = max(self.batch_tokens // longest, 1)
        free = places - len(live)
        if self.waiting and free >= max(places // 2, 1):
            count = min(free, len(self.waiting))
            self.entering = [self.waiting.popleft() for _ in range(count)]
        elif len(live) > len(self.seats) // 2:
            return
        self._reseat()

    def _reseat(self) -> None:
        """A new state of the live and the entering rows."""
        kept = [seat for seat, row in enumerate(self.seats) if row]
        parts: list[tuple[Any, list[int]]] = [(self.state, kept)] if kept else []
        seats: list[_Row | None] = [self.seats[seat] for seat in kept]
        for group in _alike(self.entering):
            prefixes = {tuple(row.prompt[:-1]): 0 for row in group}
            prefixes = {prefix: place for place, prefix in enumerate(prefixes)}
            state = self.network.prefill(list(prefixes))
            parts.append((state, [prefixes[tuple(row.prompt[:-1])] for row in group]))
            seats += group
        self.state = self.network.gather(parts, max(row.total for row in seats if row))
        self.seats, self.entering = seats, []

    def _step(self) -> Answered:
        """Read one token per row and choose the next."""
        tokens = [[row.last] if row else [0] for row in self.seats]
        starts = [row.start if row else 0 for row in self.seats]
        logits = self.network.feed(self.state, tokens, starts)[:, 0]
        seats = [seat for seat, row in enumerate(self.seats) if row]
        live = [row for row in self.seats if row]
        if len(seats) < len(self.seats):
            logits = logits[torch.tensor(seats, device=logits.device)]
        done: Answered = []
        for seat, row, token in zip(seats, live, self._choose(logits.float(), live), strict=True):
            if reply := _advance(self.loaded, row, token):
                done.append((row.index, reply))
                self.seats[seat] = None
        return done

    @torch.inference_mode()
    def _choose(self, logits: Tensor, live: Sequence[_Row]) -> list[int]:
        """The next token of every row, its log-probability noted where it was asked for.

        Args:
            logits: (row, vocab), float32.
            live: the rows.
        """
        tokens = logits.argmax(-1)
        warm = [place for place, row in enumerate(live) if row.noise is not None]
        if warm:
            where = torch.tensor(warm, device=logits.device)
            tokens[where] = _sample(logits[where], [live[place] for place in warm])
        chosen: list[int] = tokens.tolist()
        told = [place for place, row in enumerate(live) if row.ask.top_logprobs > 0]
        if told:
            where = torch.tensor(told, device=logits.device)
            _note(
                self.loaded.prompter,
                torch.log_softmax(logits[where], -1),
                [live[place] for place in told],
                [chosen[place] for place in told],
            )
        return chosen


def _alike(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Rows in groups of similar prompt length, so that reading them wastes little on padding."""
    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: -len(row.prompt)):
        if groups and len(row.prompt) > 0.75 * len(groups[-1][0].prompt):
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _sample(logits: Tensor, rows: Sequence[_Row]) -> Tensor:
    """Draw from softmax(logits / temperature) by the Gumbel-max trick (Maddison et al. 2014).

    Each row's noise comes from its own generator, one number per token of the vocabulary.
    """
    uniform = torch.stack([torch.rand(logits.shape[-1], generator=row.noise) for row in rows])
    gumbel = -torch.log(-torch.log(uniform)).to(logits.device)
    heat = torch.tensor([row.ask.temperature for row in rows], device=logits.device)
    return (logits / heat[:, None] + gumbel).argmax(-1)


def _note(
    prompter: Prompter, logprobs: Tensor, rows: Sequence[_Row], tokens: Sequence[int]
) -> None:
    """Note each row's chosen token and its alternatives, at temperature 1, to four decimals."""
    width = min(max(row.ask.top_logprobs for row in rows), logprobs.shape[-1])
    values, ids = (part.tolist() for part in logprobs.topk(width, dim=-1))
    own = logprobs.gather(-1, torch.tensor(tokens, device=logprobs.device)[:, None])[:, 0].tolist()
    for place, row in enumerate(rows):
        ranked = sorted(zip(values[place], ids[place], strict=True), key=lambda e: (-e[0], e[1]))
        row.logprobs.append(
            TokenLogprob(
                token=prompter.token(tokens[place]),
                logprob=round(own[place], 4),
                top=tuple(
                    (prompter.token(token), round(value, 4))
                    for value, token in ranked[: row.ask.top_logprobs]
                ),
            )
        )


def _advance(loaded: Loaded, row: _Row, token: int) -> Reply | None:
    """Take a token in; the reply, if that ends it."""
    if token in loaded.ends:
        return _reply(loaded.prompter, row, loaded.prompter.text(row.written), "stop")
    row.written.append(token)
    if row.stops and (text := _until_stop(loaded.prompter, row)) is not None:
        return _reply(loaded.prompter, row, text, "stop")
    if len(row.written) >= row.room:
        return _reply(loaded.prompter, row, loaded.prompter.text(row.written), "length")
    return None


def _until_stop(prompter: Prompter, row: _Row) -> str | None:
    """The text before the first stop string, if one is there."""
    # A token is at least a byte, so a stop string just completed lies in this many last ones.
    tail = prompter.text(row.written[-max(len(stop.encode()) for stop in row.stops) - 4 :])
    if not any(stop in tail for stop in row.stops):
        return None
    text = prompter.text(row.written)
    places = [text.find(stop) for stop in row.stops if stop in text]
    return text[: min(places)] if places else None


def _reply(prompter: Prompter, row: _Row, text: str, finish: FinishReason) -> Reply:
    logprobs = None
    if row.ask.top_logprobs > 0:
        kept = min(len(row.logprobs), len(row.written))
        while kept and len(prompter.text(row.written[: kept - 1])) >= len(text):
            kept -= 1
        logprobs = tuple(row.logprobs[:kept])
    if prompter.plain and row.ask.messages[-1].role != "assistant":
        text = text.lstrip(" ")
    return Reply(
        text=text,
        finish_reason=finish,
        logprobs=logprobs,
        usage=Usage(prompt_tokens=len(row.prompt), completion_tokens=len(row.written)),
    )
