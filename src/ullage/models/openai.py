"""``openai:`` models: any endpoint that speaks the OpenAI protocol, over httpx.

Requests go to ``{base_url}/chat/completions`` (`Ask`) and ``{base_url}/completions`` (`Weigh`), and
once, before anything else, to ``{base_url}/models``. Nothing else is fetched.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Self

from ullage.config.models import OpenAIOptions
from ullage.errors import InfrastructureError, InputError
from ullage.models import openai_wire as wire
from ullage.models.openai_http import Endpoint, Trouble
from ullage.models.openai_pace import AdaptiveLimiter, Outcome, backoff
from ullage.models.types import Access, Answer, Ask, Failure, Request, UnsupportedRequestError

BACKOFF_S = 0.5
"""Longest wait after the first failed attempt; it doubles with each."""
GONE_AFTER = 3
"""Requests in a row whose every attempt failed to connect, after which the endpoint is gone."""

_OURS = frozenset(
    {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "seed"}
    | {"stop", "logprobs", "top_logprobs", "echo", "n", "best_of", "stream", "stream_options"}
    | {"continue_final_message", "add_generation_prompt"}
)
"""Fields of `extra_body` that would make a request another than the one that is written down."""


class OpenAIModel:
    """A model behind an endpoint. Make one with `OpenAIModel.open`."""

    def __init__(
        self,
        name: str,
        options: OpenAIOptions,
        *,
        offered: Mapping[str, Any] | None = None,
        backoff_s: float = BACKOFF_S,
    ) -> None:
        """Set up; nothing is asked.

        Args:
            name: what the endpoint knows the model by.
            options: where and how it is asked.
            offered: what `/models` says of it, if it was asked (`open` does).
            backoff_s: see `BACKOFF_S`.

        Raises:
            InputError: the key's variable is not set, or `extra_body` overrides what is asked.
        """
        self._name = name
        self._options = options
        self._endpoint = Endpoint(name, options)
        for field in sorted(_OURS & options.extra_body.keys()):
            raise InputError(
                f"{self._endpoint.where}: extra_body sets '{field}', which each request sets; "
                "remove it"
            )
        self._offered = dict(offered or {})
        self._backoff_s = backoff_s
        self._limiter = AdaptiveLimiter(options.max_concurrency)
        self._unconnected = 0

    @classmethod
    async def open(
        cls, name: str, options: OpenAIOptions, *, backoff_s: float = BACKOFF_S
    ) -> OpenAIModel:
        """The model, with what the endpoint's `/models` says of it in its identity.

        A reply's ``system_fingerprint`` cannot be in the identity: it is known only after asking,
        and behind one name several systems may take turns. It is kept with each reply instead. An
        endpoint without `/models` (404, 405, or something else in its place) offers no facts.

        Raises:
            InputError: see `__init__`.
            InfrastructureError: the endpoint does not answer, or refuses the key.
        """
        model = cls(name, options, backoff_s=backoff_s)
        async with model:
            offered = await model._ask_what_is_offered()
        return cls(name, options, offered=offered, backoff_s=backoff_s)

    @property
    def identity(self) -> str:
        """Hash over address, name, what changes a reply, and what `/models` says of the model."""
        facts = {
            "base_url": self._endpoint.base_url,
            "model": self._name,
            "extra_body": self._options.extra_body,
            "logprobs": self._options.logprobs,
            "offered": self._offered,
        }
        text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        return "openai:" + hashlib.sha256(text.encode()).hexdigest()

    @property
    def description(self) -> Mapping[str, Any]:
        """Plain facts for the statement. Values of `extra_body` stay out: they may be private."""
        facts: dict[str, Any] = {
            "adapter": "openai",
            "model": self._name,
            "base_url": self._endpoint.base_url,
            "offered": dict(self._offered),
            "extra_body": sorted(self._options.extra_body),
            "fingerprint": "reported with each reply",
        }
        if self._options.completions:
            facts["weighs"] = wire.WEIGH_RENDERING
        return facts

    @property
    def access(self) -> frozenset[Access]:
        """Text, and what the options say the endpoint has."""
        levels = {Access.TEXT}
        if self._options.logprobs:
            levels.add(Access.LOGPROBS)
        if self._options.completions:
            levels.add(Access.WEIGH)
        return frozenset(levels)

    @property
    def deterministic(self) -> bool:
        """No: replies depend on what else the endpoint serves at that moment."""
        return False

    @property
    def keyed_by_item(self) -> bool:
        """No."""
        return False

    @property
    def window(self) -> int:
        """Enough that a slow reply does not leave the others waiting."""
        return 4 * self._options.max_concurrency

    def __repr__(self) -> str:
        return f"<{self._endpoint.where}>"

    async def __aenter__(self) -> Self:
        self._endpoint.connect()
        self._limiter = AdaptiveLimiter(self._options.max_concurrency)
        self._unconnected = 0
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._endpoint.close()

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """Answer every request, yielding (index, answer) as each is known.

        Raises:
            InfrastructureError: the endpoint refuses the key, wants money, or is gone.
            InputError: there is no such address or model (404).
            UnsupportedRequestError: a `Weigh` without `Access.WEIGH`.
        """
        bodies = [self._body(request) for request in requests]
        found: asyncio.Queue[tuple[int, Answer] | Exception] = asyncio.Queue()
        waiting = iter(enumerate(zip(requests, bodies, strict=True)))

        async def work() -> None:
            try:
                for index, (request, body) in waiting:
                    found.put_nowait((index, await self._settle(request, body)))
            except Exception as error:
                found.put_nowait(error)

        count = min(self._options.max_concurrency, len(requests))
        workers = [asyncio.create_task(work()) for _ in range(count)]
        try:
            for _ in requests:
                result = await found.get()
                if isinstance(result, Exception):
                    raise result
                yield result
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def _body(self, request: Request) -> bytes:
        if isinstance(request, Ask):
            # OpenAI's newer models refuse the old name; other servers may not know the new one.
            openai = self._endpoint.host == "api.openai.com"
            body = wire.ask_body(
                self._name,
                request,
                logprobs=self._options.logprobs,
                limit_name="max_completion_tokens" if openai else "max_tokens",
            )
        elif self._options.completions:
            body = wire.weigh_body(self._name, request)
        else:
            raise UnsupportedRequestError(f"{self!r} does not weigh continuations")
        return json.dumps(self._options.extra_body | body).encode()

    async def _settle(self, request: Request, body: bytes) -> Answer:
        """Ask until there is an answer or the attempts are used up."""
        trouble = Trouble("not asked")
        for number in range(self._options.max_attempts):
            if number > 0:
                wait = trouble.retry_after or backoff(number - 1, self._backoff_s)
                await asyncio.sleep(wait)
            found = await self._attempt_in_turn(request, body)
            if not isinstance(found, Trouble):
                self._unconnected = 0
                return found
            if found.fatal is not None:
                raise found.fatal
            if self._is_too_long(found.retry_after):
                return Failure(reason="retry-after is too long")
            trouble = found
            if not found.retry:
                break
        self._note_whether_gone(trouble)
        return Failure(reason=trouble.reason)

    def _is_too_long(self, retry_after: float | None) -> bool:
        return retry_after is not None and retry_after > self._options.max_retry_after_s

    def _note_whether_gone(self, trouble: Trouble) -> None:
        self._unconnected = 0 if trouble.connected else self._unconnected + 1
        if self._unconnected >= GONE_AFTER:
            raise InfrastructureError(
                f"{self._endpoint.where}: no connection for {GONE_AFTER} requests in a row; see "
                "that the endpoint is up and run again to go on"
            )

    async def _attempt_in_turn(self, request: Request, body: bytes) -> Answer | Trouble:
        turn = await self._limiter.acquire()
        outcome = Outcome.NEITHER
        try:
            found = await self._attempt(request, body)
            outcome = found.outcome if isinstance(found, Trouble) else Outcome.GOOD
        finally:
            self._limiter.release(turn, outcome)
        asked = found.retry_after if isinstance(found, Trouble) else None
        if asked is not None and not self._is_too_long(asked):
            # What the endpoint asks of one request it means for all of them.
            self._limiter.pause(asked)
        return found

    async def _attempt(self, request: Request, body: bytes) -> Answer | Trouble:
        path = "/chat/completions" if isinstance(request, Ask) else "/completions"
        found = await self._endpoint.exchange("POST", path, body)
        if isinstance(found, Trouble):
            return found
        try:
            data = wire.decode(found.content)
            if isinstance(request, Ask):
                return wire.parse_reply(data, request, logprobs=self._options.logprobs)
            return wire.parse_weights(data, request)
        except wire.MalformedReplyError as error:
            return Trouble(f"malformed reply: {error}")

    async def _ask_what_is_offered(self) -> dict[str, Any]:
        reason = ""
        for number in range(self._options.max_attempts):
            if number > 0:
                await asyncio.sleep(backoff(number - 1, self._backoff_s))
            found = await self._endpoint.exchange("GET", "/models")
            if not isinstance(found, Trouble):
                try:
                    data = wire.decode(found.content)
                    return wire.offered_facts(data, self._name, found.clock)
                except wire.MalformedReplyError:
                    reason = ""
                    continue
            # A key may be good for asking and still not for listing (403).
            if isinstance(found.fatal, InfrastructureError) and found.status != 403:
                raise found.fatal
            if not found.retry:
                return {}
            reason = found.reason
        if not reason:
            return {}
        raise InfrastructureError(
            f"{self._endpoint.where}: does not answer ({reason}); see that the endpoint is up and "
            "that openai.base_url is its address"
        )
