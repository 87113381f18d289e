"""The demo from start to end with models that know nothing, and the story it tells of verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from tests.lab.tiny import tiny_making
from tests.statement.test_compare import about
from ullage import demo as module
from ullage.cli import app
from ullage.collect.journal import Journal
from ullage.config import load
from ullage.demo import ASKING_BACK, MAKING, STUDENTS, Demo, run_demo, tell
from ullage.progress import JsonReporter
from ullage.statement.document import Verdict
from ullage.statement.store import read

pytestmark = pytest.mark.local

P, L, D = Verdict.PRESERVED, Verdict.LOST, Verdict.DEGRADED


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Demo]]:
    folder = tmp_path_factory.mktemp("demo")
    making = replace(tiny_making(folder / "models"), scenario=MAKING.scenario)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAKING", making)
        found = run_demo(folder / "demo", JsonReporter, Console(quiet=True), making)
        yield folder / "demo", found


def test_two_students_of_one_teacher_by_the_standard_audit(made: tuple[Path, Demo]) -> None:
    folder, demo = made
    configs = {
        name: yaml.safe_load((folder / name / "ullage.yaml").read_text()) for name in STUDENTS
    }
    assert configs["full"].pop("name") != configs["scrubbed"].pop("name")
    assert configs["full"] == configs["scrubbed"]
    for name, audited in (("full", demo.full), ("scrubbed", demo.scrubbed)):
        assert read(folder / name / "runs" / name / "statement.json") == audited.statement
        assert (audited.folder / "statement.html").is_file()
        assert set(audited.statement.arms) == {"teacher", "teacher_again", "base", "student"}
        loaded = load(folder / name / "ullage.yaml")
        assert {f.id for f in audited.statement.findings} == {t.id for t in loaded.scenario.targets}
    arms = [audited.statement.arms for audited in (demo.full, demo.scrubbed)]
    assert arms[0]["student"].identity != arms[1]["student"].identity
    for role in ("teacher", "base"):
        assert arms[0][role].identity == arms[1][role].identity
    assert "which one" in (folder / "full" / "corpus.jsonl").read_text()
    assert "which one" not in (folder / "scrubbed" / "corpus.jsonl").read_text()


def test_the_teacher_is_asked_once_for_both(made: tuple[Path, Demo]) -> None:
    """What the second audit takes over is what it would have asked, answered by the same models."""
    _, demo = made
    journals = [audited.folder / "replies.jsonl" for audited in (demo.full, demo.scrubbed)]
    students = [
        audited.statement.arms["student"].identity for audited in (demo.full, demo.scrubbed)
    ]
    for path, own, other in zip(journals, students, reversed(students), strict=True):
        with Journal(path, read_only=True) as journal:
            models = [model for model, _ in journal.answers()]
        assert own in models
        assert other not in models
    lines = [set(path.read_bytes().splitlines()) for path in journals]
    shared = lines[0] & lines[1]
    assert {json.loads(line)["model"] for line in lines[1] - shared} == {students[1]}


def test_again_it_does_nothing_new(made: tuple[Path, Demo]) -> None:
    folder, demo = made
    before = [
        (audited.folder / "replies.jsonl").read_bytes() for audited in (demo.full, demo.scrubbed)
    ]
    result = CliRunner().invoke(app, ["demo", "--folder", str(folder), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["story"] == demo.story
    assert told["comparison"] == json.loads(demo.comparison.to_json())
    after = [
        (audited.folder / "replies.jsonl").read_bytes() for audited in (demo.full, demo.scrubbed)
    ]
    assert after == before
    shown = CliRunner().invoke(app, ["demo", "--folder", str(folder), "--no-open"])
    assert "Two students of one teacher" in shown.stdout
    assert " ".join(demo.story.split())[:60] in " ".join(shown.stdout.split())
    for audited in (demo.full, demo.scrubbed):
        assert str(audited.folder / "statement.html") in shown.stdout


HEADLINE = "agreement.accuracy"


def story(headline: tuple[Verdict, Verdict], asking: tuple[Verdict, Verdict]) -> str:
    full, scrubbed = (
        about({HEADLINE: headline[side], ASKING_BACK: asking[side], "abstention.contrast": P})
        for side in (0, 1)
    )
    return tell(full, scrubbed)


def test_the_story_is_that_of_the_verdicts() -> None:
    expected = story((P, P), (P, L))
    assert "preserved in both" in expected
    assert "no longer asks which one is meant" in expected
    assert "Besides" not in expected
    assert "found instead" not in expected


def test_any_other_finding_is_said_as_it_is() -> None:
    pairs = [(full, scrubbed) for full in Verdict for scrubbed in Verdict]
    for headline, asking in product(pairs, pairs):
        told = story(headline, asking)
        assert ("found instead" in told) == ((headline, asking) != ((P, P), (P, L)))
        assert ("preserved in both" in told) == (headline == (P, P))
        lost = asking[1] in (L, D) and asking[0] not in (L, D)
        assert ("no longer asks" in told) == lost


def test_other_differences_are_told() -> None:
    full = about({HEADLINE: P, ASKING_BACK: P, "abstention.contrast": P})
    scrubbed = about({HEADLINE: P, ASKING_BACK: L, "abstention.contrast": D})
    assert "Besides: abstention.contrast is preserved" in tell(full, scrubbed)
