"""The package of docs/how-to/own-probe.md, installed: its probe is listed, asked and stated."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "own-probe.md").read_text("utf-8")
CONFIG = """
name: forms
scenario: forms.yaml
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1}}
  student: {model: "simulated:s", simulated: {seed: 2, default: {accuracy: 0.5}}}
planning: {items: 120}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def block(after: str, language: str) -> str:
    found = re.search(
        rf"{re.escape(after)}.*?```{language}\n(.*?)```", PAGE, flags=re.DOTALL | re.MULTILINE
    )
    assert found is not None, after
    return found[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment in which the package is, and no other than before."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "ullage_capitals.py").write_text(block("`ullage_capitals.py`", "python"))
    (source / "pyproject.toml").write_text(block("`pyproject.toml`", "toml"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-index", "--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*pip, *alone, str(source)], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(target), *filter(None, sys.path)])}


@pytest.fixture
def ullage(installed: Mapping[str, str], tmp_path: Path) -> Run:
    (tmp_path / "ullage.yaml").write_text(CONFIG)
    target = block("From then on", "yaml")
    (tmp_path / "forms.yaml").write_text(f"name: forms\ntitle: Forms\nuse: Codes.\n{target}")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ullage.cli", *words]
        return subprocess.run(
            command, env=installed, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_it_is_listed_and_can_be_read(ullage: Run) -> None:
    listed = {one["probe"]: one for one in json.loads(ullage("probes", "--json").stdout)}
    assert listed["capitals"]["about"] == "A code to be written in capital letters."
    assert listed["capitals"]["prompts_per_item"] == 1
    looked = json.loads(ullage("probe", "capitals", "--arm", "teacher", "--json").stdout)
    assert all(one["scores"] in ({"complies": 0.0}, {"complies": 1.0}) for one in looked["items"])


def test_it_is_in_a_statement(ullage: Run, tmp_path: Path) -> None:
    audit = ullage("audit", "--json")
    assert audit.returncode == 1, audit.stderr
    statement = json.loads((tmp_path / "runs" / "forms" / "statement.json").read_text())
    (finding,) = statement["findings"]
    assert finding["verdict"] == "lost"
    assert (finding["dimension"], finding["target"]["probe"]) == ("agency", "capitals")
    assert statement["probes"]["capitals"]["families"] == 10
    assert "`capitals.complies`" in (tmp_path / "runs" / "forms" / "statement.md").read_text()


def test_without_the_package_there_is_no_such_probe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ullage.cli", "probe", "capitals"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "no probe 'capitals'" in run.stderr
