"""The terms of the loss, summed up while training and measured on rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from accelerate.utils import send_to_device

from ullage.config.models import Distill
from ullage.distill.module import DistillationModule
from ullage.distill.objectives import Objective, label_counts
from ullage.distill.rendering import Example
from ullage.distill.result import Stopped
from ullage.distill.stopping import Stop
from ullage.errors import InputError


@dataclass(slots=True)
class Tally:
    """Sums of loss terms over labels since the last `take`."""

    sums: dict[str, float] = field(default_factory=dict)
    labels: list[int] = field(default_factory=lambda: [0, 0, 0])
    """As `label_counts` has them."""

    def add(self, outputs: dict[str, torch.Tensor], labels: torch.Tensor) -> None:
        """Count one batch and its `label_counts`."""
        for name, value in outputs.items():
            if name != "loss":
                self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.labels = [sum(both) for both in zip(self.labels, labels.tolist(), strict=True)]

    def means(self, objective: Objective) -> dict[str, float]:
        """Each term per label it counts at."""
        return objective.mean(self.sums, self.labels)


@torch.no_grad()
def mean_terms(
    module: DistillationModule,
    examples: Sequence[Example],
    recipe: Distill,
    *,
    stop: Stop,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Each term and their weighted sum ``loss``, per supervised token, over some rows.

    Args:
        module: in any mode; left in eval mode, and with the weights of the last step.
        examples: rows to measure on; batched by length, so the result depends on nothing else.
        recipe: for precision and batch size.
        stop: looked at between batches.
        report: called with (rows done, rows in all).

    Raises:
        Stopped: asked to; nothing is kept of a half-done measurement.
        InputError: a term is not finite.
    """
    module.eval()
    # Those of the end, also for what came before it: only so are the two sums comparable.
    module.at(1.0)
    device = next(module.parameters()).device
    ordered = sorted(examples, key=lambda example: (len(example.ids), example.ids))
    tally = Tally()
    module.expect(ordered)
    for start in range(0, len(ordered), recipe.batch_size):
        if stop.wanted:
            raise Stopped("stopped while measuring; run the same command to go on")
        batch = send_to_device(module.collate(ordered[start : start + recipe.batch_size]), device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.dtype == "bfloat16"):
            tally.add(module(**batch), label_counts(batch["labels"], batch["rationale"]))
        if report is not None:
            report(min(start + recipe.batch_size, len(ordered)), len(ordered))
    means = tally.means(module.objective)
    if not all(math.isfinite(value) for value in means.values()):
        raise InputError(
            f"distill: the loss on {len(ordered)} rows that are measured is {means}; use dtype: "
            "float32, or another divergence"
        )
    return {"loss": module.objective.loss(means), **means}
