"""The command itself, killed with SIGKILL while it asks, caches and trains, and given again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill import laboratory  # noqa: E402
from tests.distill.killing import ROOT, same_weights, without_timing  # noqa: E402
from ullage.config.models import Config  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.distill.cache import About, CacheWriter  # noqa: E402
from ullage.distill.cache.manifest import read_manifest  # noqa: E402

pytestmark = pytest.mark.local

STEPS = 40
"""So many that a run is far from its end when its first checkpoint is seen."""


CHECKPOINT = "student.work/checkpoints/*/trainer_state.json"


def config(output: str, **settings: Any) -> Config:
    return laboratory.config(output, **{"max_steps": STEPS, "save_steps": 4, **settings})


def make(folder: Path, output: str, **settings: Any) -> DistillResult:
    """In this process, undisturbed."""
    return run_distill(config(output, **settings), folder)


def command(folder: Path, output: str, **settings: Any) -> subprocess.Popen[str]:
    """`ullage distill`, as a person starts it."""
    written = config(output, **settings)
    path = folder / f"{output}.yaml"
    path.write_text(written.model_dump_json(exclude_unset=True), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "ullage.cli", "distill", str(path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_when_there_is(pattern: str, folder: Path, output: str, **settings: Any) -> None:
    """Begin, and end it as soon as a file shows how far it is."""
    process = command(folder, output, **settings)
    while not any(path.stat().st_size for path in folder.glob(pattern)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.kill()
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    assert not (folder / output).exists()


def finish(folder: Path, output: str, **settings: Any) -> dict[str, Any]:
    """The same command once more, to its end."""
    process = command(folder, output, **settings)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    ledger: dict[str, Any] = json.loads((folder / output / "distillation.json").read_text())
    return ledger


def require_the_same(folder: Path, output: str, ledger: Any, whole: DistillResult) -> None:
    assert same_weights(folder / output, whole.output)
    assert without_timing(ledger) == without_timing(whole.ledger)


def begin(cache: Path, about: About) -> None:
    """A cache in which nothing is but how small its shards will be."""
    shutil.rmtree(cache)
    CacheWriter(cache, about, shard_positions=250, sample=250).abort()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    laboratory.prepare(tmp_path)
    return tmp_path


def test_while_caching_and_while_training(folder: Path) -> None:
    settings = {"cache": {"folder": "caches", "k": 16}}
    make(folder, "first", **settings, max_steps=1)
    (cache,) = (folder / "caches").iterdir()
    about = read_manifest(cache).about
    begin(cache, about)
    whole = make(folder, "whole", **settings)
    wanted = {path.name: path.read_bytes() for path in cache.glob("*.ullage")}
    assert len(wanted) > 3, "tables and several shards"
    begin(cache, about)

    kill_when_there_is("caches/*/shard-*", folder, "student", **settings)
    begun = {path: path.stat().st_mtime_ns for path in cache.glob("shard-*.ullage")}
    kill_when_there_is(CHECKPOINT, folder, "student", **settings)
    ledger = finish(folder, "student", **settings)
    assert {path: path.stat().st_mtime_ns for path in begun} == begun, "written again"
    assert {path.name: path.read_bytes() for path in cache.glob("*.ullage")} == wanted
    assert 0 < ledger["timing"]["resumed_from_step"] < STEPS
    require_the_same(folder, "student", ledger, whole)


def test_while_the_teacher_writes(folder: Path) -> None:
    settings = {"method": "black-box", "generate_max_tokens": 32}
    whole = make(folder, "whole", **settings)
    kill_when_there_is("student.work/answers.jsonl", folder, "student", **settings)
    journal = folder / "student.work" / "answers.jsonl"
    written = journal.read_bytes().split(b"\n")[:-1]
    assert written
    ledger = finish(folder, "student", **settings)
    found = journal.read_bytes().split(b"\n")[:-1]
    assert found[: len(written)] == written
    assert len(found) == laboratory.ROWS, "one was asked again"
    require_the_same(folder, "student", ledger, whole)
