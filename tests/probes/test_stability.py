"""Turns, shards, slips and endings: generated right, judged right, and no way to pass by manner."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probes import chain_solver
from tests.probes.conversing import converse, perfect, saying
from tests.probes.fooling import FOOLS, means, say_it_again
from ullage.config.models import Behaviour, SimulatedOptions
from ullage.errors import InputError
from ullage.models.simulated import SimulatedModel
from ullage.models.types import Ask, FinishReason, Reply, Sample, Subject
from ullage.probes.base import PackagedProbe
from ullage.probes.protocol import Item
from ullage.probes.registry import get_probe
from ullage.probes.stability import Endings, Recovery, Sharded, Turns
from ullage.probes.stability.endings import is_loop
from ullage.probes.stability.turns import slope
from ullage.probes.tasks import with_items

COUNT = 3_000


# ------------------------------------------------------------------------------------------- items


@pytest.mark.parametrize("probe", [Turns(), Recovery()], ids=lambda probe: probe.name)
def test_every_turn_has_the_answer_of_an_independent_solver(probe: PackagedProbe) -> None:
    for item in islice(probe.items(3), COUNT):
        turns, answers = item.data["turns"], item.data["answers"]
        assert chain_solver.states(turns)[1:] == answers, turns
        assert item.messages[0].content == turns[0]
        # Saying again what was so is wrong at every turn.
        assert len(set(answers)) == len(answers)


def test_shards_hold_the_answer_and_the_whole_is_the_same_sentences() -> None:
    for item in islice(Sharded().items(3), COUNT):
        shards = item.data["shards"]
        assert " ".join(shards) == item.messages[0].content
        assert chain_solver.states(shards)[-1] == item.answer
        assert [len(chain_solver.moves(shard)) for shard in shards] == [0, 1, 1, 1]
        asked = re.findall(r"[^.?]+\?", shards[0])
        assert len(asked) == 1 and asked[0] in shards[-1]


def test_a_slip_differs_from_what_is_right_now_and_in_the_end() -> None:
    lengths: dict[str, list[int]] = {"slip": [], "right": []}
    for item in islice(Recovery().items(3), COUNT):
        first, right, last = item.data["answers"]
        slip = item.data["slip"]
        assert slip not in (first, right, last)
        _, move = chain_solver.opening(item.data["turns"][0])
        (said,) = chain_solver.moves(item.data["turns"][2])
        assert move(slip, said) != last
        lengths["slip"].append(len(slip))
        lengths["right"].append(len(right))
    slip, right = (statistics.mean(found) for found in lengths.values())
    assert slip == pytest.approx(right, rel=0.05)


def test_requests_name_a_length_a_person_and_a_place() -> None:
    for item in islice(Endings().items(3), COUNT):
        text = item.messages[0].content
        assert f"at most {item.data['words']} words" in text
        thing, _, name, city = item.data["about"]
        assert thing in text and name in text and city in text


# ----------------------------------------------------------------------------------------- metrics

HEADLINE = {"turns": "accuracy", "sharded": "sharded", "endings": "complete"}


@pytest.mark.parametrize("name", HEADLINE)
@pytest.mark.parametrize("fool", FOOLS)
def test_fooling_is_punished(name: str, fool: str) -> None:
    scores = means(name, FOOLS[fool])
    assert scores[HEADLINE[name]] <= 0.12
    if name == "sharded":
        assert scores["full"] <= 0.12


@pytest.mark.parametrize("fool", FOOLS)
def test_fooling_does_not_recover(fool: str) -> None:
    scores = means("recovery", FOOLS[fool], teacher=perfect)
    for column in ("after-slip", "after-own", "after-teacher", "after-right"):
        assert scores[column] <= 0.12, column


def test_building_on_a_slip_is_seen() -> None:
    """It works on from its last reply, whatever that was."""

    def on(ask: Ask, item: Item) -> str:
        start, move = chain_solver.opening(ask.messages[0].content)
        said = [message.content for message in ask.messages if message.role == "assistant"]
        (change,) = chain_solver.moves(ask.messages[-1].content)
        state: str = said[-1] if said else start
        return move(state, change)

    scores = means("recovery", on, teacher=lambda ask, item: item.data["slip"])
    assert scores["after-right"] == pytest.approx(1)
    assert scores["after-own"] == pytest.approx(1)
    assert scores["after-slip"] == 0
    assert scores["slip-cost"] == pytest.approx(1)
    assert scores["after-teacher"] < 0.3


def test_recovery_shows_each_history_as_it_was() -> None:
    item = next(iter(Recovery().items(2)))
    histories: list[list[str]] = []

    def script(ask: Ask, item: Item) -> str:
        replies = [message.content for message in ask.messages if message.role == "assistant"]
        if len(replies) == 2:
            histories.append(replies)
        return "Mine."

    converse(Recovery(), item, script, teacher=saying("Theirs."))
    first, second = item.data["answers"][:2]
    assert histories == [
        [first, item.data["slip"]],
        ["Mine.", "Mine."],
        ["Theirs.", "Theirs."],
        [first, second],
    ]


def test_errors_that_start_and_stay_grow_and_exceed_the_one_step_rate() -> None:
    def loses_the_thread(ask: Ask, item: Item) -> str:
        """Right at first; from the second turn on it says what it said before."""
        replies = [message.content for message in ask.messages if message.role == "assistant"]
        answers = item.data["answers"]
        if replies == answers[: len(replies)] and len(replies) != 1:
            return str(answers[len(replies)])
        return say_it_again(ask, item)

    scores = means("turns", loses_the_thread)
    assert scores["error-growth"] == pytest.approx(slope([0, 1, 1, 1]))
    # On right words it errs at the second turn only: 1 on its own words against 1/3.
    assert scores["excess-error"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == pytest.approx(1 / 4)


def test_what_is_lost_between_turns_is_a_drop() -> None:
    def only_whole(ask: Ask, item: Item) -> str:
        return item.answer if len(ask.messages) == 1 else "All right."

    scores = means("sharded", only_whole)
    assert scores == pytest.approx({"drop": 1, "sharded": 0, "full": 1})


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=3, max_size=9))
def test_the_slope_is_that_of_least_squares(values: list[float]) -> None:
    expected = np.polyfit(np.arange(len(values)), values, 1)[0]
    assert slope(values) == pytest.approx(expected, abs=1e-9)
    assert abs(slope(values)) <= 0.5


def ended(text: str, finish: FinishReason) -> Mapping[str, float]:
    item = next(iter(Endings().items(2)))
    conversation = Endings().converse(item)
    request = next(conversation)
    assert isinstance(request, Ask)
    thing = item.data["about"][0]
    with pytest.raises(StopIteration) as stop:
        conversation.send(Reply(text=text.replace("THING", thing), finish_reason=finish))
    scores: Mapping[str, float] = stop.value.value
    return scores


LONG = " ".join(f"word{number}" for number in range(80))


@pytest.mark.parametrize(
    ("text", "finish", "expected"),
    [
        ("A THING is a fine sight.", "stop", (1, 0, 0, 0)),
        ("A THING is a fine", "length", (0, 0, 1, 0)),
        ("A THING is a fine", "content_filter", (0, 0, 1, 0)),
        (f"A THING. {LONG}.", "stop", (0, 0, 0, 1)),
        ("A THING is fine, is fine, is fine, is fine", "stop", (0, 1, 0, 0)),
        ("A THING is fine. It is fine. It is fi", "length", (0, 0, 1, 0)),
        ("", "stop", (0, 0, 0, 0)),
        ("It is a fine sight.", "stop", (0, 0, 0, 0)),
        ("THING!", "stop", (0, 0, 0, 0)),
    ],
)
def test_endings_are_told_apart(text: str, finish: FinishReason, expected: tuple[int, ...]) -> None:
    scores = ended(text, finish)
    assert tuple(scores[m.name] for m in Endings.metrics) == expected


def test_where_nothing_is_known_of_the_end_nothing_is_said_of_it() -> None:
    assert set(ended("A THING is a fine sight.", "unknown")) == {"loops", "runaway"}


@given(st.lists(st.sampled_from("ab"), max_size=14))
def test_a_loop_is_a_phrase_that_ends_a_text_three_times(words: list[str]) -> None:
    """Against a backreference over the same words."""
    text = "".join(f"{word} " for word in words)
    assert is_loop(text) == bool(re.search(r"(?:^| )((?:[ab] ){2,})\1\1$", text))


# ----------------------------------------------------------------------------------------- engine

PROBES = ("worked-steps", "given-steps", "step-samples", "turns", "sharded", "recovery", "endings")


@pytest.mark.parametrize("name", PROBES)
def test_one_request_is_due_one_thing(name: str) -> None:
    """Replies are kept by what was asked: a simulated arm must not owe two to one question."""
    probe = get_probe(name)
    arm = Behaviour(accuracy=0.6, follow=0.6, hold=0.6, recover=0.6, end=0.6, noise=0.3)
    models = {
        of: SimulatedModel(of, SimulatedOptions(seed=seed, default=arm))
        for seed, of in enumerate(("self", "teacher"))
    }
    expected: set[str] = set()
    for item in islice(probe.items(4), 150):
        due: dict[object, Subject] = {}
        conversation = probe.converse(item)
        request = next(conversation)
        while True:
            asks = request.asks() if isinstance(request, Sample) else [request]
            replies = []
            for one in asks:
                assert isinstance(one, Ask)
                asked = (one.messages, one.max_tokens, one.temperature, one.replicate)
                assert due.setdefault(asked, one.subject) == one.subject
                expected.add(one.subject.expects)
                reply = models[one.of].respond(one)
                assert isinstance(reply, Reply)
                replies.append(reply)
            try:
                answer = tuple(replies) if isinstance(request, Sample) else replies[0]
                request = conversation.send(answer)
            except StopIteration:
                break
    assert expected & {"answer", "end"}


@pytest.mark.parametrize("field", ["follow", "hold", "recover", "end"])
def test_a_simulated_arm_does_right_as_often_as_declared(field: str) -> None:
    model = SimulatedModel("a", SimulatedOptions(default=Behaviour.model_validate({field: 0.3})))
    said = []
    for index in range(8_000):
        subject = Subject(item=str(index), expects=field, answer="It ends.", wrong="And then")
        reply = model.respond(Ask(messages=(), subject=subject))
        assert isinstance(reply, Reply)
        said.append(reply.text == "It ends.")
        cut = field == "end" and not said[-1]
        assert reply.finish_reason == ("length" if cut else "stop")
    assert np.mean(said) == pytest.approx(0.3, abs=0.02)


# -------------------------------------------------------------------------------------- own items


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("turns", {"turns": ["a", "b"]}, "'turns' has 2 entries; at least 3"),
        ("turns", {"answers": ["1"]}, "'answers' has 1 entries for 3 'turns'"),
        ("turns", {"answers": "7"}, "'answers' is text; a list of texts"),
        ("turns", {"answers": ["7", "", "1"]}, "an entry of 'answers' is blank"),
        ("turns", {"choices": ["7", "5"]}, "'11' is not among 'choices'"),
        ("recovery", {"slip": "5"}, "'slip' is the right answer of its turn"),
        ("sharded", {"shards": ["one"]}, "'shards' has 1 entries"),
        ("endings", {"words": "few"}, "'words' is 'few'"),
        ("endings", {"about": []}, "'about' has 0 entries"),
    ],
)
def test_lines_that_cannot_be_used_are_refused(
    tmp_path: Path, name: str, change: dict[str, object], said: str
) -> None:
    probe = get_probe(name)
    assert isinstance(probe, PackagedProbe)
    (tmp_path / "own.jsonl").write_text(json.dumps(json.loads(probe.example) | change))
    with pytest.raises(InputError, match=rf"own\.jsonl:1: {said}"):
        with_items(probe, tmp_path / "own.jsonl")


def test_turns_may_be_the_same_words(tmp_path: Path) -> None:
    line = {"turns": ["It is red. Next?", "Next?", "Next?"], "answers": ["blue", "pink", "red"]}
    (tmp_path / "own.jsonl").write_text(json.dumps(line))
    own = with_items(Turns(), tmp_path / "own.jsonl")
    (item,) = own.items(0)
    assert item.choices == ("blue", "pink", "red")
    assert converse(own, item, perfect) == {"error-growth": 0, "excess-error": 0, "accuracy": 1}
