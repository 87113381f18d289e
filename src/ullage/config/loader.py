"""From `ullage.yaml` and ``-o key=value`` to a `Config` and the scenario it is judged by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ullage.config.models import Config, Scenario, Target
from ullage.config.problems import validate
from ullage.config.scenario import load_scenario
from ullage.config.source import OVERRIDE, Loc, Source, dotted, parse, parse_value, read_text
from ullage.errors import InputError


@dataclass(frozen=True)
class Loaded:
    """A configuration file, read and checked for form."""

    config: Config
    root: Path
    """Folder of the file: what its relative paths are relative to."""
    scenario: Scenario
    """With the file's own `targets` merged in."""
    path: Path
    places: Mapping[Loc, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each key was written, for errors found later."""

    def resolve(self, reference: str) -> Path:
        """A path of the file (``~`` allowed), relative to its folder."""
        return self.root / Path(reference).expanduser()

    def refuse(self, key: str, message: str) -> InputError:
        """The error for a value found wrong later: ``ullage.yaml:12: arms.student.model: …``.

        Args:
            key: dotted, with list indices: ``tasks.0.file``.
            message: what was found; what would do.
        """
        loc = tuple(int(part) if part.isdecimal() else part for part in key.split("."))
        return Source(str(self.path), {}, dict(self.places)).refuse(loc, message)


def load(path: Path, overrides: Sequence[str] = ()) -> Loaded:
    """Read, override, validate and complete a configuration file.

    Args:
        path: the YAML file.
        overrides: ``key=value`` with a dotted key (lists by index) and a YAML value.

    Raises:
        InputError: one line with file, line, key, what was found and what would do.
    """
    source = parse(read_text(path), str(path))
    for override in overrides:
        _apply(source, override)
    config = validate(Config, source)
    root = path.resolve().parent
    try:
        scenario = load_scenario(config.scenario, root)
    except InputError as error:
        if (root / config.scenario).is_file():
            raise
        raise source.refuse(("scenario",), str(error)) from None
    return Loaded(
        config=config,
        root=root,
        scenario=with_targets(scenario, config.targets),
        path=path,
        places=source.places,
    )


def with_targets(scenario: Scenario, targets: Sequence[Target]) -> Scenario:
    """The scenario with targets replaced in place (same probe and metric) or added at the end."""
    merged = {target.id: target for target in (*scenario.targets, *targets)}
    return scenario.model_copy(update={"targets": tuple(merged.values())})


def _apply(source: Source, override: str) -> None:
    """Set one dotted key in the source's data, making mappings on the way as needed."""
    key, equals, text = override.partition("=")
    key = key.strip()
    name = f"-o {key}"
    if not equals or not re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", key):
        raise InputError(f"-o {override.partition('=')[0]}: expected key=value, as in -o seed=7")
    loc: list[str | int] = []
    at: Any = source.data
    parts = re.sub(r"\[(\d+)\]", r".\1", key).split(".")
    for depth, part in enumerate(parts):
        step = _step(at, part, name, tuple(loc))
        loc.append(step)
        if depth == len(parts) - 1:
            at[step] = parse_value(text, name)
        elif isinstance(at, dict) and at.get(step) is None:
            at[step] = [] if parts[depth + 1].isdecimal() else {}
            source.places[tuple(loc)] = OVERRIDE
        at = at[step]
    for place in [place for place in source.places if place[: len(loc)] == tuple(loc)]:
        del source.places[place]
    source.places[tuple(loc)] = OVERRIDE


def _step(at: Any, part: str, name: str, loc: Loc) -> str | int:
    """The key or index that goes one level down."""
    if isinstance(at, dict):
        return part
    if not isinstance(at, list):
        raise InputError(f"{name}: {dotted(loc)} holds no keys; leave out what follows it")
    if part.isdecimal() and int(part) < len(at):
        return int(part)
    found = f"no entry '{part}' in {dotted(loc)}, which has {len(at)} in the file"
    raise InputError(f"{name}: {found}; indices count from 0")
