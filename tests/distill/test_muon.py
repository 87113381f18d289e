"""Muon and AdamW side by side: who moves what, how far, and the same after a restart."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import build_tiny_model

torch = pytest.importorskip("torch")

from ullage.distill.muon import Muon  # noqa: E402

pytestmark = pytest.mark.local
RATE = 0.01


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    folder: Path = build_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
    return AutoModelForCausalLM.from_pretrained(folder)


def steps(model: Any, optimiser: Any, seeds: range) -> None:
    for seed in seeds:
        ids = torch.randint(0, 300, (2, 12), generator=torch.Generator().manual_seed(seed))
        model(input_ids=ids, labels=ids).loss.backward()
        optimiser.step()
        optimiser.zero_grad()


def matrices(model: Any) -> dict[str, Any]:
    return {
        name: weight
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and "embed" not in name
    }


def test_matrices_move_by_muon_and_the_rest_by_adamw(start: Any) -> None:
    mine, plain = copy.deepcopy(start), copy.deepcopy(start)
    steps(mine, Muon(mine, RATE), range(1))
    steps(plain, torch.optim.AdamW(plain.parameters(), lr=RATE, weight_decay=0.0), range(1))
    moved = matrices(mine)
    assert len(moved) == 14
    for name, weight in mine.named_parameters():
        before = start.get_parameter(name)
        if name not in moved:
            assert torch.equal(weight, plain.get_parameter(name)), name
            continue
        change = (weight - before).detach()
        scale = RATE * 0.2 * math.sqrt(max(change.shape))
        values = torch.linalg.svdvals(change) / scale
        assert values.max() < 1.3
        assert values.median() > 0.6


def test_it_goes_on_after_a_restart_as_if_there_had_been_none(start: Any) -> None:
    whole = copy.deepcopy(start)
    steps(whole, Muon(whole, RATE), range(4))
    first = copy.deepcopy(start)
    optimiser = Muon(first, RATE)
    steps(first, optimiser, range(2))
    kept = copy.deepcopy(optimiser.state_dict())
    second = copy.deepcopy(first)
    again = Muon(second, RATE)
    again.load_state_dict(kept)
    steps(second, again, range(2, 4))
    for name, weight in whole.named_parameters():
        assert torch.equal(weight, second.get_parameter(name)), name


def test_what_has_no_gradient_stays(start: Any) -> None:
    model = copy.deepcopy(start)
    optimiser = Muon(model, RATE)
    optimiser.step()
    for name, weight in model.named_parameters():
        assert torch.equal(weight, start.get_parameter(name))
