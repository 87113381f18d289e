"""Diversity: items with as many right answers as they say, and variety that noise cannot fake."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.probes.conversing import Script, converse, saying
from ullage.models.types import Ask
from ullage.probes.diversity import ManyAnswers, VariedText
from ullage.probes.diversity.many_answers import SAMPLES, K, way
from ullage.probes.diversity.varied_text import LENGTH, is_fit, words
from ullage.probes.knowledge import CATEGORIES
from ullage.probes.protocol import Item
from ullage.probes.tasks import with_items
from ullage.stats.diversity import distinct, self_bleu

N = 300


def ways(item: Item) -> tuple[str, ...]:
    return (item.answer, *item.ways)


def every_way(ask: Ask, item: Item) -> str:
    """A model that knows all right answers and gives each in its turn."""
    return ways(item)[ask.replicate % len(ways(item))]


def one_way(ask: Ask, item: Item) -> str:
    return item.answer


def random_letters(ask: Ask, item: Item) -> str:
    draw = random.Random(f"{item.id}{ask.replicate}")
    return " ".join(
        "".join(draw.choice("abcdefghij") for _ in range(draw.randint(2, 8))) for _ in range(20)
    )


def random_words(ask: Ask, item: Item) -> str:
    """Words of the vocabulary in any order, those asked for among them."""
    draw = random.Random(f"{item.id}{ask.replicate}")
    every = [word for members in CATEGORIES.values() for word in members]
    chosen = [draw.choice(every) for _ in range(18)] + list(item.data.get("words", []))
    draw.shuffle(chosen)
    return " ".join(chosen)


def guess(ask: Ask, item: Item) -> str:
    draw = random.Random(f"{item.id}{ask.replicate}")
    return draw.choice(item.choices or [str(draw.randint(1000, 9000))])


def repeat_prompt(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content


def mean(probe: VariedText | ManyAnswers, script: Script, column: str, n: int = N) -> float:
    items = islice(probe.items(5), n)
    return float(np.mean([converse(probe, item, script)[column] for item in items]))


# ------------------------------------------------------------------------------------ varied text


def test_what_is_said_in_many_ways_scores_well() -> None:
    probe, item = VariedText(), next(VariedText().items(1))
    scores = converse(probe, item, every_way)
    assert scores["distinct-2"] == scores["on-topic"] == 1.0
    assert scores["vendi"] == pytest.approx(6.0)
    assert scores["clusters"] == 6.0
    assert scores["self-bleu"] < 0.05


@pytest.mark.parametrize(
    "script",
    [saying(""), random_letters, random_words, repeat_prompt, saying("It is nice. " * 10)],
)
def test_noise_echo_and_silence_are_no_variety(script: Script) -> None:
    for column, worst in {
        "distinct-2": 0.0, "self-bleu": 1.0, "vendi": 0.0, "clusters": 0.0, "on-topic": 0.0,
    }.items():  # fmt: skip
        assert mean(VariedText(), script, column, 100) == pytest.approx(worst, abs=0.02), column


def test_noise_among_good_samples_adds_nothing() -> None:
    probe = VariedText()

    def half_noise(ask: Ask, item: Item) -> str:
        return item.answer if ask.replicate < 3 else random_letters(ask, item)

    for column in ("distinct-2", "self-bleu", "vendi", "clusters"):
        assert mean(probe, half_noise, column, 50) == pytest.approx(
            mean(probe, one_way, column, 50)
        )
    assert mean(probe, half_noise, "on-topic", 50) == 0.5


def test_saying_more_is_no_more_variety() -> None:
    """Length is the same for all: what comes after the first words does not count."""

    def wordy(ask: Ask, item: Item) -> str:
        return f"{item.answer} {every_way(ask, item)}"

    probe = VariedText()
    for column in ("distinct-2", "self-bleu", "vendi", "clusters"):
        assert mean(probe, wordy, column, 50) == pytest.approx(mean(probe, one_way, column, 50))


def test_the_reference_replies_have_no_pair_of_words_in_common() -> None:
    """What the self-test takes for granted when it works out what must be found."""
    for item in islice(VariedText().items(2), N):
        texts = [words(text)[:LENGTH] for text in ways(item)]
        assert all(is_fit(words(text), item.data["words"]) for text in ways(item))
        assert [len(text) for text in texts] == [LENGTH] * 8
        assert distinct(texts, 2) == 1.0
        assert self_bleu(texts) == pytest.approx(0.027, abs=0.004)
        assert not is_fit(words(item.wrong), item.data["words"])


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("On Monday Mara took her old lamps to the market and sold them.", True),
        ("Mara's lamp was the only light in the house on that night.", True),
        ("On Monday Petra took her old lamp to the market and sold it.", False),
        ("Mara saw a lamp.", False),
        ("lamp Mara lamp Mara lamp Mara lamp Mara the lamp of Mara lamp Mara the", False),
        ("Mara lamp apple tiger violin hammer spoon garden purple window castle rocket", False),
    ],
)
def test_what_a_fit_sentence_is(text: str, fit: bool) -> None:
    assert is_fit(words(text), ["Mara", "lamp"]) is fit


# ----------------------------------------------------------------------------------- many answers


def right_answers(prompt: str) -> set[str]:
    """Everything that answers a generated question, found by reading it."""
    bounds = [int(number) for number in re.findall(r"\d+", prompt)]
    tests: dict[str, Callable[[int], bool]] = {
        "divided by": lambda n: n % bounds[2] == 0,
        "last digit": lambda n: n % 10 == bounds[2],
        "larger than": lambda n: n not in bounds,
        "odd number": lambda n: n % 2 == 1,
    }
    for sign, holds in tests.items():
        if sign in prompt:
            return {str(n) for n in range(bounds[0], bounds[1] + 1) if holds(n)}
    if found := re.search(r"price is below (\d+)\. Prices: (.+?)\.", prompt):
        prices = re.findall(r"([a-z ]+?) (\d+)", found[2])
        return {name.strip() for name, price in prices if int(price) < int(found[1])}
    if found := re.search(r"comes on (\w+)\.", prompt):
        return set(re.search(rf"{found[1]}: ([\w, ]+)\.", prompt)[1].split(", "))  # type: ignore[index]
    listed = re.search(r"list: ([a-z, ]+)\.", prompt)[1].split(", ")  # type: ignore[index]
    if found := re.search(r'letter "(.)"', prompt):
        return {word for word in listed if found[1] in word}
    if found := re.search(r'after "([a-z ]+)"', prompt):
        return set(listed[listed.index(found[1]) + 1 :])
    kind = re.search(r"(stands for|is not) an? ([a-z ]+?)\.", prompt)
    assert kind is not None, prompt
    return {w for w in listed if (w in CATEGORIES[kind[2]]) == (kind[1] == "stands for")}


def test_every_question_has_exactly_the_five_answers_it_says() -> None:
    for item in islice(ManyAnswers().items(3), 4_000):
        prompt = item.messages[0].content
        assert right_answers(prompt) == set(ways(item)), prompt
        assert len(set(ways(item))) == 5
        assert item.wrong not in ways(item)


def test_the_first_of_a_list_is_right_as_often_as_any() -> None:
    hits = []
    for item in islice(ManyAnswers().items(4), 6_000):
        if item.choices and item.family.split(":")[1] not in ("after", "day"):
            found = re.search(r"(?:list|Prices): ([a-z ]+?)(?:,| \d)", item.messages[0].content)
            assert found is not None
            hits.append(found[1] in ways(item))
    assert 0.3 < np.mean(hits) < 0.37


def test_all_the_ways_are_all_there_is_to_reach() -> None:
    probe = ManyAnswers()
    for item in islice(probe.items(1), 40):
        # Eight samples hold three answers twice and two once.
        scores = converse(probe, item, every_way)
        assert scores["accuracy"] == 1.0
        assert scores["pass-gain"] == 0.0
        expected = (3 * (1 - 15 / 70) + 2 * (1 - 35 / 70)) / K
        assert scores["coverage"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("script", "column", "low", "high"),
    [
        (one_way, "coverage", 0.25, 0.25),
        (one_way, "pass-gain", 0, 0),
        (saying(""), "coverage", 0, 0),
        (saying(""), "accuracy", 0, 0),
        (random_letters, "coverage", 0, 0),
        (random_words, "coverage", 0, 0.08),
        (guess, "accuracy", 0.17, 0.23),
        (guess, "coverage", 0, 0.25),
        (repeat_prompt, "coverage", 0, 0.01),
        (lambda ask, item: ", ".join(ways(item)), "coverage", 0, 0),
        (lambda ask, item: item.wrong, "pass-gain", 0, 0),
        (saying("I don't know."), "coverage", 0, 0),
    ],
)
def test_fooling_is_punished(script: Script, column: str, low: float, high: float) -> None:
    assert low - 1e-9 <= mean(ManyAnswers(), script, column) <= high + 1e-9


def test_trying_again_helps_where_samples_fail_on_their_own() -> None:
    def now_and_then(ask: Ask, item: Item) -> str:
        return item.answer if ask.replicate % 2 else item.wrong

    gain = mean(ManyAnswers(), now_and_then, "pass-gain", 40)
    assert gain == pytest.approx(1 - 1 / 70 - 1 / 2)
    assert SAMPLES == 8


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iron", "iron"),
        ("The answer is Tin.", "tin"),
        ("iron and tin", ""),
        ("iron, not wool", ""),
        ("wool", ""),
        ("", ""),
        ("metal", ""),
    ],
)
def test_a_reply_gives_one_answer_or_none(tmp_path: Path, text: str, expected: str) -> None:
    line = {**json.loads(ManyAnswers.example), "choices": ["iron", "wool", "tin", "wood"]}
    (tmp_path / "own.jsonl").write_text(json.dumps(line) + "\n")
    (item,) = with_items(ManyAnswers(), tmp_path / "own.jsonl").items(0)
    assert way(text, item) == expected


def test_answers_must_be_among_the_choices(tmp_path: Path) -> None:
    line = {**json.loads(ManyAnswers.example), "choices": ["iron", "wool"]}
    (tmp_path / "own.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(Exception, match=r"own\.jsonl:1: an entry of 'references'"):
        with_items(ManyAnswers(), tmp_path / "own.jsonl")
