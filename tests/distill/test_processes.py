"""Two processes that `accelerate launch` starts train the student that one trains alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from tests.distill import laboratory, making  # noqa: E402
from ullage.distill.order import BLANK, RowOrder  # noqa: E402
from ullage.distill.processes import Processes  # noqa: E402
from ullage.distill.recipe import require_one_process, resolve_recipe  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.evaluate import TEACHER  # noqa: E402

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes")
    making.prepare(path)
    return path


def launched(folder: Path, output: str, **settings: Any) -> subprocess.Popen[str]:
    """`ullage distill` in two processes, each with a pipe to us as the command line would have."""
    config = making.config(output, **settings).model_dump(mode="json", exclude_defaults=True)
    path = folder / f"{output}.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    # `--multi_gpu` means several processes: where there is no GPU they meet over gloo.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    # Port 0: whichever is free.
    launch += ["--main_process_port", "0", "--module", "ullage.cli", "distill", str(path)]
    return subprocess.Popen(
        [sys.executable, *launch, "--json"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        said, errors = process.communicate(timeout=280)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return said, errors


def distance(one: Path, other: Path) -> float:
    """The largest difference of two students' weights."""
    ours, theirs = (load_file(path / "model.safetensors") for path in (one, other))
    assert ours.keys() == theirs.keys()
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


SETTINGS: dict[str, Any] = {
    # Not a multiple of a step's rows in an epoch: the last step of each is short.
    "max_steps": None,
    "epochs": 2,
    "batch_size": 2,
    "gradient_accumulation": 2,
}


@pytest.fixture(scope="module")
def together(folder: Path) -> tuple[Path, str, str]:
    """What two processes made, and what they said."""
    process = launched(folder, "together", **SETTINGS)
    said, errors = finished(process)
    assert process.returncode == 0, errors
    return folder / "together", said, errors


def test_two_processes_make_what_one_makes_of_twice_the_batch(
    folder: Path, together: tuple[Path, str, str]
) -> None:
    alone = making.make(folder, "alone", **{**SETTINGS, "batch_size": 4})
    assert alone.ledger["corpus"]["train"] % 8 != 0
    output, said, errors = together
    assert distance(output, folder / "together-base") > 1e-3
    assert distance(output, alone.output) < 1e-5
    ledger = json.loads(said)
    assert ledger == json.loads((output / "distillation.json").read_text())
    assert (alone.ledger["processes"], ledger["processes"]) == (1, 2)
    assert ledger["recipe_digest"] != alone.ledger["recipe_digest"]
    for key in ("steps", "tokens"):
        assert ledger[key] == alone.ledger[key]
    for side in ("base_held_out", "held_out", "train"):
        assert ledger["loss"][side] == pytest.approx(alone.ledger["loss"][side], abs=1e-4)
    assert train_steps(errors) == list(range(1, ledger["steps"] + 1)), "one process speaks"
    assert not (folder / "together.work").exists()


def test_two_processes_read_what_two_tokenizers_make_of_a_row(folder: Path) -> None:
    """Where rows are wanting, what fills them up has tokens of both sides."""
    laboratory.start_of_bytes(folder)
    crossed: dict[str, Any] = {
        **SETTINGS,
        "epochs": 1,
        "arms": {"teacher": {"model": f"hf:{TEACHER}"}, "student": {"model": "hf:out"}},
        "method": "cross-tokenizer",
        "layers": None,
        "student": "hf:start",
    }
    process = launched(folder, "crossed", **crossed)
    _, errors = finished(process)
    assert process.returncode == 0, errors
    alone = making.make(folder, "crossed-alone", **{**crossed, "batch_size": 4})
    assert alone.ledger["tokens"]["train"]["rows"] % 4 != 0
    assert distance(folder / "crossed", folder / "crossed-base") > 1e-3
    assert distance(folder / "crossed", alone.output) < 1e-5


