"""Steps: generated right, read right, and no way to pass without doing them."""

from __future__ import annotations

import json
import statistics
from itertools import islice, pairwise
from pathlib import Path

import pytest

from tests.probes import chain_solver
from tests.probes.conversing import converse, perfect, saying
from tests.probes.fooling import FOOLS, means
from ullage.errors import InputError
from ullage.models.types import Ask
from ullage.probes.process import GivenSteps, StepSamples, WorkedSteps
from ullage.probes.protocol import Item
from ullage.probes.tasks import with_items
from ullage.probes.working import lines, path, settled

COUNT = 3_000
ADD = [{"add": 7}, {"add": -5}, {"times": 2}]
"""34, 41, 36, 72."""


# ------------------------------------------------------------------------------------------- items


@pytest.mark.parametrize("probe", [WorkedSteps(), StepSamples()], ids=lambda probe: probe.name)
def test_answers_and_working_are_those_of_an_independent_solver(probe: WorkedSteps) -> None:
    for item in islice(probe.items(3), COUNT):
        states = chain_solver.states([item.messages[0].content])
        assert states[-1] == item.answer, item.messages[0].content
        assert states[0] == item.data["start"]
        assert [chain_solver.last_value(line) for line in item.data["working"]] == states[1:]
        assert len(set(states)) == len(states)


def test_a_slip_is_one_wrong_step_and_ends_wrongly() -> None:
    for item in islice(WorkedSteps().items(3), COUNT):
        state, move = chain_solver.opening(item.messages[0].content)
        wrong = 0
        for said, line in zip(
            chain_solver.moves(item.messages[0].content), item.data["slip"], strict=True
        ):
            reached = chain_solver.last_value(line)
            wrong += reached != move(state, said)
            state = reached
        assert wrong == 1
        assert state == item.wrong != item.answer


def test_given_steps_lead_where_they_are_said_to() -> None:
    for item in islice(GivenSteps().items(3), COUNT):
        text = item.messages[0].content
        _, move = chain_solver.opening(text)
        *shown, last = chain_solver.moves(text)
        states = chain_solver.states([text])
        for kind in ("steps", "reworded"):
            assert [chain_solver.last_value(line) for line in item.data[kind]] == states[1:-1]
        mistaken = [chain_solver.last_value(line) for line in item.data["mistaken"]]
        assert len(shown) == len(mistaken)
        assert move(mistaken[-1], last) == item.data["leads_to"]
        assert item.answer == states[-1]
        assert item.data["leads_to"] not in states[1:]
        follow = [
            move(here, said) == there
            for said, (here, there) in zip(shown, pairwise([states[0], *mistaken]), strict=True)
        ]
        assert follow.count(False) == 1
        # Whoever copies the last line is right in neither case.
        assert states[-2] != item.answer
        assert mistaken[-1] != item.data["leads_to"]


def test_compared_steps_are_matched_in_number_and_length() -> None:
    lengths: dict[str, list[int]] = {"steps": [], "reworded": [], "mistaken": []}
    for item in islice(GivenSteps().items(5), COUNT):
        assert len({len(item.data[kind]) for kind in lengths}) == 1
        for kind, found in lengths.items():
            found.append(sum(map(len, item.data[kind])))
    average = [statistics.mean(found) for found in lengths.values()]
    assert max(average) / min(average) < 1.1


def test_mistakes_come_at_every_step() -> None:
    places = [0, 0, 0]
    for item in islice(GivenSteps().items(5), 1_500):
        wrong = zip(item.data["steps"], item.data["mistaken"], strict=True)
        places[next(place for place, (one, other) in enumerate(wrong) if one != other)] += 1
    assert min(places) > 400


# ----------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize(
    "text",
    [
        "34 + 7 = 41\n41 - 5 = 36\n36 * 2 = 72",
        "1. 34 + 7 = 41.\n2. 41 - 5 = 36.\n3. 36 x 2 = 72.",
        "Step 1: 34 + 7 = 41\nStep 2: 41 - 5 = 36\nStep 3: 36 × 2 = 72",
        "- 34+7=41\n- 41-5=36\n- 36*2=72",
        "We start with 34 coins. 34 + 7 = 41. 41 - 5 = 36. 36 * 2 = 72. So there are 72 coins.",
        "34 + 7 = 41, 41 - 5 = 36, 36 * 2 = 72",
        "Then 7 more go in: 34 + 7 = 41\nThen 5 come out.\n41 - 5 = 36\nThen 2 times.\n36 * 2 = 72",
        "Let's see!\nSeven more than 34 makes forty-one.\n5 fewer than 41 makes 36.\nTwice 36: 72.",
        "(1) 34 + 7 = 41\n\n(2) 41 - 5 = 36\n\n(3) 36 * 2 = 72\n\nAnswer: 72",
    ],
)
def test_steps_are_read_however_they_are_laid_out(text: str) -> None:
    found = path(lines(text), (), "34", ADD)
    assert (found.reached, found.errors, found.outcome) == (("41", "36", "72"), 0, "72")


