"""Students made beside one another: as if alone, whichever fails or is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.distill.making import config, make, prepare  # noqa: E402
from ullage.distill.beside import run_beside  # noqa: E402
from ullage.distill.ledger import FILE  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

_RUN = """
import sys
from pathlib import Path
from ullage.distill.beside import run_beside
from ullage.errors import UllageError

def tell(name, progress):
    print(name, progress.stage, progress.done, flush=True)

if __name__ == "__main__":
    try:
        run_beside({Path(one).stem: Path(one) for one in sys.argv[1:]}, tell)
    except UllageError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("beside")
    prepare(place)
    return place


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sums in another order give other weights."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def weights(student: Path) -> bytes:
    return (student / "model.safetensors").read_bytes()


def written(folder: Path, name: str, **settings: object) -> Path:
    """A configuration file of its own output."""
    path = folder / f"{name}.yaml"
    text = config(name, **settings).model_dump_json(exclude_unset=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_each_is_what_it_would_be_alone(folder: Path) -> None:
    told: list[tuple[str, Progress]] = []
    configs = {"one": written(folder, "one"), "two": written(folder, "two", seed=1)}
    run_beside(configs, lambda name, progress: told.append((name, progress)))
    make(folder, "alone")
    assert weights(folder / "one") == weights(folder / "alone")
    assert weights(folder / "one") != weights(folder / "two")
    steps = {
        name: [p.done for n, p in told if n == name and p.stage == "train"] for name in configs
    }
    assert steps["one"] == steps["two"] == list(range(1, 13))
    run_beside(configs, lambda *_: pytest.fail("made again"))


def test_the_first_failure_is_told_and_the_other_is_stopped(folder: Path) -> None:
    good = written(folder, "good", max_steps=5000)
    bad = written(folder, "bad", corpus="none.jsonl")
    with pytest.raises(InputError, match=r"none\.jsonl"):
        run_beside({"good": good, "bad": bad}, lambda *_: None)
    assert not (folder / "good").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_stops_both_and_the_next_run_goes_on(folder: Path) -> None:
    configs = [written(folder, name, max_steps=40, save_steps=1000) for name in ("left", "right")]
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, *map(str, configs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    started = set()
    for line in process.stdout:
        name, stage, _ = line.split()
        if stage == "train":
            started.add(name)
        if len(started) == 2:
            break
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=120)
    assert process.returncode == Stopped.exit_code
    assert "the same command goes on" in out
    assert "Traceback" not in errors
    run_beside({path.stem: path for path in configs}, lambda *_: None)
    make(folder, "straight", max_steps=40, save_steps=1000)
    for name in ("left", "right"):
        ledger = json.loads((folder / name / FILE).read_bytes())
        assert 0 < ledger["timing"]["resumed_from_step"] < 40
        assert weights(folder / name) == weights(folder / "straight")
