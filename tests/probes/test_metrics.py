"""Which metric punishes which way of fooling a probe, and that nothing a model says breaks one."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from itertools import islice

import numpy as np
import pytest

from tests.probes.conversing import Script, converse, perfect, saying, weighing
from ullage.models.types import Access, Ask, Weigh, Weights
from ullage.probes.fidelity import MAX_SURPRISE, Agreement, TeacherText
from ullage.probes.protocol import Item, Probe
from ullage.probes.registry import all_probes
from ullage.probes.uncertainty import MAX_NLL, Confidence, VoteConfidence

PROBES = list(all_probes().values())
N = 400


def abstain(ask: Ask, item: Item) -> str:
    return "The text does not say."


def ask_back(ask: Ask, item: Item) -> str:
    return "Which one do you mean?"


def copy_context(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content.split("\n\n")[0]


def say_nothing(ask: Ask, item: Item) -> str:
    return ""


def repeat_prompt(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content


def guess(ask: Ask, item: Item) -> str:
    draw = random.Random(ask.messages[-1].content + item.id)
    words = item.choices or tuple(filter(str.isalpha, ask.messages[-1].content.split()))
    return draw.choice(words)


def always_wrong(ask: Ask, item: Item) -> str:
    return ask.subject.wrong


def means(name: str, script: Script) -> dict[str, float]:
    """Mean of every column over items of a probe."""
    probe = next(probe for probe in PROBES if probe.name == name)
    sums: dict[str, float] = defaultdict(float)
    for item in islice(probe.items(11), N):
        for column, value in converse(probe, item, script).items():
            sums[column] += value / N
    return sums


IDEAL = {
    "agreement": {"agreement": 1, "flips": 0, "lost-answers": 0, "accuracy": 1},
    "likelihood-gap": {"generated": 1},
    "vote-confidence": {"accuracy": 1, "brier": 0, "entropy": 0, "overconfidence": 0},
    "verbal-confidence": {"accuracy": 1, "states": 1, "brier": 0, "overconfidence": 0},
    "semantic-entropy": {"accuracy": 1, "entropy": 0, "confidence": 1},
    "abstention": {"contrast": 1, "abstains": 1, "answers": 1},
    "clarification": {"contrast": 1, "asks": 1, "recovers": 1},
    "formats": {"accuracy": 1, "spread": 0},
    "invariance": {"consistent": 1, "accuracy": 1},
    "grounding-present": {"grounded": 1, "unsupported": 0},
    "grounding-missing": {"grounded": 1, "unsupported": 0},
    "grounding-counterfactual": {"grounded": 1, "unsupported": 0},
    "grounding-contradictory": {"grounded": 1, "unsupported": 0},
    "grounding-irrelevant": {"grounded": 1, "unsupported": 0},
}


@pytest.mark.parametrize("name", IDEAL)
def test_a_perfect_model_scores_full_marks(name: str) -> None:
    scores = means(name, perfect)
    for column, value in IDEAL[name].items():
        assert scores[column] == pytest.approx(value), column


@pytest.mark.parametrize("name", IDEAL)
def test_long_winded_answers_score_as_well(name: str) -> None:
    def wordy(ask: Ask, item: Item) -> str:
        said = perfect(ask, item)
        return f"The answer is {said}." if ask.subject.expects == "answer" else said

    scores = means(name, wordy)
    for column, value in IDEAL[name].items():
        assert scores[column] == pytest.approx(value), column


@pytest.mark.parametrize(
    ("script", "name", "column", "low", "high"),
    [
        # Always abstaining passes where abstaining is right; contrast and every accuracy see it.
        (abstain, "abstention", "contrast", 0, 0),
        (abstain, "abstention", "answers", 0, 0),
        (abstain, "agreement", "accuracy", 0, 0),
        (abstain, "agreement", "lost-answers", 1, 1),
        (abstain, "clarification", "asks", 0, 0),
        (abstain, "formats", "accuracy", 0, 0),
        (abstain, "invariance", "consistent", 0, 0),
        (abstain, "grounding-present", "grounded", 0, 0),
        (abstain, "grounding-irrelevant", "grounded", 0, 0),
        (abstain, "grounding-counterfactual", "grounded", 0, 0),
        # Always asking back.
        (ask_back, "clarification", "contrast", 0, 0),
        (ask_back, "clarification", "recovers", 0, 0),
        (ask_back, "abstention", "abstains", 0, 0),
        (ask_back, "abstention", "answers", 0, 0),
        (ask_back, "grounding-missing", "grounded", 0, 0),
        (ask_back, "grounding-contradictory", "grounded", 0, 0),
        (ask_back, "invariance", "accuracy", 0, 0),
        # Copying the context holds the answer, so it is caught where not everything is to be said.
        (copy_context, "abstention", "contrast", 0, 0),
        (copy_context, "abstention", "abstains", 0, 0),
        (copy_context, "clarification", "asks", 0, 0),
        (copy_context, "grounding-irrelevant", "grounded", 0, 0),
        (copy_context, "grounding-contradictory", "grounded", 0, 0),
        (copy_context, "grounding-missing", "grounded", 0, 0),
        (copy_context, "formats", "accuracy", 0, 0.45),
        # Silence.
        (say_nothing, "agreement", "agreement", 0, 0),
        (say_nothing, "abstention", "contrast", 0, 0),
        (say_nothing, "abstention", "answers", 0, 0),
        (say_nothing, "clarification", "asks", 0, 0),
        (say_nothing, "formats", "accuracy", 0, 0),
        (say_nothing, "invariance", "consistent", 0, 0),
        (say_nothing, "vote-confidence", "brier", 1, 1),
        (say_nothing, "likelihood-gap", "generated", 0, 0),
        (say_nothing, "grounding-missing", "grounded", 0, 0),
        (say_nothing, "grounding-contradictory", "grounded", 0, 0),
        # Repeating the prompt names every option, repeats the leave to abstain, and asks.
        (repeat_prompt, "agreement", "accuracy", 0, 0),
        (repeat_prompt, "likelihood-gap", "generated", 0, 0),
        (repeat_prompt, "abstention", "abstains", 0, 0),
        (repeat_prompt, "clarification", "asks", 0, 0),
        (repeat_prompt, "invariance", "consistent", 0, 0),
        (repeat_prompt, "vote-confidence", "accuracy", 0, 0),
        (repeat_prompt, "grounding-missing", "grounded", 0, 0),
        (repeat_prompt, "grounding-contradictory", "grounded", 0, 0),
        (repeat_prompt, "grounding-irrelevant", "grounded", 0, 0),
        # Guessing among options is right one time in four.
        (guess, "likelihood-gap", "generated", 0.17, 0.33),
        (guess, "invariance", "consistent", 0.1, 0.4),
        (guess, "vote-confidence", "accuracy", 0.17, 0.33),
        (guess, "abstention", "contrast", -0.05, 0.05),
        # Plausible wrong answers: the remembered one, the distractor's, one side of two.
        (always_wrong, "agreement", "flips", 1, 1),
        (always_wrong, "grounding-counterfactual", "grounded", 0, 0),
        (always_wrong, "grounding-irrelevant", "grounded", 0, 0),
        (always_wrong, "grounding-contradictory", "grounded", 0, 0),
        (always_wrong, "grounding-present", "grounded", 0, 0),
        (always_wrong, "grounding-missing", "unsupported", 0.97, 1),
        (always_wrong, "formats", "accuracy", 0, 0),
    ],
)
def test_fooling_is_punished(
    script: Script, name: str, column: str, low: float, high: float
) -> None:
    assert low - 1e-9 <= means(name, script)[column] <= high + 1e-9


def test_spread_sees_a_format_that_is_not_read() -> None:
    def only_plain(ask: Ask, item: Item) -> str:
        return perfect(ask, item) if ask.messages == item.messages else "I can't read that."

    scores = means("formats", only_plain)
    assert scores["spread"] == pytest.approx(1)
    assert scores["accuracy"] == pytest.approx(0.25)


def test_always_the_first_option_is_inconsistent() -> None:
    def first(ask: Ask, item: Item) -> str:
        text = ask.messages[0].content.casefold()
        listed = text[text.find("options:") :] if "options:" in text else text[text.find("\n- ") :]
        return min(item.choices, key=lambda choice: listed.find(choice.casefold()))

    assert means("invariance", first)["consistent"] <= 0.81


def test_recovery_needs_the_second_answer_to_be_right() -> None:
    def asks_then_guesses_wrong(ask: Ask, item: Item) -> str:
        return perfect(ask, item) if ask.subject.expects == "clarify" else item.wrong

    scores = means("clarification", asks_then_guesses_wrong)
    assert scores["asks"] == pytest.approx(1)
    assert scores["recovers"] == 0


def test_a_reply_that_abstains_is_no_recovery() -> None:
    def asks_then_abstains(ask: Ask, item: Item) -> str:
        if ask.subject.expects == "clarify":
            return perfect(ask, item)
        return f"I don't know whether it is {ask.subject.answer}."

    assert means("clarification", asks_then_abstains)["recovers"] == 0


def test_clarifying_shows_the_model_its_own_question() -> None:
    probe = next(probe for probe in PROBES if probe.name == "clarification")
    item = next(probe.items(0))
    seen: list[Ask] = []

    def remember(ask: Ask, item: Item) -> str:
        seen.append(ask)
        return perfect(ask, item)

    converse(probe, item, remember)
    roles = [[message.role for message in ask.messages] for ask in seen]
    assert roles == [["user"], ["user", "assistant", "user"], ["user"]]
    assert seen[1].messages[2].content == item.data["clarification"]


@pytest.mark.parametrize(
    ("own", "teacher", "expected"),
    [
        ("right", "right", (1, 0, 0, 0, 1)),
        ("right", "wrong", (0, 1, 0, 1, 1)),
        ("wrong", "right", (0, 1, 1, 0, 0)),
        ("wrong", "wrong", (1, 0, 0, 0, 0)),
        ("other", "wrong", (0, 0, 0, 0, 0)),
    ],
)
def test_agreement_compares_with_the_teacher(
    own: str, teacher: str, expected: tuple[int, ...]
) -> None:
    probe = Agreement()
    for item in islice(probe.items(2), 104):
        said = {
            "right": f"It is {item.answer}.",
            "wrong": item.wrong,
            "other": next(c for c in item.choices if c not in (item.answer, item.wrong)),
        }
        scores = converse(probe, item, saying(said[own]), teacher=saying(said[teacher]))
        names = ("agreement", "flips", "lost-answers", "gained-answers", "accuracy")
        assert tuple(scores[name] for name in names) == expected


def test_the_teacher_agrees_with_itself_by_construction() -> None:
    probe = Agreement()
    for item in islice(probe.items(3), N):
        scores = converse(probe, item, guess, teacher=guess)
        assert scores["agreement"] == 1
        assert scores["flips"] == scores["lost-answers"] == 0


@pytest.mark.parametrize("shares", [(0.7, 0.1, 0.1, 0.1), (0.97, 0.01, 0.01, 0.01)])
def test_confidence_scores_the_whole_distribution(shares: tuple[float, ...]) -> None:
    probe = Confidence()
    for item in islice(probe.items(4), 60):
        for right in range(4):
            rolled = [shares[(index - right) % 4] for index in range(4)]
            # Only ratios count: a common factor is the probability of saying any option at all.
            weigh = weighing(*(math.log(share) - 7.5 for share in rolled))
            scores = converse(probe, item, perfect, weigh)
            truth = item.choices.index(item.answer)
            assert scores["nll"] == pytest.approx(-math.log(rolled[truth]))
            assert scores["brier"] == pytest.approx(
                sum((share - (index == truth)) ** 2 for index, share in enumerate(rolled))
            )
            assert scores["confidence"] == pytest.approx(shares[0])
            assert scores["correct"] == scores["accuracy"] == float(right == truth)
            assert scores["overconfidence"] == pytest.approx(shares[0] - (right == truth))


def test_perfect_answers_with_constant_confidence_tell_nothing_apart() -> None:
    probe = Confidence()
    columns = []
    for index, item in enumerate(islice(probe.items(4), 200)):
        truth = item.choices.index(item.answer)
        top = truth if index % 2 else (truth + 1) % 4
        logprobs = [math.log(0.9) if i == top else math.log(0.1 / 3) for i in range(4)]
        scores = converse(probe, item, perfect, weighing(*logprobs))
        columns.append([scores["confidence"], scores["correct"]])
    values, ones = np.array(columns), np.ones((1, 200))
    auroc = probe.metric("auroc").functional
    ece = probe.metric("ece").functional
    assert auroc is not None
    assert ece is not None
    assert auroc(values, ones)[0] == pytest.approx(0.5)
    assert ece(values, ones)[0] == pytest.approx(0.4)


@pytest.mark.parametrize("logprobs", [(-math.inf,) * 4, (0.0, -1e300, -1e300, -1e300)])
def test_extreme_likelihoods_stay_within_bounds(logprobs: tuple[float, ...]) -> None:
    probe = Confidence()
    for item in islice(probe.items(4), 20):
        scores = converse(probe, item, perfect, weighing(*logprobs))
        assert 0 <= scores["nll"] <= MAX_NLL
        assert 0 <= scores["brier"] <= 2


def test_votes_count_answers_and_not_wordings() -> None:
    probe = VoteConfidence()
    item = next(iter(probe.items(4)))
    said = iter(
        [item.answer, f"The answer is {item.answer}.", item.answer.upper(), item.wrong, "Hm."]
    )
    scores = converse(probe, item, lambda ask, item: next(said))
    assert scores["confidence"] == pytest.approx(0.6)
    assert scores["accuracy"] == 1
    assert scores["brier"] == pytest.approx(0.16)
    expected = -(0.6 * math.log(0.6) + 2 * 0.2 * math.log(0.2))
    assert scores["entropy"] == pytest.approx(expected)


def test_surprise_is_nats_per_byte_of_the_teachers_text() -> None:
    probe = TeacherText()
    item = next(iter(probe.items(4)))
    asked: list[Weigh] = []

    def weigh(request: Weigh) -> Weights:
        asked.append(request)
        return Weights(logprobs=(-10.0,), tokens=(1,))

    scores = converse(probe, item, perfect, weigh, teacher=saying("Überall"))
    assert asked[0].continuations == ("Überall",)
    assert scores["surprise"] == pytest.approx(10 / 8)
    high = converse(probe, item, perfect, weighing(-1e6), teacher=saying("ab"))
    assert high["surprise"] == MAX_SURPRISE
    assert converse(probe, item, perfect, teacher=saying("")) == {}


def test_teacher_text_estimates_the_divergence() -> None:
    """On a one-symbol alphabet KL is known: the estimate's mean must be it."""
    draw = random.Random(0)
    probe, total, n = TeacherText(), 0.0, 4_000
    teacher, student = {"a": 0.8, "b": 0.2}, {"a": 0.5, "b": 0.5}
    for item in islice(probe.items(4), n):
        text = "a" if draw.random() < teacher["a"] else "b"
        of_student = converse(
            probe,
            item,
            perfect,
            weighing(math.log(student[text])),
            teacher=saying(text),
        )
        of_teacher = converse(
            probe,
            item,
            perfect,
            weighing(math.log(teacher[text])),
            teacher=saying(text),
        )
        total += of_student["surprise"] - of_teacher["surprise"]
    divergence = sum(p * math.log(p / student[s]) for s, p in teacher.items())
    assert total / n == pytest.approx(divergence, abs=0.03)


