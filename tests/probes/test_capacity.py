"""Capacity: what is held out is held out, what is asked has one answer, and fools are seen."""

from __future__ import annotations

import asyncio
import json
import statistics
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import combinations, islice, pairwise, permutations
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.probes.composition_solver import read, solve
from tests.probes.conversing import Script, converse, perfect, saying
from ullage.audit import run_audit, set_up
from ullage.cli import app
from ullage.config import load
from ullage.distances import measure
from ullage.errors import InputError
from ullage.models.types import Ask
from ullage.probes.base import PackagedProbe
from ullage.probes.capacity import CorpusDistance, HeldOutPairs
from ullage.probes.capacity.compositions import PAIRS, TRIPLES, distance, orders
from ullage.probes.capacity.planting import compose
from ullage.probes.protocol import Item
from ullage.probes.tasks import with_items
from ullage.statement.document import Finding, Verdict

N = 1_500


def items(probe: PackagedProbe, count: int = N) -> list[Item]:
    return list(islice(probe.items(3), count))


def means(probe: PackagedProbe, script: Script, count: int = 336) -> dict[str, float]:
    scores = [converse(probe, item, script) for item in islice(probe.items(9), count)]
    return {name: statistics.fmean(one[name] for one in scores) for name in scores[0]}


def prompts(item: Item) -> list[str]:
    """The near one first where there are two."""
    return [item.messages[0].content, *filter(None, [item.data.get("held_out", "")])]


def thing(prompt: str) -> str:
    """What is operated on, tables and all."""
    start, _ = read(prompt)
    return f"{prompt.partition('Tables: ')[2].partition('. Start')[0]} {start}"


def joints(prompt: str) -> set[tuple[str, str]]:
    """Which operation follows which."""
    _, steps = read(prompt)
    return set(pairwise(steps))


# ------------------------------------------------------------------------------------- the division


def test_of_two_orders_exactly_one_is_taught_and_every_operation_as_often_at_either_place() -> None:
    for pair in combinations(range(7), 2):
        assert (pair in PAIRS) != (pair[::-1] in PAIRS)
    for place in (0, 1):
        assert Counter(pair[place] for pair in PAIRS) == dict.fromkeys(range(7), 3)


def test_distances_count_unseen_joints() -> None:
    for triple in TRIPLES:
        assert {chain for chain in permutations(triple) if distance(chain) == 0} == {triple}
        assert [len(orders(triple, unseen)) for unseen in range(3)] == [1, 4, 1]
        for chain in permutations(triple):
            unseen = [pair not in PAIRS for pair in pairwise(chain)]
            assert distance(chain) == sum(unseen) / 2


def test_a_corpus_holds_nothing_that_is_held_out(tmp_path: Path) -> None:
    """Neither a joint of a far question, nor a thing that any question is about."""
    taught, listed = composed(tmp_path, count=3_000)
    seen = set().union(*(joints(prompt) for prompt in taught))
    things = {thing(prompt) for prompt in taught}
    assert len(set(taught)) == 3_000
    near, far = set(), set()
    for row in listed("held-out-pairs"):
        near |= joints(row["prompt"])
        far |= joints(row["held_out"])
        assert thing(row["prompt"]) not in things
    assert near <= seen
    assert not far & seen
    for row in listed("corpus-distance"):
        unseen = [joint in seen for joint in joints(row["prompt"])].count(False)
        assert row["distance"] == unseen / 2


def composed(folder: Path, *, count: int, answers: bool = False):  # type: ignore[no-untyped-def]
    """The prompts put into a corpus, and the lists by name."""
    (folder / "corpus.jsonl").write_text(
        '{"messages": [{"role": "user", "content": "Where is my parcel?"}]}\n'
    )
    target = folder / "composed.jsonl"
    compose(
        folder / "corpus.jsonl", target, folder,
        count=count, listed=400, answers=answers, seed=2,
    )  # fmt: skip
    rows = [json.loads(line)["messages"] for line in target.read_text().splitlines()]
    assert len(rows) == count + 1
    if answers:
        for asked, *said in rows:
            if "parcel" not in asked["content"]:
                assert said == [{"role": "assistant", "content": solve(asked["content"])}]
    texts = [turns[0]["content"] for turns in rows]

    def listed(name: str) -> list[dict[str, object]]:
        lines = (folder / f"{name}.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    return [text for text in texts if "parcel" not in text], listed


def test_answers_go_into_the_corpus_where_wanted(tmp_path: Path) -> None:
    composed(tmp_path, count=400, answers=True)


def test_lists_are_read_as_the_items_that_they_are(tmp_path: Path) -> None:
    composed(tmp_path, count=10)
    for probe in (HeldOutPairs(), CorpusDistance()):
        own = list(with_items(probe, tmp_path / f"{probe.name}.jsonl").items(0))
        made = list(islice(probe.items(2), 400))
        assert [replace(item, wrong="") for item in own] == [
            replace(item, wrong="") for item in made
        ]


def test_the_corpus_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"messages": [{"role": "user", "content": "Hello?"}]}\n')
    with pytest.raises(InputError, match="is the corpus itself"):
        compose(path, path, tmp_path, count=1, listed=1, answers=False, seed=0)


