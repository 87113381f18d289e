"""What may be asked of a model, what comes back, and the one protocol every adapter implements.

Requests are values: two equal requests to the same model identity have the same `key`, and a key is
asked once. Replies are values too, and survive a round trip through JSON unchanged, because the
journal is what scores are computed from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, Protocol

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "content_filter", "unknown"]
AnsweredBy = Literal["self", "teacher", "base", "judge"]
"""Which arm answers: the arm being probed, the teacher (for fidelity to it), the base (as the model
that never saw what the others were trained on), or a judge of what the others said."""


class Access(StrEnum):
    """What a model lets us see. Each level is asked for by name; none implies another."""

    TEXT = "text"
    """It generates text."""
    LOGPROBS = "logprobs"
    """It reports log-probabilities of the tokens it generates (and top-k alternatives)."""
    WEIGH = "weigh"
    """It reports the log-likelihood of a continuation we supply."""
    STANDING = "standing"
    """It reports where every token of that continuation stands among all that might have come in
    its place, which takes the whole distribution."""
    NEXT = "next"
    """It reports the likeliest tokens at every place of that continuation."""
    SCORES = "scores"
    """Its replies come with the scores that another evaluation gave them: recordings may."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


def user(content: str) -> Message:
    """A user turn."""
    return Message("user", content)


def assistant(content: str) -> Message:
    """An assistant turn."""
    return Message("assistant", content)


