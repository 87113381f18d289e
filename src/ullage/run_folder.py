"""The run folder: which file each step writes, the lock, and what may not change between runs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ullage.collect.lock import run_lock
from ullage.config import Loaded, digest, dump
from ullage.config.models import Config
from ullage.config.problems import validate
from ullage.config.source import parse, read_text
from ullage.errors import InputError
from ullage.files import write_whole
from ullage.plan import Plan

T = TypeVar("T", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one audit keeps everything."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration, resolved and frozen."""
        return self.path / "config.yaml"

    @property
    def plan(self) -> Path:
        """What will be asked."""
        return self.path / "plan.json"

    @property
    def replies(self) -> Path:
        """The journal."""
        return self.path / "replies.jsonl"

    @property
    def labels(self) -> Path:
        """What people say of replies that a model judged; the user writes it, if anybody."""
        return self.path / "labels.jsonl"

    @property
    def scores(self) -> Path:
        """The score table."""
        return self.path / "scores.parquet"

    @property
    def findings(self) -> Path:
        """One row per target."""
        return self.path / "findings.json"

    @property
    def ledger(self) -> Path:
        """The student's distillation ledger, copied when the audit was planned."""
        return self.path / "distillation.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the folder and hold its lock."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{self.path}: cannot be made ({error.strerror}); set `runs` to a folder that can "
                "be written"
            ) from error
        with run_lock(self.path):
            yield


def write_part(path: Path, part: BaseModel) -> None:
    """Write one step's result as JSON; order is kept, because scores follow the plan's order."""
    text = json.dumps(part.model_dump(mode="json"), indent=1, allow_nan=False)
    write_whole(path, (text + "\n").encode())


def read_part(path: Path, kind: type[T]) -> T:
    """Read what a step wrote.

    Raises:
        InputError: it is not there or not of this version.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(f"{path}: is not there; run `ullage audit` without --from") from error
    except ValidationError as error:
        raise InputError(
            f"{path}: was not written by this version of ullage ({error.error_count()} problems); "
            "remove it and run `ullage audit` again, nothing answered is asked twice"
        ) from error


def read_ledger(folder: RunFolder) -> dict[str, object] | None:
    """The student's distillation ledger as a statement holds it; None where there is none.

    Raises:
        InputError: it is not JSON.
    """
    if not folder.ledger.exists():
        return None
    try:
        ledger = json.loads(folder.ledger.read_bytes())
    except ValueError as error:
        raise InputError(f"{folder.ledger}: is not JSON; distil the student again") from error
    # Clock times would make the statement depend on more than configuration and replies.
    return {key: value for key, value in ledger.items() if key != "timing"}


def run_config(folder: RunFolder) -> Config:
    """The frozen configuration of a run.

    Raises:
        InputError: it is not there, or not one.
    """
    mend = "give the whole run folder"
    return validate(Config, parse(read_text(folder.config, mend), str(folder.config)))


def root_of(folder: Path, config: Config, given: Path | None = None) -> Path:
    """The folder of the configuration that a run was begun with.

    Raises:
        InputError: it does not follow from where the run folder lies.
    """
    if given is not None:
        return given
    runs = Path(config.runs)
    depth = len(runs.parts)
    here = folder.resolve()
    if runs.is_absolute() or ".." in runs.parts or depth >= len(here.parents):
        raise InputError(f"{folder}: lies apart from its configuration; give --root FOLDER")
    return here.parents[depth]


def freeze(folder: RunFolder, loaded: Loaded, plan: Plan) -> Plan:
    """Write the plan and the configuration, or agree with those of an audit already begun.

    Raises:
        InputError: replies were collected under another configuration, with other items, or from
            other models.
    """
    if folder.plan.exists() and folder.replies.exists() and folder.replies.stat().st_size > 0:
        begun = begun_plan(folder, loaded, {n: share.source for n, share in plan.probes.items()})
        for role, arm in plan.arms.items():
            _refuse_another_model(folder, role, begun.arms[role].identity, arm.identity)
        if begun.pilot or not plan.pilot:
            return begun
    write_whole(folder.config, _frozen(loaded).encode())
    write_part(folder.plan, plan)
    return plan


def begun_plan(folder: RunFolder, loaded: Loaded, sources: Mapping[str, str]) -> Plan:
    """The plan of an audit already begun, which the configuration must still be that of.

    Args:
        folder: the run.
        loaded: the configuration as it is now.
        sources: per probe, where its items come from now.

    Raises:
        InputError: the configuration (a margin, say) or a file of items was changed since.
    """
    begun = read_part(folder.plan, Plan)
    if begun.config_digest != digest(loaded.config, loaded.scenario):
        old = yaml.safe_load(folder.config.read_text("utf-8"))
        difference = _first_difference(old, yaml.safe_load(_frozen(loaded)))
        raise InputError(
            f"{folder.path}: this run was begun with another configuration ({difference}); margins "
            "are fixed before asking, so use --run NAME for a new run"
        )
    for name, share in begun.probes.items():
        if sources.get(name, share.source) != share.source:
            raise InputError(
                f"{folder.path}: the items of {name} are not those this run began with (was "
                f"{share.source}, is {sources[name]}); use --run NAME for a new run"
            )
    return begun


def _frozen(loaded: Loaded) -> str:
    return dump(loaded.config.model_copy(update={"targets": loaded.scenario.targets}))


def _refuse_another_model(folder: RunFolder, role: str, was: str, now: str) -> None:
    if was != now:
        raise InputError(
            f"{folder.path}: arm {role} is another model than when this run began (identity "
            f"{now[:20]}…, was {was[:20]}…); use --run NAME for a new run"
        )


_FREE = ("runs", "requests", "tokens", "money")
"""Keys that a begun run may change: where it is kept, and how much it may spend."""


def _first_difference(old: object, new: object, at: str = "") -> str:
    """The first place where two configurations differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in _FREE and old.get(key) != new.get(key):
                return _first_difference(old.get(key), new.get(key), f"{at}.{key}".lstrip("."))
    if isinstance(old, list) and isinstance(new, list):
        for place, (left, right) in enumerate(zip(old, new, strict=False)):
            if left != right:
                return _first_difference(left, right, f"{at}.{place}")
        return f"{at}: {len(old)} entries then, {len(new)} now"
    return f"{at or 'the scenario'}: {old!r} then, {new!r} now" if at else "the scenario's text"
