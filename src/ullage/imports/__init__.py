"""Evals that another tool ran become arms of an audit (`ullage import`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from ullage.config.models import Config
from ullage.errors import InputError
from ullage.imports.folder import CONFIG, Margins, write_folder
from ullage.imports.inspect_log import is_inspect, read_inspect
from ullage.imports.lm_eval import RESULTS, read_lm_eval
from ullage.imports.logs import Log, Options
from ullage.imports.pairing import pair
from ullage.probes.registry import names

__all__ = ["Made", "Options", "read_log", "run_import"]


@dataclass(frozen=True, slots=True)
class Made:
    """What an import left behind."""

    config: Path
    """The configuration to audit."""
    targets: int
    """Figures that can be judged."""
    unmeasured: Mapping[str, str]
    """Those that cannot, and why."""
    notes: tuple[str, ...]
    """What a reader of the statement is told."""

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "config": str(self.config),
            "targets": self.targets,
            "unmeasured": dict(self.unmeasured),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [
            *self.notes,
            *(f"{name}: unmeasured, {why}" for name, why in self.unmeasured.items()),
        ]
        lines.append(
            f"wrote {self.config} of {self.targets} targets; then: ullage audit {self.config}"
        )
        return lines


def run_import(
    places: Mapping[str, Path],
    folder: Path,
    *,
    options: Options = Options(),  # noqa: B008 (frozen)
    margins: Collection[str] = (),
    higher: Collection[str] = (),
    lower: Collection[str] = (),
    force: bool = False,
) -> Made:
    """Read logs of two models (and a base) and write the folder of an audit.

    Args:
        places: by arm, a log or a folder of logs; `teacher` and `student` at least.
        folder: where to write.
        options: how samples are read.
        margins: ``0.03``, or ``eval.metric=0.03``.
        higher: figures of which more is better, where logs do not tell.
        lower: the same, where less is.
        force: replace an import that is there.

    Raises:
        InputError: a log cannot be used, or nothing in the two can be compared.
    """
    config = folder / CONFIG
    if config.exists() and not force:
        raise InputError(f"{config}: is already there; use --force to replace it, or another -o")
    wanted = Margins(margins)
    logs = {arm: read_log(place, options) for arm, place in places.items()}
    paired = pair(logs, higher=higher, lower=lower, taken=names())
    written = write_folder(folder, logs, paired, wanted)
    unmeasured = {
        f"{one.name}.{metric.name}": metric.unmeasured
        for one in paired
        for metric in one.metrics
        if metric.unmeasured
    }
    total = sum(len(one.metrics) for one in paired)
    return Made(config, total - len(unmeasured), unmeasured, _notes(written))


def _notes(config: Config) -> tuple[str, ...]:
    return config.imported.notes if config.imported else ()


def read_log(place: Path, options: Options) -> Log:
    """A log or a folder of logs, of whichever tool.

    Raises:
        InputError: it is of none, or of two.
    """
    if place.is_file():
        if not is_inspect(place):
            raise InputError(f"{place}: no log; name a .eval or .json log, or a folder of lm-eval")
        return read_inspect(place, options)
    if not place.is_dir():
        raise InputError(f"{place}: is not there; name a log or a folder of logs")
    if next(place.rglob(RESULTS), None) is None:
        return read_inspect(place, options)
    return read_lm_eval(place, options)