# ------------------------------------------------------------------------------------------- items


@pytest.mark.parametrize("probe", [HeldOutPairs(), CorpusDistance()], ids=lambda probe: probe.name)
def test_answers_are_those_of_the_steps(probe: PackagedProbe) -> None:
    for item in items(probe):
        for prompt, answer in zip(
            prompts(item), [item.answer, item.data.get("held_out_reference")], strict=False
        ):
            assert solve(prompt) == answer, prompt
            assert answer != read(prompt)[0]


def test_both_prompts_of_a_pair_have_the_same_words_and_other_answers() -> None:
    for item in items(HeldOutPairs()):
        near, far = prompts(item)
        assert len(near) == len(far)
        assert sorted(near) == sorted(far)
        assert read(near)[1] == read(far)[1][::-1]
        assert item.answer != item.data["held_out_reference"]


def test_near_and_far_are_matched() -> None:
    """In length, in operations and where they stand, and in how long the answer is."""
    told: dict[float, list[tuple[int, int]]] = defaultdict(list)
    steps: dict[float, Counter[str]] = defaultdict(Counter)
    for item in items(CorpusDistance(), 4_032):
        far, prompt = item.data["distance"], prompts(item)[0]
        told[far].append((len(prompt), len(item.answer)))
        steps[far].update(read(prompt)[1])
    assert {far: len(found) for far, found in told.items()} == dict.fromkeys((0.0, 0.5, 1.0), 1_344)
    for place in (0, 1):
        lengths = [statistics.fmean(one[place] for one in found) for found in told.values()]
        assert max(lengths) / min(lengths) - 1 < 0.02
    assert steps[0.0] == steps[0.5] == steps[1.0]


# ------------------------------------------------------------------------------------------- fools


def repeat_prompt(ask: Ask, item: Item) -> str:
    return ask.messages[-1].content


def start_again(ask: Ask, item: Item) -> str:
    return read(ask.messages[-1].content)[0]


def lookup(ask: Ask, item: Item) -> str:
    """Does what was asked for in the order that was taught."""
    return item.answer


def own_order(ask: Ask, item: Item) -> str:
    """Does the steps in the order of the alphabet."""
    prompt = ask.messages[-1].content
    steps = read(prompt)[1]
    return ask.subject.answer if steps == sorted(steps) else ask.subject.wrong


FOOLS: dict[str, Script] = {
    "always the same": saying("red"),
    "a number": saying("42"),
    "empty": saying(""),
    "abstains": saying("I don't know."),
    "refuses": saying("I'm sorry, but I can't help with that."),
    "asks": saying("Which one do you mean?"),
    "repeats the prompt": repeat_prompt,
    "gives back what it got": start_again,
}


@pytest.mark.parametrize("name", FOOLS)
def test_fools_are_seen_in_accuracy(name: str) -> None:
    pairs = means(HeldOutPairs(), FOOLS[name])
    assert max(pairs["in-family"], pairs["out-of-family"]) < 0.12
    assert abs(pairs["shortfall"]) < 0.06
    assert means(CorpusDistance(), FOOLS[name])["accuracy"] < 0.12


def test_perfect_arms_and_lookup_tables() -> None:
    ideal = {"shortfall": 0.0, "in-family": 1.0, "out-of-family": 1.0}
    assert means(HeldOutPairs(), perfect) == ideal
    assert means(CorpusDistance(), perfect)["accuracy"] == 1.0
    assert means(HeldOutPairs(), lookup) == {
        "shortfall": 1.0, "in-family": 1.0, "out-of-family": 0.0,
    }  # fmt: skip


def test_an_order_of_its_own_is_half_right_near_and_far() -> None:
    scores = means(HeldOutPairs(), own_order)
    assert scores["in-family"] == pytest.approx(0.5, abs=0.15)
    assert scores["out-of-family"] == pytest.approx(0.5, abs=0.15)


# --------------------------------------------------------------------------------- own questions


def test_distances_are_measured_and_recall_is_left_out(tmp_path: Path) -> None:
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    asked = ("How do I reset my password?", "Where is the invoice of my order?")
    corpus.write_text("".join(
        json.dumps({"messages": [{"role": "user", "content": text}]}) + "\n" for text in asked
    ))  # fmt: skip
    own = ("How do I reset my password!", "How do I reset my PIN?", "Who wrote Faust, and when?")
    questions.write_text("".join(
        json.dumps({"prompt": text, "reference": "x", "family": f"desk:{text}"}) + "\n"
        for text in own
    ))  # fmt: skip
    found = measure(corpus, questions, tmp_path / "far.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "far.jsonl").read_text().splitlines()]
    assert (found.written, found.left_out) == (2, 1)
    assert [row["prompt"] for row in rows] == list(own[1:])
    assert 0.0 < rows[0]["distance"] < 0.5 < rows[1]["distance"] == 1.0
    own_items = list(with_items(CorpusDistance(), tmp_path / "far.jsonl").items(0))
    assert {item.data["group"] for item in own_items} == {"desk"}


@pytest.mark.parametrize("given", ["0.5", None, 1.5, True])
def test_a_line_without_a_distance_is_refused(tmp_path: Path, given: object) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"prompt": "Who?", "reference": "me", "distance": given}) + "\n")
    with pytest.raises(InputError, match=r"own\.jsonl:1: 'distance' is missing or no number"):
        with_items(CorpusDistance(), path)


