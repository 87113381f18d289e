"""The index lists what the scores say, whatever is typed into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import statements
from ullage.serve.index import Filter, Index, Ranked, Show, Writer
from ullage.statement.document import Turn

TARGET = "clarify.clarifies"
COUNT = 300
GENERATOR = np.random.default_rng(7)
TEACHER = GENERATOR.choice([0.0, 1.0, np.nan], COUNT, p=[0.3, 0.6, 0.1])
STUDENT = GENERATOR.choice([0.0, 1.0], COUNT)
FAMILIES = [f"family-{n % 7}" for n in range(COUNT)]
WORDS = ["tram", "hotel", "Zug nach Köln", "<script>alert(1)</script>", '"quoted" OR AND *']


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    path = tmp_path_factory.mktemp("index") / "a.sqlite"
    with Writer(path) as writer:
        for n in range(COUNT):
            said = WORDS[n % len(WORDS)]
            prompt = (Turn(role="user", content=f"{said} number {n}"),)
            writer.add(
                n, "clarify", statements.example(f"i/{n}", family=FAMILIES[n], prompt=prompt)
            )
        writer.rank(Ranked(TARGET, np.arange(COUNT), FAMILIES, TEACHER, STUDENT, TEACHER - STUDENT))
    return Index(path)


def expected(show: Show, family: str, word: str) -> list[int]:
    """By a plain loop."""
    loss = TEACHER - STUDENT
    keeps = {
        Show.LOST: loss > 0,
        Show.SAME: loss == 0,
        Show.GAINED: loss < 0,
        Show.OPEN: np.isnan(loss),
        Show.EVERY: np.ones(COUNT, dtype=bool),
    }[show]
    found = [
        n
        for n in range(COUNT)
        if keeps[n] and family in ("", FAMILIES[n]) and (not word or word in WORDS[n % len(WORDS)])
    ]
    return sorted(
        found, key=lambda n: (np.isnan(loss[n]), -loss[n] if loss[n] == loss[n] else 0, n)
    )


@pytest.mark.parametrize("show", Show)
@pytest.mark.parametrize("family", ["", "family-3", "none such"])
@pytest.mark.parametrize("word", ["", "tram", "Köln"])
def test_every_filter_is_what_a_loop_finds(
    index: Index, show: Show, family: str, word: str
) -> None:
    wanted = Filter(TARGET, show, family, word)
    every = expected(show, family, word)
    assert index.count(wanted) == len(every)
    pages = [row.n for start in range(0, COUNT, 50) for row in index.rows(wanted, start, 50)]
    assert pages == every


def test_rows_tell_what_was_asked_said_and_scored(index: Index) -> None:
    (row,) = index.rows(Filter(TARGET, Show.EVERY, text="number 42"), 0, 1)
    assert (row.item, row.asked) == ("i/42", "Zug nach Köln number 42")
    assert row.teacher.startswith("Which train are you on")
    assert (row.teacher_score, row.student_score) == (
        None if np.isnan(TEACHER[42]) else TEACHER[42], STUDENT[42],
    )  # fmt: skip
    found = index.example(42)
    assert found is not None and found[1].item == "i/42"
    assert found[1].replies["base"] == statements.example().replies["base"]
    assert index.example(COUNT) is None


@given(text=st.text(max_size=60))
def test_nothing_typed_is_an_error_or_an_operator(index: Index, text: str) -> None:
    wanted = Filter(TARGET, Show.EVERY, text=text)
    assert index.count(wanted) == len(index.rows(wanted, 0, COUNT))


@pytest.mark.parametrize(
    "text", ['" tram" OR', "tram OR hotel", "text:tram", "NEAR(tram)", "tram*", "-tram", "'; drop"]
)
def test_search_operators_are_only_words(index: Index, text: str) -> None:
    found = index.rows(Filter(TARGET, Show.EVERY, text=text), 0, COUNT)
    assert all("tram" in row.asked for row in found)


def test_a_family_is_a_value_and_no_query(index: Index) -> None:
    for family in ("' or 1=1 --", '" or ""="', "family-1'; drop table items"):
        assert index.rows(Filter(TARGET, Show.EVERY, family), 0) == []
    assert index.count(Filter(TARGET, Show.EVERY)) == COUNT


def test_the_counts_of_a_target(index: Index) -> None:
    found = index.targets()[TARGET]
    assert found.binary
    assert found.shows == {show: len(expected(show, "", "")) for show in Show}
    assert found.families == sorted(set(FAMILIES))


def test_hostile_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    said = [text for name, text in statements.HOSTILE.items() if name != "surrogate"]
    with Writer(tmp_path / "a.sqlite") as writer:
        for n, text in enumerate(said):
            prompt = (Turn(role="user", content=text),)
            writer.add(n, text, statements.example(text, family=text, prompt=prompt))
    index = Index(tmp_path / "a.sqlite")
    for n, text in enumerate(said):
        found = index.example(n)
        assert found is not None and found[1].prompt[0].content == text


def test_a_failed_index_is_no_index(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    with pytest.raises(RuntimeError), Writer(path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