HOSTILE = [
    "",
    " \n\t\n ",
    "\x00\x1b[31m\u202e\ufeff",
    "<script>alert(1)</script>",
    "((((((((((" * 500,
    "?" * 20_000,
    "not " * 50_000,
    "1," * 100_000,
    "one hundred and " * 20_000,
    "a" * 1_000_000,
    "ﷺ" * 100_000,
    "\ud800 lone surrogate",
    "🤷" * 10_000,
    "- \n" * 50_000,
    "1e999999 -inf nan 9" + "9" * 5_000,
    "The answer is " * 10_000,
]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_no_reply_breaks_a_probe_or_leaves_its_bounds(probe: Probe) -> None:
    bounds = {m.name: m.bounds for m in probe.metrics if m.functional is None}
    for item in islice(probe.items(6), 2):
        for text in HOSTILE:
            scores = converse(probe, item, saying(text), teacher=saying(text))
            for name, value in scores.items():
                low, high = bounds.get(name, (0.0, 1.0))
                assert low <= value <= high, (name, text[:20])


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probes_keep_the_contract(probe: Probe) -> None:
    assert probe.access <= frozenset(Access)
    item = next(probe.items(0))
    scores = converse(probe, item, perfect)
    columns = {column for metric in probe.metrics for column in metric.source_columns}
    assert columns == set(scores)
    names = [metric.name for metric in probe.metrics]
    assert len(names) == len(set(names))
    for metric in probe.metrics:
        assert metric.summary.endswith(".")
        assert metric.bounds[0] < metric.bounds[1]
    assert converse(probe, item, perfect) == scores
