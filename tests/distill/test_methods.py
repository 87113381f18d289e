"""Every method and every term teaches a real student: its own held-out loss falls from base."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from tests.distill import laboratory  # noqa: E402
from ullage.config.models import Distill  # noqa: E402
from ullage.distill import run_distill  # noqa: E402
from ullage.distill.corpora import DESK  # noqa: E402
from ullage.distill.presets import PRESETS  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.corpus import write_corpus  # noqa: E402
from ullage.lab.explained import EXPLAINED  # noqa: E402

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("methods")
    laboratory.prepare(path)
    write_corpus(path / "explained.jsonl", 0, laboratory.ROWS, EXPLAINED)
    laboratory.start_of_bytes(path)
    bicycles = DESK.read_text(encoding="utf-8").splitlines(keepends=True)[:100]
    (path / "bicycles.jsonl").write_text("".join(bicycles), encoding="utf-8")
    return path


METHODS: dict[str, dict[str, Any]] = {
    "logits": {},
    "black-box": {"generate_max_tokens": 32, "max_steps": 8},
    "rationale": {"corpus": "explained.jsonl"},
    "features": {},
    "relations": {},
    "cross-tokenizer": {"student": "hf:start"},
    "on-policy": {"on_policy": {"refresh": 4, "max_tokens": 12}},
    # The teacher is done with the laboratory's corpus, and learns another desk.
    "specialise": {"student": None, "corpus": "bicycles.jsonl"},
    "control": {},
}


def test_every_method_is_here() -> None:
    assert set(METHODS) == set(PRESETS) == set(get_args(Distill.model_fields["method"].annotation))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_lowers_its_own_loss(folder: Path, method: str) -> None:
    made = laboratory.make(folder, method, method=method, **METHODS[method])
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert after["loss"] < before["loss"]
    assert set(made.ledger["why"]) == set(after) - {"loss"}


TERMS: dict[str, dict[str, Any]] = {
    "forward-kl": {"temperature": 2.0},
    "reverse-kl": {},
    "total-variation": {},
    "generalised-jsd": {"beta": 0.3},
    "skewed-kl": {"alpha": 0.2},
    "skewed-reverse-kl": {"temperature": 3.0},
    "cross-entropy": {},
    "merged-spans": {},
    "ranked-rest": {},
    "hidden": {"distance": "mse"},
    "attention": {"heads": "mean", "layers": "uniform"},
    "distances": {},
    "angles": {},
    "similarity": {},
}


@pytest.mark.parametrize("term", TERMS)
def test_a_term_alone_lowers_itself(folder: Path, term: str) -> None:
    # Where the projection fits already, the student has to move.
    steps = 30 if term == "hidden" else 12
    recipe: dict[str, Any] = {"objective": [{"term": term, **TERMS[term]}], "max_steps": steps}
    if term in ("merged-spans", "ranked-rest"):
        recipe |= {"alignment": "bytes", "student": "hf:start"}
    made = laboratory.make(folder, f"alone-{term}", **recipe)
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert list(after) == ["loss", term.replace("-", "_")]
    assert after["loss"] < 0.95 * before["loss"]


def test_projections_are_learnt_resumed_counted_and_left_behind(folder: Path) -> None:
    """By both optimisers; a run that broke off ends where one that did not does."""
    for optimiser in ("adamw", "muon"):
        name = f"projected-{optimiser}"
        recipe = {
            "objective": [{"term": "hidden", "layers": [[1, 1], [3, 4]]}],
            "optimiser": optimiser,
            "save_steps": 3,
            "max_steps": 8,
        }
        whole = laboratory.make(folder, name, **recipe)
        assert whole.ledger["left_behind"] == {"projection_parameters": 2 * 128 * 192}
        files = {path.name for path in whole.output.iterdir()}
        assert not any("beside" in name for name in files)
        weights = load_file(whole.output / "model.safetensors")
        assert not any("projection" in name or "inner" in name for name in weights)

        def stop(progress: Progress) -> None:
            if progress.stage == "train" and progress.done == 5:
                raise KeyboardInterrupt

        with pytest.raises(Stopped):
            run_distill(laboratory.config(f"{name}-cut", **recipe), folder, progress=stop)
        checkpoints = folder / f"{name}-cut.work" / "checkpoints"
        assert [path.parent.name for path in checkpoints.rglob("beside.safetensors")] == [
            "checkpoint-3"
        ]
        again = laboratory.make(folder, f"{name}-cut", **recipe)
        assert again.ledger["timing"]["resumed_from_step"] == 3
        resumed = load_file(again.output / "model.safetensors")
        assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"objective": [{"term": "attention"}]}, "the student has 4 heads, the teacher 6"),
        ({"objective": [{"term": "hidden", "layers": [[4, 4]]}]}, "layers are 0 to 3"),
        ({"method": "relations", "batch_size": 2}, "'angles' relates rows of one batch; make it 3"),
        ({"method": "features", "teacher": "simulated:x"}, "'forward-kl' learns from the teacher"),
        (
            {"objective": [{"term": "hidden"}], "teacher": "openai:x"},
            "'hidden' learns from the teacher's hidden states, which 'openai:x' does not give",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_before_a_step(
    folder: Path, settings: dict[str, Any], expected: str
) -> None:
    seen: list[Progress] = []
    with pytest.raises(InputError, match=expected) as caught:
        output = f"refused-{abs(hash(expected))}"
        run_distill(laboratory.config(output, **settings), folder, progress=seen.append)
    assert "\n" not in str(caught.value)
    assert {told.stage for told in seen} <= {"preflight"}
