"""Every method and every term teaches a real student: its own held-out loss falls from base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

torch = pytest.importorskip("torch")

from tests.distill import laboratory  # noqa: E402
from ullage.config.models import Distill  # noqa: E402
from ullage.distill.corpora import DESK  # noqa: E402
from ullage.distill.presets import PRESETS  # noqa: E402

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("methods")
    laboratory.prepare(path)
    bicycles = DESK.read_text(encoding="utf-8").splitlines(keepends=True)[:100]
    (path / "bicycles.jsonl").write_text("".join(bicycles), encoding="utf-8")
    return path


METHODS: dict[str, dict[str, Any]] = {
    "logits": {},
    "black-box": {"generate_max_tokens": 32, "max_steps": 8},
    # The teacher is done with the laboratory's corpus, and learns another desk.
    "specialise": {"student": None, "corpus": "bicycles.jsonl"},
    "control": {},
}


def test_every_method_is_here() -> None:
    assert set(METHODS) == set(PRESETS) == set(get_args(Distill.model_fields["method"].annotation))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_lowers_its_own_loss(folder: Path, method: str) -> None:
    made = laboratory.make(folder, method, method=method, **METHODS[method])
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert after["loss"] < before["loss"]
    assert set(made.ledger["why"]) == set(after) - {"loss"}


TERMS: dict[str, dict[str, Any]] = {
    "forward-kl": {"temperature": 2.0},
    "reverse-kl": {},
    "total-variation": {},
    "generalised-jsd": {"beta": 0.3},
    "skewed-kl": {"alpha": 0.2},
    "skewed-reverse-kl": {"temperature": 3.0},
    "cross-entropy": {},
}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_alone_lowers_itself(folder: Path, term: str) -> None:
    made = laboratory.make(folder, f"alone-{term}", objective=[{"term": term, **TERMS[term]}])
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert list(after) == ["loss", term.replace("-", "_")]
    assert after["loss"] < 0.95 * before["loss"]