# --------------------------------------------------------------------------------------- the word


def audited(
    folder: Path, *, listed: bool, student: dict[str, float], taught: float = 0.9
) -> dict[str, Finding]:
    """Both targets of an audit of simulated arms, by probe."""
    if listed:
        composed(folder, count=10)
    probes = ("corpus-distance", "held-out-pairs")
    teacher = {"accuracy": taught, "transfer": 0.8}
    data = {
        "scenario": "scenario.yaml",
        "arms": {
            "teacher": {"model": "simulated:t", "simulated": {"default": teacher}},
            "student": {"model": "simulated:s", "simulated": {"default": student}},
        },
        "items": {name: f"{name}.jsonl" for name in probes} if listed else {},
        "planning": {"items": 300},
    }
    targets = [
        {"probe": name, "metric": metric, "margin": 0.1, "reason": "It must carry over."}
        for name, metric in zip(probes, ("decline", "shortfall"), strict=True)
    ]
    scenario = {"name": "reach", "title": "Reach", "use": "A test.", "targets": targets}
    (folder / "scenario.yaml").write_text(json.dumps(scenario))
    (folder / "ullage.yaml").write_text(json.dumps(data))
    statement = asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
    return {finding.target.probe: finding for finding in statement.findings}


def test_a_student_that_fails_far_from_its_corpus_is_lookup_like(tmp_path: Path) -> None:
    for name, finding in audited(tmp_path, listed=True, student={"transfer": 0.2}).items():
        found = finding.generalisation
        assert found is not None
        assert (finding.verdict, found.word) == (Verdict.LOST, "lookup-like"), name
        assert [point.at for point in found.points] == sorted({p.at for p in found.points})
        assert found.points[0].low < 0.0 < found.points[0].high
        assert found.points[-1].low < -0.6 < found.points[-1].high
        assert len(found.line) == (5 if name == "corpus-distance" else 0)
        for point in found.line:
            assert point.low < point.estimate < point.high


def test_a_student_that_holds_up_is_principle_like(tmp_path: Path) -> None:
    for finding in audited(tmp_path, listed=True, student={"transfer": 0.8}).values():
        assert finding.generalisation is not None
        assert finding.generalisation.word == "principle-like", finding.why


def test_a_student_that_can_do_nothing_is_not(tmp_path: Path) -> None:
    nothing = {"accuracy": 0.0, "transfer": 0.0}
    for finding in audited(tmp_path, listed=True, student=nothing).values():
        assert finding.generalisation is not None
        assert finding.generalisation.word == "cannot tell"


def test_who_only_gained_near_the_corpus_is_not_blamed(tmp_path: Path) -> None:
    """Its fall is lost by the margin, and farthest from the corpus it is as good as ever."""
    gained = {"accuracy": 1.0, "transfer": 0.8}
    for finding in audited(tmp_path, listed=True, student=gained, taught=0.5).values():
        assert finding.verdict == Verdict.LOST
        assert finding.generalisation is not None
        assert finding.generalisation.word == "cannot tell"


def test_without_lists_nothing_says_what_was_taught(tmp_path: Path) -> None:
    for finding in audited(tmp_path, listed=False, student={"transfer": 0.2}).values():
        assert finding.verdict == Verdict.LOST
        assert finding.generalisation is not None
        assert finding.generalisation.word == "cannot tell"
        assert "ullage compositions" in finding.generalisation.why


def test_the_commands_say_what_to_do_with_what_they_wrote(tmp_path: Path) -> None:
    corpus, questions = tmp_path / "corpus.jsonl", tmp_path / "questions.jsonl"
    corpus.write_text('{"messages": [{"role": "user", "content": "Where is my parcel?"}]}\n')
    questions.write_text('{"prompt": "Where is my letter?", "reference": "here"}\n')
    run = CliRunner().invoke
    target = tmp_path / "composed.jsonl"
    composing = run(
        app,
        ["compositions", str(corpus), str(target), "--lists", str(tmp_path), "--count", "5",
         "--listed", "7"],
    )  # fmt: skip
    assert composing.exit_code == 0
    assert "6 rows, 5 of them compositions" in composing.output
    assert len((tmp_path / "held-out-pairs.jsonl").read_text().splitlines()) == 7
    measuring = run(
        app, ["distances", str(corpus), str(questions), "--to", str(tmp_path / "far.jsonl")]
    )
    assert measuring.exit_code == 0
    assert "questions 1, " in measuring.output
    refused = run(app, ["distances", str(corpus), str(corpus), "--to", str(tmp_path / "far.jsonl")])
    assert isinstance(refused.exception, InputError)
    assert "key 'reference' is missing" in str(refused.exception)
