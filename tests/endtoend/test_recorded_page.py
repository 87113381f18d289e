"""What docs/how-to/recorded.md writes is an audit in which every question finds its answer."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from ullage.audit import run_audit, set_up
from ullage.config import load

PAGES = Path(__file__).parents[2] / "docs" / "how-to"


def blocks(page: str) -> list[str]:
    return re.findall(r"^```\w+\n(.*?)^```", (PAGES / page).read_text("utf-8"), re.M | re.S)


def test_the_page_works_as_it_is_written(tmp_path: Path) -> None:
    replies, config, scenario, *_ = blocks("recorded.md")
    for name, text in {
        "questions.jsonl": blocks("own-questions.md")[0],
        "teacher.jsonl": replies,
        "student.jsonl": replies,
        "ullage.yaml": config,
        "shop.yaml": scenario,
    }.items():
        (tmp_path / name).write_text(text, "utf-8")
    statement = asyncio.run(run_audit(set_up(load(tmp_path / "ullage.yaml"))))
    (finding,) = statement.findings
    assert (finding.id, finding.infrastructure) == ("shop-questions.score", False)
    assert finding.values["teacher"].value == finding.values["student"].value == 1.0
