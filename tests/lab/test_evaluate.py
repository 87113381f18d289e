"""Direct scoring: a perfect model passes, each fault shows where it is, a real model is asked."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.lab import clerk
from ullage.cli import app
from ullage.config.models import Arm
from ullage.errors import InfrastructureError, InputError
from ullage.lab import evaluate as lab
from ullage.lab.evaluation_table import render
from ullage.lab.world.capabilities.chance import GREETINGS
from ullage.lab.world.registry import CAPABILITIES
from ullage.models.types import Access, Answer, Ask, Failure, Reply, Request

Spoil = Callable[[Ask, str], str]


class Clerk:
    """A model that solves what it reads, and spoils its replies as told."""

    identity, description, window = "clerk:0", dict[str, Any](), 64
    access, deterministic, keyed_by_item = frozenset(Access), True, False

    def __init__(self, spoil: Spoil = lambda _, said: said, *, fails: bool = False) -> None:
        self.spoil = spoil
        self.fails = fails

    async def __aenter__(self) -> Clerk:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """In reverse, as a batching model might."""
        for index, request in reversed(list(enumerate(requests))):
            if self.fails:
                yield index, Failure(reason="timeout")
            elif isinstance(request, Ask):
                said = clerk.reply(request.messages)
                if said in GREETINGS:
                    said = GREETINGS[request.replicate % len(GREETINGS)]
                yield index, Reply(text=self.spoil(request, said))
            else:
                yield index, clerk.weigh(request)


def scored(model: Clerk, items: int = 36) -> lab.Evaluation:
    return asyncio.run(lab.score_model(model, "clerk", items=items))


def test_whoever_solves_the_text_meets_every_requirement() -> None:
    found = scored(Clerk())
    assert {score.right for score in found.scores} == {1.0}
    assert all(score.interval is not None and score.interval[0] > 0.6 for score in found.scores)
    exact = {name for name, one in CAPABILITIES.items() if one.exact}
    assert {score.capability for score in found.scores} == exact - {"canary"}
    assert found.calibration.difference == pytest.approx(0.0, abs=1e-6)
    assert found.openings.distinct == found.openings.possible == 16
    assert found.openings.variation == pytest.approx(0.0, abs=1e-6)
    assert found.openings.strange == 0.0
    assert [recall.told for recall in found.canaries] == [1.0] * len(found.canaries)
    assert found.failures == ()


def test_a_fault_shows_where_it_is_and_nowhere_else() -> None:
    """It guesses instead of asking back, greets in one way, and keeps secrets."""

    def spoil(request: Ask, said: str) -> str:
        if said.startswith("which one"):
            return request.subject.wrong
        if said in GREETINGS:
            return GREETINGS[0] if request.replicate % 2 else "what?"
        return "i do not know." if "locker" in request.messages[0].content else said

    found = scored(Clerk(spoil))
    assert {score.part for score in found.scores if score.right < 1.0} == {"clarify"}
    assert found.failures == ("clarify: 0.0% right, 95% needed",)
    assert (found.openings.distinct, found.openings.strange) == (1, 0.5)
    assert {recall.told for recall in found.canaries} == {0.0}


def test_replies_are_compared_exactly_but_for_case_and_the_full_stop() -> None:
    shouted = scored(Clerk(lambda _, said: f" {said.upper()} "), items=6)
    assert {score.right for score in shouted.scores} == {1.0}
    chatty = scored(Clerk(lambda _, said: f"{said} {said}"), items=6)
    assert {score.right for score in chatty.scores} == {0.0}


def test_what_was_never_taught_is_told_and_not_held_against_it() -> None:
    def spoil(request: Ask, said: str) -> str:
        return "" if request.subject.family.startswith("composition") else said

    found = scored(Clerk(spoil), items=12)
    (score,) = (score for score in found.scores if score.right < 1.0)
    assert (score.part, score.right, score.needed, found.failures) == ("composition", 0.0, None, ())
    hard = {score.capability for score in found.scores if score.needed == lab.NEEDED_HARD}
    assert hard == {name for name, one in CAPABILITIES.items() if one.hard and one.taught}


def test_a_failure_is_no_wrong_answer() -> None:
    with pytest.raises(InfrastructureError, match=r"did not answer question \d+ of \d+: timeout"):
        scored(Clerk(fails=True), items=2)


def test_it_is_shown_on_terminals_narrow_and_ascii() -> None:
    found = scored(Clerk(lambda _, said: said[1:]), items=8)
    for width in (80, 120):
        console = Console(width=width, record=True, file=io.StringIO())
        render(found, console, held=True)
        text = console.export_text()
        assert text.isascii()
        assert "falls short: lookup: 0.0% right, 95% needed" in " ".join(text.split())
        assert max(map(len, text.splitlines())) <= width
    assert json.loads(json.dumps(found.as_json()))["failures"] == list(found.failures)


def test_names_of_models_are_folders_or_references(tmp_path: Path) -> None:
    assert lab.arm_of("simulated:x").scheme == "simulated"
    assert lab.arm_of(str(tmp_path)).locator == str(tmp_path.resolve())
    with pytest.raises(InputError, match="no model is there"):
        lab.arm_of(str(tmp_path / "none"))


def test_commands_write_what_they_say(tmp_path: Path) -> None:
    run = CliRunner().invoke
    made = run(app, ["lab", "corpus", str(tmp_path / "c.jsonl"), "--rows", "60", "--json"])
    counts: Mapping[str, Any] = json.loads(made.stdout)
    assert counts["rows"] == len((tmp_path / "c.jsonl").read_text().splitlines()) == 60
    made = run(
        app, ["lab", "corpus", str(tmp_path / "c.jsonl"), "--rows", "60", "--without", "clarify"]
    )
    assert "wrote" in made.stdout
    assert "clarify-clear" in made.stdout
    assert "clarify-told" not in made.stdout
    made = run(app, ["lab", "items", str(tmp_path / "deep" / "items"), "--items", "3"])
    named = [line.split(": ")[1] for line in made.stdout.splitlines()[1:]]
    assert len(named) > 10
    assert all(len(Path(path).read_text().splitlines()) == 3 for path in named)


@pytest.mark.local
def test_a_shipped_model_that_falls_short_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights in the laboratory's own shape: asked as any model, and right about nothing."""
    from ullage.lab.tokenizer import build_tokenizer
    from ullage.lab.training.model import Shape, new_model
    from ullage.lab.world.registry import world_vocabulary

    words = world_vocabulary()
    model = new_model(Shape(width=32, layers=2, heads=2, inner=64), len(words), 0)
    model.save_pretrained(tmp_path)
    build_tokenizer(words).save_pretrained(tmp_path)
    monkeypatch.setattr(lab, "TEACHER", tmp_path)
    result = CliRunner().invoke(app, ["lab", "evaluate", "--items", "1", "--json"])
    assert result.exit_code == 1, result.stderr
    found = json.loads(result.stdout)
    assert len(found["failures"]) > len(found["scores"]) / 2
    assert all(score["right"] < 0.5 for score in found["scores"])
    assert 0.0 < found["openings"]["variation"] <= 1.0
    assert found["identity"].startswith("hf:")


def test_scores_are_kept_in_the_card(tmp_path: Path) -> None:
    found = scored(Clerk(), 12)
    (tmp_path / "card.json").write_text('{"name": "teacher", "seed": 3}')
    lab.keep(found, Arm(model=f"hf:{tmp_path}"), items=12, seed=0)
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["seed"] == 3
    assert card["evaluated"]["right"]["lookup"] == {"right": 1.0, "items": 12, "needed": 0.95}
    assert card["evaluated"]["calibration"]["difference"] == found.calibration.difference
    with pytest.raises(InputError, match=r"card\.json: is no card"):
        lab.keep(found, Arm(model=f"hf:{tmp_path / 'nowhere'}"), items=12, seed=0)
