"""``openai:`` models: any endpoint that speaks the OpenAI protocol, over httpx.

Requests go to ``{base_url}/chat/completions`` (`Ask`) and ``{base_url}/completions`` (`Weigh`), and
once, before anything else, to ``{base_url}/models``. Nothing else is fetched and no redirect is
followed: the key goes nowhere but to the address the user wrote.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Self

import httpx

from ullage import __version__
from ullage.config.models import OpenAIOptions
from ullage.errors import InfrastructureError, InputError, UllageError
from ullage.models import openai_wire as wire
from ullage.models.openai_pace import AdaptiveLimiter, Outcome, backoff, retry_after_seconds
from ullage.models.secrets import Secret, read_secret, redact
from ullage.models.types import Access, Answer, Ask, Failure, Request, UnsupportedRequestError

MOST_BYTES = 16 * 2**20
"""Largest body read. A reply of a thousand tokens with twenty alternatives each is 2 MB."""
BACKOFF_S = 0.5
"""Mean wait after the first failed attempt is half of this; it doubles."""
CONNECT_S = 10.0
GONE_AFTER = 3
"""Requests in a row whose every attempt failed to connect, after which the endpoint is gone."""

_OURS = frozenset(
    {"model", "messages", "prompt", "max_tokens", "max_completion_tokens", "temperature", "seed"}
    | {"stop", "logprobs", "top_logprobs", "echo", "n", "best_of", "stream", "stream_options"}
    | {"continue_final_message", "add_generation_prompt"}
)
"""Fields of `extra_body` that would make a request another than the one that is written down."""
_TRANSIENT = frozenset({408, 409, 425, 429})
_PUSHES_BACK = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class _Exchange:
    """One response, read whole."""

    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of asking once."""

    answer: Answer | None = None
    reason: str = ""
    retry: bool = True
    outcome: Outcome = Outcome.NEITHER
    retry_after: float | None = None
    fatal: UllageError | None = None
    connected: bool = True


