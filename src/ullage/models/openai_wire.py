"""The OpenAI protocol as values: requests to bodies, bodies to replies. No I/O.

Nothing that comes back is trusted: every type is checked, numbers must be finite, text is cleaned
of lone surrogates (no UTF-8 file could hold them) and of known keys.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ullage.models.secrets import redact, redact_pieces
from ullage.models.types import (
    Ask,
    FinishReason,
    Reply,
    TokenLogprob,
    Usage,
    Weigh,
    Weights,
)

MOST_TOP_LOGPROBS = 20
"""What OpenAI and vLLM allow at most."""
LOGPROB_FLOOR = -9999.0
"""Stands for minus infinity, as in vLLM, because JSON has none."""
WEIGH_RENDERING = "plain text: 'System:', 'User:' and 'Assistant:' paragraphs"
"""How `Weigh` renders messages. `/completions` takes plain text, and the endpoint's chat template
is not ours to see; the statement says that likelihoods are of this rendering."""

_FINISH: dict[Any, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content_filter",
}
_LABELS = {"system": "System", "user": "User", "assistant": "Assistant"}
_SURROGATES = re.compile("[\ud800-\udfff]")
_REPLICATE_STRIDE = 1_000_003


class MalformedReplyError(Exception):
    """A reply that is not what the protocol says. The message is ours and holds none of it."""


def ask_body(model: str, ask: Ask, *, logprobs: bool, limit_name: str) -> dict[str, Any]:
    """Body of `/chat/completions`.

    Args:
        model: name the endpoint knows the model by.
        ask: the question. If its last message is the assistant's, vLLM's
            ``continue_final_message`` makes the model go on from it.
        logprobs: whether the endpoint reports log-probabilities.
        limit_name: what the endpoint calls ``max_tokens``.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": turn.role, "content": turn.content} for turn in ask.messages],
        limit_name: ask.max_tokens,
        "temperature": ask.temperature,
        **_seed(ask.seed, ask.replicate, sampled=ask.temperature > 0),
    }
    if ask.stop:
        body["stop"] = list(ask.stop)
    if logprobs and ask.top_logprobs > 0:
        body["logprobs"] = True
        body["top_logprobs"] = min(ask.top_logprobs, MOST_TOP_LOGPROBS)
    if ask.messages and ask.messages[-1].role == "assistant":
        body["continue_final_message"] = True
        body["add_generation_prompt"] = False
    return body


def weigh_body(model: str, weigh: Weigh) -> dict[str, Any]:
    """Body of `/completions` that has the bare prompt and each continued prompt echoed.

    The bare prompt comes first: what its tokens share with a continued prompt's is not the
    continuation's. (Character offsets would not do: a BOS token or a byte token shifts them.)
    """
    return {
        "model": model,
        "prompt": weigh_prompts(weigh),
        "max_tokens": 0,
        "temperature": 0.0,
        "echo": True,
        "logprobs": 1,
        **_seed(0, weigh.replicate, sampled=False),
    }


def _seed(seed: int, replicate: int, *, sampled: bool) -> dict[str, int]:
    """A seed where it matters, since some endpoints refuse the field.

    Replicates of one question differ by it, so that neither a seeded sampler nor a cache between
    us and the model answers the second with the first.
    """
    if not sampled and replicate == 0:
        return {}
    return {"seed": (seed + replicate * _REPLICATE_STRIDE) % 2**31}


def weigh_prompts(weigh: Weigh) -> list[str]:
    """The bare prompt, then the prompt with each continuation."""
    turns = [f"{_LABELS[turn.role]}: {turn.content}" for turn in weigh.messages]
    continues = bool(weigh.messages) and weigh.messages[-1].role == "assistant"
    if not continues:
        turns.append("Assistant:")
    bare = "\n\n".join(turns)
    return [bare] + [
        bare + ("" if continues or text[:1].isspace() else " ") + text
        for text in weigh.continuations
    ]


def clean(text: str) -> str:
    """Text from outside, fit to be kept: no lone surrogates, no known keys."""
    return redact(_SURROGATES.sub("\ufffd", text))


def decode(payload: bytes) -> Mapping[str, Any]:
    """A body as a JSON object.

    Raises:
        MalformedReplyError: it is none.
    """
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError):
        data = None
    else:
        if isinstance(data, dict):
            return data
        raise MalformedReplyError("not a JSON object")
    raise MalformedReplyError("not JSON")


