"""Who may see the pages and who may write through them: what `Guard` lets pass, as Jupyter does.

A page of this server can sign an acceptance, and any page a browser has open may send requests to
any address. So, before any of our own code sees a request: its ``Host`` must be one of ours (a
foreign name that was made to resolve to this machine is refused), it must bear the cookie that
only the printed address gives, and a write must come from our own page: by its ``Origin``, and by a
token that only our own form holds. What goes out says that nothing foreign may load, run or frame
it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BODY = 64 * 1024
"""Bytes of a form: a reason is a paragraph, not a book."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every response, unless a page is stricter in its own way."""


@dataclass(frozen=True)
class Access:
    """What opens the pages."""

    token: str
    """In the address that is printed."""
    hosts: frozenset[str]
    """What a browser may call this server, in lower case, with the port where it would say it."""
    cookie_name: str
    """Tells servers on other ports of this machine apart, which share a browser's cookies."""
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """What the cookie holds."""

    @property
    def csrf(self) -> str:
        """What a form of ours holds; nothing can be learnt from it about the cookie."""
        return hmac.new(self.session.encode(), b"csrf", "sha256").hexdigest()

    def opens(self, headers: Headers) -> bool:
        """Whether a request bears the cookie."""
        cookies = cookie_parser(headers.get("cookie", ""))
        return _same(cookies.get(self.cookie_name, ""), self.session)


class Guard:
    """Stands before the application; a form that it let pass is in ``scope["form"]``.

    Args:
        app: what answers requests that may pass.
        access: what opens it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it."""
        if scope["type"] != "http":
            return  # uvicorn is told to speak nothing else

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["method"] == "POST":
            refusal = await self._read_form(scope, receive)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._access.hosts:
            return _refuse(403, "This server is not called that. Use the address it printed.")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return _refuse(405, "Pages are read, and forms are sent.")
        if scope["method"] != "POST" and (given := self._with_token(scope)):
            return given
        if not self._access.opens(headers):
            return _refuse(401, "Open the whole address that `ullage serve` printed.")
        if scope["method"] == "POST" and not _is_ours(headers, hosts[0]):
            return _refuse(403, "This was not sent by a page of this server.")
        return None

    def _with_token(self, scope: Scope) -> Response | None:
        """Where the address has the token: the cookie, and the same address without it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(name == "token" and _same(value, self._access.token) for name, value in query):
            return None
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        # One slash: two would begin the name of another server.
        place = "/" + quote(scope["path"].lstrip("/\\")) + (f"?{rest}" if rest else "")
        response = RedirectResponse(place, status_code=303)
        response.set_cookie(
            self._access.cookie_name, self._access.session, httponly=True, samesite="strict"
        )
        return response

    async def _read_form(self, scope: Scope, receive: Receive) -> Response | None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return _refuse(400, "The form did not arrive.")
            body += message.get("body", b"")
            if len(body) > MOST_BODY:
                return _refuse(413, "That is more than a form holds.")
            if not message.get("more_body"):
                break
        try:
            fields = parse_qs(body.decode(), keep_blank_values=True, errors="strict")
        except ValueError:
            return _refuse(400, "The form is not text.")
        if not _same(fields.get("csrf", [""])[0], self._access.csrf):
            return _refuse(403, "The form is of an earlier start of this server. Load it anew.")
        scope["form"] = {name: values[0] for name, values in fields.items()}
        return None


def form_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the form that was let pass."""
    form: dict[str, str] = scope["form"]
    return form


def _is_ours(headers: Headers, host: str) -> bool:
    """Whether our own page sent it. A proxy before us may have done so under https."""
    origin = headers.get("origin", "").lower()
    site = headers.get("sec-fetch-site", "same-origin")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return (
        origin in (f"http://{host.lower()}", f"https://{host.lower()}")
        and site == "same-origin"
        and kind == "application/x-www-form-urlencoded"
    )


def _same(given: str, wanted: str) -> bool:
    """Compare secrets in a time that tells nothing of them."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _refuse(status: int, why: str) -> Response:
    return PlainTextResponse(why + "\n", status_code=status)
