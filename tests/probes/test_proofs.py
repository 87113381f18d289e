"""For every registered probe: what checks its answers, and what is matched of what it compares.

A new probe fails here until both are said.
"""

from __future__ import annotations

import statistics
from itertools import islice
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from tests.probes.conversing import converse, perfect
from ullage.models.types import Ask
from ullage.probes.protocol import Item
from ullage.probes.registry import PACKAGED, get_probe

HERE = Path(__file__).parent
N = 300

CHOICES = "items::choice_items_have_exactly_one_right_option"
OPEN = "items::open_questions_are_answered_right"
STEPS = "process::answers_and_working_are_those_of_an_independent_solver"
TURNS = "stability::every_turn_has_the_answer_of_an_independent_solver"
CANARIES = "privacy::a_secret_is_one_of_many_that_might_as_well_have_been"
MEMBERS = "privacy::half_of_every_prefix_is_a_member"
RULES = "safety::both_sides_of_a_pair_stand_under_one_rule"
PRESENT = "items::contexts_hold_the_answer_once"
TASTE = "no answer is right: taste, and whose it is"
ANY = "any good text is right"

SOLVED = {
    "agreement": OPEN,
    "likelihood-gap": CHOICES,
    "teacher-text": ANY,
    "next-tokens": ANY,
    "text-bits": "fidelity::the_sentences_say_what_the_notes_say",
    "confidence": CHOICES,
    "vote-confidence": CHOICES,
    "verbal-confidence": CHOICES,
    "semantic-entropy": OPEN,
    "abstention": "items::abstention_pairs_share_a_context_and_differ_in_what_it_holds",
    "clarification": "items::ambiguous_questions_fit_both_things_and_clear_ones_fit_one",
    "formats": "items::formats_do_not_change_the_answer",
    "invariance": "items::rewordings_keep_the_answer",
    "odd-writing": "edges::odd_writing_can_be_read_and_asks_the_same",
    "empty-input": "edges::an_empty_form_differs_from_the_full_one_in_the_question_only",
    "long-input": "edges::padding_says_nothing_of_the_matter",
    "other-languages": "edges::every_language_has_the_answer_of_an_independent_solver",
    "worked-steps": STEPS,
    "given-steps": "process::given_steps_lead_where_they_are_said_to",
    "step-samples": STEPS,
    "turns": TURNS,
    "sharded": "stability::shards_hold_the_answer_and_the_whole_is_the_same_sentences",
    "recovery": TURNS,
    "endings": "stability::requests_name_a_length_a_person_and_a_place",
    "grounding-present": PRESENT,
    "grounding-missing": "items::missing_contexts_do_not_hold_the_answer",
    "grounding-counterfactual": "items::counterfactual_contexts_contradict_the_world",
    "grounding-contradictory": "items::contradictory_contexts_hold_two_answers",
    "grounding-irrelevant": PRESENT,
    "grounding-conflict": "edges::what_is_asked_from_memory_is_answered_by_the_world",
    "grounding-position": "edges::only_the_place_of_the_answer_differs",
    "grounding-claims": "edges::claims_lists_hold_every_value_there_is_once",
    "confidences": "privacy::both_who_ask_use_the_same_words",
    "canary-exposure": CANARIES,
    "canary-extraction": "privacy::prefixes_grow_and_never_hold_what_is_to_be_extracted",
    "canary-inheritance": "privacy::only_what_the_teacher_tells_too_is_inherited",
    "canary-choice": "privacy::the_planted_secret_stands_at_every_place",
    "membership": MEMBERS,
    "membership-tokens": MEMBERS,
    "membership-loss": MEMBERS,
    "refusal-pairs": RULES,
    "refusal-list": RULES,
    "jailbreak": "safety::every_wrapper_holds_the_request",
    "trait-transfer": TASTE,
    "trait-transfer-text": TASTE,
    "varied-text": ANY,
    "many-answers": "diversity::every_question_has_exactly_the_five_answers_it_says",
    "held-out-pairs": "capacity::answers_are_those_of_the_steps",
    "corpus-distance": "capacity::answers_are_those_of_the_steps",
    "novel-rule": "agency::a_lesson_gives_the_answer_and_the_other_one_does_not",
    "correction": "agency::both_objections_are_the_same_but_for_the_values",
    "list-edits": "agency::edits_mean_what_they_say",
    "steering": "agency::every_request_brings_the_goal_one_step_nearer",
    "soft-instructions": "judging::the_labelled_pairs_are_many_and_balanced",
    "teacher-errors": "inheritance::every_puzzle_has_the_answer_it_says",
    "group-swaps": "inheritance::swapping_changes_the_groups_and_nothing_else",
}
"""The test (`test_FILE.py::test_NAME`) that finds every answer without what made it, or why
there is none."""

CONDITIONS = {
    "abstention": (0, 1),
    "clarification": (0, 2),
    "confidences": (0, 1),
    "refusal-pairs": (0, 1),
    "jailbreak": (1, 2),
    "novel-rule": (0, 1),
    "correction": (0, 1),
    "group-swaps": (0, 1),
    "held-out-pairs": (0, 1),
    "given-steps": (0, 1, 2),
    "grounding-position": (0, 1, 2),
}
"""Which of the requests about an item are compared with each other."""

KINDS = {
    "refusal-list": lambda item: item.expects,
    "corpus-distance": lambda item: item.expects,
    "membership": lambda item: item.data["member"],
    "membership-loss": lambda item: item.data["member"],
    "membership-tokens": lambda item: item.data["member"],
}
"""What tells the two kinds of items apart that are compared with each other."""


def test_answers_of_every_probe_are_found_by_somebody_else() -> None:
    assert set(SOLVED) == set(PACKAGED)
    for name, proof in SOLVED.items():
        if "::" in proof:
            file, test = proof.split("::")
            text = (HERE / f"test_{file}.py").read_text(encoding="utf-8")
            assert f"def test_{test}(" in text, name


def asked(item: Item, name: str) -> list[int]:
    """Characters of every request about an item, in order."""
    lengths: list[int] = []

    def listen(request: Ask, item: Item) -> str:
        lengths.append(sum(len(message.content) for message in request.messages))
        return perfect(request, item)

    converse(get_probe(name), item, listen)
    return lengths


def assert_matched(one: list[int], other: list[int]) -> None:
    """Of one mean length, and no length that gives the condition away."""
    assert statistics.mean(one) == pytest.approx(statistics.mean(other), rel=0.02)
    truth = [0] * len(one) + [1] * len(other)
    assert 0.4 < roc_auc_score(truth, one + other) < 0.6


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_compared_is_as_long(name: str) -> None:
    lengths = [asked(item, name) for item in islice(get_probe(name).items(5), N)]
    first, *others = ([one[place] for one in lengths] for place in CONDITIONS[name])
    for other in others:
        assert_matched(first, other)


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_items_are_as_long(name: str) -> None:
    kinds: dict[object, list[int]] = {}
    for item in islice(get_probe(name).items(5), 2 * N):
        text = "".join(message.content for message in item.messages)
        kinds.setdefault(KINDS[name](item), []).append(len(text + item.data.get("reply", "")))
    one, other = kinds.values()
    assert_matched(one, other)
