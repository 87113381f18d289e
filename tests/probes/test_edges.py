"""Odd, empty and long input, other languages; places in a text, claims, memory: made and judged."""

from __future__ import annotations

import difflib
import json
import re
import string
import unicodedata
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.probes import solver
from tests.probes.conversing import Script, converse, perfect, saying
from tests.probes.fooling import FOOLS, means
from ullage.errors import InputError
from ullage.models.types import Ask
from ullage.probes.base import PackagedProbe
from ullage.probes.boundary import EmptyInput, Formats, LongInput, OddWriting, OtherLanguages
from ullage.probes.boundary.empty_input import says_nothing_is_asked
from ullage.probes.boundary.languages import _BRIEFLY, _TEMPLATES
from ullage.probes.domains import DOMAINS, FIRST_NAMES
from ullage.probes.grounding import Claims, Conflict, Position
from ullage.probes.grounding.claims import check
from ullage.probes.knowledge import RELATIONS
from ullage.probes.protocol import Item
from ullage.probes.registry import get_probe
from ullage.probes.scenes import ANSWER_FROM_TEXT
from ullage.probes.tasks import with_items

COUNT = 3_000
TWINS = ("odd-writing", "long-input", "other-languages")


# ------------------------------------------------------------------------------------------- items

# What a letter is taken for, by the last word of its Unicode name.
_SEEN_AS = {"A": "a", "ES": "c", "IE": "e", "O": "o", "ER": "p", "HA": "x", "U": "y", "I": "i",
            "EN": "h", "TE": "t", "EM": "m", "VE": "b", "KA": "k"}  # fmt: skip


def read_as_a_person(text: str) -> str:
    """What a reader makes of odd writing: no marks, nothing invisible, letters by their looks."""
    seen = []
    for letter in unicodedata.normalize("NFKD", text):
        if unicodedata.category(letter) in ("Mn", "Cf"):
            continue
        name = unicodedata.name(letter, "")
        if name.startswith("CYRILLIC"):
            seen.append(_SEEN_AS[name.split()[-1]])
        else:
            seen.append(letter)
    return " ".join("".join(seen).casefold().split())


def closest_question(odd: str, noun: str) -> tuple[str, str]:
    """(entity, label) of the question of a kind of thing that reads most like this one."""
    read = read_as_a_person(odd)
    (number,) = re.findall(r"\d{4}", read)
    domain = next(domain for domain in DOMAINS if domain.noun == noun)
    best = max(
        domain.attributes,
        key=lambda one: difflib.SequenceMatcher(
            None, read, one.question.format(e=f"{noun} {number}").casefold()
        ).ratio(),
    )
    return f"{noun} {number}", best.label


def test_odd_writing_can_be_read_and_asks_the_same() -> None:
    for item in islice(OddWriting().items(3), 800):
        plain, changed = item.messages[0].content, item.data["changed"]
        assert solver.answers(plain) == [item.answer]
        context, question = plain.split("\n\n")
        odd = changed.removeprefix(context).removesuffix(ANSWER_FROM_TEXT)
        assert odd.strip() != question.removesuffix(ANSWER_FROM_TEXT).strip()
        asked = solver.read_question(question)
        assert closest_question(odd, asked[0].split()[0]) == asked, odd
        assert solver.read_context(context)[asked[0]][asked[1]] == [item.answer]


def test_padding_says_nothing_of_the_matter() -> None:
    for item in islice(LongInput().items(3), COUNT):
        plain, changed = item.messages[0].content, item.data["changed"]
        assert solver.answers(plain) == [item.answer]
        context, question = plain.split("\n\n")
        before, _, rest = changed.partition(context)
        between, _, after = rest.partition(question)
        padding = before + between + after
        assert 1_700 <= len(padding) <= 2_300
        assert not re.search(rf"\d{{4}}|\b(?:{item.answer}|{item.wrong})\b", padding)
        assert sum(len(part) > 100 for part in (before, between, after)) == 1


def solve_language(kind: str, text: str, question: str) -> str:
    """The answer, from where names and numbers stand; words are not read."""
    names = [word for word in re.findall(r"\w+", text) if word in FIRST_NAMES]
    numbers = re.findall(r"\d+", text)
    if kind in ("city", "age", "room"):
        (name,) = (word for word in re.findall(r"\w+", question) if word in FIRST_NAMES)
        values = re.findall(r"\b(?:à|a|in|en|em) ([A-Z]\w+)", text) if kind == "city" else numbers
        return str(values[names.index(name)])
    if kind == "older":
        return str(names[numbers.index(max(numbers))])
    if kind == "platform":
        cities = re.findall(r"(?:nach|pour|a|per|para|naar|to) ([A-Z]\w+)", text)
        (city,) = (city for city in cities if city in question)
        return str(numbers[cities.index(city)])
    return str({"price": numbers[:1], "buyer": names[1:2], "last": names[2:3]}[kind][0])


