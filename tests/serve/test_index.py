"""The index lists what the scores say, whatever is typed into it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import statements
from ullage.serve.index import Filter, Index, Ranked, Show, Writer, prune
from ullage.serve.indexing import Indexes
from ullage.serve.server import listen, make_access, make_site, run
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
    found = [index.page(wanted, start, 50) for start in range(0, COUNT + 50, 50)]
    assert {total for _, total in found} == {len(every)}
    assert [row.n for rows, _ in found for row in rows] == every


def test_rows_tell_what_was_asked_said_and_scored(index: Index) -> None:
    (row,), _ = index.page(Filter(TARGET, Show.EVERY, text="number 42"), 0, 1)
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
    rows, total = index.page(wanted, 0, COUNT)
    assert total == len(rows)


@pytest.mark.parametrize(
    "text", ['" tram" OR', "tram OR hotel", "text:tram", "NEAR(tram)", "tram*", "-tram", "'; drop"]
)
def test_search_operators_are_only_words(index: Index, text: str) -> None:
    found, _ = index.page(Filter(TARGET, Show.EVERY, text=text), 0, COUNT)
    assert all("tram" in row.asked for row in found)


def test_a_family_is_a_value_and_no_query(index: Index) -> None:
    for family in ("' or 1=1 --", '" or ""="', "family-1'; drop table items"):
        assert index.page(Filter(TARGET, Show.EVERY, family), 0) == ([], 0)
    assert index.page(Filter(TARGET, Show.EVERY), 0)[1] == COUNT


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


def test_an_index_is_thrown_away_with_what_it_was_made_of(tmp_path: Path) -> None:
    scores, cache = tmp_path / "scores.parquet", tmp_path / "cache"
    scores.touch()
    for name, source in (("kept", scores), ("orphan", tmp_path / "gone")):
        with Writer(cache / f"{name}.sqlite", source):
            pass
    (cache / "torn.sqlite").write_bytes(b"SQLite format 3\0" + bytes(100))
    (cache / "empty.sqlite").touch()
    (cache / "a.sqlite1.part").touch()
    (cache / "b.sqlite2.part").touch()
    os.utime(cache / "a.sqlite1.part", (0, 0))
    prune(cache)
    assert {path.name for path in cache.iterdir()} == {"kept.sqlite", "b.sqlite2.part"}
    scores.unlink()
    prune(cache)
    assert {path.name for path in cache.iterdir()} == {"b.sqlite2.part"}
    prune(tmp_path / "no such folder")


def test_of_too_many_the_longest_unused_go(tmp_path: Path) -> None:
    for used, name in enumerate(("first", "second", "third")):
        with Writer(tmp_path / f"{name}.sqlite"):
            pass
        os.utime(tmp_path / f"{name}.sqlite", (used, used))
    size = (tmp_path / "first.sqlite").stat().st_size
    prune(tmp_path, most=2 * size)
    assert {path.name for path in tmp_path.iterdir()} == {"second.sqlite", "third.sqlite"}


def test_a_server_prunes_at_its_start(tmp_path: Path) -> None:
    orphan, runs = tmp_path / "cache" / "orphan.sqlite", tmp_path / "runs"
    with Writer(orphan, tmp_path / "gone"):
        pass
    runs.mkdir()
    listening = listen("127.0.0.1", 0)
    site = make_site(runs, make_access("127.0.0.1", listening.getsockname()[1], env={}))
    site = dataclasses.replace(site, indexes=Indexes(cache=orphan.parent))

    async def begun() -> None:
        server = asyncio.create_task(run(site, listening))
        await asyncio.sleep(0)  # until it waits for the first time
        server.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await server

    asyncio.run(begun())
    assert not orphan.exists()
