"""`--plan`: what it counts is what a run then finds, and nothing is loaded or left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill import making  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.distill.forecast import Shape  # noqa: E402

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("forecast")
    making.prepare(path)
    return path


def plan(folder: Path, **settings: Any) -> DistillResult:
    before = sorted(folder.rglob("*"))
    planned = run_distill(making.config("out", **settings), folder, plan_only=True)
    assert sorted(folder.rglob("*")) == before
    assert planned.status == "planned"
    return planned


def test_a_run_finds_what_was_counted(folder: Path) -> None:
    found = plan(folder).ledger["forecast"]
    made = making.make(folder, "made").ledger
    assert found["loads"]["student"]["parameters"] == made["student"]["parameters"]
    tokens, train = found["tokens"], made["tokens"]["train"]
    assert tokens["rows_counted"] == made["corpus"]["train"]
    assert tokens["per_row"] * train["rows"] == pytest.approx(train["read"], rel=1e-3)
    assert tokens["supervised_per_row"] * train["rows"] == pytest.approx(
        train["supervised"], rel=2e-2
    )
    assert tokens["teacher_reads"] == pytest.approx(12 * 8 * tokens["per_row"], rel=1e-2)
    assert found["time"]["seconds_at_least"] == pytest.approx(
        found["time"]["operations"] / found["time"]["operations_per_second"], rel=1e-6
    )


def test_parameters_and_parts(folder: Path) -> None:
    found = plan(folder, dtype="bfloat16").ledger["forecast"]
    student, teacher = (found["loads"][role]["parameters"] for role in ("student", "teacher"))
    memory = found["memory_bytes"]
    assert teacher > student
    assert memory["teacher"] == 2 * teacher
    assert memory["student_weights_and_gradients"] == memory["optimiser"] == 8 * student
    assert memory["total"] == sum(size for name, size in memory.items() if name != "total")


def test_operations_of_a_forward_pass_by_hand() -> None:
    """100 weights in the body, 2 layers of width 4, 10 tokens of vocabulary."""
    shape = Shape(parameters=140, trained=140, layers=2, width=4, heads=2, vocabulary=10)
    assert shape.forward(6, 3, 2) == 6 * (2 * 100 + 4 * 2 * 3 * 4) + 2 * 2 * 10 * 4


def test_without_weights_there_is_no_teacher_to_load(folder: Path) -> None:
    for method, writes in (("control", 0), ("black-box", making.ROWS * 128)):
        found = plan(folder, method=method).ledger["forecast"]
        assert found["loads"]["teacher"] is None
        assert found["memory_bytes"]["teacher"] == found["tokens"]["teacher_reads"] == 0
        assert found["tokens"]["teacher_writes_at_most"] == writes


def test_own_words_are_more_work(folder: Path) -> None:
    plain = plan(folder, objective=[{"term": "generalised-jsd"}]).ledger["forecast"]["time"]
    own = plan(folder, method="on-policy").ledger["forecast"]["time"]
    assert own["operations"] > plain["operations"]


def test_it_is_said_in_words(folder: Path) -> None:
    said = plan(folder).summary()
    for part in ("M parameters", "memory, counted: about", "time: at least", "teacher reads"):
        assert part in said
    assert "teacher writes at most 7,680 tokens" in plan(folder, method="black-box").summary()
