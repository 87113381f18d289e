"""What `run_distill` reports while it works and what it returns. Needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ullage.errors import UllageError

Stage = Literal["preflight", "answers", "cache", "base", "train", "measure"]
"""Looking for what would spoil the student; asking the teacher for words, or for the cache;
measuring the student before; training; measuring it after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step forward."""

    stage: Stage
    done: int
    total: int
    """Answers, rows or optimiser steps, as the stage goes."""
    loss: float | None = None
    """Training: what the step minimised, per supervised token."""
    terms: Mapping[str, float] = field(default_factory=dict)
    """Training: what it is the sum of, each per supervised token."""
    held_out: Mapping[str, float] = field(default_factory=dict)
    """``loss`` and its terms on the held-out rows, if they were measured just now."""
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
        rows += "".join(
            f"\n{finding['level']} [{finding['check']}] {finding['found']}; {finding['mend']}"
            for finding in facts.get("preflight", {}).get("findings", ())
        )
        if self.status == "planned":
            lines = [f"Would make {self.output} in {facts['steps']} steps.", rows]
            return "\n".join([*lines, *_forecast(facts["forecast"])])
        lines = ["Already made:" if self.status == "reused" else "Made:", f"  {self.output}"]
        lines += [f"  {self.base} (the student before: arm `base`)", rows]
        if facts.get("cache") is not None:
            lines.append(_cached(facts["cache"]))
        before, after = facts["loss"]["base_held_out"], facts["loss"]["held_out"]
        if before is not None and after is not None:
            lines += [
                f"held-out {name}: {before[name]:.3f} -> {after[name]:.3f} "
                f"{facts['loss']['units'][name]}"
                for name in after
            ]
        return "\n".join(lines)


def _forecast(found: Mapping[str, Any]) -> list[str]:
    """What would be loaded and taken, line by line."""
    models = ", ".join(
        f"{role} of {model['parameters'] / 1e6:,.1f} M parameters"
        for role, model in found["loads"].items()
        if model is not None
    )
    parts = {name: size for name, size in found["memory_bytes"].items() if size and name != "total"}
    memory = ", ".join(f"{name.replace('_', ' ')} {_bytes(size)}" for name, size in parts.items())
    tokens, spent = found["tokens"], found["time"]
    teacher = f"teacher reads {tokens['teacher_reads']:,} tokens" if tokens["teacher_reads"] else ""
    if tokens["teacher_writes_at_most"]:
        teacher = f"teacher writes at most {tokens['teacher_writes_at_most']:,} tokens, once"
    return [
        f"loads: {models}",
        f"memory, counted: about {_bytes(found['memory_bytes']['total'])} ({memory})",
        f"time: at least {spent['seconds_at_least']:,.0f} s ({spent['how']})",
        *([teacher] if teacher else []),
    ]


def _bytes(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"


def _cached(cache: Mapping[str, Any]) -> str:
    kept = f"learnt from a cache: {cache['k']} {'tokens' if cache['signal'] == 'top' else 'draws'} "
    kept += f"a position, {cache['bytes_per_token']:.1f} bytes"
    lost = cache["lost"]
    if lost is None or lost["rebuilt"]["mean"] is None:
        return kept
    kl = lost["rebuilt"]
    return (
        f"{kept}; lost: {lost['tail_mass']['mean']:.1%} of the mass, KL mean {kl['mean']:.3f}, "
        f"p99 {kl['p99']:.3f} nats"
    )
