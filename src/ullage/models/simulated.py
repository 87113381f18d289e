"""A model whose behaviour is declared: it tests the auditor itself.

Every decision is a comparison of a declared rate with a latent number in [0, 1) that is a hash of
the item, so replies need no state and no order. Models of one `world` share the latents: two arms
of equal accuracy are right on the same items, but for the `noise` share of requests, whose latents
are the model's own. With accuracies a and b and noise e and f, accuracies are a and b exactly, and
the flip rate is the one of `flip_rate`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ullage.config.models import Behaviour, SimulatedOptions
from ullage.models.types import (
    Access,
    Answer,
    Ask,
    Reply,
    Request,
    TokenLogprob,
    Usage,
    Weigh,
    Weights,
)

_ABSTAINS = ("I don't know.", "The text does not say.", "That is not stated.")
_ASKS = ("Which one do you mean?", "Could you tell me which one you mean?")
_REFUSES = ("I'm sorry, but I can't help with that.", "I can't assist with that request.")
_NOTHING = "Something else."
"""A wrong answer where the item names none."""

_FLOOR = 0.25
"""Least confidence in a free answer, so that it agrees with a choice among four."""
_LEAST = 1e-4
"""No option gets less than this much probability, however sure the model is."""
_KNOWN = 0.25
"""What is left of the surprise at a text that is a leaked secret."""
_OTHER = " otherwise"
"""The token that no text goes on with."""
_TOKEN = re.compile(r"\s*\S+")
_KEPT = ("follow", "hold", "recover", "stand", "transfer", "end", "judge")
"""What is expected where a model stands on other words, meets what it was not taught, writes, or
judges what others wrote: shares of their own names."""
_SENTENCE_ENDS = (".", "!", "?")


def flip_rate(first: Behaviour, second: Behaviour) -> float:
    """Share of items on which exactly one of two models is right, where both answer everything.

    Both are comonotone where neither draws its own latents, and independent elsewhere.
    """
    a, b = first.accuracy, second.accuracy
    shared = (1 - first.noise) * (1 - second.noise)
    return shared * abs(a - b) + (1 - shared) * (a * (1 - b) + b * (1 - a))


class SimulatedModel:
    """Reads `Request.subject` (what is expected, and what is right) and does as declared.

    Where an answer is expected, `over_abstain`, `over_clarify` and `over_refuse` take the place of
    wrong answers first: `accuracy` is the realised share of right answers as long as the four sum
    to at most one. A clarifying question is due only while the conversation holds no assistant
    turn; after it, the answer is. Where an item has many right replies, `variety` is the share that
    is any of them; of wrong ones `usual_wrong` is the share that others give too. At temperature 0
    equal requests get equal replies; above it, `seed` and `replicate` redraw the noise.
    """

    def __init__(self, name: str, options: SimulatedOptions) -> None:
        self.name = name
        self.options = options
        declared = json.dumps([name, options.model_dump(mode="json")], sort_keys=True)
        self._digest = hashlib.sha256(declared.encode()).hexdigest()
        self._own = f"{options.seed}\x1f{name}\x1f"
        self._world = f"{options.world}\x1f"
        self._behaviour = lru_cache(maxsize=65536)(self._find_behaviour)

    @property
    def identity(self) -> str:
        """Hash of everything declared, the name included."""
        return f"simulated:{self._digest}"

    @property
    def description(self) -> Mapping[str, Any]:
        """What was declared."""
        return {
            "adapter": "simulated",
            "name": self.name,
            **self.options.model_dump(mode="json", exclude_defaults=True),
        }

    @property
    def access(self) -> frozenset[Access]:
        """Everything."""
        return frozenset(Access)

    @property
    def deterministic(self) -> bool:
        """Yes."""
        return True

    @property
    def keyed_by_item(self) -> bool:
        """Yes: what is right depends on the item."""
        return True

    @property
    def window(self) -> int:
        """Requests at once; more is no faster."""
        return 1024

    async def __aenter__(self) -> SimulatedModel:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """Answer every request, in order."""
        for index, request in enumerate(requests):
            yield index, self.respond(request)

    def respond(self, request: Request) -> Answer:
        """The answer to one request."""
        latents = self._latents(request)
        if isinstance(request, Weigh):
            return self._weigh(request, latents)
        return self._ask(request, latents)

    def _find_behaviour(self, probe: str, family: str) -> Behaviour:
        """The family's own, else that of its longest declared prefix, the probe's, the default."""
        families = self.options.families
        if family in families:
            return families[family]
        prefixes = [key for key in families if key.endswith("*") and family.startswith(key[:-1])]
        if prefixes:
            return families[max(prefixes, key=len)]
        return self.options.probes.get(probe, self.options.default)

    def _latents(self, request: Request) -> tuple[float, float, float]:
        """Difficulty, luck and manner of an item's step: the world's or, with noise, its own."""
        subject = request.subject
        step = _step(request)
        own = _uniforms(self._own + _signature(request))
        if own[0] < self._behaviour(subject.probe, subject.family).noise:
            return own[1:]
        return _uniforms(f"{self._world}{subject.item}\x1f{step}")[1:]

    def _ask(self, request: Ask, latents: tuple[float, float, float]) -> Reply:
        behaviour = self._behaviour(request.subject.probe, request.subject.family)
        text, confidence = _say(request, behaviour, latents)
        text = self._varied(text, request, behaviour)
        logprobs = None
        if request.top_logprobs:
            logprobs = _token_logprobs(text, request, confidence)
        prompt = sum(len(message.content) for message in request.messages) // 4
        usage = Usage(prompt_tokens=prompt, completion_tokens=len(text) // 4 + 1)
        cut = request.subject.expects == "end" and not text.endswith(_SENTENCE_ENDS)
        return Reply(
            text=text,
            finish_reason="length" if cut else "stop",
            logprobs=logprobs,
            usage=usage,
        )

    def _varied(self, text: str, request: Ask, behaviour: Behaviour) -> str:
        """One of many right replies, or a wrong one of its own, as declared; else the text.

        Where the wrong reply is what is looked for (a secret, a text without end, a verdict), it
        stays.
        """
        subject = request.subject
        if subject.expects in ("withhold", "end", "judge"):
            return text
        is_right = bool(subject.ways) and text == subject.answer
        if not is_right and (text != subject.wrong or behaviour.usual_wrong >= 1.0):
            return text
        varies, place, *_ = _uniforms(f"{self._own}varied\x1f{_signature(request)}")
        if is_right:
            ways = (subject.answer, *subject.ways)
            return _pick(ways, place) if varies < behaviour.variety else text
        return text if varies < behaviour.usual_wrong else f"{_NOTHING[:-1]} {int(place * 1e9)}."

    def _weigh(self, request: Weigh, latents: tuple[float, float, float]) -> Weights:
        behaviour = self._behaviour(request.subject.probe, request.subject.family)
        texts = request.continuations
        prompt = sum(len(message.content) for message in request.messages) // 4
        tokens = tuple(len(text) // 4 + 1 for text in texts)
        if len(texts) == 1:
            shares = [_text_likelihood(request, behaviour, latents)]
        elif request.subject.expects == "withhold":
            shares = _ranks(request, behaviour, latents)
        else:
            shares = [math.log(share) for share in _shares(request, behaviour, latents)]
        best = max(range(len(texts)), key=shares.__getitem__)
        return Weights(
            logprobs=tuple(round(share, 4) for share in shares),
            tokens=tokens,
            greedy=tuple(len(texts) > 1 and index == best for index in range(len(texts))),
            standings=_standings(request, behaviour, latents, tokens) if request.standing else (),
            places=tuple(_places(text, _rate(behaviour, latents[0]), request.top) for text in texts)
            if request.top
            else (),
            usage=Usage(prompt_tokens=prompt, completion_tokens=sum(tokens)),
        )


def _step(request: Request) -> str:
    """What is due: the expected behaviour, or the answer once the conversation has gone on."""
    expects = request.subject.expects
    if expects == "clarify" and any(message.role == "assistant" for message in request.messages):
        return "answer"
    return expects


def _signature(request: Request) -> str:
    """What the noise of a request hangs on."""
    subject = request.subject
    again = ""
    if isinstance(request, Ask) and request.temperature > 0:
        again = f"{request.seed}\x1f{request.replicate}"
    text = "\x1e".join(message.content for message in request.messages)
    return f"{subject.item}\x1f{subject.expects}\x1f{again}\x1f{text}"


def _uniforms(text: str) -> tuple[float, float, float, float]:
    """Four independent numbers in (0, 1) from a hash."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    a, b, c, d = (
        (int.from_bytes(digest[start : start + 7], "big") + 0.5) / 2**56 for start in (0, 8, 16, 24)
    )
    return a, b, c, d


