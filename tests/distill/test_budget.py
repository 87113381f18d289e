"""What a teacher's answers may cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.distill import laboratory
from ullage.distill import run_distill
from ullage.errors import InfrastructureError

pytestmark = pytest.mark.local

BLACK_BOX: dict[str, Any] = {"method": "black-box", "generate_max_tokens": 32, "max_steps": 2}


def answers(folder: Path) -> list[str]:
    return (folder / "student.work" / "answers.jsonl").read_text(encoding="utf-8").splitlines()


def test_a_spent_budget_stops_and_a_raised_one_asks_only_the_rest(tmp_path: Path) -> None:
    laboratory.prepare(tmp_path)
    config = laboratory.config("student", **BLACK_BOX)

    def limited(**budget: float) -> Any:
        return config.model_copy(update={"budget": config.budget.model_copy(update=budget)})

    with pytest.raises(InfrastructureError, match=r"budget\.requests: 7 of 7 is spent; raise it"):
        run_distill(limited(requests=7), tmp_path)
    seven = answers(tmp_path)
    assert len(seven) == 7
    with pytest.raises(InfrastructureError, match=r"budget\.requests: 7 of 7"):
        run_distill(limited(requests=7), tmp_path)
    with pytest.raises(InfrastructureError, match=r"budget\.tokens: .* of 300 is spent"):
        run_distill(limited(tokens=300), tmp_path)
    assert answers(tmp_path) == seven
    made = run_distill(limited(requests=laboratory.ROWS), tmp_path)
    every = answers(tmp_path)
    assert every[:7] == seven
    assert len(every) == made.ledger["answers"]["given"] <= laboratory.ROWS
