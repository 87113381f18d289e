"""Every way an endpoint's reply can go wrong, and when it does."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from email.utils import formatdate
from pathlib import Path
from typing import Any

WORDS = ("yes", "no", "maybe", "Paris", "7", "42", "blue", "cask", "ullage", "unknown", "B", "A")


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and when.

    A request suffers the first fault that fits it and has not run out. Without `times` it suffers
    it always (a permanent fault); with ``times=k`` each distinct request suffers it k times.
    """

    kind: str
    """``http_NNN`` (any status), ``hang``, ``reset``, ``cut_connection``, ``cut_json``,
    ``trickle``, ``not_json``, ``not_object``, ``deep_json``, ``empty_choices``, ``choices_dict``,
    ``content_number``, ``content_null``, ``no_message``, ``lone_surrogate``, ``nan_logprobs``,
    ``huge_body``, ``redirect``, ``echo_error``, ``echo_content``, ``echo_fingerprint``."""
    contains: str = ""
    """Only requests whose canonical body has this in it."""
    share: float = 1.0
    """Only this share of distinct requests, chosen by a hash of `seed` and the request."""
    seed: int = 0
    times: int | None = None
    """How often each distinct request suffers it; None is always."""
    arrivals: tuple[int, ...] | None = None
    """Only the requests that arrive as these (0 is the first): a schedule."""
    retry_after: float | None = None
    """Seconds to announce with an ``http_…`` fault."""
    retry_after_form: str = "seconds"
    """``seconds`` or ``date`` (an HTTP-date, whole seconds)."""
    code: str = ""
    """``error.code`` of an ``http_…`` fault."""

    def fits(self, digest: str, body: str, arrival: int, suffered: int) -> bool:
        """Whether a request with this digest and body, arriving now, suffers this fault."""
        if self.times is not None and suffered >= self.times:
            return False
        if self.arrivals is not None and arrival not in self.arrivals:
            return False
        if self.contains not in body:
            return False
        if self.share >= 1.0:
            return True
        draw = hashlib.sha256(f"{self.seed}:{self.kind}:{digest}".encode()).digest()
        return int.from_bytes(draw[:8], "big") / 2**64 < self.share


def token_logprob(prefix: str, token: str) -> float:
    """A log-probability that depends on what came before: in [-6, -0.01], 4 decimals."""
    digest = hashlib.sha256(f"{prefix}\0{token}".encode("utf-8", "replace")).digest()
    return -round(0.01 + int.from_bytes(digest[:4], "big") / 2**32 * 5.99, 4)


def chat_logprobs(prefix: str, pieces: list[str], top: int) -> list[dict[str, Any]]:
    """``choices[0].logprobs.content``: the said token first, then less likely words."""
    content: list[dict[str, Any]] = []
    for piece in pieces:
        said = token_logprob(prefix, piece)
        alternatives = [(piece, said), *((word, said - 1 - i) for i, word in enumerate(WORDS))]
        content.append(
            {
                "token": piece,
                "logprob": said,
                "bytes": list(piece.encode("utf-8", "replace")),
                "top_logprobs": [{"token": t, "logprob": p} for t, p in alternatives[:top]],
            }
        )
        prefix += piece
    return content


def error(message: str, code: str = "") -> dict[str, Any]:
    """An OpenAI error body."""
    return {"error": {"message": message, "type": "test_error", "code": code or None}}


async def send(
    writer: asyncio.StreamWriter,
    status: int,
    reply: Any,
    headers: Mapping[str, str] | None = None,
    reason: str = "Because",
) -> int:
    """Write one whole response; returns its status."""
    payload = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
    lines = [f"HTTP/1.1 {status} {reason}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    lines.append(f"Content-Length: {len(payload)}")
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + payload)
    await writer.drain()
    return status


