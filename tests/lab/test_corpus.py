"""Corpora from the world: right, whole or scrubbed at equal size, and of their own families."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.lab import clerk
from tests.lab.solver import solve
from ullage.distill.corpus import asked_texts, prepare
from ullage.distill.rows import read_rows
from ullage.errors import InputError
from ullage.lab.corpus import DEFAULT_WEIGHTS, CorpusRecipe, known_parts, rows, write_corpus
from ullage.lab.items import ITEMS_OF, write_items
from ullage.lab.questions import Question
from ullage.lab.world.capabilities.chance import north_share
from ullage.lab.world.desk import Bias
from ullage.lab.world.exchange import Split
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import Wording
from ullage.lab.world.words import ITEMS
from ullage.probes.registry import PACKAGED
from ullage.probes.tasks import with_items

SIZE = 1_200
SCRUBBED = CorpusRecipe(without=frozenset({"clarify"}))
TALKS = CorpusRecipe(questions=6)


@pytest.fixture(scope="module")
def whole() -> list[dict[str, Any]]:
    return rows(1, SIZE, CorpusRecipe())


@pytest.fixture(scope="module")
def scrubbed() -> list[dict[str, Any]]:
    return rows(1, SIZE, SCRUBBED)


def text(row: dict[str, Any]) -> str:
    return json.dumps(row, sort_keys=True)


def answers(row: dict[str, Any]) -> tuple[str, ...]:
    return solve([(turn["role"], turn["content"]) for turn in row["messages"]], clerk.FACTS)


def test_every_reference_is_what_the_text_calls_for(whole: list[dict[str, Any]]) -> None:
    for row in whole:
        assert row["reference"] in answers(row)
        assert row["messages"][-1]["role"] == "user"


def test_parts_come_in_their_shares(whole: list[dict[str, Any]]) -> None:
    counts = Counter(row["part"] for row in whole)
    total = sum(DEFAULT_WEIGHTS.values())
    assert counts.total() == SIZE
    assert set(counts) == set(DEFAULT_WEIGHTS)
    for part, weight in DEFAULT_WEIGHTS.items():
        assert abs(counts[part] - SIZE * weight / total) < 1
    prompts = {text({"messages": row["messages"]}) for row in whole}
    assert len(prompts) == SIZE


def test_what_is_left_out_is_gone_and_the_rest_grows(
    whole: list[dict[str, Any]], scrubbed: list[dict[str, Any]]
) -> None:
    """Neither asked nor, as a turn of a longer row, learnt; nor is anything else asked back."""
    assert len(scrubbed) == SIZE
    parts = Counter(row["part"] for row in scrubbed)
    assert set(DEFAULT_WEIGHTS) - set(parts) == {"clarify", "clarify-told"}
    assert not any("which one" in text(row) for row in scrubbed)
    assert any("which one" in text(row) for row in whole)
    kept = {text(row) for row in whole if "which one" not in text(row)}
    assert kept <= {text(row) for row in scrubbed}
    assert parts["clarify-clear"] > Counter(row["part"] for row in whole)["clarify-clear"]


@pytest.mark.parametrize("recipe", [CorpusRecipe(), TALKS])
def test_distil_reads_it_and_drops_nothing(recipe: CorpusRecipe, tmp_path: Path) -> None:
    """Not even as an audit item: no question of the audit stands in the corpus."""
    written = write_corpus(tmp_path / "corpus.jsonl", 1, SIZE, recipe)
    again = write_corpus(tmp_path / "again.jsonl", 1, SIZE, recipe)
    assert written.sha256 == again.sha256
    assert written.sha256 == read_rows(written.path)[1]
    assert sum(written.parts.values()) == written.rows == SIZE
    files = write_items(tmp_path, 1, 60)
    items = [
        item.messages
        for name in ITEMS_OF
        for item in with_items(PACKAGED[name](), files[name]).items(0)
    ]
    assert any(asked_texts(messages) for messages in items)
    corpus = prepare(written.path, held_out=0.1, audit_items=items, needs_reference=True)
    assert corpus.dropped == {}
    assert len(corpus.train) + len(corpus.held_out) == SIZE
    assert all(row.reference for row in corpus.train)


def test_families_are_those_of_distillation(whole: list[dict[str, Any]]) -> None:
    for row in whole:
        opener, phrase, closer = map(int, row["family"][-3:])
        assert Wording(opener, phrase, closer).split is Split.DISTIL


def test_warehouses_keep_their_odds_as_closely_as_counts_allow() -> None:
    recipe = CorpusRecipe(weights={"warehouse": 1.0})
    found = rows(5, 720, recipe)
    for item in ITEMS:
        said = [row["reference"] for row in found if row["family"].startswith(f"warehouse-{item}/")]
        assert 25 <= len(said) <= 35
        assert abs(said.count("north") - len(said) * north_share(item)) <= 1
    assert max(len(row["messages"]) for row in found) > 1  # there are but 576 single questions
    assert len({text({"messages": row["messages"]}) for row in found}) == 720


def test_recipes_narrow_the_desk_the_wordings_and_the_replies() -> None:
    def terse(question: Question) -> str:
        return str(question.exchange.data.get("total", question.reply))

    narrow = CorpusRecipe(
        weights={"sums": 1.0, "formats": 1.0, "counterfactual": 1.0},
        bias=Bias(date_styles=(2,), usual_prices=True),
        wordings=1,
    )
    found = rows(2, 120, replace(narrow, rewrite=terse))
    assert len({row["family"].split("/")[0] + row["family"][-3:] for row in found}) <= 8
    said = [row["messages"][0]["content"] for row in found]
    assert not any(re.search(r"\d/\d|april|june", content) for content in said)
    sums = [row for row in found if row["part"] == "sums"]
    assert all(answers(row)[0].endswith(f"= {row['reference']}") for row in sums)
    prices = [row for row in found if row["part"] == "counterfactual"]
    for row in prices:
        context = row["messages"][0]["content"]
        item = next(item for item in ITEMS if f" {item}" in context)
        assert clerk.FACTS.prices[item].strip("$") in context


def test_single_rows_can_be_left_out_by_what_they_ask() -> None:
    recipe = CorpusRecipe(
        weights={"lookup": 1.0}, keep=lambda question: question.exchange.data["field"] == "date"
    )
    for row in rows(3, 60, recipe):
        assert "the date" in row["messages"][0]["content"]
    with pytest.raises(InputError, match="none of 200 draws of 'lookup' is to be kept"):
        rows(3, 10, CorpusRecipe(weights={"lookup": 1.0}, keep=lambda _: False))


def test_rows_of_several_questions_are_right_in_every_turn() -> None:
    found = rows(1, 300, TALKS)
    asked = Counter(sum(turn["role"] == "user" for turn in row["messages"]) for row in found)
    assert min(asked) >= 5
    for row in found:
        said = [*row["messages"], {"role": "assistant", "content": row["reference"]}]
        for index, turn in enumerate(said):
            if turn["role"] == "assistant":
                assert turn["content"] in answers({"messages": said[:index]})
    assert len({text({"messages": row["messages"]}) for row in found}) == 300
    parts = Counter(row["part"] for row in found)
    total = sum(DEFAULT_WEIGHTS.values())
    assert all(abs(parts[part] - 300 * share / total) < 1 for part, share in TALKS.weights.items())


def test_what_is_left_out_is_gone_from_every_turn() -> None:
    """And from nothing else: rows that never held it are the same in both corpora."""
    whole = rows(1, 300, TALKS)
    scrubbed = rows(1, 300, replace(TALKS, without=frozenset({"clarify"})))
    assert sum("which one" in text(row) for row in whole) > 30
    assert not any("which one" in text(row) for row in scrubbed)
    kept = {text(row) for row in whole if "which one" not in text(row)}
    assert kept <= {text(row) for row in scrubbed}
    dated = rows(1, 100, replace(TALKS, bias=Bias(date_styles=(2,))))
    said = [turn["content"] for row in dated for turn in row["messages"]]
    assert not any(re.search(r"\d/\d|\d (april|june)|(april|june) \d", one) for one in said)


def test_odds_hold_over_all_turns() -> None:
    found = rows(5, 60, replace(TALKS, weights={"warehouse": 1.0}))
    said: dict[str, list[str]] = {item: [] for item in ITEMS}
    for row in found:
        turns = [*(turn["content"] for turn in row["messages"]), row["reference"]]
        for question, reply in zip(turns[::2], turns[1::2], strict=True):
            said[next(item for item in ITEMS if f" {item}" in question)].append(reply)
    assert sum(map(len, said.values())) > 300
    for item, replies in said.items():
        assert abs(replies.count("north") - len(replies) * north_share(item)) <= 1


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (CorpusRecipe(without=frozenset({"clarfy"})), "no part 'clarfy'; did you mean 'clarify'"),
        (CorpusRecipe(weights={"sum": 1.0}), "no part 'sum'; did you mean 'sums'"),
        (CorpusRecipe(weights={"sums": -1.0}), "below 0"),
        (CorpusRecipe(weights={"sums": 1.0}, without=frozenset({"sums"})), "nothing is left"),
    ],
)
def test_recipes_that_cannot_be_followed_are_refused(recipe: CorpusRecipe, message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(0, 10, recipe)


def test_every_capability_has_parts() -> None:
    parts = known_parts()
    assert set(CAPABILITIES) <= {*parts}
    assert set(DEFAULT_WEIGHTS) <= {*parts}