def test_every_language_has_the_answer_of_an_independent_solver() -> None:
    for item in islice(OtherLanguages().items(3), COUNT):
        kind = item.family.split(":")[2]
        for prompt in (item.messages[0].content, item.data["changed"]):
            text, question = prompt.split("\n\n")
            assert solve_language(kind, text, question) == item.answer, prompt
            assert re.search(rf"\b{item.wrong}\b", text)


def test_every_template_is_there_in_every_language_with_the_same_gaps() -> None:
    for kind, languages in _TEMPLATES.items():
        assert set(languages) == set(_BRIEFLY), kind
        gaps = {
            tuple(
                tuple(sorted({gap for _, gap, _, _ in string.Formatter().parse(part) if gap}))
                for part in parts
            )
            for parts in languages.values()
        }
        assert len(gaps) == 1, kind
        for text, question in languages.values():
            assert text.endswith(".")
            assert question.endswith("?")


def test_an_empty_form_differs_from_the_full_one_in_the_question_only() -> None:
    for item in islice(EmptyInput().items(3), COUNT):
        empty, full = item.messages[0].content, item.data["full"]
        form, question = full.split("\n\nQuestion: ")
        assert empty.startswith(f"{form}\n\nQuestion:")
        entity, label = solver.read_question(question)
        assert solver.read_context(form.split("\n\n")[0])[entity][label] == [item.data["answer"]]
        slot = empty.removeprefix(f"{form}\n\nQuestion:").strip()
        assert slot != question
        if item.family.split(":")[1] != "filler":
            assert not slot.endswith("?") or set(slot) <= set("?!")


def test_only_the_place_of_the_answer_differs() -> None:
    for item in islice(Position().items(3), 1_000):
        prompts = item.data["prompts"]
        assert len({tuple(sorted(text.splitlines())) for text in prompts}) == 1
        assert {len(text) for text in prompts} == {len(prompts[0])}
        context, question = prompts[0].split("\n\n")
        entity, label = solver.read_question(question)
        places = [
            next(i for i, line in enumerate(text.splitlines()) if line.lower().startswith(entity))
            for text in prompts
        ]
        assert places == [0, 9, 19]
        told = solver.read_context(context)
        assert len(told) == 20
        assert told.pop(entity)[label] == [item.answer]
        others = [value for facts in told.values() for value in facts[label]]
        assert item.wrong in others
        assert item.answer not in others


def test_claims_lists_hold_every_value_there_is_once() -> None:
    for item in islice(Claims().items(3), COUNT):
        context, question = item.messages[0].content.split("\n\n")
        entity = re.search(r"about (\w+ \d{4})\?", question)
        assert entity is not None
        told = solver.read_context(context)
        own = {label: values[0] for label, values in told.pop(entity[1]).items()}
        assert sorted(own.values()) == sorted(item.data["supported"])
        ((_, other),) = told.items()
        assert set(other) < set(own)
        assert all(values[0] in item.data["contradicted"] for values in other.values())
        domain = next(one for one in DOMAINS if one.name == item.family.split(":")[1])
        for attribute in domain.attributes:
            kind = "contradicted" if attribute.label in own else "invented"
            rest = set(attribute.values) - set(own.values())
            assert rest <= set(item.data[kind])
        everything = [value for values in item.data.values() for value in values]
        assert len(everything) == len(set(everything))


def test_what_is_asked_from_memory_is_answered_by_the_world() -> None:
    truth = {
        question.format(s=subject): value
        for relation in RELATIONS
        for subject, value in relation.pairs
        for question in relation.questions
    }
    for item in islice(Conflict().items(3), COUNT):
        assert truth[item.data["memory"].removesuffix(" Answer briefly.")] == item.wrong
        assert item.answer in item.messages[0].content.split("\n\n")[0]


# ----------------------------------------------------------------------------------------- metrics

IDEAL = {
    "odd-writing": {"changed": 1, "plain": 1, "breaks": 0},
    "long-input": {"changed": 1, "plain": 1, "breaks": 0},
    "other-languages": {"changed": 1, "plain": 1, "breaks": 0},
    "empty-input": {"contrast": 1, "notices": 1, "answers": 1},
    "grounding-position": {"middle": 1, "edges": 1, "lost-in-middle": 0},
    "grounding-claims": {"f1": 1, "covers": 1, "contradicted": 0, "invented": 0},
    "grounding-conflict": {"follows": 1, "recalls": 0, "commits": 1, "knows": 1},
}


@pytest.mark.parametrize("name", IDEAL)
def test_a_perfect_model_scores_full_marks(name: str) -> None:
    assert means(name, perfect) == pytest.approx(IDEAL[name])


