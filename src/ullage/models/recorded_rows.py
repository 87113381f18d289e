"""One row of a recording: what it must hold, what it is looked up by, what it answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ullage.models import openai_wire as wire
from ullage.models.types import Ask, Message, Reply, Request, Weights

Match = Literal["messages", "id"]

COLUMNS = (
    "id",
    "turn",
    "replicate",
    "messages",
    "prompt",
    "text",
    "reply",
    "finish_reason",
    "fingerprint",
    "usage",
    "scores",
    "continuations",
    "logprobs",
    "tokens",
    "greedy",
)
"""The keys that mean something; others are left alone."""

_ALL_TOP = 1_000
_MOST_SCORE = 1e15


class RowError(Exception):
    """What is wrong with a row and what would do; the reader adds file and line."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row, checked."""

    digest: bytes
    """16 bytes: what it is looked up by."""
    messages: tuple[tuple[str, str], ...] | None
    """The conversation it answers, where it says so."""
    answer: Reply | Weights


def parse_row(line: bytes, match: Match) -> Row:
    """Check one line of JSON.

    Raises:
        RowError: it is not a row, with the reason.
    """
    try:
        data = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RowError(
            f"not UTF-8 (byte {line[error.start]:#04x} at column {error.start + 1}); "
            "save the file as UTF-8"
        ) from None
    except (ValueError, RecursionError):
        raise RowError("not JSON; write one JSON object per line") from None
    if not isinstance(data, dict):
        raise RowError(f"a JSON {_kind(data)}; write one JSON object per line")
    messages = _messages(data)
    if "continuations" in data:
        continuations = _strings(data, "continuations")
        answer: Reply | Weights = _weights(data, len(continuations))
    else:
        continuations, answer = None, _reply(data)
    replicate = _whole(data, "replicate")
    if match == "messages":
        if messages is None:
            mend = "; or set recorded.match to id" if "id" in data else ""
            raise RowError(f"no 'messages' and no 'prompt'; add one{mend}")
        return Row(digest(list(messages), continuations, replicate), messages, answer)
    item = data.get("id")
    if item == "" or type(item) not in (str, int):
        raise RowError("no 'id' with the item's id; add it, or set recorded.match to messages")
    place = [str(item), _whole(data, "turn")]
    return Row(digest(place, continuations, replicate), messages, answer)


def request_digest(request: Request, match: Match) -> bytes:
    """What the row that answers a request is looked up by.

    With ``match: id`` the turn is how many assistant turns the conversation already has.
    """
    continuations = None if isinstance(request, Ask) else request.continuations
    place: list[Any]
    if match == "messages":
        place = [(turn.role, turn.content) for turn in request.messages]
    else:
        turns = sum(turn.role == "assistant" for turn in request.messages)
        place = [request.subject.item, turns]
    return digest(place, continuations, request.replicate)


def answers_these(row: Row, messages: Sequence[Message]) -> bool:
    """Whether a row found by id is of this conversation, as far as it says."""
    return row.messages is None or row.messages == tuple((m.role, m.content) for m in messages)


def digest(place: list[Any], continuations: Sequence[str] | None, replicate: int) -> bytes:
    """16 bytes that stand for a question; two questions share them with probability 2^-128."""
    text = json.dumps([place, continuations, replicate])
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def _messages(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...] | None:
    found = data.get("messages")
    if found is None:
        prompt = data.get("prompt")
        if prompt is None:
            return None
        if not isinstance(prompt, str):
            raise RowError(f"'prompt' is a {_kind(prompt)}; make it a string")
        return (("user", prompt),)
    if not isinstance(found, list) or not found:
        raise RowError("'messages' is no list of messages; write [{'role': …, 'content': …}, …]")
    return tuple(_turn(turn) for turn in found)


def _turn(turn: Any) -> tuple[str, str]:
    role, content = (
        (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (None, None)
    )
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise RowError(
            "a message without a known role and a text; write {'role': 'system', 'user' or "
            "'assistant', 'content': '…'}"
        )
    return role, content


def _reply(data: Mapping[str, Any]) -> Reply:
    text = data.get("text", data.get("reply"))
    if not isinstance(text, str):
        found = f"'text' is a {_kind(text)}" if "text" in data or "reply" in data else "no 'text'"
        raise RowError(f"{found}; put what the model said there, as a string")
    logprobs = data.get("logprobs")
    if isinstance(logprobs, list):
        logprobs = {"content": logprobs}
    try:
        tokens = None if logprobs is None else wire.token_logprobs(logprobs, _ALL_TOP)
    except wire.MalformedReplyError as error:
        raise RowError(
            f"'logprobs': {error}; write [{{'token': …, 'logprob': …, 'top_logprobs': […]}}, …]"
        ) from None
    fingerprint = data.get("fingerprint")
    return Reply(
        text=wire.clean(text),
        finish_reason=wire.finish_reason(data.get("finish_reason", "stop")),
        logprobs=tokens,
        usage=wire.usage(data),
        fingerprint=wire.clean(fingerprint)[:128] if isinstance(fingerprint, str) else None,
        scores=_scores(data),
    )


def _scores(data: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    found = data.get("scores") or {}
    if not isinstance(found, dict) or not all(
        type(value) in (int, float) and abs(value) <= _MOST_SCORE for value in found.values()
    ):
        raise RowError("'scores' is no object of numbers; write {'name': 0.5, …}")
    return tuple((wire.clean(name), float(value)) for name, value in found.items())


def _weights(data: Mapping[str, Any], count: int) -> Weights:
    logprobs = _column(data, "logprobs", count)
    tokens = _column(data, "tokens", count)
    greedy = _column(data, "greedy", count) if "greedy" in data else []
    if not all(type(value) in (int, float) and -1e9 <= value <= 1e-3 for value in logprobs):
        raise RowError("'logprobs' holds something that is no finite log-probability; correct it")
    if not all(type(value) is int and value >= 0 for value in tokens):
        raise RowError("'tokens' holds something that is no count; correct it")
    return Weights(
        logprobs=tuple(round(min(0.0, value), 4) + 0.0 for value in logprobs),
        tokens=tuple(tokens),
        greedy=tuple(bool(value) for value in greedy),
        usage=wire.usage(data),
    )


def _column(data: Mapping[str, Any], name: str, count: int) -> list[Any]:
    found = data.get(name)
    if not isinstance(found, list) or len(found) != count:
        raise RowError(f"'{name}' has not one entry for each of 'continuations'; add them")
    return found


def _strings(data: Mapping[str, Any], name: str) -> list[str]:
    found = data[name]
    if not isinstance(found, list) or not found or not all(isinstance(e, str) for e in found):
        raise RowError(f"'{name}' is no list of strings; write ['…', …]")
    return found


def _whole(data: Mapping[str, Any], name: str) -> int:
    found = data.get(name, 0)
    if isinstance(found, bool) or not isinstance(found, int) or found < 0:
        raise RowError(f"'{name}' is no whole number from 0; correct it")
    return found


def _kind(value: Any) -> str:
    names = {list: "list", dict: "object", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