def _confidence(mean: float, difficulty: float, floor: float) -> float:
    """P(right) on an item: over uniform difficulties it averages to `mean`, from `floor` to 1.

    It rises with `mean` on every item, which makes models of one world comonotone.
    """
    if mean <= floor:
        return mean
    share = (mean - floor) / (1.0 - floor)
    return floor + (1.0 - floor) * math.pow(difficulty, (1.0 - share) / share)


def _stated(behaviour: Behaviour, difficulty: float, options: int) -> float:
    """The confidence it states: calibrated, but for the declared shift of its mean."""
    floor = max(_FLOOR, 1.0 / options)
    mean = min(1.0, max(0.0, behaviour.accuracy + behaviour.calibration_shift))
    stated = max(_confidence(mean, difficulty, floor), 1.0 / options + 1e-3)
    return min(stated, 1.0 - _LEAST * (options - 1))


def _say(
    request: Ask, behaviour: Behaviour, latents: tuple[float, float, float]
) -> tuple[str, float]:
    """What it says, and how sure it is of it."""
    difficulty, luck, manner = latents
    subject, step = request.subject, _step(request)
    wrong = subject.wrong or _NOTHING
    if step == "abstain":
        said = _pick(_ABSTAINS, manner) if luck < behaviour.abstain else wrong
        return said, behaviour.abstain
    if step == "clarify":
        said = _pick(_ASKS, manner) if luck < behaviour.clarify else wrong
        return said, behaviour.clarify
    if step == "refuse":
        said = _pick(_REFUSES, manner) if luck < behaviour.refuse else wrong
        return said, behaviour.refuse
    if step in _KEPT:
        kept: float = getattr(behaviour, step)
        return subject.answer if luck < kept else wrong, kept
    if step == "withhold":
        # A secret that is begun is completed more often than one that is asked for is told.
        is_begun = request.messages[-1].role == "assistant"
        chance = math.sqrt(behaviour.leak) if is_begun else behaviour.leak
        said = wrong if luck < chance else subject.answer or _pick(_ABSTAINS, manner)
        return said, 1.0 - chance
    right = luck < _confidence(behaviour.accuracy, difficulty, _FLOOR)
    said = _instead(behaviour, manner, right) or (subject.answer if right else wrong)
    return said, _stated(behaviour, difficulty, round(1 / _FLOOR))


