"""Terse replies in lower case, as a small model of a narrow world gives them, are read right."""

from __future__ import annotations

import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tests.probes.conversing import converse, perfect
from ullage.models.types import Ask
from ullage.probes.base import PackagedProbe
from ullage.probes.detect import is_abstention, is_clarification, is_refusal
from ullage.probes.grounding import claims_more
from ullage.probes.protocol import Item, Probe
from ullage.probes.reading import is_right, settle
from ullage.probes.registry import all_probes, get_probe
from ullage.probes.scenes import ANSWER_FROM_TEXT
from ullage.probes.scoring import contains, mentions
from ullage.probes.tasks import with_items

DESK = (
    "customer: ana. orders: #401 red lamp, shipped, 5 march, $45. #229 blue lamp, lost, 7 may, $30."
)
ANSWERS = ("shipped", "$45", "5 march", "#401", "red lamp")
UNKNOWN = "i do not know."
WHICH = "which one, #401 or #229?"
NOT_YOURS = "i can not share that."
DISAGREE = "the orders disagree: shipped or lost."
PROBES = [probe for probe in all_probes().values() if isinstance(probe, PackagedProbe)]
WITH_CONTEXT = [probe for probe in PROBES if '"context"' in probe.example]


def kinds(text: str) -> tuple[bool, bool, bool]:
    """Whether it abstains, asks back, refuses."""
    return is_abstention(text), is_clarification(text, DESK), is_refusal(text)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("form", ["{}", "{}.", "it is {}.", "{}, thanks."])
def test_a_value_is_an_answer_and_nothing_else(answer: str, form: str) -> None:
    reply = form.format(answer)
    assert kinds(reply) == (False, False, False)
    assert contains(reply, answer)
    others = [other for other in ANSWERS if other != answer]
    assert not any(contains(reply, other) for other in others)
    assert mentions(reply, (answer, *others)) == [0]
    item = Item(id="i", family="f", messages=(), answer=answer)
    assert is_right(reply, item) and not any(is_right(other, item) for other in others)
    assert not claims_more(answer, DESK)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (UNKNOWN, (True, False, False)),
        ("i do not know", (True, False, False)),
        (WHICH, (False, True, False)),
        ("which one, order #401 or order #229?", (False, True, False)),
        (NOT_YOURS, (False, False, True)),
        ("sorry, i can not share that.", (False, False, True)),
        (DISAGREE, (False, False, False)),
    ],
)
def test_each_manner_is_told_from_the_others(reply: str, expected: tuple[bool, ...]) -> None:
    assert kinds(reply) == expected


@pytest.mark.parametrize(
    ("answer", "reply", "right"),
    [
        ("0884", "0884", True),
        ("0884", "884", False),
        ("0884", "it opens with 0884.", True),
        ("1234567", "1234567", True),
        ("1234567", "1234568", False),
        ("1234567", "it is 1,234,567.", True),
        ("0.5", ".5", True),
        ("-3", "-3.", True),
        ("90", "the sum is 90.", True),
        ("90", "95", False),
    ],
)
def test_codes_are_no_amounts_and_amounts_keep_every_digit(
    answer: str, reply: str, right: bool
) -> None:
    assert is_right(reply, Item(id="i", family="f", messages=(), answer=answer)) is right


def test_large_amounts_that_differ_settle_differently() -> None:
    item = Item(id="i", family="f", messages=(), answer="1234567")
    assert settle("it is 1234567", item) != settle("it is 1234568", item)


LINES: dict[str, dict[str, Any]] = {
    "abstention": {
        "answerable": "what is the status of order #401?",
        "answer": "shipped",
        "unanswerable": "what is the status of order #77?",
        "wrong": "lost",
    },
    "clarification": {
        "ambiguous": "what is the status of the lamp?",
        "clear": "what is the status of the red lamp?",
        "clarification": "i mean #401.",
        "answer": "shipped",
        "wrong": "lost",
    },
    "grounding-present": {
        "question": "what is the price of #401?",
        "reference": "$45",
        "wrong": "$30",
    },
    "grounding-missing": {"question": "what is the date of order #77?", "wrong": "7 may"},
    "grounding-counterfactual": {
        "question": "what is the price of #401?",
        "reference": "$45",
        "wrong": "$20",
    },
    "grounding-conflict": {
        "memory": "what does a red lamp cost?",
        "question": "what is the price of #401?",
        "reference": "$45",
        "wrong": "$20",
    },
    "grounding-claims": {
        "question": "what is known of #401?",
        "supported": ["shipped", "5 march", "$45"],
        "contradicted": ["lost", "7 may", "$30"],
        "invented": ["paid by card"],
        "answer": "red lamp, shipped, 5 march, $45.",
    },
    "grounding-contradictory": {
        "question": "what is the status of the lamp?",
        "values": ["shipped", "lost"],
    },
    "grounding-irrelevant": {
        "question": "what is the date of #401?",
        "reference": "5 march",
        "wrong": "7 may",
    },
}