@pytest.mark.parametrize("name", IDEAL)
def test_long_winded_answers_score_as_well(name: str) -> None:
    def wordy(ask: Ask, item: Item) -> str:
        said = perfect(ask, item)
        return f"The answer is {said}" if ask.subject.expects == "answer" else said

    assert means(name, wordy) == pytest.approx(IDEAL[name])


def copy_text(ask: Ask, item: Item) -> str:
    """The text without the question."""
    return ask.messages[-1].content.rsplit("\n\n", 1)[0]


STRATEGIES: dict[str, Script] = {
    **{
        name: FOOLS[name]
        for name in (
            "always abstain",
            "always ask",
            "always refuse",
            "empty string",
            "repeat the prompt",
        )
    },
    "copy the context": copy_text,
}
HEADLINES = {
    "boundary": {
        "abstention": "contrast",
        "clarification": "contrast",
        "empty-input": "contrast",
        "invariance": "accuracy",
        "odd-writing": "changed",
        "long-input": "changed",
        "other-languages": "changed",
    },
    "grounding": {
        "grounding-present": "grounded",
        "grounding-missing": "grounded",
        "grounding-counterfactual": "grounded",
        "grounding-contradictory": "grounded",
        "grounding-irrelevant": "grounded",
        "grounding-conflict": "follows",
        "grounding-position": "middle",
        "grounding-claims": "f1",
    },
}
# Where a strategy passes: it is the right thing to do there, or all that is there to be found.
PASSES = {
    ("always abstain", "grounding-missing"),
    ("always abstain", "grounding-contradictory"),
    ("repeat the prompt", "grounding-present"),
    ("repeat the prompt", "grounding-counterfactual"),
    ("repeat the prompt", "grounding-conflict"),
    ("copy the context", "grounding-present"),
    ("copy the context", "grounding-counterfactual"),
    ("copy the context", "grounding-conflict"),
    # Here `contradicted` sees it: a copy tells of the other thing, too.
    ("repeat the prompt", "grounding-claims"),
    ("copy the context", "grounding-claims"),
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dimension", HEADLINES)
def test_fooling_is_punished(strategy: str, dimension: str) -> None:
    """By every headline of the dimension but those where the strategy is right."""
    for name, metric in HEADLINES[dimension].items():
        value = means(name, STRATEGIES[strategy])[metric]
        if (strategy, name) in PASSES:
            assert value > 0.3, f"{strategy} does not pass {name}: take it from the list"
        else:
            assert value <= 0.05, (name, metric, value)


@pytest.mark.parametrize("strategy", ["copy the context", "repeat the prompt"])
def test_copying_is_a_claim_about_something_else(strategy: str) -> None:
    scores = means("grounding-claims", STRATEGIES[strategy])
    assert scores["contradicted"] == pytest.approx(1)


@pytest.mark.parametrize("name", TWINS)
def test_what_is_read_plainly_only_breaks(name: str) -> None:
    def only_plain(ask: Ask, item: Item) -> str:
        return item.answer if ask.messages == item.messages else item.wrong

    assert means(name, only_plain) == pytest.approx({"changed": 0, "plain": 1, "breaks": 1})


def test_whoever_reads_the_ends_only_is_lost_in_the_middle() -> None:
    def skims(ask: Ask, item: Item) -> str:
        at = item.data["prompts"].index(ask.messages[-1].content)
        return item.wrong if at == 1 else item.answer

    assert means("grounding-position", skims) == pytest.approx(
        {"middle": 0, "edges": 1, "lost-in-middle": 1}
    )


def conflict(script: Script) -> dict[str, float]:
    """The probe's metrics over items."""
    probe = Conflict()
    scores = [converse(probe, item, script) for item in islice(probe.items(5), 100)]
    found = {}
    for metric in probe.metrics:
        values = np.array([[one[c] for c in metric.source_columns] for one in scores])
        functional = metric.functional or (lambda values, weights: values.mean(axis=0))
        found[metric.name] = float(functional(values, np.ones((1, len(values))))[0])
    return found


def test_only_what_the_arm_knows_counts_as_a_conflict() -> None:
    def parrot(ask: Ask, item: Item) -> str:
        """It knows half of it, reads that from memory and the rest from the text."""
        knows = int(item.id[-1]) % 2 == 0
        is_closed = ask.messages != item.messages
        if is_closed:
            return item.wrong if knows else "I don't know."
        return item.wrong if knows else item.answer

    assert conflict(parrot) == pytest.approx({"grounded": 0, "memorised": 1, "knows": 0.5})


def test_whoever_knows_nothing_has_nothing_to_resist() -> None:
    def ignorant(ask: Ask, item: Item) -> str:
        return item.answer if ask.messages == item.messages else "I don't know."

    found = conflict(ignorant)
    assert found["knows"] == 0
    assert np.isnan(found["grounded"])
    assert np.isnan(found["memorised"])


DATA = {
    "supported": ["Velox", "lamp", "Monday"],
    "contradicted": ["Kurio", "Tuesday"],
    "invented": ["card", "gift card"],
}
ASKED = "Order 17 was sent with Velox. It holds a lamp. What does the text say about order 17?"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Order 17 was sent with Velox, holds a lamp and is due on Monday.", (3, 0, 0)),
        ("It was sent with KURIO and holds a lamp.", (1, 1, 0)),
        ("Velox sent it. It was paid with a gift card.", (1, 0, 1)),
        ("A lamp, sent to Berlin with Velox.", (2, 0, 1)),
        ("It holds 3 lamps.", (0, 0, 1)),
        ("The text does not say.", (0, 0, 0)),
        ("", (0, 0, 0)),
    ],
)
def test_replies_are_taken_apart(text: str, expected: tuple[int, int, int]) -> None:
    found = check(text, ASKED, DATA)
    assert (found.supported, found.contradicted, found.invented) == expected


