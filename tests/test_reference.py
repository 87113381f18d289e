"""The generated pages of docs/reference say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_reference_is_current() -> None:
    command = [sys.executable, "tools/reference.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """(file, heading or nothing) of every link of a page to another or to itself."""
    for target, heading in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", read(page)):
        if "://" not in target and (target or heading):
            yield ((page.parent / target).resolve() if target else page), heading


def headings(page: Path) -> set[str]:
    """What a page's headings are called in links to them."""
    called: Counter[str] = Counter()
    found = set()
    for line in re.findall(r"^#+ +(.+?) *$", read(page), re.MULTILINE):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found.add(f"{name}-{called[name]}" if called[name] else name)
        called[name] += 1
    return found


def read(page: Path) -> str:
    """A page without what is fenced: there a # starts a comment, and brackets are code."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target, heading in links(page):
            assert target.exists(), f"{page.name}: {target}"
            if heading and target.suffix == ".md":
                assert heading in headings(target), f"{page.name}: {target.name}#{heading}"


def test_every_page_can_be_reached_from_the_first() -> None:
    first = ROOT / "README.md"
    reached, left = {first}, [first]
    while left:
        for target, _ in links(left.pop()):
            if target.suffix == ".md" and target.exists() and target not in reached:
                reached.add(target)
                left.append(target)
    assert set(PAGES) <= reached, sorted(set(PAGES) - reached)
