"""One folder of runs for all tests of pages; those that write take a copy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pages import Served, make_world, serving


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    make_world(folder)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def served(world: Path, cache: Path) -> Iterator[Served]:
    with serving(world, cache) as running:
        yield running


@pytest.fixture
def own(world: Path, cache: Path, tmp_path: Path) -> Iterator[tuple[Served, Path]]:
    """A server over a copy, and the copy."""
    folder = tmp_path / "world"
    shutil.copytree(world, folder)
    with serving(folder, cache) as running:
        yield running, folder
