"""`ullage demo --real`: the whole way once with real models, in one command.

Everything it does can be done by hand with the `ullage.yaml` it leaves in its folder.
"""

from __future__ import annotations

import asyncio
from importlib.resources import files
from pathlib import Path

from rich.console import Console

from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.distill import run_distill
from ullage.errors import InputError
from ullage.files import write_whole
from ullage.models.hf.smollm2 import ensure_smollm2
from ullage.progress import Reporter
from ullage.statement.document import Statement


def run_real_demo(folder: Path, reporter: Reporter, console: Console) -> tuple[Statement, Path]:
    """Fetch, distil, audit; picks up where an earlier one stopped.

    Returns:
        The statement and the run folder it was written to.
    """
    teacher = ensure_smollm2(lambda line: console.print(f"  {line}", markup=False))
    config = prepare(folder, teacher)
    loaded = load(config)
    setup = set_up(loaded)
    with reporter:
        reporter.step("distil: ten layers learn from thirty")
        run_distill(loaded.config, loaded.root, progress=reporter.distil)
        reporter.step("audit: teacher, teacher again, base and student are asked the same")
        statement = asyncio.run(
            run_audit(
                setup,
                on_plan=reporter.plan,
                on_tick=reporter.tick,
                on_step=lambda step: reporter.step(str(step)),
            )
        )
    return statement, setup.folder.path


def prepare(folder: Path, teacher: Path) -> Path:
    """Put configuration and corpus into the demo's folder; what is there already is kept."""
    package = files("ullage")
    config = folder / "ullage.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); name another with --folder"
        ) from error
    contents = {
        "ullage.yaml": package.joinpath("demo-real.yaml").read_text("utf-8"),
        "scenario.yaml": package.joinpath("demo-real-scenario.yaml").read_text("utf-8"),
        "corpus.jsonl": package.joinpath("distill", "corpora", "desk.jsonl").read_text("utf-8"),
    }
    contents["ullage.yaml"] = contents["ullage.yaml"].replace("{teacher}", str(teacher))
    for name, text in contents.items():
        if not (folder / name).exists():
            write_whole(folder / name, text.encode())
    return config
