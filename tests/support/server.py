"""A real loopback server that speaks the OpenAI protocol, counts what it answered, and misbehaves.

It parses HTTP itself (asyncio streams), because half of what it must do is what a well-behaved
framework refuses to: cut a body short, close without a word, hang, lie about its length.

In a test::

    with LoopbackServer(faults=[Fault("http_500", times=1)]) as server:
        ...  # ask server.url
        assert server.stats()["answered"] == 40

In a process of its own, so that it outlives an audit that is killed::

    python -m tests.support.server --port 0 --faults faults.json --log log.jsonl

It prints ``{"port": …, "url": …}`` once it listens; ``GET /stats`` gives the counts.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import importlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.support.misbehaviour import (
    WORDS,
    Fault,
    Misbehaviour,
    chat_logprobs,
    error,
    read_faults,
    send,
    token_logprob,
)

__all__ = ["Fault", "LoopbackServer", "Responder", "Seen", "canonical", "hashed_words"]

Responder = Callable[[dict[str, Any]], str]
"""The reply text as a function of the request body, nothing else."""


@dataclass(frozen=True)
class Seen:
    """One request as the server saw it end."""

    digest: str
    """Canonical hash of path and body."""
    path: str
    started: float
    """Seconds since the epoch."""
    ended: float
    status: int
    """0 when the connection was left hanging or was cut."""
    fault: str
    """Empty for a good answer."""
    answered: bool
    """A good answer was sent to an open connection."""


def canonical(path: str, body: Any) -> tuple[str, str]:
    """(hash, canonical text) of a request: equal questions have equal hashes."""
    text = json.dumps([path, body], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32], text


def hashed_words(body: Mapping[str, Any]) -> str:
    """The default responder: a few words drawn from a hash of the request."""
    digest = hashlib.sha256(canonical("", body)[1].encode("utf-8", "replace")).digest()
    return " ".join(WORDS[byte % len(WORDS)] for byte in digest[:4])


def tokenise(text: str) -> list[str]:
    """Words with the space before them; the pieces join back to the text."""
    return re.findall(r"\s*\S+|\s+$", text)


class LoopbackServer:
    """The server, on a thread of its own: a context manager."""

    def __init__(
        self,
        *,
        faults: Iterable[Fault] = (),
        responder: Responder = hashed_words,
        latency: float = 0.0,
        capacity: int | None = None,
        key: str | None = None,
        models: tuple[dict[str, Any], ...] | None = ({"id": "test-model", "owned_by": "tests"},),
        fingerprint: str | None = "fp-test",
        port: int = 0,
        log: IO[str] | None = None,
    ) -> None:
        """Set up; nothing listens until it is entered.

        Args:
            faults: what goes wrong, in order of precedence.
            responder: the reply text as a function of the request body.
            latency: seconds a good answer takes.
            capacity: requests in flight above this get a 429.
            key: if given, requests without ``Authorization: Bearer <key>`` get a 401.
            models: what ``GET /v1/models`` lists; None answers 404.
            fingerprint: ``system_fingerprint`` of every reply; None leaves it out.
            port: 0 takes a free one.
            log: each finished request is written there as a JSON line, flushed.
        """
        self.faults = list(faults)
        self.responder = responder
        self.latency = latency
        self.capacity = capacity
        self.key = key
        self.models = models
        self.fingerprint = fingerprint
        self.port = port
        self._log = log
        self._lock = threading.Lock()
        self._seen: list[Seen] = []
        self._suffered: Counter[tuple[int, str]] = Counter()
        self._faulted: Counter[str] = Counter()
        self._arrived = 0
        self._listings = 0
        self._in_flight = 0
        self._max_in_flight = 0
        self._connections = 0
        self._bodies: list[dict[str, Any]] = []
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Base URL, to be used as ``openai.base_url``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=lambda: asyncio.run(self.serve()), daemon=True)
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the loopback server did not start")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._loop is not None and self._stop is not None and self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def serve(self) -> None:
        """Listen until stopped."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        handlers: set[asyncio.Task[None]] = set()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            handlers.add(task)
            try:
                await self._connection(reader, writer)
            finally:
                handlers.discard(task)

        server = await asyncio.start_server(handle, "127.0.0.1", self.port, limit=2**26)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)

    def stats(self) -> dict[str, Any]:
        """Counts so far, and one entry per finished request, in the order they ended."""
        with self._lock:
            seen = list(self._seen)
            answered = Counter(entry.digest for entry in seen if entry.answered)
            return {
                "received": self._arrived,
                "listings": self._listings,
                "answered": answered.total(),
                "answered_distinct": len(answered),
                "answered_twice": sorted(d for d, count in answered.items() if count > 1),
                "max_in_flight": self._max_in_flight,
                "in_flight": self._in_flight,
                "connections": self._connections,
                "by_status": dict(Counter(str(entry.status) for entry in seen)),
                "by_fault": dict(self._faulted),
                "requests": [vars(entry) for entry in seen],
            }

    def bodies(self) -> list[dict[str, Any]]:
        """Every request body received, in order of arrival (of this process only)."""
        with self._lock:
            return list(self._bodies)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._lock:
            self._connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            with self._lock:
                self._connections -= 1
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = dict(line.split(": ", 1) for line in head[1:] if ": " in line)
        lowered = {name.lower(): value for name, value in headers.items()}
        raw = await reader.readexactly(int(lowered.get("content-length", "0")))
        if method == "GET":
            status, reply = self._get(path, lowered)
            await send(writer, status, reply)
            return True
        return await self._post(path, raw, headers, lowered, reader, writer)

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        if path == "/stats":
            return 200, self.stats()
        if self._refuses(headers):
            return 401, error("Incorrect API key provided: " + headers.get("authorization", ""))
        with self._lock:
            self._listings += path.endswith("/models")
        if path.endswith("/models") and self.models is not None:
            return 200, {"object": "list", "data": list(self.models)}
        return 404, error("not found")

    def _refuses(self, headers: Mapping[str, str]) -> bool:
        return self.key is not None and headers.get("authorization") != f"Bearer {self.key}"

    async def _post(
        self,
        path: str,
        raw: bytes,
        headers: Mapping[str, str],
        lowered: Mapping[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        started = time.time()
        body = json.loads(raw)
        digest, text = canonical(path, body)
        fault, crowded = self._arrive(digest, text, body)
        kind = "capacity" if crowded else fault.kind if fault else ""

        def leave(status: int, *, answered: bool = False) -> None:
            self._leave(Seen(digest, path, started, time.time(), status, kind, answered))

        if self._refuses(lowered):
            leave(401)
            await send(writer, 401, error("Incorrect API key provided"))
        elif crowded:
            leave(429)
            await send(writer, 429, error("too many at once"))
        elif fault is None:
            await asyncio.sleep(self.latency)
            # Counted before it is sent, so that whoever has the answer finds it counted; not
            # counted as answered if nobody is there any more.
            leave(200, answered=not reader.at_eof())
            await send(writer, 200, self._reply(path, body))
        else:
            status, goes_on = 0, False
            try:
                good = self._reply(path, body)
                status, goes_on = await Misbehaviour(writer, reader, good, headers).do(fault)
            finally:
                leave(status)
            return goes_on
        return True

    def _arrive(self, digest: str, text: str, body: dict[str, Any]) -> tuple[Fault | None, bool]:
        with self._lock:
            arrival, self._arrived = self._arrived, self._arrived + 1
            self._bodies.append(body)
            self._in_flight += 1
            self._max_in_flight = max(self._max_in_flight, self._in_flight)
            crowded = self.capacity is not None and self._in_flight > self.capacity
            for index, fault in enumerate(self.faults):
                if fault.fits(digest, text, arrival, self._suffered[index, digest]):
                    self._suffered[index, digest] += 1
                    self._faulted[fault.kind] += not crowded
                    return fault, crowded
            return None, crowded

    def _leave(self, seen: Seen) -> None:
        with self._lock:
            self._in_flight -= 1
            self._seen.append(seen)
            if self._log is not None:
                self._log.write(json.dumps(vars(seen)) + "\n")
                self._log.flush()

    def _reply(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = self._completion(body) if path.endswith("/v1/completions") else self._chat(body)
        if self.fingerprint is not None:
            reply["system_fingerprint"] = self.fingerprint
        return reply

    def _chat(self, body: dict[str, Any]) -> dict[str, Any]:
        limit = body.get("max_tokens") or body.get("max_completion_tokens") or 16
        pieces = tokenise(self.responder(body))
        text = "".join(pieces[:limit])
        choice: dict[str, Any] = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "length" if len(pieces) > limit else "stop",
        }
        if body.get("logprobs"):
            prefix = json.dumps(body["messages"])
            choice["logprobs"] = {
                "content": chat_logprobs(prefix, pieces[:limit], body.get("top_logprobs", 0))
            }
        prompt = sum(len(tokenise(message["content"])) for message in body["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": len(pieces[:limit])}
        return {
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }

    def _completion(self, body: dict[str, Any]) -> dict[str, Any]:
        """Echo with log-probabilities, as vLLM does it (``max_tokens`` 0 generates nothing)."""
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices: list[dict[str, Any]] = []
        tokens = 0
        for index, prompt in enumerate(prompts):
            pieces = tokenise(prompt)
            tokens += len(pieces)
            choices.append(
                {
                    "index": index,
                    "text": prompt,
                    "finish_reason": "length",
                    "logprobs": echo_logprobs(pieces),
                }
            )
        return {
            "id": "cmpl-test",
            "object": "text_completion",
            "model": body["model"],
            "choices": choices,
            "usage": {"prompt_tokens": tokens, "completion_tokens": 0},
        }


def echo_logprobs(pieces: list[str]) -> dict[str, Any]:
    """``choices[i].logprobs`` of an echoed prompt: nothing is known of the first token.

    Tokens of even length are what greedy decoding would have said; the others have a rival.
    """
    offsets, values, tops, prefix = [], [], [], ""
    for piece in pieces:
        offsets.append(len(prefix))
        value = token_logprob(prefix, piece) if prefix else None
        values.append(value)
        rival = {} if len(piece) % 2 == 0 else {"<rival>": -0.001}
        tops.append(None if value is None else {piece: value, **rival})
        prefix += piece
    return {
        "tokens": pieces,
        "token_logprobs": values,
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def main(argv: list[str] | None = None) -> None:
    """Run as a process of its own until killed."""
    parser = argparse.ArgumentParser(description="A loopback OpenAI-compatible server.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=Path, help="JSON list of faults")
    parser.add_argument("--log", type=Path, help="append finished requests here as JSON lines")
    parser.add_argument("--responder", help="module:function giving the reply text of a body")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--capacity", type=int)
    parser.add_argument("--key")
    parser.add_argument("--model", action="append", help="a model id to list; may be repeated")
    options = parser.parse_args(argv)
    responder: Responder = hashed_words
    if options.responder:
        module, _, name = options.responder.partition(":")
        responder = getattr(importlib.import_module(module), name)
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(options.log.open("a")) if options.log else None
        server = LoopbackServer(
            faults=read_faults(options.faults) if options.faults else (),
            responder=responder,
            latency=options.latency,
            capacity=options.capacity,
            key=options.key,
            models=tuple(
                {"id": name, "owned_by": "tests"} for name in options.model or ["test-model"]
            ),
            port=options.port,
            log=log,
        )
        stack.enter_context(server)
        print(json.dumps({"port": server.port, "url": server.url}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
