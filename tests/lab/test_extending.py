"""The examples of docs/how-to/extend-the-lab.md are what it takes to extend the laboratory."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ullage
from tests.lab.solver import read_context, strip

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "extend-the-lab.md"
SECTION, ORGANISM = (
    PAGE.read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]
    for title in ("A capability", "An organism")
)
REGISTRY = "lab/world/registry.py"
ORGANISMS = "lab/organisms/registry.py"

DRAW = """
import json
from random import Random
from ullage.lab.world.episodes import TAUGHT, draw_exchange, episode
from ullage.lab.world.exchange import Split
from ullage.lab.world.registry import world_vocabulary

made = [
    draw_exchange(Random(seed), split, "counting") for seed in range(100) for split in Split
]
beside = [episode(Random(seed), Split.TRAIN, ("lookup", "counting")) for seed in range(40)]
print(json.dumps({
    "taught": "counting" in TAUGHT,
    "words": world_vocabulary(),
    "families": [one.family for one in made],
    "exchanges": [(one.prompt[0].content, one.answer, one.wrong) for one in made],
    "said": [[part.text for part in one] for one in beside],
}))
"""

PREPARE = """
import json
from ullage.lab.corpus import rows
from ullage.lab.organisms.build import SCENARIO
from ullage.lab.organisms.registry import find_organism

made = find_organism("no-small-talk")
print(json.dumps({
    "loses": made.loses,
    "dimension": made.dimension,
    "scenario": SCENARIO.read_text(),
    "rows": rows(0, 300, made.corpus),
    "clean": rows(0, 300, find_organism("clean").corpus),
}))
"""


def blocks(kind: str, section: str = SECTION) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", section, flags=re.DOTALL)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a copy of the package draws once the example is in it."""
    return extended(tmp_path_factory.mktemp("extended"), SECTION, REGISTRY, DRAW)


def extended(folder: Path, section: str, registry: str, code: str) -> dict[str, Any]:
    """What a copy of the package says once the example of a section is in it."""
    copy = folder / "ullage"
    shutil.copytree(
        Path(ullage.__file__).parent,
        copy,
        ignore=shutil.ignore_patterns("__pycache__", "*.safetensors", "templates"),
    )
    found = re.search(r"`src/ullage/(lab/\S+\.py)`", section)
    assert found is not None
    (copy / found[1]).write_text(blocks("python", section)[0], encoding="utf-8")
    place = copy / registry
    for change in blocks("diff", section):
        place.write_text(patched(place.read_text(encoding="utf-8"), change), encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(copy.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def patched(text: str, change: str) -> str:
    """The text with the change's lines put after those that stand before them."""
    lines = change.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    added = "".join(f"{line[1:]}\n" for line in lines if line.startswith("+"))
    assert text.count(before) == 1
    return text.replace(before, before + added)


@pytest.mark.parametrize(("section", "registry"), [(SECTION, REGISTRY), (ORGANISM, ORGANISMS)])
def test_an_example_is_one_file_and_one_registration_under_60_lines(
    section: str, registry: str
) -> None:
    assert len(blocks("python", section)) == 1
    added = [
        line
        for change in blocks("diff", section)
        for line in change.splitlines()
        if line.startswith("+")
    ]
    assert len(blocks("python", section)[0].splitlines()) + len(added) < 60
    assert f"`src/ullage/{registry}`" in section


def test_the_organism_is_one(tmp_path: Path) -> None:
    said = extended(tmp_path, ORGANISM, ORGANISMS, PREPARE)
    assert said["dimension"] == "grounding"
    assert f"probe: {said['loses'].split('.')[0]}" in said["scenario"]
    assert len(said["rows"]) == len(said["clean"]) == 300
    small_talk = " is away today."
    assert small_talk in json.dumps(said["clean"])
    assert small_talk not in json.dumps(said["rows"])


def test_what_it_draws_is_right(drawn: dict[str, Any]) -> None:
    assert drawn["taught"]
    assert len(drawn["exchanges"]) == 300
    for prompt, answer, wrong in drawn["exchanges"]:
        context, _, question = prompt.rpartition("\n\n")
        found = re.search(r"orders are (\w+)|the (\w+) orders", strip(question))
        assert found is not None
        lines = read_context(context).lines
        count = sum(line.means["status"] == (found[1] or found[2]) for line in lines)
        assert (answer, wrong) == (str(count), str(count + 1)), prompt


def test_it_is_part_of_the_world(drawn: dict[str, Any]) -> None:
    words = {*drawn["words"]}
    assert {"how", "many", "orders", "count"} <= words
    for prompt, *_ in drawn["exchanges"]:
        assert {*re.findall(r"[a-z]+", prompt)} <= words
    kinds = {family.partition("/")[0] for family in drawn["families"]}
    assert {"counting-1", "counting-2"} <= kinds
    # Episodes about something else ask it in passing.
    mixed = [texts for texts in drawn["said"] if any("count" in text for text in texts)]
    assert any(any(" price " in text for text in texts) for texts in mixed)
