"""What `run_distill` reports while it works and what it returns. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ullage.errors import UllageError

Stage = Literal["answers", "base", "train", "measure"]
"""Asking the teacher; measuring the student before; training; measuring it after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step forward."""

    stage: Stage
    done: int
    total: int
    """Answers, rows or optimiser steps, as the stage goes."""
    terms: Mapping[str, float] = field(default_factory=dict)
    """Training: each loss term of the step, in nats per supervised token."""
    tokens_per_second: float | None = None
    seconds_left: float | None = None
    """Of this stage."""


Report = Callable[[Progress], None]


class Stopped(UllageError):  # noqa: N818 - not an error: somebody asked for it
    """Distillation was asked to stop and did; the message says how to go on (exit 130)."""

    exit_code = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillResult:
    """What distillation made, or would."""

    status: Literal["made", "reused", "planned"]
    output: Path
    base: Path
    """The student before distillation: the audit's ``base`` arm."""
    ledger: Mapping[str, Any]
    """`distillation.json`; for a plan, as much of it as is known beforehand."""

    def summary(self) -> str:
        """What was made, in a few lines for a terminal."""
        facts = self.ledger
        corpus = facts["corpus"]
        dropped = ", ".join(f"{count} {why}" for why, count in corpus["dropped"].items())
        rows = (
            f"{corpus['train']} rows to learn, {corpus['held_out']} held out, "
            f"left out: {dropped or 'none'}"
        )
        if self.status == "planned":
            return f"Would make {self.output} in {facts['steps']} steps.\n{rows}"
        lines = ["Already made:" if self.status == "reused" else "Made:", f"  {self.output}"]
        lines += [f"  {self.base} (the student before: arm `base`)", rows]
        before, after = facts["loss"]["base_held_out"], facts["loss"]["held_out"]
        if before is not None and after is not None:
            lines += [
                f"held-out {name}: {before[name]:.3f} -> {after[name]:.3f} {facts['loss']['unit']}"
                for name in after
            ]
        return "\n".join(lines)
