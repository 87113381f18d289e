"""``recorded:`` models: earlier outputs in a file, so that an audit needs no model at all.

A row of the JSONL (or Parquet) file is one of::

    {"messages": [{"role": "user", "content": "…"}], "text": "…"}
    {"prompt": "…", "text": "…", "finish_reason": "length", "replicate": 1}
    {"id": "item-7", "text": "…", "turn": 1}                          with recorded.match: id
    {"messages": […], "continuations": ["A", "B"], "logprobs": [-0.1, -2.3], "tokens": [1, 1]}
    {"id": "item-7", "text": "…", "scores": {"acc": 1.0}}              scored by another evaluation

``logprobs`` of a reply are as OpenAI gives them. ``replicate`` numbers repetitions of one question
from 0. ``turn`` is how many assistant turns the conversation already has when the reply is asked
for; a row found by id that also has ``messages`` answers only that very conversation.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from ullage.config.models import RecordedOptions
from ullage.models.recorded_index import RecordedIndex
from ullage.models.recorded_rows import answers_these, request_digest
from ullage.models.types import (
    Access,
    Answer,
    Ask,
    Failure,
    Reply,
    Request,
    TokenLogprob,
    UnsupportedRequestError,
    Weigh,
)

_BREATH = 256
"""Answers after which other tasks get a turn: looking up never waits for anything by itself."""


class RecordedModel:
    """Replies from a file."""

    def __init__(self, path: Path, options: RecordedOptions) -> None:
        """Read and check the whole file once: its content is the identity.

        Raises:
            InputError: the file or a row of it is wrong.
        """
        self._path = path
        self._match = options.match
        self._about = options.about
        self._index = RecordedIndex(path, options.match)

    @property
    def identity(self) -> str:
        """Hash of the file's content and of how rows are looked up."""
        text = f"{self._match}:{self._index.sha256}"
        return "recorded:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def description(self) -> Mapping[str, Any]:
        """Plain facts for the statement."""
        return {
            "adapter": "recorded",
            **self._about,
            "file": self._path.name,
            "sha256": self._index.sha256,
            "match": self._match,
            "replies": self._index.replies,
            "weighings": self._index.weighings,
        }

    @property
    def access(self) -> frozenset[Access]:
        """What rows there are."""
        index = self._index
        has = {
            Access.TEXT: index.replies > 0,
            Access.LOGPROBS: index.with_logprobs > 0,
            Access.WEIGH: index.weighings > 0,
            Access.SCORES: index.with_scores > 0,
        }
        return frozenset(level for level, there in has.items() if there)

    @property
    def deterministic(self) -> bool:
        """Yes: the file says what it says."""
        return True

    @property
    def keyed_by_item(self) -> bool:
        """When replies are looked up by item id."""
        return self._match == "id"

    @property
    def window(self) -> int:
        """Any number will do."""
        return _BREATH

    def __repr__(self) -> str:
        return f"<recorded:{self._path.name}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Nothing to give back: the file is closed with the model."""

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """Look every request up, in order; one that is not there is a `Failure`.

        Raises:
            InputError: the file was changed since it was read.
            UnsupportedRequestError: a `Weigh`, and the file has no such rows.
        """
        self._index.refuse_if_changed()
        for index, request in enumerate(requests):
            if isinstance(request, Weigh) and self._index.weighings == 0:
                raise UnsupportedRequestError(f"{self!r} has no recorded likelihoods")
            if index % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            yield index, self._look_up(request)

    def _look_up(self, request: Request) -> Answer:
        row = self._index.find(request_digest(request, self._match))
        if row is None or (self._match == "id" and not answers_these(row, request.messages)):
            return Failure(reason="not recorded")
        if not isinstance(row.answer, Reply) or not isinstance(request, Ask):
            return row.answer
        return self._as_asked(row.answer, request)

    def _as_asked(self, reply: Reply, ask: Ask) -> Answer:
        if ask.top_logprobs == 0 or self._index.with_logprobs == 0:
            return reply if reply.logprobs is None else replace(reply, logprobs=None)
        if reply.logprobs is None:
            return Failure(reason="recorded without log-probabilities")
        return replace(
            reply,
            logprobs=tuple(
                TokenLogprob(token=t.token, logprob=t.logprob, top=t.top[: ask.top_logprobs])
                for t in reply.logprobs
            ),
        )
