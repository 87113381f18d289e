"""Inheritance: puzzles with one truth, the teacher's very errors, and groups that change sides."""

from __future__ import annotations

import datetime
import json
import random
import re
import statistics
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.probes.conversing import Script, converse, perfect, saying
from ullage.errors import InputError
from ullage.models.types import Ask
from ullage.probes.domains import DAYS
from ullage.probes.inheritance import GroupSwaps, TeacherErrors
from ullage.probes.protocol import Item
from ullage.probes.tasks import with_items
from ullage.stats.metrics import share_where

N = 3_000


def repeat_prompt(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content


# --------------------------------------------------------------------------------- teacher's errors


def solve(prompt: str) -> str:
    """The answer to a puzzle, worked out from its words."""
    numbers = [int(number) for number in re.findall(r"\d+", prompt)]
    quoted = re.findall(r'"(\w+)"', prompt)
    if "remainder" in prompt:
        return str(numbers[0] % numbers[1])
    if ("times" in prompt and "letter" not in prompt) or "Multiply" in prompt:
        return str(int(np.prod(numbers)))
    if "minus" in prompt or "away from" in prompt:
        return str(abs(numbers[0] - numbers[1]))
    if "letter" in prompt:
        return str(sum(one == quoted[0] for one in quoted[1]))
    if "backwards" in prompt or "right to left" in prompt:
        return "".join(reversed(quoted[0]))
    if "day of the week" in prompt:
        today = next(day for day in DAYS if day in prompt)
        monday = datetime.date(2024, 1, 1)
        then = monday + datetime.timedelta(days=DAYS.index(today) + numbers[0])
        return then.strftime("%A")
    if "minutes" in prompt:
        start = datetime.datetime(2024, 1, 1, numbers[0], numbers[1])
        return (start + datetime.timedelta(minutes=numbers[2])).strftime("%H:%M")
    if "largest" in prompt:
        return str(int(np.sort(numbers)[-3]))
    if "Roman" in prompt:
        return next(text for text in ROMAN if value(text) == numbers[0])
    words = re.search(r": ([a-z, ]+)[.?]", prompt)
    assert words is not None, prompt
    return str(sorted(words[1].split(", "))[3])


def value(roman: str) -> int:
    """A Roman numeral by the rule that a smaller sign before a larger one is taken away."""
    signs = [{"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}[sign] for sign in roman]
    return sum(-one if one < after else one for one, after in pairwise([*signs, 0]))


ROMAN = [
    f"{'C' * hundreds}{tens}{ones}"
    for hundreds in range(4)
    for tens in ("", "X", "XX", "XXX", "XL", "L", "LX", "LXX", "LXXX", "XC")
    for ones in ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")
]


def test_every_puzzle_has_the_answer_it_says() -> None:
    for item in islice(TeacherErrors().items(3), N):
        assert solve(item.messages[0].content) == item.answer, item.messages[0].content
        assert item.wrong != item.answer


def test_answers_are_not_to_be_guessed() -> None:
    """Two arms that guess seldom guess the same."""
    answers: dict[str, Counter[str]] = {}
    for item in islice(TeacherErrors().items(4), 6_000):
        kind = item.family.split(":")[1]
        answers.setdefault(kind, Counter())[item.answer] += 1
    for kind, counts in answers.items():
        most = max(counts.values()) / counts.total()
        assert most < (0.5 if kind == "letters" else 0.2), kind


def other(item: Item) -> str:
    """A wrong answer that is not the likely one."""
    left = [one for one in item.choices if one not in (item.answer, item.wrong)]
    return left[0] if left else "123456789"


@pytest.mark.parametrize(
    ("own", "teacher", "expected"),
    [
        ("right", "right", (0, 0, 0, 1)),
        ("right", "wrong", (0, 1, 0, 1)),
        ("wrong", "right", (0, 0, 0, 0)),
        ("wrong", "wrong", (1, 1, 1, 0)),
        ("other", "wrong", (0, 1, 1, 0)),
        ("wordy", "wrong", (1, 1, 1, 0)),
        ("empty", "empty", (0, 0, 0, 0)),
        ("unsure", "unsure", (0, 0, 0, 0)),
        ("empty", "wrong", (0, 1, 0, 0)),
        ("talk", "talk", (0, 0, 0, 0)),
    ],
)
def test_only_the_very_same_error_is_repeated(
    own: str, teacher: str, expected: tuple[int, ...]
) -> None:
    probe = TeacherErrors()
    for item in islice(probe.items(2), 120):
        said = {
            "right": item.answer,
            "wrong": item.wrong,
            "wordy": f"The answer is {item.wrong}.",
            "other": other(item),
            "empty": "",
            "unsure": "I don't know.",
            "talk": "To find out what this is we need to take a look at all of it.",
        }
        scores = converse(probe, item, saying(said[own]), teacher=saying(said[teacher]))
        names = ("repeats", "teacher-wrong", "both-wrong", "accuracy")
        assert tuple(scores[name] for name in names) == expected, item.messages


def test_rates_are_shares_of_what_could_be_repeated() -> None:
    columns = np.array([[1, 1], [0, 1], [0, 1], [1, 1], [0, 0]], dtype=float)
    assert share_where(columns, np.ones((1, 5)))[0] == pytest.approx(0.5)
    weights = np.array([[2.0, 1, 0, 0, 3], [0, 0, 0, 0, 1]])
    twice = share_where(columns, weights)
    assert twice[0] == pytest.approx(2 / 3)
    assert np.isnan(twice[1])


def test_what_is_compared_with_base_says_so() -> None:
    metrics = {metric.name: metric for metric in TeacherErrors().metrics}
    assert metrics["repeats"].against == metrics["same-when-wrong"].against == "base"
    assert metrics["accuracy"].against == "teacher"
    assert {metric.against for metric in GroupSwaps().metrics} == {"teacher"}


@pytest.mark.parametrize(
    ("script", "accuracy"),
    [
        (saying(""), 0.0),
        (repeat_prompt, 0.0),
        (lambda ask, item: other(item), 0.0),
        (saying("7"), 0.1),
    ],
)
def test_having_errors_of_ones_own_is_no_way_out(script: Script, accuracy: float) -> None:
    """Nothing is repeated by who answers nothing or nonsense; accuracy tells."""
    probe = TeacherErrors()
    scores = [
        converse(probe, item, script, teacher=lambda ask, item: item.wrong)
        for item in islice(probe.items(5), 200)
    ]
    assert statistics.fmean(one["repeats"] for one in scores) <= 0.1
    assert statistics.fmean(one["accuracy"] for one in scores) <= accuracy


# -------------------------------------------------------------------------------------- group swaps


def groups_of(prompt: str) -> dict[str, str]:
    """Who belongs to which group: the first two sentences."""
    return dict(sentence.split(" ", 1) for sentence in prompt.split(". ")[:2])


def leaning_to(group: str) -> Script:
    """Names whoever belongs to a group; abstains where nobody does."""

    def script(ask: Ask, item: Item) -> str:
        told = re.search(r"\. It was (\w+)\.", ask.messages[0].content)
        if told:
            return told[1]
        found = [name for name, one in groups_of(ask.messages[0].content).items() if one == group]
        return found[0] if found else "The text does not say."

    return script


def first_named(ask: Ask, item: Item) -> str:
    return ask.messages[0].content.split()[0]


def means(script: Script, teacher: Script = perfect, n: int = 480) -> dict[str, float]:
    probe = GroupSwaps()
    scores = [converse(probe, i, script, teacher=teacher) for i in islice(probe.items(8), n)]
    return {name: statistics.fmean(one[name] for one in scores) for name in scores[0]}


def test_swapping_changes_the_groups_and_nothing_else() -> None:
    for item in islice(GroupSwaps().items(3), N):
        one, other = item.data["prompts"]
        groups, swapped = groups_of(one), groups_of(other)
        assert list(groups) == list(swapped) == list(item.choices)
        assert list(groups.values()) == list(swapped.values())[::-1]
        assert len(set(groups.values())) == 2
        assert len(one) == len(other)
        assert sorted(one) == sorted(other)
        elsewhere = groups_of(item.data["elsewhere"][0])
        assert list(elsewhere.values()) == list(groups.values())
        assert not set(elsewhere) & set(groups)
        clear = item.data["clear"]
        assert clear.replace(f" It was {item.data['who']}.", "") == one
        assert not re.search(r"It was", one + other)


def test_groups_and_who_did_it_are_balanced() -> None:
    first: Counter[str] = Counter()
    who: Counter[bool] = Counter()
    for item in islice(GroupSwaps().items(3), 4_800):
        first[next(iter(groups_of(item.messages[0].content).values()))] += 1
        who[item.data["who"] == item.choices[0]] += 1
    assert min(first.values()) > 0.8 * max(first.values())
    assert min(who.values()) > 0.9 * max(who.values())


HAND = "is left-handed"


def test_leaning_as_the_teacher_does_is_seen_and_no_more_than_once() -> None:
    share_of_hands = 1 / 8
    scores = means(leaning_to(HAND), teacher=leaning_to(HAND))
    assert scores["amplification"] == pytest.approx(share_of_hands)
    assert scores["follows-group"] == pytest.approx(share_of_hands)
    assert scores["answers"] == 1.0
    # A student that leans where its teacher does not amplifies nothing of the teacher's.
    own = means(leaning_to(HAND), teacher=perfect)
    assert own["amplification"] == 0.0
    assert own["follows-group"] == pytest.approx(share_of_hands)
    against = means(leaning_to("is right-handed"), teacher=leaning_to(HAND))
    assert against["amplification"] == pytest.approx(-share_of_hands)


def test_amplification_is_zhaos_on_groups_and_deeds() -> None:
    """b(o, g) counted over groups g and deeds o, and its growth on the teacher's side of 1/2."""
    draw = random.Random(1)
    probe, deeds = GroupSwaps(), ("clock", "cake", "speech", "keys", "garden", "book")
    lean_teacher = {deed: draw.uniform(-0.6, 0.6) for deed in deeds}
    lean_student = {deed: 1.5 * lean for deed, lean in lean_teacher.items()}

    def leaner(leans: dict[str, float], seed: int) -> Script:
        def script(ask: Ask, item: Item) -> str:
            deed = item.family.rsplit(":", 1)[1]
            groups = groups_of(ask.messages[0].content)
            names = sorted(groups, key=groups.__getitem__)
            luck = random.Random(f"{seed}{ask.messages[0].content}").random()
            return names[0] if luck < (1 + leans[deed]) / 2 else names[1]

        return script

    teacher, student = leaner(lean_teacher, 1), leaner(lean_student, 2)
    columns: dict[str, list[float]] = {"teacher": [], "student": []}
    for item in islice(probe.items(6), 9_600):
        for arm, script in (("teacher", teacher), ("student", student)):
            scores = converse(probe, item, script, teacher=teacher)
            columns[arm].append(scores["amplification"])

    # The direction is the teacher's answer about others: right as often as its lean makes it.
    def expected(leans: dict[str, float]) -> float:
        def sign(lean: float) -> float:
            both = ((1 + lean) / 2) ** 2
            return both - ((1 - lean) / 2) ** 2

        return statistics.fmean(sign(lean_teacher[deed]) * leans[deed] for deed in deeds)

    for arm, leans in (("teacher", lean_teacher), ("student", lean_student)):
        assert statistics.fmean(columns[arm]) == pytest.approx(expected(leans), abs=0.02)
    assert expected(lean_student) > expected(lean_teacher) > 0


@pytest.mark.parametrize(
    ("script", "follows", "abstains", "answers"),
    [
        (perfect, 0, 1, 1),
        (saying("The text does not say."), 0, 1, 0),
        (saying(""), 0, 0, 0),
        (first_named, 0, 0, 0.5),
        (repeat_prompt, 0, 0, 0),
    ],
)
def test_what_does_not_look_at_groups_is_seen_elsewhere(
    script: Script, follows: float, abstains: float, answers: float
) -> None:
    scores = means(script, teacher=leaning_to(HAND))
    assert scores["amplification"] == 0.0
    assert scores["follows-group"] == follows
    assert scores["abstains"] == abstains
    assert scores["answers"] == pytest.approx(answers, abs=0.08)


def test_guessing_leans_nowhere_on_average() -> None:
    def guess(ask: Ask, item: Item) -> str:
        names = list(groups_of(ask.messages[0].content))
        return random.Random(ask.messages[0].content).choice(names)

    scores = means(guess, teacher=leaning_to(HAND), n=2_000)
    assert scores["amplification"] == pytest.approx(0.0, abs=0.03)
    assert scores["follows-group"] == pytest.approx(0.5, abs=0.05)
    assert scores["abstains"] == 0.0


def test_the_teacher_is_asked_about_others() -> None:
    item, asked = next(GroupSwaps().items(0)), []

    def teacher(ask: Ask, item: Item) -> str:
        asked.append(ask)
        return ""

    converse(GroupSwaps(), item, perfect, teacher=teacher)
    assert [ask.messages[0].content for ask in asked] == item.data["elsewhere"]
    assert {ask.subject.item for ask in asked} == {f"{item.id}/others"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "Who was it?"}, r"'question' has no place \{a\}"),
        ({"told": "It was her."}, r"'told' has no place \{who\}"),
        ({"people": ["A", "B", "C"]}, "'people' has 3 entries; two are expected"),
    ],
)
def test_own_groups_need_their_places(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (tmp_path / "own.jsonl").write_text(json.dumps({**json.loads(GroupSwaps.example), **change}))
    with pytest.raises(InputError, match=rf"own\.jsonl:1: {said}"):
        with_items(GroupSwaps(), tmp_path / "own.jsonl")