def parse_reply(data: Mapping[str, Any], ask: Ask, *, logprobs: bool) -> Reply:
    """A `/chat/completions` body as a reply.

    A refusal that comes in ``message.refusal`` instead of ``content`` is what the model said.

    Raises:
        MalformedReplyError: something in it is missing or of the wrong type.
    """
    (choice,) = _choices(data, 1)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise MalformedReplyError("no message")
    content = message.get("content")
    if content is None and isinstance(message.get("refusal"), str):
        content = message["refusal"]
    if not isinstance(content, str):
        raise MalformedReplyError("content is null" if content is None else "content is no text")
    wanted = ask.top_logprobs if logprobs else 0
    return Reply(
        text=clean(content),
        finish_reason=finish_reason(choice.get("finish_reason")),
        logprobs=token_logprobs(choice.get("logprobs"), wanted) if wanted > 0 else None,
        usage=usage(data),
        fingerprint=_fingerprint(data),
    )


def finish_reason(value: Any) -> FinishReason:
    """The field's values that have a meaning here; anything else is ``unknown``."""
    return _FINISH.get(value, "unknown") if isinstance(value, str) else "unknown"


def token_logprobs(data: Any, top: int) -> tuple[TokenLogprob, ...]:
    """The ``logprobs`` field of a chat choice.

    Args:
        data: ``{"content": [{"token", "logprob", "top_logprobs"}, …]}``.
        top: alternatives to keep per position.

    Raises:
        MalformedReplyError: it is not of that form.
    """
    content = data.get("content") if isinstance(data, dict) else None
    if not isinstance(content, list):
        raise MalformedReplyError("no log-probabilities")
    tokens = redact_pieces([_token(entry) for entry in content])
    found = []
    for token, entry in zip(tokens, content, strict=True):
        alternatives = entry.get("top_logprobs") or []
        if not isinstance(alternatives, list):
            raise MalformedReplyError("top_logprobs is no list")
        pairs = [(clean(_token(other)), logprob(other.get("logprob"))) for other in alternatives]
        pairs.sort(key=lambda pair: -pair[1])
        found.append(
            TokenLogprob(token=token, logprob=logprob(entry.get("logprob")), top=tuple(pairs[:top]))
        )
    return tuple(found)


def _token(entry: Any) -> str:
    token = entry.get("token") if isinstance(entry, dict) else None
    if not isinstance(token, str):
        raise MalformedReplyError("a token is no text")
    return _SURROGATES.sub("\ufffd", token)


def logprob(value: Any) -> float:
    """A log-probability, rounded to four decimals.

    Raises:
        MalformedReplyError: not a number, NaN, or positive by more than rounding.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedReplyError("a log-probability is no number")
    if not value <= 1e-3:
        raise MalformedReplyError("a log-probability is positive or NaN")
    return round(min(0.0, max(LOGPROB_FLOOR, value)), 4) + 0.0


def parse_weights(data: Mapping[str, Any], weigh: Weigh) -> Weights:
    """A `/completions` body, asked for with `weigh_body`, as weights.

    Raises:
        MalformedReplyError: the prompts were not echoed with a log-probability for each token.
    """
    prompts = weigh_prompts(weigh)
    bare, *continued = (
        _Echo(choice, prompt)
        for choice, prompt in zip(_choices(data, len(prompts)), prompts, strict=True)
    )
    tails = [echo.after(bare.tokens) for echo in continued]
    greedy = [tail.greedy for tail in tails]
    return Weights(
        logprobs=tuple(round(math.fsum(tail.logprobs), 4) + 0.0 for tail in tails),
        tokens=tuple(len(tail.logprobs) for tail in tails),
        greedy=() if None in greedy else tuple(bool(each) for each in greedy),
        usage=usage(data),
    )


class _Echo:
    """One echoed prompt: its tokens and what is known of each."""

    def __init__(self, choice: Mapping[str, Any], prompt: str) -> None:
        text = choice.get("text")
        # A server may put the text of its BOS token before the prompt; nothing may follow it.
        if not isinstance(text, str) or not text.endswith(prompt):
            raise MalformedReplyError("the prompt was not echoed")
        data = choice.get("logprobs")
        columns = data if isinstance(data, dict) else {}
        self.tokens = _list(columns, "tokens")
        self.values = _list(columns, "token_logprobs")
        tops = columns.get("top_logprobs")
        self.tops = tops if isinstance(tops, list) else [None] * len(self.tokens)
        if not len(self.tokens) == len(self.values) == len(self.tops):
            raise MalformedReplyError("log-probabilities do not match the tokens")

    def after(self, bare: Sequence[Any]) -> _Tail:
        """The tokens from the first that differs from the bare prompt's."""
        shared = 0
        for ours, theirs in zip(self.tokens, bare, strict=False):
            if ours != theirs:
                break
            shared += 1
        return _Tail(self.values[shared:], self.tops[shared:])


