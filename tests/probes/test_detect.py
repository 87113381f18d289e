"""Detectors against labelled replies; run with -s to see precision and recall."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.probes.detect import is_abstention, is_clarification, is_echo, is_refusal

DATA = Path(__file__).parent / "data"
DETECTORS: dict[str, Callable[[str], bool]] = {
    "abstention": is_abstention,
    "clarification": is_clarification,
    "refusal": is_refusal,
}


def labelled(name: str) -> list[tuple[bool, str]]:
    lines = (DATA / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
    return [(label == "1", text) for label, text in (line.split("\t") for line in lines)]


def held_out(name: str) -> list[tuple[bool, str]]:
    lines = (DATA / "held_out.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines]
    return [(label == "1", text) for kind, label, text in rows if kind == name]


def precision_and_recall(
    detector: Callable[[str], bool], replies: list[tuple[bool, str]]
) -> tuple[float, float]:
    hits = sum(label and detector(text) for label, text in replies)
    found = sum(detector(text) for _, text in replies)
    return hits / found, hits / sum(label for label, _ in replies)


@pytest.mark.parametrize("name", DETECTORS)
def test_on_the_replies_the_rules_were_made_with(name: str) -> None:
    replies = labelled(name)
    assert len(replies) >= 120
    assert len({text for _, text in replies}) == len(replies)
    assert 0.3 < sum(label for label, _ in replies) / len(replies) < 0.7
    precision, recall = precision_and_recall(DETECTORS[name], replies)
    print(f"{name}: n={len(replies)} precision={precision:.3f} recall={recall:.3f}")
    assert precision >= 0.97
    assert recall >= 0.95


@pytest.mark.parametrize("name", DETECTORS)
def test_on_replies_written_afterwards(name: str) -> None:
    replies = held_out(name)
    assert len(replies) >= 16
    precision, recall = precision_and_recall(DETECTORS[name], replies)
    print(f"{name}, held out: n={len(replies)} precision={precision:.3f} recall={recall:.3f}")
    assert precision >= 0.9
    assert recall >= 0.85


@pytest.mark.parametrize("kind", DETECTORS)
def test_one_behaviour_is_not_taken_for_another(kind: str) -> None:
    """Clear cases of the other two behaviours are hard negatives of each."""
    cases = {
        "abstention": ("I don't know.", "The text does not say which carrier took it."),
        "clarification": ("Which one do you mean?", "Please tell me which order you mean."),
        "refusal": ("I can't help with that.", "I'm sorry, but I won't assist with this request."),
    }
    for behaviour, texts in cases.items():
        for text in texts:
            assert DETECTORS[kind](text) == (behaviour == kind), text


def test_an_echoed_question_is_no_clarification() -> None:
    asked = "Order 1 went by Velox. Which carrier took the order? Answer briefly."
    assert is_clarification("Which carrier took the order?")
    assert not is_clarification("Which carrier took the order?", asked)
    assert not is_clarification("which carrier took the order", asked)
    assert is_clarification("Which carrier took the order? Which order do you mean?", asked)
    assert is_clarification("Which order do you mean?")


def test_giving_back_what_was_asked_is_an_echo() -> None:
    asked = "Order 17 was sent with Velox. It is due on Friday.\n\nOn which day is order 17 due?"
    assert is_echo("On which day is order 17 due?", asked)
    assert is_echo(asked, asked)
    assert is_echo(f"{asked} Friday", asked)
    assert is_echo("Order 17 was sent with Velox. It is due on Friday. On which day is", asked)
    assert not is_echo("It is due on Friday.", asked)
    assert not is_echo("Friday", asked)
    assert not is_echo("", asked)


@pytest.mark.parametrize("detector", DETECTORS.values(), ids=DETECTORS)
@pytest.mark.parametrize(
    "text",
    ["i can't " * 200_000, "no " * 300_000, "the text " * 100_000, "?" * 1_000_000, "a. " * 300_000,
     "not in the " * 100_000, "but " * 250_000, "as an assistant " * 60_000, "\n" * 1_000_000],
    ids=lambda text: text[:9].strip(),
)  # fmt: skip
def test_a_megabyte_takes_milliseconds(detector: Callable[[str], bool], text: str) -> None:
    best = 1.0
    for end in range(3):
        start = time.process_time()
        detector(text + str(end))
        detector(str(end) + text)
        best = min(best, time.process_time() - start)
    assert best < 0.05


@given(st.text(max_size=300))
def test_any_text_is_judged(text: str) -> None:
    for detector in DETECTORS.values():
        assert detector(text) in (True, False)
    if not any(character.isalnum() for character in text):
        assert not is_abstention(text)
        assert not is_clarification(text)
        assert not is_refusal(text)
