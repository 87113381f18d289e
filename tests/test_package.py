"""What is shipped, sources and weights and little else, and how it is run."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import ullage

MOST = 15_000_000
"""Bytes of the installed package, weights included."""


def test_the_package_stays_small() -> None:
    root = Path(ullage.__file__).parent
    sizes = {
        path.relative_to(root): path.stat().st_size
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sum(sizes.values()) < MOST, sorted(sizes.items(), key=lambda pair: -pair[1])[:5]


def test_it_runs_as_a_module() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "ullage", "--version"], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == version("ullage")