def test_saying_everything_covers_and_contradicts() -> None:
    def all_of_it(ask: Ask, item: Item) -> str:
        return ", ".join(value for values in item.data.values() for value in values)

    scores = means("grounding-claims", all_of_it)
    assert scores["covers"] == pytest.approx(1)
    assert scores["contradicted"] == scores["invented"] == pytest.approx(1)
    assert scores["f1"] < 0.2


def test_formats_sees_an_answer_that_is_lost_in_one_form() -> None:
    """A student that can write dates in one style only: it knows the month in all."""

    def one_style(ask: Ask, item: Item) -> str:
        is_iso = re.search(r"\d{4}-\d{2}-\d{2}", ask.subject.answer)
        is_date = re.search(r"\d{4}", ask.subject.answer)
        return "12" if is_date and not is_iso else ask.subject.answer

    probe = Formats()
    for item in islice(probe.items(5), 240):
        scores = converse(probe, item, one_style)
        expected = (0.25, 1) if item.family.split(":")[1] == "whole-dates" else (1, 0)
        assert (scores["accuracy"], scores["spread"]) == expected


def test_a_date_may_be_told_in_any_style() -> None:
    probe = Formats()
    for item in islice(probe.items(5), 240):
        for style in range(4):
            scores = converse(probe, item, saying(item.data["answers"][style]))
            assert scores["accuracy"] == 1


def test_saying_that_nothing_is_asked_is_recognised() -> None:
    """Replies written after the rules; run with -s to see precision and recall."""
    path = Path(__file__).parent / "data" / "empty.tsv"
    replies = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    asked = next(EmptyInput().items(1)).messages[0].content
    found = [(label == "1", says_nothing_is_asked(text, asked)) for label, text in replies]
    hits = sum(label and said for label, said in found)
    precision = hits / sum(said for _, said in found)
    recall = hits / sum(label for label, _ in found)
    print(f"empty: n={len(found)} precision={precision:.3f} recall={recall:.3f}")
    assert precision >= 0.95
    assert recall >= 0.9


# -------------------------------------------------------------------------------------- own items


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("formats", {"answers": ["March"]}, "'answers' must be a list of 2 texts"),
        ("formats", {"answers": ["March", ""]}, "an entry of 'answers' is blank"),
        ("odd-writing", {"changed": None}, "key 'changed' is missing"),
        ("empty-input", {"full": 3.5, "answer": None}, "key 'answer' is missing"),
        ("grounding-position", {"others": ["one"]}, "'others' has 1 entries"),
        ("grounding-claims", {"invented": ["Velox"]}, "'Velox' is in two lists"),
        ("grounding-claims", {"supported": []}, "'supported' has 0 entries"),
        ("grounding-conflict", {"memory": None}, "key 'memory' is missing"),
    ],
)
def test_lines_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, change: dict[str, Any], said: str
) -> None:
    probe = get_probe(name)
    assert isinstance(probe, PackagedProbe)
    (tmp_path / "own.jsonl").write_text(json.dumps(json.loads(probe.example) | change))
    with pytest.raises(InputError, match=rf"own\.jsonl:1: {said}"):
        with_items(probe, tmp_path / "own.jsonl")


def test_own_forms_may_have_an_answer_each(tmp_path: Path) -> None:
    line = {"prompts": ["Left on 2024-03-05. When?", "Left on 5 March 2024. When?"],
            "answers": ["2024-03-05", "5 March 2024"]}  # fmt: skip
    (tmp_path / "own.jsonl").write_text(json.dumps(line))
    own = with_items(Formats(), tmp_path / "own.jsonl")
    (item,) = own.items(0)
    assert converse(own, item, saying("March 5, 2024")) == {"accuracy": 1, "spread": 0}
    assert converse(own, item, saying("5"))["accuracy"] == 0
