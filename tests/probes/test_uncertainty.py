"""Uncertainty over samples and in words, and which metric punishes which way of fooling it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from itertools import islice

import numpy as np
import pytest

from tests.probes.conversing import Script, converse, perfect, saying, weighing
from tests.probes.fooling import FOOLS, means
from ullage.models.types import Ask, user
from ullage.probes.protocol import FloatArray, Item, Probe
from ullage.probes.registry import get_probe
from ullage.probes.uncertainty import Confidence, SemanticEntropy, VerbalConfidence
from ullage.probes.uncertainty.meaning import MOST, SAMPLES, meaning
from ullage.probes.uncertainty.verbal import QUESTION, UNSAID, stated

N = 300


def question(text: str, answer: str, *choices: str) -> Item:
    return Item(id="q", family="f", messages=(user(text),), answer=answer, choices=choices)


CAPITAL = question("What is the capital of France?", "Paris")
SUM = question("Hugo has 25 tickets and gets 3 more. How many are there now?", "28")
METAL = question("Which is a metal: iron, wood or wool?", "iron", "iron", "wood", "wool")


@pytest.mark.parametrize(
    ("item", "texts"),
    [
        (CAPITAL, ("Paris", "paris.", "It is Paris.", "The capital of France is Paris!",
                   "Paris is the capital.", "The answer is Paris.")),
        (SUM, ("28", "There are 28 tickets now.", "twenty-eight", "28.0", "It's 28.")),
        (METAL, ("Iron", "The answer is iron.", "iron is a metal", "IRON!")),
        (CAPITAL, ("I don't know.", "I do not know the answer to that.")),
        (METAL, ("I'm sorry, but I can't help with that.", "I can't assist with that request.")),
    ],
)  # fmt: skip
def test_what_means_the_same_is_one(item: Item, texts: Sequence[str]) -> None:
    assert len({meaning(text, item) for text in texts}) == 1


@pytest.mark.parametrize(
    ("item", "texts"),
    [
        (CAPITAL, ("Paris", "Lyon", "not Paris", "Paris or Lyon", "I don't know.", "",
                   "Which France do you mean?", "I'm sorry, but I can't help with that.")),
        (SUM, ("28", "29", "128", "2.8", "I don't know.", "-28")),
        (METAL, ("iron", "wood", "wool", "tin", "I don't know.")),
    ],
)  # fmt: skip
def test_what_means_something_else_is_another(item: Item, texts: Sequence[str]) -> None:
    assert len({meaning(text, item) for text in texts}) == len(texts)


def in_turn(*texts: str) -> Script:
    said = iter(texts)
    return lambda ask, item: next(said)


def test_semantic_entropy_is_that_of_the_clusters() -> None:
    probe = SemanticEntropy()
    said = ("Paris", "It is Paris.", "Lyon", "paris", "Nice", "The capital is Lyon.")
    scores = converse(probe, CAPITAL, in_turn(*said))
    nats = -(0.5 * math.log(0.5) + math.log(1 / 3) / 3 + math.log(1 / 6) / 6)
    assert scores["entropy"] == pytest.approx(nats)
    assert scores["confidence"] == pytest.approx(1 - nats / math.log(6))
    assert scores["accuracy"] == 1
    apart = converse(probe, CAPITAL, in_turn("a1", "b2", "c3", "d4", "e5", "f6"))
    assert apart["entropy"] == pytest.approx(MOST)
    assert apart["confidence"] == apart["accuracy"] == 0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("95%", 0.95), ("95 %.", 0.95), ("I am 80 percent sure.", 0.8), ("About 70 per cent", 0.7),
        ("100%", 1.0), ("0%", 0.0), ("62.5%", 0.625), ("85", 0.85), ("0.9", 0.9),
        ("I'd say 75.", 0.75), ("60% of 5 tries", 0.6),
        ("90 out of 100", 0.9), ("80/100", 0.8), ("95% (that is, 95%)", 0.95),
        ("", None), ("Very sure.", None), ("Which one do you mean?", None), ("900%", None),
        ("between 60% and 80%", None), ("from 0 to 100", None), ("-20", None), ("150", None),
        (QUESTION, None),
    ],
)  # fmt: skip
def test_stated_confidence_is_read(text: str, value: float | None) -> None:
    assert stated(text) == value


def test_confidence_is_asked_for_after_the_answer() -> None:
    probe, seen = VerbalConfidence(), list[Ask]()

    def says(ask: Ask, item: Item) -> str:
        seen.append(ask)
        return "80%" if ask.messages[-1].content == QUESTION else item.answer

    item = next(iter(probe.items(1)))
    scores = converse(probe, item, says)
    assert [message.role for message in seen[1].messages] == ["user", "assistant", "user"]
    assert seen[1].messages[1].content == item.answer
    assert scores["confidence"] == 0.8
    assert scores["brier"] == pytest.approx(0.04)
    assert scores["overconfidence"] == pytest.approx(-0.2)
    mute = converse(probe, item, saying(item.answer))
    assert (mute["states"], mute["confidence"]) == (0, UNSAID)


# ---------------------------------------------------------------------------------------- fooling


def read(probe: Probe, script: Script, *metrics: str) -> list[float]:
    """Metrics over items of a probe whose replies are scripted."""
    scores = [converse(probe, item, script) for item in islice(probe.items(11), N)]
    return [computed(probe, name, scores) for name in metrics]


def computed(probe: Probe, name: str, scores: Sequence[object]) -> float:
    metric = probe.metric(name)
    columns = [[dict(each)[c] for c in metric.source_columns] for each in scores]  # type: ignore[call-overload]
    values: FloatArray = np.array(columns, dtype=np.float64)
    if metric.functional is None:
        return float(values[:, 0].mean())
    return float(metric.functional(values, np.ones((1, len(values))))[0])


def is_known(item: Item) -> bool:
    """Two questions of three are easy."""
    return random.Random(item.id).random() < 2 / 3


def stating(confidence: str, script: Script) -> Script:
    return lambda ask, item: (
        confidence if ask.messages[-1].content == QUESTION else script(ask, item)
    )


def knowing(ask: Ask, item: Item) -> str:
    return item.answer if is_known(item) else item.wrong


@pytest.mark.parametrize("confidence", [0.7, 0.4])
def test_perfect_answers_with_constant_confidence_are_seen_by_calibration(
    confidence: float,
) -> None:
    """All right and equally sure: nothing tells answers apart, so only calibration can see it."""
    probe = Confidence()
    scores = []
    for item in islice(probe.items(11), N):
        shares = [confidence if c == item.answer else (1 - confidence) / 3 for c in item.choices]
        scores.append(converse(probe, item, perfect, weighing(*map(math.log, shares))))
    for name in ("ece", "smooth-ece"):
        assert computed(probe, name, scores) == pytest.approx(1 - confidence, abs=0.02)
    assert computed(probe, "overconfidence", scores) == pytest.approx(confidence - 1)
    assert computed(probe, "nll", scores) == pytest.approx(-math.log(confidence))
    assert computed(probe, "brier", scores) > 0.1
    assert computed(probe, "selective-accuracy", scores) == pytest.approx(1)
    assert math.isnan(computed(probe, "auroc", scores))


def test_constant_confidence_that_is_calibrated_is_seen_by_what_orders() -> None:
    """Sure as often as right, and equally on all: no calibration error, and no use either."""
    probe = VerbalConfidence()
    names = ("ece", "auroc", "selective-accuracy", "accuracy")
    blind = dict(zip(names, read(probe, stating("67%", knowing), *names), strict=True))
    assert blind["ece"] < 0.05
    assert blind["auroc"] == pytest.approx(0.5)
    assert blind["selective-accuracy"] == pytest.approx(blind["accuracy"])

    def honest(ask: Ask, item: Item) -> str:
        return stating("100%" if is_known(item) else "0%", knowing)(ask, item)

    sees = dict(zip(names, read(probe, honest, *names), strict=True))
    assert sees["auroc"] == 1
    assert sees["selective-accuracy"] > blind["selective-accuracy"] + 0.2


def guess(ask: Ask, item: Item) -> str:
    number = ask.replicate if ask.temperature else 0
    return random.Random(f"{item.id}/{number}").choice(item.choices)


def test_answering_at_random_is_seen_by_entropy_and_accuracy() -> None:
    names = ("accuracy", "entropy", "auroc", "selective-accuracy")
    accuracy, nats, auroc, selective = read(SemanticEntropy(), guess, *names)
    assert 0.15 < accuracy < 0.4
    assert nats > 0.5 * MOST
    assert 0.35 < auroc < 0.68
    assert selective < 0.45


def test_random_answers_with_full_confidence_are_seen_by_everything_but_states() -> None:
    names = ("states", "accuracy", "brier", "ece", "overconfidence", "auroc", "selective-accuracy")
    found = dict(zip(names, read(VerbalConfidence(), stating("100%", guess), *names), strict=True))
    assert found["states"] == 1
    assert found["accuracy"] < 0.35
    assert min(found["brier"], found["ece"], found["overconfidence"]) > 0.6
    assert found["auroc"] == pytest.approx(0.5)
    assert found["selective-accuracy"] < 0.35


def test_one_wrong_answer_over_and_over_has_no_entropy_and_no_accuracy() -> None:
    accuracy, nats = read(SemanticEntropy(), lambda ask, item: item.wrong, "accuracy", "entropy")
    assert (accuracy, nats) == (0, 0)


@pytest.mark.parametrize("name", ["semantic-entropy", "verbal-confidence", "vote-confidence"])
@pytest.mark.parametrize(
    "fool", [fool for fool in FOOLS if not fool.startswith(("constant", "say"))]
)
def test_no_manner_is_an_answer(name: str, fool: str) -> None:
    scores = means(name, FOOLS[fool])
    assert scores["accuracy"] == 0
    if name == "verbal-confidence":
        assert scores["states"] == 0


def test_samples_are_asked_as_one() -> None:
    probe = get_probe("semantic-entropy")
    request = next(probe.converse(next(iter(probe.items(0)))))
    assert getattr(request, "n", 0) == SAMPLES
