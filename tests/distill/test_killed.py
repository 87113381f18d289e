"""`kill -9`, then the same command: the student of a run that nothing happened to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill import laboratory, making  # noqa: E402
from tests.distill.killing import kill_at, same_weights, start, without_timing  # noqa: E402
from ullage.lab.corpus import write_corpus  # noqa: E402
from ullage.lab.evaluate import TEACHER  # noqa: E402
from ullage.lab.explained import EXPLAINED  # noqa: E402
from ullage.lab.organisms.build import BASE  # noqa: E402

pytestmark = pytest.mark.local

RECIPES: dict[str, tuple[dict[str, Any], str]] = {
    "samples": (
        {
            "method": "black-box",
            "student": f"hf:{BASE}",
            "generate_samples": 3,
            "generate_temperature": 0.7,
            "generate_max_tokens": 24,
            "selection": "self-consistency",
        },
        "answers 40",
    ),
    "rationale": ({"method": "rationale", "student": f"hf:{BASE}"}, "train 5"),
    "on-policy": (
        {
            "method": "on-policy",
            "student": f"hf:{BASE}",
            # In the middle of what one refreshment is for.
            "on_policy": {"refresh": 4, "max_tokens": 12},
        },
        "train 6",
    ),
    "cross-tokenizer": ({"method": "cross-tokenizer", "student": "hf:start"}, "train 5"),
}
"""By name: a recipe, and what the process says last."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("killed")
    write_corpus(path / "corpus.jsonl", 0, 40, EXPLAINED)
    laboratory.start_of_bytes(path)
    return path


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_student_though_killed(folder: Path, name: str) -> None:
    recipe, last = RECIPES[name]
    settings: dict[str, Any] = {
        "arms": {"teacher": {"model": f"hf:{TEACHER}"}, "student": {"model": "hf:out"}},
        "layers": None,
        **recipe,
    }
    whole = making.make(folder, f"{name}-whole", **settings)
    said = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
    kill_at(start(folder, f"{name}-killed", *said), last)
    assert not (folder / f"{name}-killed").exists()
    again = making.make(folder, f"{name}-killed", **settings)
    assert same_weights(again.output, whole.output)
    assert not same_weights(again.output, again.base)
    if last.startswith("train"):
        assert again.ledger["timing"]["resumed_from_step"] > 0
    ours, theirs = without_timing(again.ledger), without_timing(whole.ledger)
    assert ours == theirs