class Misbehaviour:
    """Every way a reply can go wrong."""

    def __init__(
        self,
        writer: asyncio.StreamWriter,
        reader: asyncio.StreamReader,
        good: dict[str, Any],
        headers: Mapping[str, str],
    ) -> None:
        self.writer = writer
        self.reader = reader
        self.good = good
        self.headers = headers

    async def do(self, fault: Fault) -> tuple[int, bool]:
        """Misbehave; returns (status, whether the connection goes on)."""
        if fault.kind.startswith("http_"):
            status = int(fault.kind.removeprefix("http_"))
            return await send(self.writer, status, error("no", fault.code), pause(fault)), True
        if fault.kind in ("hang", "reset", "cut_connection", "trickle"):
            return await self._cut(fault.kind), False
        if fault.kind in ("redirect", "echo_error"):
            return await self._divert(fault.kind), True
        return await send(self.writer, 200, self._wrong_body(fault.kind)), True

    async def _cut(self, kind: str) -> int:
        payload = json.dumps(self.good).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
        if kind == "hang":
            await self.reader.read()
        elif kind == "cut_connection":
            self.writer.write(head + payload[: len(payload) // 2])
            await self.writer.drain()
        elif kind == "trickle":
            self.writer.write(head)
            while not self.reader.at_eof():
                self.writer.write(b" ")
                await self.writer.drain()
                await asyncio.sleep(0.02)
        return 0

    async def _divert(self, kind: str) -> int:
        if kind == "redirect":
            target = {"Location": "http://127.0.0.1:9/elsewhere"}
            return await send(self.writer, 307, error("moved"), target)
        echoed = dict(self.headers)
        flat = " ".join(f"{name}: {value}" for name, value in echoed.items())
        back = {f"X-Echo-{name}": value for name, value in echoed.items()}
        return await send(self.writer, 500, error(flat), back, reason=flat)

    def _wrong_body(self, kind: str) -> Any:
        good = json.loads(json.dumps(self.good))
        choice = good["choices"][0]
        if kind == "cut_json":
            payload = json.dumps(good).encode()
            return payload[: len(payload) // 2]
        if kind in RAW_BODIES:
            return RAW_BODIES[kind]()
        if kind == "empty_choices":
            good["choices"] = []
        elif kind == "choices_dict":
            good["choices"] = {"0": choice}
        elif kind == "no_message":
            del choice["message"]
        elif kind == "nan_logprobs":
            for entry in choice["logprobs"]["content"]:
                entry["logprob"] = float("nan")
        elif kind == "echo_fingerprint":
            good["system_fingerprint"] = self.headers.get("Authorization", "none sent")
        elif kind == "echo_content":
            flat = " ".join(f"{name}: {value}" for name, value in self.headers.items())
            choice["message"]["content"] = flat
            if "logprobs" in choice:
                choice["logprobs"]["content"] = chat_logprobs("", re.findall(".{1,5}", flat), 2)
        else:
            choice["message"]["content"] = CONTENTS[kind]
        return good


CONTENTS: dict[str, Any] = {"content_number": 7, "content_null": None, "lone_surrogate": "a\ud800b"}
RAW_BODIES: dict[str, Callable[[], bytes]] = {
    "not_json": lambda: b"<html><body>Bad gateway</body></html>",
    "not_object": lambda: b'["choices"]',
    "deep_json": lambda: b"[" * 200_000,
    "huge_body": lambda: b'{"choices": "' + b"x" * (17 * 2**20) + b'"}',
}


def pause(fault: Fault) -> dict[str, str]:
    """The Retry-After header the fault announces, in the form it wants."""
    if fault.retry_after is None:
        return {}
    if fault.retry_after_form == "date":
        return {"Retry-After": formatdate(time.time() + fault.retry_after, usegmt=True)}
    return {"Retry-After": f"{fault.retry_after:g}"}


def read_faults(path: Path) -> list[Fault]:
    """Faults from a JSON list of objects with the fields of `Fault`."""
    known = {spec.name for spec in fields(Fault)}
    faults = []
    for entry in json.loads(path.read_text("utf-8")):
        if unknown := set(entry) - known:
            raise SystemExit(f"{path}: unknown fields {sorted(unknown)}")
        if entry.get("arrivals") is not None:
            entry["arrivals"] = tuple(entry["arrivals"])
        faults.append(Fault(**entry))
    return faults
