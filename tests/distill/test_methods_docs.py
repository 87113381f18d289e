"""Every recipe of docs/methods is a file that loads and resolves, and every method has a page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ullage.config import load
from ullage.distill.presets import PRESETS
from ullage.distill.recipe import resolve_recipe

DOCS = Path(__file__).parents[2] / "docs" / "methods"
RECIPES = [
    pytest.param(text, id=f"{page.stem}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.S))
]


@pytest.mark.parametrize("text", RECIPES)
def test_a_recipe_resolves(text: str, tmp_path: Path) -> None:
    path = tmp_path / "ullage.yaml"
    path.write_text(text, encoding="utf-8")
    loaded = load(path)
    assert resolve_recipe(loaded.config, loaded.root).terms


def test_every_method_has_a_page_with_its_recipe() -> None:
    assert {page.stem for page in DOCS.glob("*.md")} == {*PRESETS, "choose"}
    for method in PRESETS:
        assert f"method: {method}\n" in (DOCS / f"{method}.md").read_text("utf-8")
    choose = (DOCS / "choose.md").read_text("utf-8")
    assert all(f"({method}.md)" in choose for method in PRESETS)
