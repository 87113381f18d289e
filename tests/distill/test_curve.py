"""The held-out loss on the way: measured where asked for, and of no consequence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.distill import making  # noqa: E402
from tests.distill.killing import same_weights, without_timing  # noqa: E402
from ullage.distill import Progress, run_distill  # noqa: E402
from ullage.distill.result import Stopped  # noqa: E402

pytestmark = pytest.mark.local


def test_a_curve_changes_nothing_and_outlives_a_stop(tmp_path: Path) -> None:
    making.prepare(tmp_path)
    plain = making.make(tmp_path, "plain")
    assert plain.ledger["curve"] is None
    whole = making.make(tmp_path, "whole", evaluate_steps=4)
    assert same_weights(whole.output, plain.output)
    assert whole.ledger["loss"] == plain.ledger["loss"]
    assert whole.ledger["recipe_digest"] == plain.ledger["recipe_digest"]
    curve = whole.ledger["curve"]
    assert [point["step"] for point in curve] == [0, 4, 8]
    assert {name: value for name, value in curve[0].items() if name != "step"} == whole.ledger[
        "loss"
    ]["base_held_out"]
    losses = [point["loss"] for point in curve] + [whole.ledger["loss"]["held_out"]["loss"]]
    assert losses == sorted(losses, reverse=True)
    assert not math.isclose(losses[1], losses[2])

    def stop(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        run_distill(making.config("cut", evaluate_steps=4), tmp_path, progress=stop)
    resumed = making.make(tmp_path, "cut", evaluate_steps=4)
    assert resumed.ledger["timing"]["resumed_from_step"] > 4
    assert without_timing(resumed.ledger) == without_timing(whole.ledger)