class _Tail:
    """The tokens of a continuation."""

    def __init__(self, values: Sequence[Any], tops: Sequence[Any]) -> None:
        self.logprobs = [_exact(value) for value in values]
        self._tops = tops

    @property
    def greedy(self) -> bool | None:
        """Whether no alternative beats any of the tokens; None when that was not reported."""
        if not all(isinstance(top, dict) and top for top in self._tops):
            return None
        return all(
            value >= max(_exact(other) for other in top.values()) - 1e-9
            for value, top in zip(self.logprobs, self._tops, strict=True)
        )


def _exact(value: Any) -> float:
    logprob(value)
    return float(min(0.0, max(LOGPROB_FLOOR, value)))


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name)
    if not isinstance(value, list):
        raise MalformedReplyError("no log-probabilities")
    return value


def _choices(data: Mapping[str, Any], count: int) -> list[Mapping[str, Any]]:
    choices = data.get("choices")
    if choices is None and "error" in data:
        raise MalformedReplyError("an error in place of choices")
    if not isinstance(choices, list):
        raise MalformedReplyError("choices is no list")
    if not choices:
        raise MalformedReplyError("no choices")
    if len(choices) != count or not all(isinstance(choice, dict) for choice in choices):
        raise MalformedReplyError("choices are not as many as asked for")
    if count == 1:
        return choices
    by_index = {_count(choice.get("index")): choice for choice in choices}
    if len(by_index) != count or max(by_index) != count - 1:
        raise MalformedReplyError("choices are not numbered")
    return [by_index[index] for index in range(count)]


def usage(data: Mapping[str, Any]) -> Usage:
    """The ``usage`` field; what is missing or senseless counts as 0."""
    found = data.get("usage")
    fields = found if isinstance(found, dict) else {}
    return Usage(
        prompt_tokens=_count(fields.get("prompt_tokens")),
        completion_tokens=_count(fields.get("completion_tokens")),
    )


def _count(value: Any) -> int:
    return value if type(value) is int and 0 < value < 2**40 else 0


def _fingerprint(data: Mapping[str, Any]) -> str | None:
    value = data.get("system_fingerprint")
    return clean(value)[:128] if isinstance(value, str) and value else None


def offered_facts(data: Mapping[str, Any], model: str, clock: float) -> dict[str, Any]:
    """What `/models` says of one model that tells it from another behind the same name.

    Left out: ``created`` where it is the time of asking (vLLM, llama.cpp and SGLang stamp each
    answer), since an identity that changes by the second would have everything asked again; and
    ids made up per answer (vLLM's ``permission``).

    Args:
        data: the body.
        model: the name asked for.
        clock: the endpoint's time of answering, seconds since the epoch.

    Raises:
        MalformedReplyError: the body has no list of models.
    """
    entries = data.get("data")
    if not isinstance(entries, list):
        raise MalformedReplyError("data is no list")
    for entry in entries:
        if isinstance(entry, dict) and entry.get("id") == model:
            facts = {name: _plain(entry.get(name)) for name in _OFFERED}
            created = facts["created"]
            if isinstance(created, int | float) and abs(created - clock) <= _CLOCK_STAMP_S:
                facts["created"] = None
            return {name: value for name, value in facts.items() if value not in (None, {})}
    return {}


_OFFERED = ("created", "owned_by", "root", "parent", "max_model_len", "meta")
_CLOCK_STAMP_S = 5.0


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)[:200]
    if isinstance(value, int | float) and -(2**53) < value < 2**53:  # what a statement can hold
        return value
    if isinstance(value, dict):
        inner = {clean(str(name))[:64]: _plain(item) for name, item in list(value.items())[:32]}
        return {name: item for name, item in sorted(inner.items()) if item is not None}
    return None
