"""One exchange with an endpoint: send, read within bounds, and say what it means if it is no reply.

Nothing that httpx or the endpoint says of an error gets into a reason: either may quote headers.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Generator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import httpx

from ullage import __version__
from ullage.config.models import OpenAIOptions
from ullage.errors import InfrastructureError, InputError, UllageError
from ullage.models import openai_wire as wire
from ullage.models.openai_pace import Outcome, retry_after_seconds
from ullage.models.secrets import Secret, read_secret, redact

MOST_BYTES = 16 * 2**20
"""Largest body read. A reply of a thousand tokens with twenty alternatives each is 2 MB."""
CONNECT_S = 10.0

_TRANSIENT = frozenset({408, 409, 425, 429})
_PUSHES_BACK = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Body:
    """A response with status 200, read whole."""

    content: bytes
    clock: float
    """The endpoint's time of answering (ours, if it says none), seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why an attempt brought no reply."""

    reason: str
    """Short, stable, and free of anything the other side said."""
    retry: bool = True
    outcome: Outcome = Outcome.NEITHER
    status: int = 0
    """0 when there was no whole response."""
    retry_after: float | None = None
    """Seconds the endpoint asks us to wait."""
    fatal: UllageError | None = None
    """Set when neither a retry nor another request would fare better."""
    connected: bool = True


class _Bearer(httpx.Auth):
    """Sets the header as a request leaves, so that no client or traceback holds the key."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        yield request


class _TooLargeError(Exception):
    """The body is over `MOST_BYTES`."""


class Endpoint:
    """An address, the key for it, and a pool of connections while open.

    No redirect is followed: the key goes nowhere but to the address the user wrote.
    """

    def __init__(self, name: str, options: OpenAIOptions) -> None:
        """Set up; nothing is connected.

        Args:
            name: the model's, for messages.
            options: where and how it is asked.

        Raises:
            InputError: the key's variable is not set.
        """
        self.base_url = str(httpx.URL(options.base_url)).rstrip("/")
        self.host = httpx.URL(options.base_url).host
        self.where = f"openai:{name} at {self.base_url}"
        self._options = options
        variable = options.api_key_env
        self._key = read_secret(variable, where=self.where) if variable else None
        self._client: httpx.AsyncClient | None = None

    def connect(self) -> None:
        """Open the pool; connections are made as they are needed."""
        most = self._options.max_concurrency
        self._client = httpx.AsyncClient(
            auth=None if self._key is None else _Bearer(self._key),
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "User-Agent": f"ullage/{__version__}",
            },
            timeout=httpx.Timeout(self._options.timeout_s, connect=CONNECT_S, pool=None),
            limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
            follow_redirects=False,
            # Loading certificates takes a tenth of a second; plain http has no use for them.
            verify=self.base_url.startswith("https:"),
        )

    async def close(self) -> None:
        """Close every connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def exchange(self, method: str, path: str, content: bytes = b"") -> Body | Trouble:
        """Send one request and read the response, within `timeout_s` as a whole."""
        if self._client is None:
            raise RuntimeError("asked outside `async with`")
        headers = {"Content-Type": "application/json"} if content else {}
        request = self._client.build_request(
            method, self.base_url + path, content=content, headers=headers
        )
        try:
            async with asyncio.timeout(self._options.timeout_s):
                response, body = await _read(self._client, request)
        except (TimeoutError, httpx.TimeoutException):
            return Trouble("timeout", outcome=Outcome.PUSHED_BACK)
        except _TooLargeError:
            return Trouble("malformed reply: over 16 MB")
        except httpx.ConnectError:
            return Trouble("no connection", connected=False)
        except (httpx.HTTPError, httpx.StreamError, OSError):
            return Trouble("connection cut off")
        if response.status_code == httpx.codes.OK:
            return Body(body, _clock(response.headers))
        return self._trouble(response, body, path)

    def _trouble(self, response: httpx.Response, body: bytes, path: str) -> Trouble:
        status, code = response.status_code, _error_code(body)
        told = f" ({code})" if code and status < 500 else ""
        asked, date = response.headers.get("retry-after"), response.headers.get("date")
        return Trouble(
            f"http {status}{told}",
            retry=status >= 500 or status < 400 or status in _TRANSIENT,
            outcome=Outcome.PUSHED_BACK if status in _PUSHES_BACK else Outcome.NEITHER,
            status=status,
            retry_after=retry_after_seconds(asked, date),
            fatal=self._fatal(status, code, path),
        )

    def _fatal(self, status: int, code: str, path: str) -> UllageError | None:
        if status in (401, 403):
            variable = self._options.api_key_env
            mend = (
                f"set {variable} to a key that may use this model"
                if variable
                else "name the environment variable of a key in openai.api_key_env"
            )
            return InfrastructureError(
                f"{self.where}: the endpoint refuses the key (http {status}); {mend}"
            )
        if status == 402 or code == "insufficient_quota":
            return InfrastructureError(
                f"{self.where}: the account has no credit left (http {status}); top it up and run "
                "again to go on"
            )
        if status == 404:
            return InputError(
                f"{self.where}: nothing at {path} (http 404); correct openai.base_url (it often "
                "ends in /v1) or the model's name"
            )
        return None


async def _read(client: httpx.AsyncClient, request: httpx.Request) -> tuple[httpx.Response, bytes]:
    response = await client.send(request, stream=True)
    try:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MOST_BYTES:
                raise _TooLargeError
        return response, bytes(body)
    finally:
        await response.aclose()


def _clock(headers: httpx.Headers) -> float:
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
    kept = [w for w in words if isinstance(w, str) and re.fullmatch(r"[a-z][a-z_]{1,39}", w)]
    return redact(": ".join(kept))
