"""A distillation in a process of its own, to be killed, and what is compared afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]


def start(folder: Path, output: str, *settings: str, pause: float = 0.05) -> subprocess.Popen[str]:
    pausing = f"--pause={pause}"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.distill.making", pausing, str(folder), output, *settings],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until(process: subprocess.Popen[str], line: str) -> Iterator[str]:
    assert process.stdout is not None
    for said in process.stdout:
        yield said.strip()
        if said.strip() == line:
            return


def kill_at(process: subprocess.Popen[str], line: str) -> list[str]:
    """Kill it once it has said a line; returns all it had said."""
    said = list(lines_until(process, line))
    process.kill()
    process.wait()
    assert said[-1] == line, said
    return said


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(
        torch.equal(tensor, theirs[name]) for name, tensor in ours.items()
    )


def without_timing(ledger: Any) -> dict[str, Any]:
    """What a Statement copies, but for the output's own name."""
    return {key: value for key, value in ledger.items() if key != "timing"}
