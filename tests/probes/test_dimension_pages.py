"""The pages on dimensions name every probe and metric there is, and lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ullage.probes.registry import PACKAGED

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "dimensions").glob("*.md"))


@pytest.mark.parametrize("dimension", [page.stem for page in PAGES])
def test_a_page_tells_of_all_that_is_measured(dimension: str) -> None:
    page = (DOCS / "dimensions" / f"{dimension}.md").read_text(encoding="utf-8")
    probes = [probe for probe in PACKAGED.values() if probe.dimension == dimension]
    assert len(probes) >= 2
    for probe in probes:
        assert f"`{probe.name}`" in page
        assert f"**`{probe.name}`**\n\n```text\nuser" in page.replace("\nsystem", "\nuser")
        for metric in probe.metrics:
            assert f"`{metric.name}`" in page, metric.name
    for part in ("cannot show", "can be fooled", "Margin and n"):
        assert re.search(rf"^## .*{part}", page, re.MULTILINE), part


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(
        r"\]\((?!https:)([^)#]+)(?:#([^)]+))?\)", page.read_text("utf-8")
    ):
        linked = (page.parent / target).resolve()
        assert linked.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", linked.read_text("utf-8"), re.MULTILINE)
            assert anchor in [heading.strip("`").lower().replace(" ", "-") for heading in headings]
