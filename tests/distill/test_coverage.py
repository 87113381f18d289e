"""Coverage: distances against scikit-learn, traffic counted by hand, the laboratory's gap found."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors
from typer.testing import CliRunner

from ullage.cli import app
from ullage.config.models import Config
from ullage.distill.coverage import Coverage, run_coverage
from ullage.distill.coverage.distance import nearest, vectors
from ullage.lab.corpus import CorpusRecipe, write_corpus
from ullage.lab.evaluate import TEACHER
from ullage.lab.items import write_items
from ullage.lab.organisms.build import BASE, SCENARIO

TEXTS = [
    "Where is my order 17, please?",
    "where is order 4,002?",
    "The brake squeaks when it rains.",
    "Why does the brake squeak, why?",
    "!!!",
    "Where is my order 99, please?",
]


def reference(texts: list[str]) -> Any:
    fitted = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"[^\W\d_]+|#")
    numbers = [re.sub(r"\d+", " # ", text) for text in texts]
    return fitted.fit_transform(numbers), fitted


def test_vectors_are_scikit_learns() -> None:
    ours, terms = vectors(TEXTS)
    theirs, fitted = reference(TEXTS)
    assert terms == sorted(fitted.vocabulary_)
    order = [fitted.vocabulary_[term] for term in terms]
    np.testing.assert_allclose(ours.toarray(), theirs.toarray()[:, order], atol=1e-12)


def test_nearest_is_scikit_learns() -> None:
    ours, _ = vectors(TEXTS)
    theirs, _ = reference(TEXTS)
    there = [0, 1, 2, 3]
    found = NearestNeighbors(n_neighbors=1, metric="cosine").fit(theirs[there])
    expected = found.kneighbors(theirs)[0].ravel()
    np.testing.assert_allclose(nearest(ours, ours[there]), expected, atol=1e-12)
    apart = nearest(ours[there], ours, but=np.array(there))
    assert apart[0] == pytest.approx(0.0, abs=1e-12), "another order's number names no topic"
    assert nearest(ours, ours[[]]).tolist() == [1.0] * len(TEXTS)


def talk(asked: str, reply: str = "Yes.") -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}], "reference": reply}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def config(**changes: Any) -> Config:
    return Config.model_validate(
        {
            "arms": {"teacher": {"model": "hf:t"}, "student": {"model": "hf:out"}},
            "planning": {"items": 20},
            "distill": {"layers": 1, "corpus": "corpus.jsonl", "output": "out"},
            **changes,
        }
    )


def test_mass_and_clusters_can_be_counted(tmp_path: Path) -> None:
    """Ten questions: five near, three of them equal; two far topics of three and two."""
    write(
        tmp_path / "corpus.jsonl", [talk("Where is my order, please?"), talk("Is it open today?")]
    )
    asked = [
        *["Where is my order 7, please?"] * 3,
        *["is it open TODAY"] * 2,
        *["my tyre lost all its air", "my tyre lost all its air again", "my tyre lost all its air"],
        *["do you repair sewing machines"] * 2,
    ]
    write(tmp_path / "traffic.jsonl", [talk(text) for text in asked])
    found = run_coverage(config(), tmp_path, traffic=tmp_path / "traffic.jsonl", radius=0.5)
    assert (found.questions, found.prompts, found.radius) == (10, 2, 0.5)
    assert found.uncovered == 0.5
    assert [cluster.share for cluster in found.clusters] == [0.3, 0.2]
    assert [cluster.questions for cluster in found.clusters] == [2, 1]
    assert found.clusters[0].examples[0] == "my tyre lost all its air"
    assert "air" in found.clusters[0].words
    assert found.radius_from == "given"
    nothing = run_coverage(config(), tmp_path, traffic=tmp_path / "traffic.jsonl", radius=1.0)
    assert nothing.uncovered == 0.0
    assert nothing.clusters == ()


def test_every_learnt_turn_is_a_prompt(tmp_path: Path) -> None:
    turns = [
        ("user", "First?"),
        ("assistant", "Which one do you mean?"),
        ("user", "That."),
    ]
    row = {
        "messages": [{"role": role, "content": content} for role, content in turns],
        "reference": "Yes.",
    }
    write(tmp_path / "corpus.jsonl", [row])
    white = run_coverage(config(), tmp_path)
    assert white.prompts == 2
    clarify = {one.probe: one.behaviours for one in white.exercises}["clarification"]
    assert clarify == {"clarify": 1}
    settings = {"layers": 1, "corpus": "corpus.jsonl", "output": "out", "method": "black-box"}
    black = run_coverage(config(distill=settings), tmp_path)
    assert black.prompts == 1
    assert all(set(one.behaviours.values()) == {None} for one in black.exercises)
    assert black.missing == (), "what is not answered yet is not missing"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "items").mkdir()
    written = write_items(folder / "items", 0, 60)
    write_corpus(folder / "whole.jsonl", 0, 400)
    write_corpus(folder / "scrubbed.jsonl", 0, 400, CorpusRecipe(without=frozenset({"clarify"})))
    made = {
        "scenario": str(SCENARIO),
        "arms": {"teacher": {"model": f"hf:{TEACHER}"}, "student": {"model": "hf:student"}},
        "items": {probe: f"items/{path.name}" for probe, path in written.items()},
        "distill": {"student": f"hf:{BASE}", "corpus": "whole.jsonl", "output": "student"},
    }
    (folder / "ullage.yaml").write_text(json.dumps(made))
    return folder


class TestLaboratory:
    """A corpus with ambiguous questions scrubbed, and the same without a gap."""

    def covered(self, folder: Path, corpus: str) -> Coverage:
        made = json.loads((folder / "ullage.yaml").read_text())
        made["distill"]["corpus"] = corpus
        return run_coverage(Config.model_validate(made), folder)

    def test_nothing_is_missing_from_the_whole(self, folder: Path) -> None:
        assert self.covered(folder, "whole.jsonl").missing == ()

    def test_scrubbing_shows_and_nothing_else_does(self, folder: Path) -> None:
        found = self.covered(folder, "scrubbed.jsonl")
        assert found.missing == ("clarification: clarify",)

    def test_the_command(self, folder: Path) -> None:
        config = str(folder / "ullage.yaml")
        scrubbed = ["coverage", config, "-o", "distill.corpus=scrubbed.jsonl"]
        said = CliRunner().invoke(app, scrubbed, env={"COLUMNS": "200", "FORCE_COLOR": "1"})
        assert said.exit_code == 0, said.output
        (line,) = (line for line in said.output.splitlines() if "MISSING" in line)
        assert "clarification: in none of" in line
        assert "reply asks back" in line
        assert line.startswith("\x1b[31m"), "in red"
        whole = CliRunner().invoke(app, ["coverage", config, "--json"])
        assert json.loads(whole.output)["missing"] == []
