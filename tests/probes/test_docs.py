"""The docs on probes and items say what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ullage.config.models import Rule, Task
from ullage.probes.catalogue import renewed
from ullage.probes.registry import PACKAGED, get_probe
from ullage.probes.tasks import TaskProbe, with_items

DOCS = Path(__file__).parents[2] / "docs"
ITEMS = (DOCS / "items.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["probes.md", "items.md"])
def test_the_tables_are_current(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    assert renewed(page) == page, f"run: python -m ullage.probes.catalogue docs/{name}"


@pytest.mark.parametrize("name", PACKAGED)
def test_the_example_of_every_probe_is_read(tmp_path: Path, name: str) -> None:
    section = ITEMS.split(f"### `{name}`")[1]
    found = re.search(r"```json\n(.*?)\n```", section, flags=re.DOTALL)
    assert found is not None
    (tmp_path / "own.jsonl").write_text(found[1] + "\n")
    own = with_items(get_probe(name), tmp_path / "own.jsonl")
    (item,) = own.items(0)
    assert item.id == f"{name}/1"


def test_the_example_of_a_task_is_read(tmp_path: Path) -> None:
    found = re.search(r"```json\n(.*?)\n```", ITEMS, flags=re.DOTALL)
    assert found is not None
    (tmp_path / "tickets.jsonl").write_text(found[1] + "\n")
    task = Task(name="tickets", file="tickets.jsonl", rule=Rule(kind="choice"))
    (item,) = TaskProbe(task, tmp_path / "tickets.jsonl").items(0)
    assert item.answer == json.loads(found[1])["reference"]