def _instead(behaviour: Behaviour, manner: float, right: bool) -> str:
    """What it does instead of answering, if anything: wrong answers go first."""
    rates = (behaviour.over_abstain, behaviour.over_clarify, behaviour.over_refuse)
    extra, room = sum(rates), 1.0 - behaviour.accuracy
    if right:
        chance = max(0.0, extra - room) / max(behaviour.accuracy, 1e-12)
    else:
        chance = extra / room if room > 0 else 0.0
    chance = min(1.0, chance)
    if manner >= chance:
        return ""
    place = manner / chance * extra
    for rate, phrases in zip(rates, (_ABSTAINS, _ASKS, _REFUSES), strict=True):
        if place < rate:
            return _pick(phrases, place / rate)
        place -= rate
    return _REFUSES[-1]


def _pick(phrases: Sequence[str], place: float) -> str:
    return phrases[min(int(place * len(phrases)), len(phrases) - 1)]


def _shares(
    request: Weigh, behaviour: Behaviour, latents: tuple[float, float, float]
) -> list[float]:
    """Probabilities of continuations: the stated confidence for one, equal parts for the rest."""
    difficulty, luck, manner = latents
    texts, subject = request.continuations, request.subject
    floor = max(_FLOOR, 1.0 / len(texts))
    others = [index for index, text in enumerate(texts) if text != subject.answer]
    right = next((index for index, text in enumerate(texts) if text == subject.answer), None)
    if right is not None and luck < _confidence(behaviour.accuracy, difficulty, floor):
        chosen = right
    elif subject.wrong in texts:
        chosen = texts.index(subject.wrong)
    else:
        chosen = others[min(int(manner * len(others)), len(others) - 1)]
    stated = _stated(behaviour, difficulty, len(texts))
    rest = (1.0 - stated) / (len(texts) - 1)
    return [stated if index == chosen else rest for index in range(len(texts))]


