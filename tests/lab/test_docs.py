"""docs/lab.md says of the world what the world is."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from ullage.lab.world.capabilities.canary import REPEATS
from ullage.lab.world.capabilities.forms import misspelt
from ullage.lab.world.desk import (
    DATE_STYLES,
    LAYOUTS,
    MONEY_STYLES,
    NUMBER_STYLES,
    PRICES,
    reserved_prices,
)
from ullage.lab.world.exchange import Split
from ullage.lab.world.reference import NEW_PAIRS
from ullage.lab.world.wordings import CLOSERS, OPENERS, wordings
from ullage.lab.world.words import ITEMS

PAGE = (Path(__file__).parents[2] / "docs" / "lab.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
SHARES = {Split.TRAIN: "half", Split.DISTIL: "a quarter", Split.AUDIT: "a quarter"}


def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint(exchange.is_right('no'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    *prompt, answer, wrong = ran.stdout.splitlines()
    assert re.fullmatch(
        r"a \w+ can be returned for \d+ days, \d+ is (?:less: yes|more: no)\.", answer
    )
    assert any("days" in line for line in prompt)
    assert wrong == "False"


def test_the_numbers_on_the_page_are_those_of_the_world() -> None:
    assert len(NUMBER_STYLES) == len(MONEY_STYLES) == len(LAYOUTS) == 3
    assert len(DATE_STYLES) == 4
    assert (
        "one of three layouts, three ways to write an order's number, four to write a date" in TEXT
    )
    assert (len(OPENERS), len(CLOSERS)) == (6, 4)
    assert {len(reserved_prices(item)) for item in ITEMS} == {3}
    assert len(PRICES) == 18
    assert "three of eighteen for each item" in TEXT
    assert len(NEW_PAIRS) == 4
    assert "four pairs of a way to point" in TEXT
    counts = ", ".join(map(str, REPEATS[:-1]))
    assert f"planted {counts} or {REPEATS[-1]} times" in TEXT
    kept = sum(len(misspelt(item, Split.AUDIT)) for item in ITEMS)
    learnt = sum(len(misspelt(item, Split.TRAIN)) for item in ITEMS)
    assert abs(kept / (kept + learnt) - 1 / 3) < 0.05
    assert "about a third" in TEXT


def test_the_table_of_splits_is_true() -> None:
    for phrases in (4, 6):
        sizes = {split: len(wordings(split, phrases)) for split in Split}
        every = sum(sizes.values())
        for split, share in SHARES.items():
            assert sizes[split] / every == {"half": 1 / 2, "a quarter": 1 / 4}[share]
            assert re.search(rf"\| `{split}` \| [^|]+ \| {share} \|", PAGE)
