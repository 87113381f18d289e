"""A finished training run as a folder that `from_pretrained` loads."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ullage.distill.checkpoint import finished_folder, save_model
from ullage.errors import InputError
from ullage.files import write_together
from ullage.lab.training.trainer import LOG, Plan, Run


def export(plan: Plan, folder: Path, out: Path, *, date: str) -> dict[str, Any]:
    """Write weights in bfloat16, configuration, tokenizer, card and log.

    Args:
        plan: that was trained.
        folder: where it was trained.
        out: the new folder.
        date: of the training, for the card.

    Returns:
        The card.

    Raises:
        InputError: the training is not finished, weights to average are not there, or `out` exists.
    """
    if out.exists():
        raise InputError(f"{out}: exists already; remove it, or name another folder")
    run = Run(plan, folder)
    if not run.at.done:
        raise InputError(f"{folder}: is not trained to the end; train it first")
    log = (folder / LOG).read_bytes()
    exam = json.loads(log.splitlines()[-1])["exam"]
    card = {
        "name": plan.name,
        "date": date,
        "seed": plan.seed,
        "tokens": run.at.tokens,
        "steps": run.at.step,
        "seconds": round(run.at.seconds),
        "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        "shape": asdict(plan.shape),
        "stages": [stage.name for stage in plan.stages],
        "averaged": plan.averaged,
        "exam": exam,
    }
    run.average()
    model = run.model.to(torch.bfloat16)
    with finished_folder(out, out.with_name(f".{out.name}.part")) as partial:
        save_model(model, run.tokenizer, partial)
        written = {"card.json": json.dumps(card, indent=2).encode() + b"\n", LOG: log}
        write_together(partial, written)
    return card