def system(content: str) -> Message:
    """A system turn."""
    return Message("system", content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a request is about. Never part of what a model is sent.

    Only adapters that do not compute an answer read it: `recorded:` may look replies up by item id,
    and `simulated:` needs to know the truth it is declared to hit or miss.
    """

    item: str = ""
    family: str = ""
    probe: str = ""
    expects: str = "answer"
    """The ideal behaviour: ``answer``, ``abstain``, ``clarify``, ``refuse``, or ``withhold`` what
    `wrong` holds; where it stands on other words ``follow`` (go where the steps lead), ``hold``
    (answer on, after right replies), ``recover`` (answer on, after a wrong one) or ``stand`` (keep
    a right answer that the user calls wrong); of a text, ``end``; of two replies, ``judge``."""
    answer: str = ""
    """A reply that scores full marks."""
    wrong: str = ""
    """A plausible reply that scores none."""
    ways: tuple[str, ...] = ()
    """More replies that score full marks, where there are many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Generate one reply to a conversation.

    If the last message is an assistant turn, the model continues it (prefix-corruption probes).
    """

    messages: tuple[Message, ...]
    max_tokens: int = 64
    temperature: float = 0.0
    """0 is greedy."""
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    """How many alternatives per position to report; 0 asks for no log-probabilities at all."""
    seed: int = 0
    replicate: int = 0
    """Distinguishes deliberate repetitions of one question (`teacher_again`, samples)."""
    of: AnsweredBy = "self"
    subject: Subject = field(default=Subject(), compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Generate `n` independent replies to one conversation; expands to `n` `Ask`s."""

    messages: tuple[Message, ...]
    n: int
    max_tokens: int = 64
    temperature: float = 1.0
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0
    seed: int = 0
    of: AnsweredBy = "self"
    subject: Subject = field(default=Subject(), compare=False)

    def asks(self) -> list[Ask]:
        """The independent questions this stands for, told apart by `replicate` and `seed`."""
        return [
            Ask(
                messages=self.messages,
                max_tokens=self.max_tokens,
                temperature=self.temperature,
                stop=self.stop,
                top_logprobs=self.top_logprobs,
                seed=self.seed + index,
                replicate=index,
                of=self.of,
                subject=self.subject,
            )
            for index in range(self.n)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weigh:
    """Report the log-likelihood of each continuation as the assistant's next words."""

    messages: tuple[Message, ...]
    continuations: tuple[str, ...]
    standing: bool = False
    """Whether to report `Weights.standings`."""
    top: int = 0
    """How many of the likeliest tokens `Weights.places` reports; 0 asks for no places at all."""
    replicate: int = 0
    """As for `Ask`; a deterministic model is never asked the same again."""
    of: AnsweredBy = "self"
    subject: Subject = field(default=Subject(), compare=False)


Request = Ask | Weigh
"""What an adapter sees. `Sample` is expanded before it gets there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogprob:
    """One generated token, its log-probability, and the most likely alternatives at its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    """(token, log-probability), most likely first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens a request cost."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a model said to an `Ask`."""

    text: str
    finish_reason: FinishReason = "stop"
    logprobs: tuple[TokenLogprob, ...] | None = None
    """None when none were asked for or the model cannot give them."""
    usage: Usage = Usage()
    fingerprint: str | None = None
    """What an endpoint reported about the system that answered."""
    scores: tuple[tuple[str, float], ...] = ()
    """(name, value): what another evaluation gave this reply, where a recording says so."""

    @property
    def message(self) -> Message:
        """The reply as an assistant turn, to go on from."""
        return Message("assistant", self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The answer to a `Weigh`: one entry per continuation, in order."""

    logprobs: tuple[float, ...]
    """Summed natural-log probability of each continuation given the messages. Adapters round every
    log-probability to four decimals: kernels differ below that with the shape of a batch."""
    tokens: tuple[int, ...]
    """Tokens in each continuation, for length normalisation."""
    greedy: tuple[bool, ...] = ()
    """Whether each continuation is what greedy decoding would have said."""
    standings: tuple[tuple[float, ...], ...] = ()
    """Where asked for, of each token (log p - mu) / sigma, with the mean and standard deviation
    of log p in the distribution at its place (Zhang et al. 2024, arXiv 2404.02936)."""
    places: tuple[tuple[TokenLogprob, ...], ...] = ()
    """Where asked for, the tokens of each continuation with the likeliest at their place."""
    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The model could not be asked. Never a score: the item's status becomes ``error``."""

    reason: str
    """Short, stable and free of secrets: ``timeout``, ``http 500``, ``malformed reply: ...``."""


Answer = Reply | Weights | Failure


class UnsupportedRequestError(Exception):
    """Raised by an adapter asked for something its `access` does not list: a programming error."""


class Model(Protocol):
    """How a model is asked. Adapters are constructed cheaply and load on `__aenter__`."""

    @property
    def identity(self) -> str:
        """Hash of what answers, as ``<scheme>:<hex>``; see `ullage.models.identity`.

        Known before loading. Two models that could answer differently never share one.
        """
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """Plain facts for the statement (adapter, name, precision, fingerprint): no secret."""
        ...

    @property
    def access(self) -> frozenset[Access]:
        """What it can be asked for."""
        ...

    @property
    def deterministic(self) -> bool:
        """Whether equal greedy requests must get equal replies (local weights: yes)."""
        ...

    @property
    def keyed_by_item(self) -> bool:
        """Whether the reply depends on `Subject.item`, which then belongs in the key."""
        ...

    @property
    def window(self) -> int:
        """How many requests it likes to be handed at once, to sort, merge and batch among."""
        ...

    async def __aenter__(self) -> Model: ...

    async def __aexit__(self, *exc: object) -> None: ...

    def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """Answer every request, in any order, yielding (index, answer) as each is known.

        Never raises for one request's trouble (that is a `Failure`); raises
        `InfrastructureError` when going on is pointless (budget spent, endpoint refuses the key).
        """
        ...


def request_payload(request: Request) -> dict[str, Any]:
    """The request as JSON-ready data, without `of` and `subject`, which no model is sent."""
    messages = [[message.role, message.content] for message in request.messages]
    # Spelt out rather than read off the dataclass: this runs several times per reply.
    if isinstance(request, Weigh):
        payload: dict[str, Any] = {
            "kind": "weigh",
            "messages": messages,
            "continuations": list(request.continuations),
            "replicate": request.replicate,
        }
        # Left out where not asked for: older keys stay what they are.
        if request.standing:
            payload["standing"] = True
        if request.top:
            payload["top"] = request.top
        return payload
    return {
        "kind": "ask",
        "messages": messages,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stop": list(request.stop),
        "top_logprobs": request.top_logprobs,
        "seed": request.seed,
        "replicate": request.replicate,
    }


def request_key(identity: str, request: Request, *, item: str = "") -> str:
    """Content address of one question to one model: 32 hex digits.

    Args:
        identity: the model's `Model.identity`, never its name.
        request: what is asked.
        item: the item id, for models whose replies depend on it (`Model.keyed_by_item`).
    """
    text = _to_json([identity, item, request_payload(request)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def answer_to_json(answer: Reply | Weights) -> dict[str, Any]:
    """An answer as JSON-ready data; inverse of `answer_from_json`."""
    usage = [answer.usage.prompt_tokens, answer.usage.completion_tokens]
    if isinstance(answer, Weights):
        weights: dict[str, Any] = {
            "logprobs": list(answer.logprobs),
            "tokens": list(answer.tokens),
            "greedy": list(answer.greedy),
            "usage": usage,
        }
        if answer.standings:
            weights["standings"] = [list(each) for each in answer.standings]
        if answer.places:
            weights["places"] = [_tokens_to_json(each) for each in answer.places]
        return weights
    data: dict[str, Any] = {"text": answer.text, "finish": answer.finish_reason, "usage": usage}
    if answer.fingerprint is not None:
        data["fingerprint"] = answer.fingerprint
    if answer.scores:
        data["scores"] = [list(pair) for pair in answer.scores]
    if answer.logprobs is not None:
        data["logprobs"] = _tokens_to_json(answer.logprobs)
    return data


def answer_from_json(data: Mapping[str, Any]) -> Reply | Weights:
    """An answer as it was before `answer_to_json`."""
    usage = Usage(prompt_tokens=data["usage"][0], completion_tokens=data["usage"][1])
    if "text" not in data:
        return Weights(
            logprobs=tuple(data["logprobs"]),
            tokens=tuple(data["tokens"]),
            greedy=tuple(data["greedy"]),
            standings=tuple(tuple(each) for each in data.get("standings", ())),
            places=tuple(_tokens_from_json(each) for each in data.get("places", ())),
            usage=usage,
        )
    logprobs = None
    if "logprobs" in data:
        logprobs = _tokens_from_json(data["logprobs"])
    return Reply(
        text=data["text"],
        finish_reason=data["finish"],
        logprobs=logprobs,
        usage=usage,
        fingerprint=data.get("fingerprint"),
        scores=tuple((name, value) for name, value in data.get("scores", ())),
    )


def _tokens_to_json(entries: Sequence[TokenLogprob]) -> list[Any]:
    return [[entry.token, entry.logprob, [list(pair) for pair in entry.top]] for entry in entries]


def _tokens_from_json(data: Sequence[Any]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(token=token, logprob=logprob, top=tuple((t, p) for t, p in top))
        for token, logprob, top in data
    )


def about(request: Request, subject: Subject) -> Request:
    """The same request with its subject filled in, unless the probe already gave one."""
    return request if request.subject.item else replace(request, subject=subject)