def test_two_processes_learn_from_one_cache(folder: Path) -> None:
    """The first asks the teacher; both read; what fills up a step was never asked of."""
    cached: dict[str, Any] = {**SETTINGS, "epochs": 1, "cache": {"folder": "caches", "k": 16}}
    process = launched(folder, "cached", **cached)
    _, errors = finished(process)
    assert process.returncode == 0, errors
    alone = making.make(folder, "cached-alone", **{**cached, "batch_size": 4})
    assert alone.ledger["tokens"]["train"]["rows"] % 4 != 0
    assert len(list((folder / "caches").iterdir())) == 1
    assert distance(folder / "cached", folder / "cached-base") > 1e-3
    ours, theirs = (
        load_file(one / "model.safetensors") for one in (folder / "cached", alone.output)
    )
    apart = torch.cat([(ours[name] - theirs[name]).abs().flatten() for name in ours]) > 1e-6
    # AdamW moves a weight as far where its gradient is nothing but rounding.
    assert apart.float().mean() < 1e-4


def train_steps(errors: str) -> list[int]:
    told = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    return [one["done"] for one in told if one.get("stage") == "train"]


def test_both_stop_at_the_same_step_and_go_on(
    folder: Path, together: tuple[Path, str, str]
) -> None:
    process = launched(folder, "stopped", **SETTINGS)
    assert process.stderr is not None
    before = ""
    for line in process.stderr:
        before += line
        if train_steps(line) == [4]:
            process.send_signal(signal.SIGTERM)
            break
    _, errors = finished(process)
    assert process.returncode != 0
    last = train_steps(before + errors)[-1]
    assert f"stopped at step {last} of" in errors
    assert errors.count("ullage: ") == 1
    again = launched(folder, "stopped", **SETTINGS)
    said, errors = finished(again)
    assert again.returncode == 0, errors
    assert json.loads(said)["timing"]["resumed_from_step"] == last
    assert train_steps(errors)[0] == last + 1
    assert distance(folder / "stopped", together[0]) == 0


def test_both_are_killed_and_go_on(folder: Path, together: tuple[Path, str, str]) -> None:
    process = launched(folder, "killed", **SETTINGS)
    assert process.stderr is not None
    for line in process.stderr:
        if train_steps(line) == [5]:
            break
    # The workers have sessions of their own, so that no signal to one group reaches all.
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    assert len(family) >= 3
    for one in family:
        one.send_signal(signal.SIGKILL)
    psutil.wait_procs(family)
    process.communicate()
    again = launched(folder, "killed", **SETTINGS)
    said, errors = finished(again)
    assert again.returncode == 0, errors
    assert json.loads(said)["timing"]["resumed_from_step"] >= 3
    assert distance(folder / "killed", together[0]) == 0


def test_bad_input_is_said_once(folder: Path) -> None:
    process = launched(folder, "bad", **{**SETTINGS, "max_length": 2})
    _, errors = finished(process)
    assert process.returncode != 0
    assert errors.count("ullage: ") == 1
    assert "no row has a supervised token within distill.max_length 2" in errors


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "on-policy"}, "answers are written in one process, and this run has 2"),
        ({"method": "relations"}, "between the rows of one forward pass, and this run has 2"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(
    folder: Path, settings: dict[str, Any], expected: str
) -> None:
    recipe = resolve_recipe(making.config("never", **settings), folder)
    require_one_process(recipe, 1)
    with pytest.raises(InputError, match=expected) as caught:
        require_one_process(recipe, 2)
    assert "\n" not in str(caught.value)


@given(
    rows=st.integers(1, 70),
    batch=st.integers(1, 4),
    accumulation=st.integers(1, 3),
    size=st.integers(2, 3),
)
def test_a_step_reads_the_same_rows_however_many_processes_share_it(
    rows: int, batch: int, accumulation: int, size: int
) -> None:
    lengths = [7 * index % 31 + 1 for index in range(rows)]
    step = batch * accumulation * size
    order = RowOrder(lengths, step, seed=3, multiple=batch * size)
    shared, alone = list(order), list(RowOrder(lengths, step, seed=3))
    assert len(shared) == len(order)
    assert len(shared) % (batch * size) == 0
    assert [row for row in shared if row != BLANK] == alone
    assert shared[: len(alone)] == alone


def test_the_environment_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert Processes.of_environment() == Processes(0, 1)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert Processes.of_environment() == Processes(1, 2)
    assert not Processes.of_environment().is_first
