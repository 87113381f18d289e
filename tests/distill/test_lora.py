"""Low-rank additions in place of weights: trained, resumed, folded in, kept apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft: Any = pytest.importorskip("peft")

from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

from tests.distill import making  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.distill.recipe import resolve_recipe  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

Model: Any = AutoModelForCausalLM
LORA: dict[str, Any] = {"rank": 4, "alpha": 8, "dropout": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lora")
    making.prepare(path)
    return path


@pytest.fixture(scope="module")
def whole(folder: Path) -> DistillResult:
    """Layers chosen and additions trained."""
    return making.make(folder, "whole", lora=LORA)


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model.eval()(torch.arange(1, 40)[None]).logits


def test_the_student_loads_plainly_and_has_learnt(folder: Path, whole: DistillResult) -> None:
    base, student = (
        load_file(whole.base / "model.safetensors"),
        load_file(whole.output / "model.safetensors"),
    )
    assert base.keys() == student.keys()
    changed = {name for name in base if not torch.equal(base[name], student[name])}
    assert changed == {name for name in base if "_proj" in name}
    after, before = whole.ledger["loss"]["held_out"], whole.ledger["loss"]["base_held_out"]
    assert after["loss"] < before["loss"]
    assert Model.from_pretrained(whole.output).num_parameters() == sum(
        tensor.numel() for tensor in base.values()
    )


def test_what_was_folded_in_is_also_kept_apart(whole: DistillResult) -> None:
    apart = peft.PeftModel.from_pretrained(
        Model.from_pretrained(whole.base), whole.output / "adapter"
    )
    student, base = Model.from_pretrained(whole.output), Model.from_pretrained(whole.base)
    torch.testing.assert_close(logits(apart), logits(student), rtol=1e-4, atol=1e-5)
    assert float((logits(base) - logits(student)).abs().max()) > 1e-3


def test_the_ledger_counts_what_trains(whole: DistillResult) -> None:
    student = Model.from_pretrained(whole.output)
    # By hand: an addition to (out, in) is (rank, in) and (out, rank).
    expected = sum(
        LORA["rank"] * sum(layer.weight.shape)
        for name, layer in student.named_modules()
        if name.endswith("_proj")
    )
    assert whole.ledger["student"]["parameters_trained"] == expected
    assert whole.ledger["student"]["parameters"] == student.num_parameters()


def test_a_run_that_broke_off_ends_with_the_same_weights(
    folder: Path, whole: DistillResult
) -> None:
    """With dropout, whose draws go on as well."""

    def stop(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        run_distill(making.config("cut", lora=LORA), folder, progress=stop)
    (checkpoint,) = (folder / "cut.work" / "checkpoints").glob("checkpoint-*")
    assert not (checkpoint / "model.safetensors").exists(), "the base is in its own folder"
    again = making.make(folder, "cut", lora=LORA)
    assert again.ledger["timing"]["resumed_from_step"] == 3
    one, other = (load_file(path / "model.safetensors") for path in (whole.output, again.output))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_targets_are_named(folder: Path) -> None:
    made = making.make(folder, "some", lora={**LORA, "targets": ["q_proj"]}, max_steps=2)
    base, student = (load_file(path / "model.safetensors") for path in (made.base, made.output))
    changed = {name for name in base if not torch.equal(base[name], student[name])}
    assert changed == {name for name in base if "q_proj" in name}


def test_the_forecast_holds_less(folder: Path) -> None:
    def planned(**settings: Any) -> dict[str, Any]:
        made = run_distill(making.config("never", **settings), folder, plan_only=True)
        forecast: dict[str, Any] = made.ledger["forecast"]
        return forecast

    full, added = planned(), planned(lora=LORA)
    assert full["loads"]["student"]["trained"] == full["loads"]["student"]["parameters"]
    assert added["loads"]["student"]["parameters"] == full["loads"]["student"]["parameters"]
    trained = added["loads"]["student"]["trained"]
    assert added["memory_bytes"]["optimiser"] == 8 * trained
    assert 0 < trained < full["loads"]["student"]["trained"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"lora": {"targets": ["nowhere"]}}, "lora.targets: nowhere cannot all be added to"),
        ({"lora": {"targets": ["q_proj", "lm_head"]}}, "embeddings and head are read as whole"),
        ({"lora": {"targets": ["embed_tokens"]}}, "embeddings and head are read as whole"),
    ],
)
def test_what_cannot_be_adapted_is_refused(
    folder: Path, settings: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        making.make(folder, "refused", **settings)
    assert "\n" not in str(caught.value)


def test_muon_moves_whole_matrices(folder: Path) -> None:
    with pytest.raises(InputError, match="muon moves whole matrices"):
        resolve_recipe(making.config("never", lora=LORA, optimiser="muon"), folder)
