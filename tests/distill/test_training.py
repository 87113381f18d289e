"""What a recipe may say of training that the student does not know of: memory, and who is told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from tests.distill import making  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.distill.recipe import resolve_recipe  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

INSIDE: dict[str, Any] = {
    "objective": [{"term": "forward-kl"}, {"term": "hidden"}, {"term": "attention"}]
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training")
    making.prepare(path)
    return path


def same(one: DistillResult, other: DistillResult) -> bool:
    ours, theirs = (load_file(made.output / "model.safetensors") for made in (one, other))
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.parametrize("recipe", [{}, INSIDE], ids=["logits", "inside"])
def test_layers_worked_out_again_make_the_same_student(
    folder: Path, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bit for bit, and the forward passes are counted to see that it happened."""
    from transformers.models.llama.modeling_llama import LlamaMLP

    reads: list[int] = []
    forward: Any = LlamaMLP.forward

    def counted(self: Any, *inputs: Any) -> Any:
        reads.append(1)
        return forward(self, *inputs)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    name = "inside" if recipe else "logits"
    kept = making.make(folder, f"{name}-kept", **recipe)
    passes = len(reads)
    again = making.make(folder, f"{name}-again", **recipe, gradient_checkpointing=True)
    rows, layers = kept.ledger["corpus"]["train"], 2
    epochs, more = divmod(making.STEPS, -(-rows // 8))
    batches = epochs * -(-rows // 4) + 2 * more
    assert len(reads) - 2 * passes == layers * batches
    assert same(kept, again)
    assert kept.ledger["loss"] == again.ledger["loss"]
    assert kept.ledger["recipe_digest"] == again.ledger["recipe_digest"]


def test_less_is_forecast_to_be_kept(folder: Path) -> None:
    def planned(**settings: Any) -> dict[str, Any]:
        made = run_distill(making.config("never", **settings), folder, plan_only=True)
        forecast: dict[str, Any] = made.ledger["forecast"]
        return forecast

    kept, again = planned(), planned(gradient_checkpointing=True)
    assert again["memory_bytes"]["activations"] < 0.7 * kept["memory_bytes"]["activations"]
    assert again["time"]["operations"] > kept["time"]["operations"]


def test_memory_that_ran_out_is_mended_on_the_way(folder: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == 4:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        run_distill(making.config("mended"), folder, progress=stop)
    mended = making.make(folder, "mended", gradient_checkpointing=True)
    assert mended.ledger["timing"]["resumed_from_step"] == 3
    assert same(mended, making.make(folder, "unbroken"))


class TestTrackers:
    """By transformers' names."""

    def test_tensorboard_shows_every_term_of_every_step(self, folder: Path) -> None:
        pytest.importorskip("tensorboard")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        reports: list[Progress] = []
        told = run_distill(
            making.config("told", report_to=["tensorboard"]), folder, progress=reports.append
        )
        assert same(told, making.make(folder, "untold"))
        board: Any = EventAccumulator(str(folder / "told-logs"))
        board.Reload()
        steps = [one for one in reports if one.stage == "train"]
        assert len(steps) == making.STEPS
        for term in ("forward_kl", "cross_entropy"):
            shown = board.Scalars(f"train/{term}")
            assert [entry.step for entry in shown] == [one.done for one in steps]
            assert [entry.value for entry in shown] == pytest.approx(
                [one.terms[term] for one in steps], rel=1e-5
            )
        losses = [entry.value for entry in board.Scalars("train/loss")]
        by_hand = [
            0.9 * one.terms["forward_kl"] + 0.1 * one.terms["cross_entropy"] for one in steps
        ]
        assert losses == pytest.approx(by_hand, rel=1e-5)
        assert all(entry.value > 0 for entry in board.Scalars("train/tokens_per_second"))

    @pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow", "trackio"])
    def test_one_that_is_not_installed_is_one_line(
        self, folder: Path, tracker: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for package in (tracker, f"{tracker}X"):
            monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match=f"{tracker} is not installed; pip install {tracker}"):
            resolve_recipe(making.config("never", report_to=[tracker]), folder)


def test_lora_without_peft_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"peft is not installed; pip install 'ullage\[lora\]'"):
        resolve_recipe(making.config("never", lora={}), folder)