class _Bearer(httpx.Auth):
    """Sets the header as a request leaves, so that the key lives in no client or body."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


class _TooLargeError(Exception):
    """The body is over `MOST_BYTES`."""


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
        self._base_url = str(httpx.URL(options.base_url)).rstrip("/")
        self._where = f"openai:{name} at {self._base_url}"
        for field in sorted(_OURS & options.extra_body.keys()):
            raise InputError(
                f"{self._where}: extra_body sets '{field}', which each request sets; remove it"
            )
        variable = options.api_key_env
        self._key = read_secret(variable, where=self._where) if variable else None
        self._offered = dict(offered or {})
        self._backoff_s = backoff_s
        self._client: httpx.AsyncClient | None = None
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
            "base_url": self._base_url,
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
            "base_url": self._base_url,
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
        return f"<{self._where}>"

    async def __aenter__(self) -> Self:
        options = self._options
        most = options.max_concurrency
        self._client = httpx.AsyncClient(
            auth=None if self._key is None else _Bearer(self._key),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"ullage/{__version__}",
            },
            timeout=httpx.Timeout(options.timeout_s, connect=CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            follow_redirects=False,
        )
        self._limiter = AdaptiveLimiter(most)
        self._unconnected = 0
        return self

    async def __aexit__(self, *exc: object) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

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
            except Exception as error:  # noqa: BLE001, RUF100
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
            host = httpx.URL(self._base_url).host
            body = wire.ask_body(
                self._name,
                request,
                logprobs=self._options.logprobs,
                # OpenAI's newer models refuse the old name; other servers may not know the new one.
                limit_name="max_completion_tokens" if host == "api.openai.com" else "max_tokens",
            )
        elif self._options.completions:
            body = wire.weigh_body(self._name, request)
        else:
            raise UnsupportedRequestError(f"{self._where} does not weigh continuations")
        return json.dumps(self._options.extra_body | body).encode()

    async def _settle(self, request: Request, body: bytes) -> Answer:
        """Ask until there is an answer or the attempts are used up."""
        found = _Attempt()
        for number in range(self._options.max_attempts):
            if number > 0:
                await asyncio.sleep(found.retry_after or backoff(number - 1, self._backoff_s))
            found = await self._attempt_in_turn(request, body)
            if found.answer is not None:
                self._unconnected = 0
                return found.answer
            if found.fatal is not None:
                raise found.fatal
            if (found.retry_after or 0.0) > self._options.max_retry_after_s:
                return Failure(reason="retry-after is too long")
            if not found.retry:
                break
        self._note_whether_gone(found)
        return Failure(reason=found.reason)

    def _note_whether_gone(self, found: _Attempt) -> None:
        self._unconnected = 0 if found.connected else self._unconnected + 1
        if self._unconnected >= GONE_AFTER:
            raise InfrastructureError(
                f"{self._where}: no connection for {GONE_AFTER} requests in a row; see that the "
                "endpoint is up and run again to go on"
            )

    async def _attempt_in_turn(self, request: Request, body: bytes) -> _Attempt:
        turn = await self._limiter.acquire()
        outcome = Outcome.NEITHER
        try:
            found = await self._attempt(request, body)
            outcome = found.outcome
            if found.retry_after is not None:
                self._limiter.pause(min(found.retry_after, self._options.max_retry_after_s))
            return found
        finally:
            self._limiter.release(turn, outcome)

    async def _attempt(self, request: Request, body: bytes) -> _Attempt:
        path = "/chat/completions" if isinstance(request, Ask) else "/completions"
        exchange = await self._exchange("POST", path, body)
        if isinstance(exchange, _Attempt):
            return exchange
        if exchange.status != 200:
            return self._refused(exchange, path)
        try:
            data = wire.decode(exchange.body)
            answer: Answer = (
                wire.parse_reply(data, request, logprobs=self._options.logprobs)
                if isinstance(request, Ask)
                else wire.parse_weights(data, request)
            )
        except wire.MalformedReplyError as error:
            return _Attempt(reason=f"malformed reply: {error}")
        return _Attempt(answer=answer, outcome=Outcome.GOOD)

    async def _exchange(self, method: str, path: str, body: bytes) -> _Exchange | _Attempt:
        """Send one request and read the response, or say what went wrong on the way.

        What httpx says of an error stays out of the reason: it may quote the other side.
        """
        if self._client is None:
            raise RuntimeError("asked outside `async with`")
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._read(self._client, method, path, body)
        except (TimeoutError, httpx.TimeoutException):
            return _Attempt(reason="timeout", outcome=Outcome.PUSHED_BACK)
        except _TooLargeError:
            return _Attempt(reason="malformed reply: over 16 MB")
        except httpx.ConnectError:
            return _Attempt(reason="no connection", connected=False)
        except (httpx.HTTPError, httpx.StreamError, OSError):
            return _Attempt(reason="connection cut off")

    async def _read(
        self, client: httpx.AsyncClient, method: str, path: str, body: bytes
    ) -> _Exchange:
        headers = {"Content-Type": "application/json"} if body else {}
        url = self._base_url + path
        async with client.stream(method, url, content=body, headers=headers) as response:
            payload = bytearray()
            async for chunk in response.aiter_bytes():
                payload += chunk
                if len(payload) > MOST_BYTES:
                    raise _TooLargeError
            return _Exchange(response.status_code, response.headers, bytes(payload))

    def _refused(self, exchange: _Exchange, path: str) -> _Attempt:
        """Any status but 200."""
        status = exchange.status
        code = _error_code(exchange.body)
        reason = f"http {status}" + (f" ({code})" if code and status < 500 else "")
        fatal = self._fatal(status, code, path)
        if fatal is not None:
            return _Attempt(reason=reason, fatal=fatal)
        pushed = status in _PUSHES_BACK
        asked = exchange.headers.get("retry-after")
        return _Attempt(
            reason=reason,
            retry=status >= 500 or status < 400 or status in _TRANSIENT,
            outcome=Outcome.PUSHED_BACK if pushed else Outcome.NEITHER,
            retry_after=retry_after_seconds(asked, exchange.headers.get("date")),
        )

    def _fatal(self, status: int, code: str, path: str) -> UllageError | None:
        """What no retry and no other request would mend."""
        variable = self._options.api_key_env
        if status in (401, 403):
            mend = (
                f"set {variable} to a key that may use this model"
                if variable
                else "name the environment variable of a key in openai.api_key_env"
            )
            return InfrastructureError(
                f"{self._where}: the endpoint refuses the key (http {status}); {mend}"
            )
        if status == 402 or code == "insufficient_quota":
            return InfrastructureError(
                f"{self._where}: the account has no credit left (http {status}); top it up and run "
                "again to go on"
            )
        if status == 404:
            return InputError(
                f"{self._where}: nothing at {path} (http 404); correct openai.base_url (it often "
                "ends in /v1) or the model's name"
            )
        return None

    async def _ask_what_is_offered(self) -> dict[str, Any]:
        reason = ""
        for number in range(self._options.max_attempts):
            if number > 0:
                await asyncio.sleep(backoff(number - 1, self._backoff_s))
            exchange = await self._exchange("GET", "/models", b"")
            if isinstance(exchange, _Attempt):
                reason = exchange.reason
            elif exchange.status == 200:
                try:
                    data = wire.decode(exchange.body)
                    return wire.offered_facts(data, self._name, _clock(exchange.headers))
                except wire.MalformedReplyError:
                    reason = ""
            elif exchange.status in (401, 402, 403):
                raise self._fatal(exchange.status, "", "/models") or AssertionError
            elif exchange.status < 500 and exchange.status not in _TRANSIENT:
                return {}
            else:
                reason = f"http {exchange.status}"
        if not reason:
            return {}
        raise InfrastructureError(
            f"{self._where}: does not answer ({reason}); see that the endpoint is up and that "
            "openai.base_url is its address"
        )


def _clock(headers: httpx.Headers) -> float:
    """The endpoint's time of answering, or ours."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        return time.time()


def _error_code(body: bytes) -> str:
    """``error.code`` and ``error.param`` where they are the short words they should be.

    They are all that is kept of an error body: enough to see which parameter an endpoint refuses,
    too little for a message that might hold anything.
    """
    try:
        error = wire.decode(body).get("error")
    except wire.MalformedReplyError:
        return ""
    fields = error if isinstance(error, dict) else {}
    words = [fields.get("code"), fields.get("param")]
    return redact(
        ": ".join(
            word
            for word in words
            if isinstance(word, str) and re.fullmatch(r"[a-z][a-z_]{1,39}", word)
        )
    )
