"""Take the pictures of the docs, of what `ullage demo` left in a folder.

    python tools/pictures.py demo

Both statements as their pages open, on a desktop and on a phone, and the end of the terminal.
"""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from ullage.demo import tell
from ullage.differences import paired_differences
from ullage.statement import compare_terminal
from ullage.statement.compare import compare
from ullage.statement.document import Statement
from ullage.statement.store import read

IMAGES = Path(__file__).parents[1] / "docs" / "img"
PHONE = (390, 844)
"""Viewport, in CSS pixels."""
COLUMNS = 88


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a page."""

    suffix: str
    """Of the file."""
    size: tuple[int, int]
    """Viewport, in CSS pixels."""
    at: str = ""
    """Selector of what stands at its top; left out, the page as it opens."""


SHOTS = (Shot("", (1000, 800)), Shot("-phone", PHONE))
"""Of the demo's pages."""


@contextmanager
def chromium() -> Iterator[Browser | None]:
    """A browser without a window; none where there is none."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if found is None:
        yield None
        return
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])


def shoot(browser: Browser, html: Path, name: str, shots: Iterable[Shot] = SHOTS) -> None:
    """Take pictures of a page."""
    for shot in shots:
        width, height = shot.size
        page = browser.new_page(
            viewport={"width": width, "height": height}, reduced_motion="reduce"
        )
        page.goto(html.resolve().as_uri())
        if shot.at:
            page.locator(shot.at).first.evaluate("part => part.scrollIntoView()")
        page.screenshot(path=IMAGES / f"{name}{shot.suffix}.png")
        page.close()


def take(demo: Path, browser: Browser) -> None:
    """Every picture of a demo."""
    statements: dict[str, tuple[Statement, Path]] = {}
    for name in ("full", "scrubbed"):
        folder = demo / name / "runs" / name
        file = folder / "statement.json"
        statements[name] = read(file), file
        shoot(browser, folder / "statement.html", f"demo-{name}")
    page = browser.new_page(viewport={"width": 1000, "height": 600})
    page.set_content(terminal(statements["full"], statements["scrubbed"]))
    page.locator("svg").screenshot(path=IMAGES / "demo-terminal.png")
    page.close()


def terminal(full: tuple[Statement, Path], scrubbed: tuple[Statement, Path]) -> str:
    """The end of the demo as a terminal shows it, as SVG."""
    console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True)
    compared = compare(
        full[0],
        scrubbed[0],
        labels=("full", "scrubbed"),
        paired=paired_differences(full, scrubbed),
    )
    compare_terminal.render(compared, console)
    console.print()
    console.print(tell(full[0], scrubbed[0]), highlight=False)
    return console.export_svg(title="ullage demo")


def main() -> int:
    """Take them; 2 if there is no browser or no demo."""
    demo = Path(sys.argv[1]) if len(sys.argv) == 2 else None
    with chromium() as browser:
        if browser is None or demo is None or not (demo / "scrubbed" / "runs").is_dir():
            sys.stderr.write(
                "usage: python tools/pictures.py DEMO, with chromium and a made demo\n"
            )
            return 2
        take(demo, browser)
    return 0


if __name__ == "__main__":
    sys.exit(main())
