"""What has been tried is kept, so that a self-test that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy
from pydantic import ValidationError

from ullage.files import cannot_write, write_whole
from ullage.probes.protocol import Probe
from ullage.selftest.damages import DAMAGES
from ullage.selftest.plants import Plant, baseline, default_margin, plant, teacher_of
from ullage.selftest.report import ProbeResult
from ullage.selftest.trials import Settings
from ullage.stamp import digest, plain, sources

_TRIES = "ullage.selftest.trials"
_FOLLOWED = (
    "ullage.collect",
    "ullage.models.simulated",
    "ullage.plan",
    "ullage.selftest",
    "ullage.stats",
)
_OF_ALL_PROBES = ("ullage.selftest.plants", "ullage.selftest.truths")
"""What these say of one probe is looked up instead."""


def kept_result(folder: Path, key: str) -> ProbeResult | None:
    """What an earlier self-test found; None where it found nothing with this very key."""
    try:
        return ProbeResult.model_validate_json((folder / f"{key}.json").read_bytes())
    except (OSError, ValidationError):
        return None


def keep_result(folder: Path, key: str, result: ProbeResult) -> None:
    """Keep a result for the next time.

    Raises:
        InputError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    write_whole(folder / f"{key}.json", result.model_dump_json().encode())


def key_of(probe: Probe, margins: Mapping[str, float] | None, settings: Settings) -> str:
    """SHA-256, in hex, of all that a probe's result follows from: code, plants and settings."""
    plants = [plant(probe, metric) for metric in probe.metrics]
    parts = [
        digest(probe),
        repr(settings),
        repr(sorted((margins or {}).items()) if margins is not None else None),
        baseline(probe).model_dump_json(),
        teacher_of(probe).model_dump_json(),
        repr([default_margin(metric) for metric in probe.metrics]),
        *(f"{name} {plain(damage)}" for name, damage in DAMAGES.items()),
        *sources((_TRIES,), _FOLLOWED, _OF_ALL_PROBES),
        *(line for one in plants if one is not None for line in _declared(one)),
        f"numpy {np.__version__} scipy {scipy.__version__}",
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _declared(declared: Plant) -> list[str]:
    truths = (declared.mean, declared.population, declared.statistic)
    modules = [truth.__module__ for truth in truths if truth is not None]
    return [repr(plain(declared)), *sources(modules, ("ullage.selftest", "ullage.stats"))]
