"""Several answers of the teacher to a prompt, and which of them is learnt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from tests.distill import making  # noqa: E402
from tests.support.server import LoopbackServer  # noqa: E402
from ullage.distill import run_distill  # noqa: E402
from ullage.distill.recipe import resolve_recipe  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.distill.rows import Row  # noqa: E402
from ullage.distill.selection import outcome, selection, vote  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.models.types import user  # noqa: E402

pytestmark = pytest.mark.local

ROW = Row(7, (user("40 and 2?"),), "42")


def chosen(name: str, answers: Sequence[str], root: Path = Path()) -> int | None:
    return selection(name, root).choose(ROW, answers)


@given(st.lists(st.sampled_from("abc"), min_size=1))
def test_a_vote_is_won_by_the_first_of_the_most(ballots: list[str]) -> None:
    winner = vote(ballots)
    counts = {ballot: ballots.count(ballot) for ballot in ballots}
    assert counts[ballots[winner]] == max(counts.values())
    assert all(counts[ballot] < counts[ballots[winner]] for ballot in ballots[:winner])


def test_majority_is_of_whole_answers() -> None:
    assert chosen("majority", ["It is 41.", "it is 42", "It is 42!"]) == 1
    assert chosen("majority", ["41, so 42", "40 + 2 = 42", "41", "41"]) == 2


def test_self_consistency_is_of_what_they_come_to() -> None:
    answers = ["It is 41.", "40 + 2 = 42", "Take 40, add two: forty-two", "No idea"]
    assert chosen("self-consistency", answers) == 1
    assert outcome("1,000.50 dollars") == outcome("it is 1000.5")
    assert outcome("Yes.") == outcome("yes")


def scorer(root: Path, name: str, body: str) -> str:
    (root / f"{name}.py").write_text(f"def score(messages, answer, reference):\n    {body}\n")
    return f"{name}:score"


def test_a_scorer_sees_question_answer_and_reference(tmp_path: Path) -> None:
    name = scorer(
        tmp_path,
        "sees",
        "assert messages == [{'role': 'user', 'content': '40 and 2?'}] and reference == '42'\n"
        "    return len(answer) if reference in answer else None",
    )
    assert chosen(name, ["42", "it is 42", "is it 42", "forty-two, I should think"], tmp_path) == 1
    assert chosen(name, ["41", "43"], tmp_path) is None


@pytest.mark.parametrize(
    ("name", "body", "expected"),
    [
        ("raises", "raise KeyError('x')", r"raises:score failed on corpus line 7 \(KeyError"),
        ("words", "return 'good'", "words:score gave 'good' for corpus line 7; return a number"),
        ("nans", "return float('nan')", "nans:score gave nan for corpus line 7"),
    ],
)
def test_what_a_scorer_does_wrong_is_one_line(
    tmp_path: Path, name: str, body: str, expected: str
) -> None:
    named = scorer(tmp_path, name, body)
    with pytest.raises(InputError, match=expected) as caught:
        chosen(named, ["42"], tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"selection": "best"}, "'best' is not majority, self-consistency or module:function"),
        ({"selection": "nowhere_at_all:score"}, r"put nowhere_at_all\.py beside the config"),
        ({"selection": "json:missing"}, "'json' has no function 'missing'"),
        ({"generate_samples": 3}, "3 greedy answers are one answer"),
    ],
)
def test_refused_before_anybody_is_asked(
    tmp_path: Path, settings: dict[str, Any], expected: str
) -> None:
    recipe = making.config("out", method="black-box", **settings)
    with pytest.raises(InputError, match=expected) as caught:
        resolve_recipe(recipe, tmp_path)
    assert "\n" not in str(caught.value)


def test_another_scorer_is_another_recipe(tmp_path: Path) -> None:
    def digested(name: str) -> dict[str, Any]:
        recipe = resolve_recipe(making.config("out", method="black-box", selection=name), tmp_path)
        return recipe.identified(teacher="t", start="s", corpus="c")

    one = digested(scorer(tmp_path, "one", "return 1"))
    other = digested(scorer(tmp_path, "other", "return 2"))
    assert one["scorer"] != other["scorer"]


def recorded(folder: Path, rows: int, said: Sequence[Sequence[str]]) -> dict[str, Any]:
    """A teacher that answers each row with the samples of `said`, in turn."""
    making.prepare(folder)
    lines = (folder / "corpus.jsonl").read_text().splitlines()[:rows]
    (folder / "corpus.jsonl").write_text("\n".join(lines) + "\n")
    replies = []
    for number, line in enumerate(lines):
        messages = json.loads(line)["messages"][:-1]
        for replicate, text in enumerate(said[number % len(said)]):
            reply = {"messages": messages, "text": text, "replicate": replicate}
            if text.endswith("..."):
                reply["finish_reason"] = "length"
            replies.append(json.dumps(reply))
    (folder / "replies.jsonl").write_text("\n".join(replies) + "\n")
    return {
        "arms": {
            "teacher": {"model": "recorded:replies.jsonl"},
            "student": {"model": "hf:out"},
        },
        "method": "black-box",
        "layers": None,
        "student": "hf:teacher",
        "max_steps": 2,
        "generate_samples": 3,
        "generate_temperature": 0.7,
    }


def test_what_was_thrown_away_is_counted(tmp_path: Path) -> None:
    """By hand: of 40 rows, a quarter each of four kinds."""
    said = [
        ("It is 1.", "It is 2.", "It is 2."),  # all of use: two are not chosen
        ("So it...", "It is 3.", "It is 3."),  # one is cut off
        ("So it...", "And so...", " "),  # none is of use, by the first: cut off
        (" ", " ", " "),
    ]
    made = making.make(tmp_path, "out", **recorded(tmp_path, 40, said))
    corpus, answers = made.ledger["corpus"], made.ledger["answers"]
    assert corpus["dropped"] == {"answer_cut_off": 10, "answer_empty": 10}
    assert corpus["train"] + corpus["held_out"] == 20
    assert answers == {
        "given": 120,
        "learnt": 20,
        "not_chosen": 20 + 10,
        "answer_cut_off": 10 + 20,
        "answer_empty": 10 + 30,
    }
    assert sum(count for name, count in answers.items() if name != "given") == answers["given"]


def test_a_scorer_that_is_mended_asks_nobody_again(tmp_path: Path) -> None:
    settings = recorded(tmp_path, 30, [("Yes.", "No.", "Maybe so.")])
    broken = scorer(tmp_path, "broken", "return 'good'")
    with pytest.raises(InputError, match="broken:score gave 'good'"):
        making.make(tmp_path, "out", **settings, selection=broken)
    (tmp_path / "replies.jsonl").rename(tmp_path / "replies.kept")
    journal = (tmp_path / "out.work" / "answers.jsonl").read_bytes()
    # The same bytes under the same name, so that it is the same teacher.
    (tmp_path / "replies.kept").rename(tmp_path / "replies.jsonl")
    mended = scorer(tmp_path, "mended", "return None if answer == 'No.' else len(answer)")
    made = making.make(tmp_path, "out", **settings, selection=mended)
    assert (tmp_path / "out.work" / "answers.jsonl").read_bytes() == journal
    assert made.ledger["answers"] == {"given": 90, "learnt": 30, "not_chosen": 60}
    assert made.ledger["recipe"]["scorer"].startswith("sha256:")


def test_samples_are_asked_once_though_stopped(tmp_path: Path) -> None:
    """Each with a seed of its own; what was answered before the stop is not asked again."""
    making.prepare(tmp_path)
    seeds: list[int] = []

    def answer(body: dict[str, Any]) -> str:
        seeds.append(body["seed"])
        return f"It is {body['seed'] % 2}."

    def stop(progress: Progress) -> None:
        if progress.stage == "answers" and progress.done == 50:
            raise KeyboardInterrupt

    with LoopbackServer(responder=answer) as server:
        settings: dict[str, Any] = {
            "method": "black-box",
            "student": "hf:teacher",
            "layers": None,
            "max_steps": 2,
            "generate_samples": 3,
            "generate_temperature": 0.7,
            "arms": {
                "teacher": {
                    "model": "openai:big",
                    "openai": {"base_url": server.url, "max_concurrency": 2},
                    "terms": making.TERMS,
                },
                "student": {"model": "hf:out"},
            },
        }
        with pytest.raises(Stopped):
            run_distill(making.config("out", **settings), tmp_path, progress=stop)
        made = making.make(tmp_path, "out", **settings)
        answered = server.stats()["answered"]
    assert made.ledger["answers"] == {
        "given": 3 * making.ROWS,
        "learnt": making.ROWS,
        "not_chosen": 2 * making.ROWS,
    }
    assert answered < 3 * making.ROWS + 10
    asked = Counter(seeds)
    assert len(asked) == 3, "each sample has a seed of its own"
    assert set(asked.values()) <= set(range(making.ROWS, making.ROWS + 10))
