"""A simulated model behaves as declared: rates, flips, calibration, and the same every time."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from scipy import stats

from tests.probes.conversing import converse
from ullage.config.models import Behaviour, SimulatedOptions
from ullage.models.simulated import SimulatedModel, flip_rate
from ullage.models.types import (
    Access,
    Ask,
    Message,
    Reply,
    Request,
    Subject,
    Weigh,
    Weights,
    assistant,
    user,
)
from ullage.probes.detect import is_abstention, is_clarification, is_refusal
from ullage.probes.protocol import Item
from ullage.probes.registry import get_probe

N = 20_000
CHOICES = ("right", "wrong", "other", "another")


def declared_model(
    behaviour: dict[str, float], name: str = "a", seed: int = 0, world: int = 0
) -> SimulatedModel:
    silent = {"over_abstain": 0.0, "over_clarify": 0.0, "over_refuse": 0.0}
    declared = Behaviour(**{**silent, **behaviour})
    return SimulatedModel(name, SimulatedOptions(seed=seed, world=world, default=declared))


def model(**behaviour: float) -> SimulatedModel:
    return declared_model(behaviour)


def subject(index: int, expects: str = "answer", family: str = "f") -> Subject:
    return Subject(
        item=f"p/0/{index:06d}", family=family, probe="p", expects=expects,
        answer="right", wrong="wrong",
    )  # fmt: skip


def asks(
    expects: str = "answer", n: int = N, *, family: str = "f", replicate: int = 0, **kwargs: float
) -> list[Ask]:
    return [
        Ask(
            messages=(user(f"Question {index}?"),),
            subject=subject(index, expects, family),
            replicate=replicate,
            **kwargs,  # type: ignore[arg-type]
        )
        for index in range(n)
    ]


def texts(simulated: SimulatedModel, requests: Sequence[Request]) -> list[str]:
    found = []
    for request in requests:
        reply = simulated.respond(request)
        assert isinstance(reply, Reply)
        found.append(reply.text)
    return found


def right(simulated: SimulatedModel, requests: Sequence[Request]) -> np.ndarray:
    return np.array([text == "right" for text in texts(simulated, requests)])


def weighed(simulated: SimulatedModel, n: int = N) -> np.ndarray:
    """(n, 4) log-probabilities of the choices."""
    rows = []
    for index in range(n):
        request = Weigh(
            messages=(user(f"Question {index}?"),), continuations=CHOICES, subject=subject(index)
        )
        answer = simulated.respond(request)
        assert isinstance(answer, Weights)
        rows.append(answer.logprobs)
    return np.array(rows)


def assert_rate(hits: int, n: int, declared: float) -> None:
    """Exact binomial test: a right rate fails one time in a million."""
    if declared in (0.0, 1.0):
        assert hits == n * declared
    else:
        assert stats.binomtest(hits, n, declared).pvalue > 1e-6, f"{hits / n} for {declared}"


@pytest.mark.parametrize("accuracy", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.3, 1.0])
def test_accuracy_is_as_declared(accuracy: float, noise: float) -> None:
    simulated = model(accuracy=accuracy, noise=noise)
    assert_rate(int(right(simulated, asks()).sum()), N, accuracy)
    picked = weighed(simulated).argmax(axis=1)
    assert_rate(int((picked == 0).sum()), N, accuracy)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"accuracy": 0.9, "noise": 0.0}, {"accuracy": 0.9, "noise": 0.0}),
        ({"accuracy": 0.9, "noise": 0.1}, {"accuracy": 0.9, "noise": 0.1}),
        ({"accuracy": 0.9, "noise": 0.0}, {"accuracy": 0.8, "noise": 0.0}),
        ({"accuracy": 0.7, "noise": 0.2}, {"accuracy": 0.5, "noise": 0.4}),
        ({"accuracy": 0.6, "noise": 1.0}, {"accuracy": 0.6, "noise": 1.0}),
        ({"accuracy": 0.2, "noise": 0.0}, {"accuracy": 0.1, "noise": 0.5}),
    ],
)
def test_flips_are_as_declared(first: dict[str, float], second: dict[str, float]) -> None:
    declared = flip_rate(Behaviour(**first), Behaviour(**second))
    flips = right(declared_model(first, "a"), asks()) != right(declared_model(second, "b"), asks())
    assert_rate(int(flips.sum()), N, declared)


def test_models_of_other_worlds_find_other_items_hard() -> None:
    one = right(model(accuracy=0.6, noise=0), asks())
    other = right(declared_model({"accuracy": 0.6, "noise": 0}, world=1), asks())
    assert_rate(int((one != other).sum()), N, 2 * 0.6 * 0.4)


@pytest.mark.parametrize(
    ("expects", "rate", "detector"),
    [
        ("abstain", "abstain", is_abstention),
        ("clarify", "clarify", is_clarification),
        ("refuse", "refuse", is_refusal),
        ("answer", "over_abstain", is_abstention),
        ("answer", "over_clarify", is_clarification),
        ("answer", "over_refuse", is_refusal),
    ],
)
@pytest.mark.parametrize("declared", [0.0, 0.05, 0.6, 1.0])
def test_other_behaviour_is_as_declared(
    expects: str, rate: str, detector: object, declared: float
) -> None:
    assert callable(detector)
    said = texts(model(accuracy=0.8, **{rate: declared}), asks(expects))
    assert_rate(sum(map(detector, said)), N, declared)


def test_declining_takes_the_place_of_wrong_answers_first() -> None:
    fits = model(accuracy=0.8, over_abstain=0.1, over_clarify=0.05, over_refuse=0.05)
    said = texts(fits, asks())
    assert_rate(said.count("right"), N, 0.8)
    assert said.count("wrong") == 0
    crowded = texts(model(accuracy=1.0, over_abstain=0.3), asks())
    assert_rate(sum(map(is_abstention, crowded)), N, 0.3)
    assert_rate(crowded.count("right"), N, 0.7)


@pytest.mark.parametrize("declared", [0.0, 0.3, 1.0])
def test_standing_its_ground_is_as_declared(declared: float) -> None:
    said = texts(model(accuracy=0.5, stand=declared), asks("stand"))
    assert_rate(said.count("right"), N, declared)
    assert set(said) <= {"right", "wrong"}


@pytest.mark.parametrize("declared", [0.0, 0.4, 1.0])
def test_right_replies_vary_as_declared(declared: float) -> None:
    simulated = model(accuracy=1.0, variety=declared)
    one = replace(subject(0), ways=("fit", "true", "sound"))
    samples: list[Request] = [
        Ask(messages=(user("Which?"),), temperature=1.0, replicate=place, subject=one)
        for place in range(N)
    ]
    said = Counter(texts(simulated, samples))
    for way in ("fit", "true", "sound"):
        assert_rate(said[way], N, declared / 4)
    assert_rate(said["right"], N, 1 - 0.75 * declared)
    # Where there is one right reply, there is nothing to vary.
    assert set(texts(simulated, asks(temperature=1.0, n=500))) == {"right"}


def test_wrong_replies_are_the_usual_one_as_declared() -> None:
    first, second = (
        texts(declared_model({"accuracy": 0.0, "usual_wrong": 0.3}, name), asks()) for name in "ab"
    )
    assert_rate(first.count("wrong"), N, 0.3)
    assert "right" not in first
    # What is nobody else's is nobody else's.
    shared = [one for one, other in zip(first, second, strict=True) if one == other]
    assert set(shared) == {"wrong"}
    assert_rate(len(shared), N, 0.3**2)


@pytest.mark.parametrize("shift", [-0.1, 0.0, 0.08])
@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_confidence_follows_its_law(shift: float, noise: float) -> None:
    shares = np.exp(weighed(model(accuracy=0.75, calibration_shift=shift, noise=noise)))
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-3)
    confidence, correct = shares.max(axis=1), shares.argmax(axis=1) == 0
    gap = float(np.mean(confidence - correct))
    assert gap == pytest.approx(shift, abs=4.5 * 0.43 / math.sqrt(N))
    if shift == 0:
        edges = np.quantile(confidence, np.linspace(0, 1, 11))
        for low, high in pairwise(edges):
            inside = (confidence >= low) & (confidence <= high)
            expected, n = confidence[inside].mean(), int(inside.sum())
            assert abs(correct[inside].mean() - expected) < 5 * math.sqrt(0.25 / n)


def test_what_it_writes_is_what_it_weighs() -> None:
    simulated = model(accuracy=0.6, noise=0.3)
    written = right(simulated, asks())
    assert (written == (weighed(simulated).argmax(axis=1) == 0)).all()


def test_token_logprobs_carry_the_confidence() -> None:
    simulated = model(accuracy=0.75)
    for ask, row in zip(asks(n=300, top_logprobs=2), weighed(simulated, 300), strict=True):
        reply = simulated.respond(ask)
        assert isinstance(reply, Reply)
        assert reply.logprobs is not None
        first = reply.logprobs[0]
        assert first.logprob == row.max()
        assert [token for token, _ in first.top][:1] != []
        assert sorted((p for _, p in first.top), reverse=True) == [p for _, p in first.top]
        assert (first.token, first.logprob) in first.top
        assert "".join(entry.token for entry in reply.logprobs) == reply.text
    assert simulated.respond(asks(n=1)[0]).logprobs is None  # type: ignore[union-attr]


def test_it_repeats_itself_unless_it_samples() -> None:
    simulated = model(accuracy=0.6, noise=0.3)
    greedy = texts(simulated, asks())
    assert texts(model(accuracy=0.6, noise=0.3), asks(replicate=7)) == greedy
    sampled = right(simulated, asks(temperature=1.0))
    again = right(simulated, asks(temperature=1.0, replicate=1_000_000))
    assert_rate(int(sampled.sum()), N, 0.6)
    # Of two draws both share the world's latents with probability 0.7 squared.
    assert_rate(int((sampled != again).sum()), N, (1 - 0.7**2) * 2 * 0.6 * 0.4)


def test_families_and_probes_override_the_default() -> None:
    options = SimulatedOptions(
        default=Behaviour(abstain=0.0),
        probes={"p": Behaviour(abstain=0.2)},
        families={
            "q:*": Behaviour(abstain=0.4),
            "q:a*": Behaviour(abstain=0.6),
            "q:ab": Behaviour(abstain=1.0),
        },
    )
    simulated = SimulatedModel("a", options)
    for family, declared in {"f": 0.2, "q:x": 0.4, "q:ax": 0.6, "q:ab": 1.0}.items():
        said = texts(simulated, asks("abstain", family=family))
        assert_rate(sum(map(is_abstention, said)), N, declared)


def test_after_asking_back_it_answers() -> None:
    simulated = model(accuracy=0.7, clarify=1.0)
    told: list[Request] = []
    for ask in asks("clarify"):
        turns: tuple[Message, ...] = (*ask.messages, assistant("Which?"), user("This one."))
        told.append(Ask(messages=turns, subject=ask.subject))
    assert all(map(is_clarification, texts(simulated, asks("clarify"))))
    assert_rate(int(right(simulated, told).sum()), N, 0.7)


def test_a_conversation_of_the_clarification_probe() -> None:
    probe, n = get_probe("clarification"), 3_000
    simulated = model(accuracy=0.9, clarify=0.8, over_clarify=0.05, noise=0.0)

    def says(ask: Ask, item: Item) -> str:
        reply = simulated.respond(ask)
        assert isinstance(reply, Reply)
        return reply.text

    scores = [converse(probe, item, says) for item in islice(probe.items(0), n)]
    assert_rate(int(sum(score["asks"] for score in scores)), n, 0.8)
    assert_rate(int(sum(score["recovers"] for score in scores)), n, 0.8 * 0.9)


def test_the_surprise_at_a_text_follows_the_noise() -> None:
    text = "The teacher's own words, übrigens."

    def surprise(noise: float) -> float:
        simulated, total = model(noise=noise), 0.0
        for index in range(2_000):
            answer = simulated.respond(
                Weigh(messages=(user("Go"),), continuations=(text,), subject=subject(index))
            )
            assert isinstance(answer, Weights)
            total -= answer.logprobs[0] / len(text.encode())
        return total / 2_000

    assert surprise(0.0) == pytest.approx(0.5, abs=1e-3)
    assert surprise(0.4) == pytest.approx(0.9, abs=0.02)


def test_the_likeliest_words_follow_the_same_noise() -> None:
    text = "The teacher's own words."
    request = Weigh(messages=(user("Go"),), continuations=(text,), subject=subject(1), top=2)
    found = {}
    for noise in (0.0, 1.0):
        answer = model(noise=noise).respond(request)
        assert isinstance(answer, Weights)
        (places,) = answer.places
        assert "".join(place.token for place in places) == text
        for place in places:
            assert dict(place.top)[place.token] == place.logprob
            assert sum(math.exp(logprob) for _, logprob in place.top) == pytest.approx(1, abs=1e-3)
        found[noise] = places[0]
    assert found[0.0].logprob == -0.5
    assert found[0.0].top[0][0] == "The"
    assert found[1.0].logprob < -1.0
    assert found[1.0].top[0][0] != "The"


def test_two_declarations_never_share_an_identity() -> None:
    models = [
        model(), declared_model({}, "b"), declared_model({}, seed=1), declared_model({}, world=1),
        model(accuracy=0.5),
        SimulatedModel("a", SimulatedOptions(families={"x": Behaviour()})),
    ]  # fmt: skip
    assert len({simulated.identity for simulated in models}) == len(models)
    assert model().identity == model().identity
    assert model().access == frozenset(Access)
    assert model().deterministic
    assert model().keyed_by_item


def test_nothing_known_of_the_item_still_gets_an_answer() -> None:
    simulated = SimulatedModel("a", SimulatedOptions())
    bare = Ask(messages=(user("Hi \ud800"),), top_logprobs=3)
    assert isinstance(simulated.respond(bare), Reply)
    options = Weigh(messages=(user("Hi"),), continuations=("x", "y", "z"))
    answer = simulated.respond(options)
    assert isinstance(answer, Weights)
    assert len(answer.logprobs) == 3


def test_answers_come_through_the_protocol_and_fast() -> None:
    async def collect(requests: Sequence[Request]) -> dict[int, object]:
        async with model() as simulated:
            return {index: answer async for index, answer in simulated.answer(requests)}

    requests = asks(n=5_000)
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        answers = asyncio.run(collect(requests))
        best = min(best, time.process_time() - start)
    assert sorted(answers) == list(range(5_000))
    assert 5_000 / best > 10_000
