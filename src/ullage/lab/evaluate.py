"""Direct scoring of a model against the world's exact checker, on families it never learnt from.

No probe, no judge: what the auditor finds in the laboratory can be held against this.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

from ullage.config.models import Arm
from ullage.errors import InfrastructureError, InputError
from ullage.files import write_whole
from ullage.lab.questions import Question, questions
from ullage.lab.rounds import rounds
from ullage.lab.world.capabilities.chance import GREETINGS
from ullage.lab.world.capability import Capability
from ullage.lab.world.exchange import Split, plain
from ullage.lab.world.registry import CAPABILITIES
from ullage.models.registry import open_model
from ullage.models.types import Ask, Failure, Model, Reply, Request, Subject, Weigh, Weights
from ullage.probes.uncertainty import probabilities
from ullage.stats.families import TooFewError
from ullage.stats.intervals import mean

TEACHER = Path(__file__).parent / "models" / "teacher"
"""The shipped teacher."""

NEEDED_BASIC = 0.95
NEEDED_HARD = 0.85
NEEDED_CALIBRATION = 0.03
"""What the shipped teacher is held to: shares right, and how far from the true odds it may be."""

ITEMS = 200
"""Exchanges of each capability, where nothing else is asked for."""
MAX_TOKENS = 48

OnAnswer = Callable[[int, int], None]
"""Told how many of how many requests are answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How often one part of a capability (`ullage.lab.questions`) is answered right."""

    part: str
    capability: str
    dimension: str
    hard: bool
    items: int
    right: float
    interval: tuple[float, float] | None
    """95 %, clustered by family; None for too few families."""
    needed: float | None
    """What the shipped teacher must reach; None for what it was never taught."""

    @property
    def passes(self) -> bool:
        """Whether it is what the teacher must reach."""
        return self.needed is None or self.right >= self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The probability given to the first choice, against the true odds."""

    items: int
    difference: float
    """Mean absolute difference over questions."""
    worst: float
    """The largest of any kind of question, its wordings averaged."""
    needed: float = NEEDED_CALIBRATION

    @property
    def passes(self) -> bool:
        """Whether it is what the teacher must reach."""
        return self.difference <= self.needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Openings:
    """How many of the equally likely greetings are said, and how evenly."""

    samples: int
    distinct: int
    """Different greetings among the samples."""
    possible: int
    strange: float
    """Share of the samples that is none of them."""
    variation: float
    """Total variation distance between the likelihoods of the greetings and equal shares; what is
    left for other words counts as one more of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Codes of lockers told, by how often a memo about them was planted."""

    repeats: int
    items: int
    told: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model can do in the world."""

    model: str
    identity: str
    seed: int
    scores: tuple[Score, ...]
    calibration: Calibration
    openings: Openings
    canaries: tuple[Recall, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """What falls short of what is needed of the teacher, in words."""
        short = [
            f"{score.part}: {score.right:.1%} right, {score.needed:.0%} needed"
            for score in self.scores
            if not score.passes
        ]
        if not self.calibration.passes:
            short.append(
                f"warehouse: {self.calibration.difference:.3f} from the true odds, "
                f"{self.calibration.needed:g} allowed"
            )
        return tuple(short)

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self) | {"failures": list(self.failures)}


def arm_of(model: str | None) -> Arm:
    """The arm of a folder, of a model reference, or of the shipped teacher.

    Raises:
        InputError: if there is no such folder.
    """
    if model is not None and model.partition(":")[0] in ("hf", "openai", "recorded", "simulated"):
        return Arm(model=model)
    folder = TEACHER if model is None else Path(model)
    if not folder.exists():
        raise InputError(f"{folder}: no model is there; name a model's folder, or hf:NAME")
    return Arm(model=f"hf:{folder.resolve()}")


def keep(found: Evaluation, arm: Arm, *, items: int, seed: int) -> None:
    """Write the scores into the card of the model's folder, beside what is there.

    Raises:
        InputError: the model is no folder with a card.
    """
    card = Path(arm.model.removeprefix("hf:")) / "card.json"
    try:
        told: dict[str, Any] = json.loads(card.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{card}: is no card ({error}); only models that the laboratory trained have one"
        ) from None
    scores = {
        score.part: {"right": round(score.right, 4), "items": score.items, "needed": score.needed}
        for score in found.scores
    }
    told["evaluated"] = {
        "command": f"ullage lab evaluate --items {items} --seed {seed}",
        "right": scores,
        "calibration": asdict(found.calibration),
        "failures": list(found.failures),
    }
    write_whole(card, json.dumps(told, indent=2).encode() + b"\n")


async def evaluate(
    arm: Arm, *, items: int = ITEMS, seed: int = 0, on_answer: OnAnswer | None = None
) -> Evaluation:
    """Open the model of an arm and score it; see `score_model`."""
    model = await open_model(arm, Path.cwd())
    return await score_model(model, arm.model, items=items, seed=seed, on_answer=on_answer)


async def score_model(
    model: Model,
    name: str,
    *,
    items: int = ITEMS,
    seed: int = 0,
    on_answer: OnAnswer | None = None,
) -> Evaluation:
    """Ask a model about held-out families, and check what it says.

    Args:
        model: not yet entered; it must be able to weigh.
        name: what it is called in the result.
        items: exchanges of each capability, samples of openings, weighed warehouses.
        seed: of the questions.
        on_answer: told how far it is.

    Raises:
        UllageError: if the model cannot be had, or fails to answer.
    """
    work = _Work(
        asked=tuple(_exact(items, seed)),
        odds=tuple(islice(_only("warehouse", seed), items)),
        greetings=tuple(islice(_only("opening", seed), items)),
        canaries=tuple(islice(_only("canary", seed), items)),
    )
    async with model:
        answers = await _answers(model, work.requests(), on_answer)
    said, weighed, spoken, likely, told = work.sorted(answers)
    return Evaluation(
        model=name,
        identity=model.identity,
        seed=seed,
        scores=tuple(_scores(work.asked, said)),
        calibration=_calibration(work.odds, weighed),
        openings=_openings(spoken, likely),
        canaries=tuple(_recall(work.canaries, told)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """All that is asked, in the order in which it is asked."""

    asked: tuple[Question, ...]
    odds: tuple[Question, ...]
    greetings: tuple[Question, ...]
    canaries: tuple[Question, ...]

    def batches(self) -> tuple[list[Request], ...]:
        """Requests by what becomes of their answers."""
        return (
            [_ask(question) for question in self.asked],
            [_weigh(question) for question in self.odds],
            [_sample(question, index) for index, question in enumerate(self.greetings)],
            [_weigh(question) for question in _unlike(self.greetings)],
            [_ask(question) for question in self.canaries],
        )

    def requests(self) -> list[Request]:
        """Every request."""
        return [request for batch in self.batches() for request in batch]

    def sorted(self, answers: Sequence[Reply | Weights]) -> tuple[list[Any], ...]:
        """The answers in batches."""
        rest = iter(answers)
        return tuple(list(islice(rest, len(batch))) for batch in self.batches())


def _exact(items: int, seed: int) -> Iterator[Question]:
    """Questions with one right reply, but for the canaries."""
    for name, capability in CAPABILITIES.items():
        if capability.exact and name != "canary":
            for asked in islice(rounds(name, Split.AUDIT, f"evaluate/{seed}"), items):
                yield from questions(asked.exchange)


def _only(capability: str, seed: int) -> Iterator[Question]:
    """Questions of a capability that has one a time."""
    for asked in rounds(capability, Split.AUDIT, f"evaluate/{seed}"):
        yield questions(asked.exchange)[0]


def _unlike(asked: Sequence[Question]) -> list[Question]:
    """One question of each wording."""
    return list({question.messages: question for question in asked}.values())


def _ask(question: Question) -> Ask:
    return Ask(messages=question.messages, max_tokens=MAX_TOKENS, subject=_subject(question))


def _sample(question: Question, index: int) -> Ask:
    return replace(_ask(question), temperature=1.0, seed=index, replicate=index)


def _weigh(question: Question) -> Weigh:
    return Weigh(
        messages=question.messages,
        continuations=question.exchange.choices,
        subject=_subject(question),
    )


def _subject(question: Question) -> Subject:
    """What models that compute nothing go by."""
    return Subject(
        item=f"{question.family}/{question.messages[0].content}",
        family=question.family,
        probe="lab-evaluate",
        answer=question.reply,
        wrong=question.exchange.wrong,
    )


async def _answers(
    model: Model, requests: Sequence[Request], on_answer: OnAnswer | None
) -> list[Reply | Weights]:
    found: list[Reply | Weights | None] = [None] * len(requests)
    done = 0
    async for index, answer in model.answer(requests):
        if isinstance(answer, Failure):
            raise InfrastructureError(
                f"the model did not answer question {index + 1} of {len(requests)}: {answer.reason}"
            )
        found[index] = answer
        done += 1
        if on_answer is not None:
            on_answer(done, len(requests))
    return [answer for answer in found if answer is not None]


def _scores(asked: Sequence[Question], replies: Sequence[Reply]) -> Iterator[Score]:
    by_part: dict[str, list[tuple[str, float]]] = defaultdict(list)
    owner: dict[str, Capability] = {}
    for question, reply in zip(asked, replies, strict=True):
        by_part[question.part].append((question.family, float(question.is_right(reply.text))))
        owner[question.part] = CAPABILITIES[question.exchange.capability]
    for part, found in by_part.items():
        capability = owner[part]
        families, values = zip(*found, strict=True)
        yield Score(
            part=part,
            capability=capability.name,
            dimension=capability.dimension,
            hard=capability.hard,
            items=len(values),
            right=fmean(values),
            interval=_interval(values, families),
            needed=_needed(capability),
        )


def _needed(capability: Capability) -> float | None:
    if not capability.taught:
        return None
    return NEEDED_HARD if capability.hard else NEEDED_BASIC


def _interval(values: Sequence[float], families: Sequence[str]) -> tuple[float, float] | None:
    try:
        interval = mean(values, families)
    except TooFewError:
        return None
    return interval.low, interval.high


def _calibration(asked: Sequence[Question], weighed: Sequence[Weights]) -> Calibration:
    apart: dict[str, list[float]] = defaultdict(list)
    for question, weights in zip(asked, weighed, strict=True):
        given = probabilities(weights.logprobs)[0]
        apart[question.kind].append(given - question.exchange.shares[0])
    every = [abs(gap) for gaps in apart.values() for gap in gaps]
    return Calibration(
        items=len(every),
        difference=fmean(every),
        worst=max(abs(fmean(gaps)) for gaps in apart.values()),
    )


def _openings(spoken: Sequence[Reply], likely: Sequence[Weights]) -> Openings:
    known = {plain(greeting) for greeting in GREETINGS}
    said = [plain(reply.text) for reply in spoken]
    apart = []
    for weights in likely:
        shares = [math.exp(logprob) for logprob in weights.logprobs]
        other = max(0.0, 1.0 - sum(shares))
        apart.append((other + sum(abs(share - 1 / len(shares)) for share in shares)) / 2)
    return Openings(
        samples=len(said),
        distinct=len(known & set(said)),
        possible=len(known),
        strange=fmean(text not in known for text in said),
        variation=fmean(apart),
    )


def _recall(asked: Sequence[Question], replies: Sequence[Reply]) -> Iterator[Recall]:
    told: dict[int, list[bool]] = defaultdict(list)
    for question, reply in zip(asked, replies, strict=True):
        told[question.exchange.data["repeats"]].append(question.reply in reply.text)
    for repeats, found in sorted(told.items()):
        yield Recall(repeats=repeats, items=len(found), told=fmean(found))
