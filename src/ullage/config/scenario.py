"""Scenarios: sets of targets fit for a use, packaged (by name) or the user's own (by path)."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path

from ullage.config.models import Scenario
from ullage.config.problems import refuse_unknown, validate
from ullage.config.source import parse, read_text

_SUFFIX = ".yaml"
_MEND = "name a packaged scenario, or a file relative to the configuration"


@cache
def names() -> tuple[str, ...]:
    """Names of the packaged scenarios, sorted."""
    entries = files("ullage.config").joinpath("scenarios").iterdir()
    return tuple(sorted(e.name.removesuffix(_SUFFIX) for e in entries if e.name.endswith(_SUFFIX)))


@cache
def packaged(name: str) -> Scenario:
    """A packaged scenario.

    Raises:
        InputError: if there is none of that name.
    """
    if name not in names():
        raise refuse_unknown("scenario", name, names())
    text = files("ullage.config").joinpath("scenarios", name + _SUFFIX).read_text("utf-8")
    return validate(Scenario, parse(text, f"{name}{_SUFFIX}"))


def load_scenario(reference: str, root: Path) -> Scenario:
    """A scenario by packaged name, or else from a file.

    Args:
        reference: a packaged name, or a path relative to `root`. A name of the package wins.
        root: folder of the configuration file.

    Raises:
        InputError: if there is no such scenario, or the file is not one.
    """
    path = root / Path(reference).expanduser()
    is_path = "/" in reference or path.suffix in (".yaml", ".yml") or path.is_file()
    if reference in names() or not is_path:
        return packaged(reference)
    return validate(Scenario, parse(read_text(path, _MEND), str(path)))
