"""`ullage …` by its entry point in this process: what it says and its exit code, without the start.

Starting Python and importing what a command needs takes longer than most commands that end early.
What happens only as a process starts or ends is tried where one is killed, starved or interrupted.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ullage.cli import main

Ullage = Callable[..., "subprocess.CompletedProcess[str]"]
"""Called with the words after `ullage`; of what it needs of a process, only the result's form."""


def in_process(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ullage:
    """A command to call, in whatever folder the test is in or in `cwd`."""

    def ullage(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        argv = ["ullage", *map(str, words)]
        capfd.readouterr()
        with monkeypatch.context() as here:
            here.setattr(sys, "argv", argv)
            if cwd is not None:
                here.chdir(cwd)
            with pytest.raises(SystemExit) as left:
                main()
        said = capfd.readouterr()
        return subprocess.CompletedProcess(argv, int(left.value.code or 0), said.out, said.err)

    return ullage
