"""The whole self-test: which probes, on how many cores, and what is kept of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ullage import __version__
from ullage.config import load
from ullage.errors import InfrastructureError, InputError
from ullage.files import write_whole
from ullage.probes.protocol import Probe
from ullage.probes.registry import PACKAGED, get_probe, resolve
from ullage.selftest.damages import DAMAGES
from ullage.selftest.kept import keep_result, kept_result, key_of
from ullage.selftest.report import SIZES, MetricResult, OrganismResult, ProbeResult, Report
from ullage.selftest.trials import Settings, try_probe
from ullage.stamp import OWN, Record, Row, read_record
from ullage.stamp import PACKAGED as PACKAGED_RECORD
from ullage.statement.document import SelfTest

OnProbe = Callable[[str, ProbeResult | None], None]
"""Called with a probe's name when it is begun (None) and when it is done."""

_HEAVY = (
    "varied-text",
    "confidence",
    "vote-confidence",
    "teacher-text",
    "many-answers",
    "invariance",
    "formats",
)
"""Tried first, so that no core is left with the longest at the end."""


@dataclass(frozen=True, slots=True)
class Source:
    """A probe by what another process needs to find it."""

    name: str
    config: Path | None = None
    """The configuration whose own it is; None for packaged and installed ones."""

    def probe(self) -> tuple[Probe, dict[str, float] | None]:
        """The probe, and by metric the margins that the configuration sets."""
        if self.config is None:
            return get_probe(self.name), None
        loaded = load(self.config)
        probes = resolve(loaded.config, loaded.root)
        margins = {
            target.metric: target.margin
            for target in loaded.scenario.targets
            if target.probe == self.name
        }
        return probes[self.name], margins


def choose(names: Sequence[str], config: Path | None) -> list[Source]:
    """What is tried: the packaged probes, those named, or what is a configuration's own.

    Args:
        names: of probes (packaged or of installed packages); none for all packaged ones.
        config: a configuration: its tasks and the probes with items of its own, and others that
            its targets name where they are in `names`.

    Raises:
        InputError: an unknown name, or a configuration with nothing of its own.
    """
    if config is None:
        for name in names:
            get_probe(name)
        return [Source(name) for name in (names or PACKAGED)]
    loaded = load(config)
    probes = resolve(loaded.config, loaded.root)
    if unknown := [name for name in names if name not in probes]:
        raise InputError(
            f"{config}: no target names the probe '{unknown[0]}'; they name {', '.join(probes)}"
        )
    own = [name for name in probes if name in loaded.config.items or name not in PACKAGED]
    chosen = list(names) or own
    if not chosen:
        raise InputError(
            f"{config}: has no tasks, items or probes of its own that a target names; the packaged "
            "probes are tested by `ullage selftest` without --config"
        )
    return [Source(name, config) for name in chosen]


def run_selftest(
    sources: Sequence[Source],
    settings: Settings,
    *,
    quick: bool,
    jobs: int | None = None,
    on_probe: OnProbe | None = None,
    organisms: Sequence[OrganismResult] = (),
    kept: Path | None = None,
    fresh: bool = False,
) -> Report:
    """Try every probe.

    Args:
        sources: which.
        settings: how much of each.
        quick: said in the report.
        jobs: processes; None for one a core.
        on_probe: progress.
        organisms: audits of really distilled students, which join the report.
        kept: folder where results are kept, and those that an earlier self-test kept of this very
            code are found; None for neither.
        fresh: keep results, and find none.

    Raises:
        InputError: that folder cannot be written.
    """
    tell = on_probe or (lambda name, result: None)
    results: dict[str, ProbeResult] = {}
    keys: dict[str, str] = {}
    if kept is not None:
        keys = {source.name: key_of(*source.probe(), settings) for source in sources}
        found = {name: None if fresh else kept_result(kept, key) for name, key in keys.items()}
        results = {name: result for name, result in found.items() if result is not None}
        for name, result in results.items():
            tell(name, result)
    left = [source for source in sources if source.name not in results]
    for name, result in _tried(left, settings, min(jobs or os.cpu_count() or 1, len(left)), tell):
        results[name] = result
        if kept is not None:
            keep_result(kept, keys[name], result)
        tell(name, result)
    probes = tuple(results[source.name] for source in sources)
    return Report(
        ullage_version=__version__,
        quick=quick,
        seed=settings.seed,
        audits=settings.audits,
        probes=probes,
        matrix=_matrix(probes),
        organisms=tuple(organisms),
    )


