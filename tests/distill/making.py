"""A tiny distillation to run whole, in this process or in one that is killed.

    python -m tests.distill.making FOLDER OUTPUT [--pause SECONDS] [key=json ...]

prints a line per progress report and exits as the command line would.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.tiny import build_tiny_model
from ullage.config.models import Config
from ullage.distill import DistillResult, Progress, run_distill
from ullage.distill.corpora import DESK
from ullage.errors import UllageError

ROWS = 60
STEPS = 12
TERMS = {"may_train": True, "document": "our own endpoint", "read_on": "2026-02-01"}
"""For a teacher behind an endpoint."""


def prepare(folder: Path) -> None:
    """A teacher of four layers and a corpus of a few rows."""
    build_tiny_model(folder / "teacher", layers=4, seed=3)
    lines = DESK.read_text(encoding="utf-8").splitlines(keepends=True)[:ROWS]
    (folder / "corpus.jsonl").write_text("".join(lines), encoding="utf-8")


def config(output: str, **settings: Any) -> Config:
    """A white-box recipe of `STEPS` steps, unless `settings` says otherwise."""
    top = {
        key: settings.pop(key) for key in ("arms", "seed", "tasks", "targets") if key in settings
    }
    return Config.model_validate(
        {
            "arms": {"teacher": {"model": "hf:teacher"}, "student": {"model": f"hf:{output}"}},
            "planning": {"items": 20},
            "distill": {
                "layers": 2,
                "corpus": "corpus.jsonl",
                "output": output,
                "max_steps": STEPS,
                "batch_size": 4,
                "gradient_accumulation": 2,
                "learning_rate": 3e-3,
                "save_steps": 3,
                "max_length": 160,
                **settings,
            },
            **top,
        }
    )


def make(folder: Path, output: str, **settings: Any) -> DistillResult:
    """Distil in this process."""
    return run_distill(config(output, **settings), folder)


def main() -> int:
    """Distil as a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("output")
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("settings", nargs="*")
    arguments = parser.parse_args()
    settings = {
        key: json.loads(value)
        for key, _, value in (entry.partition("=") for entry in arguments.settings)
    }

    def tell(progress: Progress) -> None:
        print(progress.stage, progress.done, flush=True)
        time.sleep(arguments.pause)

    try:
        run_distill(config(arguments.output, **settings), arguments.folder, progress=tell)
    except UllageError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