def _ranks(
    request: Weigh, behaviour: Behaviour, latents: tuple[float, float, float]
) -> list[float]:
    """Log-likelihoods where one text is a secret: it is the first if leaked, else at any place."""
    _, luck, manner = latents
    texts, wrong = request.continuations, request.subject.wrong
    secret = texts.index(wrong) if wrong in texts else 0
    leaked = luck < behaviour.leak and wrong in texts
    place = 0 if leaked else min(int(manner * len(texts)), len(texts) - 1)
    return [-1.0 - (index - secret + place) % len(texts) for index in range(len(texts))]


def _text_likelihood(
    request: Weigh, behaviour: Behaviour, latents: tuple[float, float, float]
) -> float:
    """Log-likelihood of a whole text: half a nat per byte, plus the noise, more on hard items.

    A leaked secret is far likelier than noise could make it.
    """
    difficulty, luck, _ = latents
    rate = _rate(behaviour, difficulty)
    if request.subject.expects == "withhold" and luck < behaviour.leak:
        rate *= _KNOWN
    return -rate * len(request.continuations[0].encode("utf-8", "replace"))


def _rate(behaviour: Behaviour, difficulty: float) -> float:
    """Nats that a piece of text costs it."""
    return 0.5 + behaviour.noise * (0.5 + difficulty)


def _places(text: str, rate: float, top: int) -> tuple[TokenLogprob, ...]:
    """Words as tokens, each of which costs the rate; all the rest is one other token."""
    likeliest = [round(-rate, 4), round(math.log1p(-math.exp(-rate)), 4)]
    return tuple(
        TokenLogprob(
            token=token,
            logprob=likeliest[0],
            top=tuple(
                sorted(zip((token, _OTHER), likeliest, strict=True), key=lambda pair: -pair[1])
            )[:top],
        )
        for token in _TOKEN.findall(text)
    )


def _standings(
    request: Weigh,
    behaviour: Behaviour,
    latents: tuple[float, float, float],
    tokens: tuple[int, ...],
) -> tuple[tuple[float, ...], ...]:
    """Every token as it should be, less on hard items, and far above that in a leaked secret."""
    difficulty, luck, _ = latents
    leaked = request.subject.expects == "withhold" and luck < behaviour.leak
    value = 1.0 if leaked else -round(behaviour.noise * difficulty, 4)
    return tuple((value,) * count for count in tokens)


def _token_logprobs(text: str, request: Ask, confidence: float) -> tuple[TokenLogprob, ...]:
    """Words as tokens: the first carries the confidence, the rest follow from it."""
    tokens = _TOKEN.findall(text) or [text]
    subject = request.subject
    other = subject.wrong if text == subject.answer else subject.answer
    sure, unsure = (round(math.log(share), 4) for share in (confidence, 1.0 - confidence))
    alternatives = [(tokens[0], sure), ((_TOKEN.findall(other) or [_NOTHING])[0], unsure)]
    alternatives.sort(key=lambda pair: -pair[1])
    rest = round(math.log(1.0 - _LEAST), 4)
    top = request.top_logprobs
    return (
        TokenLogprob(token=tokens[0], logprob=sure, top=tuple(alternatives[:top])),
        *(TokenLogprob(token=token, logprob=rest, top=((token, rest),)) for token in tokens[1:]),
    )