def _tried(
    sources: Sequence[Source], settings: Settings, jobs: int, tell: OnProbe
) -> Iterator[tuple[str, ProbeResult]]:
    """Results as they come in."""
    ordered = sorted(sources, key=lambda s: _HEAVY.index(s.name) if s.name in _HEAVY else 99)
    if jobs < 2:
        for source in ordered:
            tell(source.name, None)
            yield source.name, _try(source, settings)
        return
    with _workers(jobs) as pool:
        waiting: dict[Future[ProbeResult], str] = {}
        left = list(ordered)
        while left or waiting:
            while left and len(waiting) < jobs:
                source = left.pop(0)
                tell(source.name, None)
                waiting[pool.submit(_try, source, settings)] = source.name
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                yield waiting.pop(future), future.result()


@contextmanager
def _workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that leave Ctrl-C to us, and are gone when we are."""
    pool = ProcessPoolExecutor(
        jobs, initializer=signal.signal, initargs=(signal.SIGINT, signal.SIG_IGN)
    )
    try:
        yield pool
    except BrokenProcessPool as error:
        pool.shutdown(wait=False, cancel_futures=True)
        raise InfrastructureError(
            "selftest: a process was ended from outside (out of memory?); try --jobs 1"
        ) from error
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _try(source: Source, settings: Settings) -> ProbeResult:
    probe, margins = source.probe()
    return try_probe(probe, settings, margins=margins)


def _matrix(probes: Sequence[ProbeResult]) -> dict[str, dict[str, float]]:
    """By damage and dimension, the mean over the dimension's probes."""
    dimensions = dict.fromkeys(probe.dimension for probe in probes)
    return {
        damage: {
            dimension: float(
                np.mean([p.reported[damage] for p in probes if p.dimension == dimension])
            )
            for dimension in dimensions
        }
        for damage in DAMAGES
    }


# ------------------------------------------------------------------------------------------ record


def record_path(config: Path | None) -> Path:
    """Where the result is kept: in the package, or beside a configuration."""
    return PACKAGED_RECORD if config is None else config.resolve().parent / OWN


def keep(report: Report, path: Path, made: str) -> None:
    """Write the report's results into a record; rows of other probes stay as they are.

    Raises:
        InputError: the file there is no record, or cannot be written.
    """
    rows = dict(read_record(path).rows)
    for probe in report.probes:
        for metric in probe.metrics:
            rows.pop(metric.id, None)
            if not metric.untested:
                rows[metric.id] = Row(digest=probe.digest, result=_stamp(metric, report))
    record = Record(made=made, rows=dict(sorted(rows.items())))
    write_whole(path, (record.model_dump_json(indent=1) + "\n").encode())


def _stamp(metric: MetricResult, report: Report) -> SelfTest:
    none, half, once, twice = (metric.at(size) for size in SIZES)
    return SelfTest(
        ullage_version=report.ullage_version,
        margin=metric.margin,
        items=metric.items,
        audits=report.audits,
        found_half=half.found if half else None,
        found_once=once.found if once else None,
        found_twice=twice.found if twice else None,
        lost_twice=twice.lost_share if twice else None,
        false_alarms=none.found if none else None,
        kept_once=once.kept_share if once else None,
        truth=metric.truth,
        failed=tuple(
            f"{check.name}: {check.found}, wanted {check.wanted}"
            + (f" (known: {check.known})" if check.known else "")
            for check in metric.checks
            if not check.passed
        ),
    )