@pytest.mark.parametrize(
    ("text", "errors", "outcome"),
    [
        ("34 + 7 = 42\n42 - 5 = 37\n37 * 2 = 74", 1, "74"),  # carried on rightly: one error
        ("34 + 7 = 42\n42 - 5 = 36\n36 * 2 = 72", 2, "72"),  # put right unsaid: two
        ("34 + 7 = 41\n41 - 5 = 36", 1, ""),  # a step is missing
        ("72", 3, ""),
        ("", 3, ""),
        ("It is so.", 3, ""),
        ("34\n34\n34", 3, ""),
        ("7\n5\n2", 3, "2"),
    ],
)
def test_wrong_and_missing_steps_are_counted_once(text: str, errors: int, outcome: str) -> None:
    found = path(lines(text), (), "34", ADD)
    assert (found.errors, found.outcome) == (errors, outcome)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mara", "Mara"),
        ("It is MARA.", "Mara"),
        ("Jonas hands it to Mara.", "Mara"),
        ("The answer is Mara, because Jonas has it no more.", "Mara"),
        ("Answer: Mara\nJonas gave it up.", "Mara"),
        ("Maras", ""),
        ("Nobody.", ""),
        ("", ""),
    ],
)
def test_a_reply_settles_on_a_name(text: str, said: str) -> None:
    assert settled(text, ("Jonas", "Mara")) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("72", "72"),
        ("72 coins.", "72"),
        ("36 * 2 = 72", "72"),
        ("The answer is 72 (36 * 2).", "72"),
        ("seventy-two", "72"),
        ("1,072", "1072"),
        ("none", ""),
    ],
)
def test_a_reply_settles_on_a_number(text: str, said: str) -> None:
    assert settled(text, ()) == said


# ---------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize("name", ["worked-steps", "given-steps", "step-samples"])
@pytest.mark.parametrize("fool", FOOLS)
def test_fooling_is_punished(name: str, fool: str) -> None:
    scores = means(name, FOOLS[fool])
    assert scores["accuracy"] <= 0.1
    if name == "worked-steps":
        assert scores["step-errors"] >= 0.8
        assert scores["agreement"] <= 0.05
        assert scores["cut-short"] <= 0.1
    elif name == "given-steps":
        # Also of whoever says the last line again; it moves with the steps, but does not follow.
        assert scores["mistake-carried"] <= 0.05
    else:
        assert scores["consistency"] <= 0.05


def test_steps_for_show_are_seen() -> None:
    """It knows the answer, and writes right steps that nothing hangs on."""

    def knows(ask: Ask, item: Item) -> str:
        works = len(ask.messages) == 1 and ask.max_tokens == WorkedSteps.max_tokens
        return "\n".join(item.data["working"]) if works else item.answer

    scores = means("worked-steps", knows)
    assert scores == pytest.approx(
        {"step-errors": 0, "accuracy": 1, "agreement": 1, "cut-short": 0}
    )
    scores = means("given-steps", lambda ask, item: item.answer)
    assert scores["mistake-carried"] == scores["answer-change"] == 0
    assert scores["accuracy"] == pytest.approx(1)


def test_an_answer_against_its_own_steps_is_seen() -> None:
    def against(ask: Ask, item: Item) -> str:
        return item.wrong if len(ask.messages) == 3 else perfect(ask, item)

    scores = means("worked-steps", against)
    assert scores["step-errors"] == 0
    assert scores["agreement"] == 0


def test_answers_that_hang_on_the_wording_are_seen() -> None:
    def by_length(ask: Ask, item: Item) -> str:
        return item.answer if ask.messages[1].content == "\n".join(item.data["steps"]) else "?"

    scores = means("given-steps", by_length)
    assert scores["reworded-change"] == pytest.approx(1)
    assert scores["answer-change"] == pytest.approx(0)


def test_paths_that_differ_are_counted_in_pairs() -> None:
    probe = StepSamples()
    item = next(iter(probe.items(1)))
    right, wrong = "\n".join(item.data["working"]), "\n".join(item.data["slip"])
    said = iter([right, wrong, right])
    scores = converse(probe, item, lambda ask, item: next(said))
    assert scores == pytest.approx({"consistency": 1 / 3, "accuracy": 2 / 3})
    assert converse(probe, item, saying("No idea."))["consistency"] == 0


# -------------------------------------------------------------------------------------- own items


def test_own_words_and_lines_of_several_turns(tmp_path: Path) -> None:
    line = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Two hops from a?"},
        ],
        "instruction": "",
        "then": "so?",
        "values": ["b", "c"],
        "choices": ["a", "b", "c"],
    }
    (tmp_path / "own.jsonl").write_text(json.dumps(line))
    own = with_items(WorkedSteps(), tmp_path / "own.jsonl")
    (item,) = own.items(0)
    seen: list[Ask] = []

    def script(ask: Ask, item: Item) -> str:
        seen.append(ask)
        return perfect(ask, item)

    scores = converse(own, item, script)
    assert scores == {"step-errors": 0, "accuracy": 1, "agreement": 1, "cut-short": 1}
    assert [message.content for message in seen[0].messages] == ["Be brief.", "Two hops from a?"]
    assert {ask.messages[-1].content for ask in seen[1:]} == {"so?", "Two hops from a? so?"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"leads_to": "5"}, "'leads_to' is the reference"),
        ({"choices": ["5", "7"]}, "'6' is not among 'choices'"),
        ({"steps": []}, "'steps' has 0 entries"),
    ],
)
def test_given_steps_that_cannot_be_used_are_refused(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    line = json.loads(GivenSteps.example) | change
    (tmp_path / "own.jsonl").write_text(json.dumps(line))
    with pytest.raises(InputError, match=rf"own\.jsonl:1: {said}"):
        with_items(GivenSteps(), tmp_path / "own.jsonl")
