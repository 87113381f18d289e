"""Generated items: unique, balanced, made on their own, right, and matched where compared."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import Counter
from itertools import islice

import pytest

from tests.probes import solver
from ullage.probes.base import PackagedProbe
from ullage.probes.draw import Draw
from ullage.probes.knowledge import CATEGORIES, RELATIONS
from ullage.probes.protocol import Item
from ullage.probes.questions import CHOICE_FAMILIES
from ullage.probes.registry import all_probes
from ullage.probes.scoring import canonical

PROBES = [probe for probe in all_probes().values() if isinstance(probe, PackagedProbe)]
COUNT = 5_000
LONGEST = {"grounding-position": 2_000}
"""Characters of a prompt, where it may be longer than others."""


def _named(name: str) -> PackagedProbe:
    return next(probe for probe in PROBES if probe.name == name)


@pytest.fixture(scope="module", params=PROBES, ids=lambda probe: probe.name)
def drawn(request: pytest.FixtureRequest) -> tuple[PackagedProbe, list[Item]]:
    probe = request.param
    return probe, list(islice(probe.items(7), COUNT))


def test_no_item_comes_twice(drawn: tuple[PackagedProbe, list[Item]]) -> None:
    probe, items = drawn
    assert len({item.id for item in items}) == COUNT
    asked = {(item.messages, json.dumps(item.data, sort_keys=True)) for item in items}
    assert len(asked) == COUNT
    assert items[17].id == f"{probe.name}/7/000017"


def test_there_are_many_families_and_every_prefix_is_balanced(
    drawn: tuple[PackagedProbe, list[Item]],
) -> None:
    probe, items = drawn
    assert len(probe.families) == len(set(probe.families)) >= 40
    seen: Counter[str] = Counter({f"{probe.name}:{family}": 0 for family in probe.families})
    for item in items:
        seen[item.family] += 1
        assert max(seen.values()) - min(seen.values()) <= 1
    assert len(seen) == len(probe.families)


def test_item_i_needs_no_other_item(drawn: tuple[PackagedProbe, list[Item]]) -> None:
    probe, items = drawn
    for index in (4_999, 0, 1_234):
        assert type(probe)().item(7, index) == items[index]
    assert [item.messages for item in islice(probe.items(8), 50)] != [
        item.messages for item in items[:50]
    ]


def test_prompts_are_short_and_well_formed(drawn: tuple[PackagedProbe, list[Item]]) -> None:
    probe, items = drawn
    for item in items:
        text = item.messages[0].content
        assert 40 <= len(text) <= LONGEST.get(probe.name, 320)
        # What stands where a question should be may be anything.
        form = text.split("\n\nQuestion:", maxsplit=1)[0]
        assert not any(wrong in form for wrong in ("  ", "{", "}", " .", "..", " a a", " an a "))
        assert text[0].isupper() or text[0].isdigit()
        if item.wrong:
            assert canonical(item.wrong) != canonical(item.answer)


def test_making_items_is_fast(drawn: tuple[PackagedProbe, list[Item]]) -> None:
    probe, _ = drawn
    best = 1e9
    for seed in range(3):
        start = time.process_time()
        for _ in islice(probe.items(100 + seed), 1_000):
            pass
        best = min(best, time.process_time() - start)
    assert best < 0.2, f"{1_000 / best:.0f} items a second"


@pytest.mark.parametrize(
    "name", ["likelihood-gap", "confidence", "vote-confidence", "verbal-confidence"]
)
def test_choice_items_have_exactly_one_right_option(name: str) -> None:
    for item in islice(_named(name).items(3), COUNT):
        right = solver.solve_choice(item.messages[0].content, item.choices)
        assert right == [item.answer], item.messages[0].content
        assert len(set(item.choices)) == 4


def test_right_options_stand_at_every_place() -> None:
    places = Counter(i.choices.index(i.answer) for i in islice(_named("confidence").items(1), 4000))
    assert all(800 < places[place] < 1200 for place in range(4)), places


@pytest.mark.parametrize("name", ["agreement", "semantic-entropy"])
def test_open_questions_are_answered_right(name: str) -> None:
    for item in islice(_named(name).items(3), COUNT):
        text = item.messages[0].content.removesuffix(" Give only the answer.")
        assert solver.solve_choice(text, item.choices) == [item.answer], text


def test_rewordings_keep_the_answer() -> None:
    for item in islice(_named("invariance").items(3), COUNT):
        prompts = item.data["prompts"]
        assert len(prompts) == len(set(prompts)) == 6
        for text in (prompts[0], prompts[1], prompts[5]):
            assert solver.solve_choice(text, item.choices) == [item.answer], text
        assert sorted(prompts[2]) == sorted(prompts[0])
        assert sum(a != b for a, b in zip(prompts[0], prompts[2], strict=True)) == 2
        assert prompts[3] == prompts[0].lower()
        assert prompts[4].endswith(prompts[0])


@pytest.mark.parametrize("name", ["grounding-present", "grounding-irrelevant"])
def test_contexts_hold_the_answer_once(name: str) -> None:
    for item in islice(_named(name).items(3), COUNT):
        assert solver.answers(item.messages[0].content) == [item.answer]


def test_the_distractor_is_about_something_else() -> None:
    for item in islice(_named("grounding-irrelevant").items(3), COUNT):
        context, question = item.messages[0].content.split("\n\n")
        entity, label = solver.read_question(question)
        told = solver.read_context(context)
        (other,) = set(told) - {entity}
        assert told[other][label] == [item.wrong]


def test_missing_contexts_do_not_hold_the_answer() -> None:
    for item in islice(_named("grounding-missing").items(3), COUNT):
        context, question = item.messages[0].content.split("\n\n")
        entity, label = solver.read_question(question)
        told = solver.read_context(context)
        assert label not in told[entity]
        assert len(told[entity]) == 3
        assert not re.search(rf"\b{item.wrong}\b", context)


def test_contradictory_contexts_hold_two_answers() -> None:
    for item in islice(_named("grounding-contradictory").items(3), COUNT):
        assert solver.answers(item.messages[0].content) == item.data["values"]


def test_counterfactual_contexts_contradict_the_world() -> None:
    truth = {relation.name: dict(relation.pairs) for relation in RELATIONS}
    for item in islice(_named("grounding-counterfactual").items(3), COUNT):
        relation = item.family.split(":")[1]
        text = item.messages[0].content
        question = text.split("\n\n")[1].split(", ", 1)[1]
        subject = max((s for s in truth[relation] if re.search(rf"\b{s}\b", question)), key=len)
        assert truth[relation][subject] == item.wrong != item.answer
        assert item.answer in text.split("\n\n")[0]


def test_abstention_pairs_share_a_context_and_differ_in_what_it_holds() -> None:
    for item in islice(_named("abstention").items(3), COUNT):
        without, with_answer = item.messages[0].content, item.data["answerable"]
        assert without.split("\n\n")[0] == with_answer.split("\n\n")[0]
        assert solver.answers(without) == []
        assert solver.answers(with_answer) == [item.data["answer"]]


def test_ambiguous_questions_fit_both_things_and_clear_ones_fit_one() -> None:
    for item in islice(_named("clarification").items(3), COUNT):
        context, ambiguous = item.messages[0].content.split("\n\n")
        clear = item.data["clear"].split("\n\n")[1]
        entity, label = solver.read_question(clear)
        told = solver.read_context(context)
        assert [len(facts[label]) for facts in told.values()] == [1, 1]
        assert told[entity][label] == [item.data["answer"]]
        assert ambiguous.startswith(clear.split("?")[0].replace(entity, f"the {entity[:-5]}"))
        assert item.data["clarification"] == f"I mean {entity}."


def test_formats_do_not_change_the_answer() -> None:
    for item in islice(_named("formats").items(3), COUNT):
        prompts = item.data["prompts"]
        assert len(set(prompts)) == 4
        solved = [solver.solve_format(item.family, text) for text in prompts]
        assert solved == item.data["answers"]
        # However it is written, it is one answer; and the wrong one is none.
        assert len({canonical(answer) for answer in item.data["answers"]}) == 1
        wrong = {canonical(other) for other in item.data["wrong"]}
        assert len(wrong) == 1
        assert wrong != {canonical(item.answer)}


def _spread_of_lengths(lengths: dict[str, list[int]]) -> float:
    means = [statistics.mean(values) for values in lengths.values()]
    return max(means) / min(means) - 1


def test_conditions_are_matched_in_length() -> None:
    conditions = ("present", "missing", "contradictory", "irrelevant")
    lengths = {
        name: [
            len(item.messages[0].content)
            for item in islice(_named(f"grounding-{name}").items(3), 2_000)
        ]
        for name in conditions
    }
    assert _spread_of_lengths(lengths) < 0.2
    pairs: dict[str, list[int]] = {"answerable": [], "unanswerable": [], "clear": [], "ambig": []}
    for item in islice(_named("abstention").items(3), 2_000):
        pairs["unanswerable"].append(len(item.messages[0].content))
        pairs["answerable"].append(len(item.data["answerable"]))
    assert _spread_of_lengths({k: pairs[k] for k in ("answerable", "unanswerable")}) < 0.01
    for item in islice(_named("clarification").items(3), 2_000):
        pairs["ambig"].append(len(item.messages[0].content))
        pairs["clear"].append(len(item.data["clear"]))
    assert _spread_of_lengths({k: pairs[k] for k in ("ambig", "clear")}) < 0.02


def test_what_is_asked_for_is_as_often_there_as_not() -> None:
    """The question alone does not tell whether it can be answered."""
    asked: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for item in islice(_named("abstention").items(3), COUNT):
        for held, text in ((False, item.messages[0].content), (True, item.data["answerable"])):
            question = text.split("\n\n")[1]
            asked[held][solver.read_question(question)[1]] += 1
    for label in asked[True] | asked[False]:
        there, not_there = asked[True][label], asked[False][label]
        assert abs(there - not_there) < 5 * (there + not_there) ** 0.5, label


def test_knowledge_has_one_truth_and_no_ambiguous_word() -> None:
    for relation in RELATIONS:
        assert len(dict(relation.pairs)) == len(relation.pairs) >= 19
        assert len(relation.values) >= 5
    words = [word for members in CATEGORIES.values() for word in members]
    assert len(words) == len(set(words))
    assert len(CHOICE_FAMILIES) == len(set(CHOICE_FAMILIES))


def test_unique_draws_visit_a_space_once() -> None:
    for space in (1, 2, 7, 90, 9_000):
        values = [Draw(5, "p", index * 3, 3).unique(space) for index in range(space)]
        assert sorted(values) == list(range(space))