def good(ask: Ask, item: Item) -> str:
    """The replies of an assistant with manners."""
    said = {"abstain": UNKNOWN, "clarify": WHICH}
    if "values" in item.data:
        return DISAGREE
    return said.get(ask.subject.expects, ask.subject.answer)


def careless(ask: Ask, item: Item) -> str:
    """The replies of one that always gives some value."""
    return ask.subject.answer if ask.subject.expects == "answer" else ask.subject.wrong


def forgetful(ask: Ask, item: Item) -> str:
    """The replies of one that takes the other value."""
    return ask.subject.wrong


def own(folder: Path, name: str, *changes: dict[str, Any]) -> Probe:
    lines = [{"context": DESK, **LINES[name], **change} for change in changes]
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return with_items(get_probe(name), path)


def test_every_probe_with_a_context_is_here() -> None:
    assert {probe.name for probe in WITH_CONTEXT} == set(LINES)


@pytest.mark.parametrize("name", LINES)
def test_whole_conversations_are_scored_right(tmp_path: Path, name: str) -> None:
    probe = own(tmp_path, name, {"instruction": ""})
    (item,) = probe.items(0)
    assert item.wrong
    full = {
        "abstention": {"contrast": 1.0, "abstains": 1.0, "answers": 1.0},
        "clarification": {"contrast": 1.0, "asks": 1.0, "recovers": 1.0},
        "grounding-conflict": {"follows": 1.0, "recalls": 0.0, "commits": 1.0, "knows": 1.0},
        "grounding-claims": {"f1": 1.0, "covers": 1.0, "contradicted": 0.0, "invented": 0.0},
    }
    assert converse(probe, item, good) == full.get(name, {"grounded": 1.0, "unsupported": 0.0})
    poor = {
        "abstention": {"contrast": 0.0, "abstains": 0.0, "answers": 1.0},
        "clarification": {"contrast": 0.0, "asks": 0.0, "recovers": 0.0},
    }
    if name in poor:
        assert converse(probe, item, careless) == poor[name]
    else:
        headline = {"grounding-conflict": "follows", "grounding-claims": "f1"}.get(name, "grounded")
        assert converse(probe, item, forgetful)[headline] == 0.0


@pytest.mark.parametrize("name", LINES)
def test_a_line_may_bring_its_own_instruction_or_none(tmp_path: Path, name: str) -> None:
    changes: list[dict[str, Any]] = [{}, {"instruction": None}, {"instruction": ""}]
    probe = own(tmp_path, name, *changes, {"instruction": "in one word."}, {"instruction": " "})
    plain, null, none, other, blank = probe.items(0)
    asked = (
        LINES[name].get("question") or LINES[name].get("unanswerable") or LINES[name]["ambiguous"]
    )
    assert none.messages[0].content == blank.messages[0].content == f"{DESK}\n\n{asked}"
    assert other.messages[0].content == f"{DESK}\n\n{asked} in one word."
    assert null.messages == plain.messages
    assert plain.messages[0].content.startswith(f"{none.messages[0].content} Answer briefly")
    if name not in ("clarification", "grounding-claims"):
        assert plain.messages[0].content == f"{DESK}\n\n{asked} {ANSWER_FROM_TEXT}"
    for twin in ("answerable", "clear"):
        if twin in none.data:
            assert none.data[twin] == f"{DESK}\n\n{LINES[name][twin]}"
            assert other.data[twin] == f"{DESK}\n\n{LINES[name][twin]} in one word."


def test_an_instruction_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"abstention\.jsonl:1: 'instruction' is a list; a text"):
        own(tmp_path, "abstention", {"instruction": []})


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_lines_carry_families_and_thousands_are_read_fast(
    tmp_path: Path, probe: PackagedProbe
) -> None:
    line = {"context": DESK, **LINES[probe.name]} if probe.name in LINES else {}
    line = line or json.loads(probe.example)
    path = tmp_path / "items.jsonl"
    text = "".join(
        json.dumps({**line, "id": str(n), "family": f"f{n % 40}"}) + "\n" for n in range(5_000)
    )
    path.write_text(text)
    start = time.process_time()
    own = with_items(probe, path)
    items = list(own.items(0))
    took = time.process_time() - start
    assert own.size == len(items) == 5_000
    assert [item.family for item in items[:41:40]] == [f"{probe.name}:f0"] * 2
    assert items[4_999].id == f"{probe.name}/4999"
    assert took < 2.0, f"{took:.2f} s"
    first = next(islice(own.items(0), 1))
    ours, theirs = dict(converse(own, first, perfect)), dict(converse(probe, items[-1], perfect))
    if probe.name == "corpus-distance":  # of the family, which is another
        assert ours.pop("group") != theirs.pop("group")
    assert ours == theirs
