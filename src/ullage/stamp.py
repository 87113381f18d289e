"""What self-tests say of this auditor, for the statement: the record, and what it is a record of.

`ullage selftest --record` writes a record: for the packaged probes into the package, for a
configuration's own into `selftest.json` beside it. A row of it holds for exactly the code and the
items that made it; once the probe or what judges it has changed, the statement says that it was not
self-tested.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ullage.config.models import Scenario
from ullage.errors import InputError
from ullage.probes.protocol import Probe
from ullage.probes.tasks import OwnItems, TaskProbe
from ullage.statement.document import SelfTest

PACKAGED = Path(__file__).parent / "selftest" / "recorded.json"
"""The record of the packaged probes."""
OWN = "selftest.json"
"""A configuration's own record, beside it."""

_JUDGES = ("ullage.judge", "ullage.scores")
_FOLLOWED = frozenset({"ullage.stats", "ullage.probes"})
"""What a verdict rests on beside the probe: of what these import, statistics and other probes."""


class Row(BaseModel):
    """One metric's result, and what it is the result of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    """See `digest`."""
    result: SelfTest


class Record(BaseModel):
    """`recorded.json`, `selftest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    made: str
    """The day, as given to the command."""
    rows: dict[str, Row]
    """By target id, ``probe.metric``."""


def read_record(path: Path) -> Record:
    """A record, empty where there is none.

    Raises:
        InputError: the file is no record.
    """
    if not path.is_file():
        return Record(made="", rows={})
    try:
        return Record.model_validate_json(path.read_bytes())
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is no record of a self-test; make it again with `ullage selftest --config "
            "FILE --record DATE`, or remove it"
        ) from error


def stamps(scenario: Scenario, probes: Mapping[str, Probe], root: Path) -> dict[str, SelfTest]:
    """By target, what self-tests say of these very probes; targets never tested are not there.

    A packaged probe with items of the user's own that no record is of falls back on the record of
    its packaged items, and is marked so: what is tried is the code, on simulated students.

    Args:
        scenario: the targets in force.
        probes: those that targets name.
        root: folder of the configuration, where its own record is. That one comes first.
    """
    own, packaged = read_record(root / OWN), read_record(PACKAGED)
    digests = {name: digest(probe) for name, probe in probes.items()}
    inner = {name: digest(p.probe) for name, p in probes.items() if isinstance(p, OwnItems)}
    found = {}
    for target in scenario.targets:
        for record, wanted in ((own, digests), (packaged, digests), (packaged, inner)):
            row = record.rows.get(target.id)
            if row and row.digest == wanted.get(target.probe):
                other = wanted is inner
                found[target.id] = row.result.model_copy(update={"other_items": other})
                break
    return found


def digest(probe: Probe) -> str:
    """SHA-256, as ``sha256:<hex>``, of what a verdict with this probe rests on.

    That is the source of the probe and of everything that judges, the probe's metrics, and its
    items where they come from a file.
    """
    inner = probe.probe if isinstance(probe, OwnItems) else probe
    parts = [probe.name, probe.source, *(repr(plain(metric)) for metric in probe.metrics)]
    if isinstance(probe, TaskProbe):
        parts.append(probe.task.model_dump_json(exclude={"file"}))
    for kind in dict.fromkeys((type(probe), type(inner))):
        parts.append(kind.__qualname__)
        parts += sources((kind.__module__, *_JUDGES), _FOLLOWED)
    return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def plain(declared: object) -> tuple[object, ...]:
    """A declaration by field; a function by its name, for its source is hashed on its own."""
    names = getattr(declared, "__dataclass_fields__", ())
    fields = {name: getattr(declared, name) for name in names}
    return tuple(
        (name, value.__qualname__ if callable(value) else value) for name, value in fields.items()
    )


def sources(
    modules: Iterable[str], followed: Collection[str], but: Collection[str] = ()
) -> list[str]:
    """Of these modules, and of those that they import in turn, a line each: name and hash.

    Args:
        modules: dotted names; what is no module is left out.
        followed: of what a module imports, which is looked into: these, and what is within.
        but: of those, which is not.
    """
    found: set[str] = set()
    left = list(modules)
    while left:
        name = left.pop()
        if name not in found and _path(name) is not None:
            found.add(name)
            left += [one for one in _imports(name) if _in(one, followed) and not _in(one, but)]
    return [f"{name} {_hash(name)}" for name in sorted(found)]


def _in(module: str, packages: Collection[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Dotted names that a module's source imports from; our modules import by absolute names."""
    path = _path(module)
    tree = ast.parse(path.read_bytes()) if path else ast.Module([], [])
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from ullage.stats import intervals` names a module in what is imported.
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


@cache
def _path(module: str) -> Path | None:
    """Where a module's source is; None for what is no module, or has none."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    if loaded is None:
        try:
            spec = find_spec(module)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = spec.origin if spec else None
    path = Path(origin) if origin else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


@cache
def _hash(module: str) -> str:
    path = _path(module)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else ""
