"""Training through the stages of a curriculum, from checkpoint to checkpoint."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn.functional import cross_entropy

from ullage.errors import InputError
from ullage.files import write_whole
from ullage.lab.tokenizer import build_tokenizer
from ullage.lab.training.batches import Batch, Encoder, Source, Stream, draw_documents
from ullage.lab.training.exam import exam_accuracy
from ullage.lab.training.model import Shape, new_model
from ullage.lab.training.muon import Optimiser
from ullage.lab.world.exchange import Document

CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
BEFORE_LAST = "before-last.safetensors"
"""Weights as the last stage found them, where the plan averages them in."""

_EARLY_SHARE = 0.5
"""Of a limit in minutes, what the stages before the last may take together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of a curriculum."""

    name: str
    source: Source
    """What is read."""
    exams: Mapping[str, Source]
    """What is asked, by capability; fresh documents every time."""
    max_tokens: int
    """When it is left at the latest."""
    planted: tuple[Document, ...] = ()
    """Read exactly once each; the stage must be long enough (`batches.PLANTED` a pool)."""
    until: float | None = None
    """Mean share of right answers in its exams at which it is left before that."""
    rate: float = 1.0
    """Of the plan's learning rates."""
    decay: float = 0.0
    """Share of the stage over which its rate falls, linearly, at its end."""
    floor: float = 0.0
    """Share of its rate that is left then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a training run is a function of."""

    name: str
    shape: Shape
    vocabulary: tuple[str, ...]
    stages: tuple[Stage, ...]
    seed: int = 0
    batch_tokens: int = 1536
    muon_rate: float = 3e-3
    adam_rate: float = 2e-3
    warmup: int = 100
    """Steps."""
    exam_every: int = 100_000
    """Tokens between two exams, where up to seven things are asked; more where more are."""
    exam_size: int = 48
    """Documents of each exam."""
    averaged: float = 0.0
    """Share that the weights from before the last stage have in the finished model, which then is
    better at most things than either end (Izmailov et al. 2018, arXiv 1803.05407)."""


@dataclass(slots=True)
class Position:
    """How far a run has come: with weights and optimiser, all that the rest depends on."""

    stage: int = 0
    step: int = 0
    tokens: int = 0
    stage_tokens: int = 0
    """Tokens read since the stage began."""
    examined: int = 0
    """Tokens read when the last exam was held."""
    place: tuple[int, int] = (0, 0)
    """In the stage's stream."""
    losses: list[float] = field(default_factory=list)
    """Since the last exam."""
    seconds: float = 0.0
    """Of all sessions together."""
    stage_seconds: float = 0.0
    """When the stage began."""
    lines: int = 0
    """Of the log."""
    done: bool = False


class Run:
    """A training run in a folder.

    Args:
        plan: what to train.
        folder: of its checkpoint and log; made if missing, continued from if not empty.
        autocast: compute in bfloat16 where PyTorch finds it safe.
        minutes: the last stage ends, decayed, after about so long (all sessions together), even if
            its tokens are not all read; then the result depends on the machine's speed.
        checkpoint_seconds: between two checkpoints.
        report: is told every line of the log.
    """

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        *,
        autocast: bool = False,
        minutes: float | None = None,
        checkpoint_seconds: float = 60.0,
        report: Callable[[dict[str, Any]], None] = lambda line: None,
    ) -> None:
        self.plan, self.folder = plan, folder
        self._autocast = autocast
        self._limit = None if minutes is None else 60 * minutes
        self._checkpoint_seconds = checkpoint_seconds
        self._report = report
        self.tokenizer = build_tokenizer(plan.vocabulary)
        self._encoder = Encoder(self.tokenizer)
        self.model = new_model(plan.shape, len(plan.vocabulary), plan.seed)
        # Plain products: on a CPU, the backward pass of the fused kernel takes three times as long.
        self.model.set_attn_implementation("eager")
        self._optimiser = Optimiser(self.model, muon_rate=plan.muon_rate, adam_rate=plan.adam_rate)
        self.at = Position()
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / CHECKPOINT).is_file():
            self._resume()
        self._keep_lines()
        self._stream = self._open()

    def go(self) -> None:
        """Train to the end of the plan."""
        began, before = time.monotonic(), self.at.seconds
        saved = began
        spoken = (began, self.at.tokens)
        while not self.at.done:
            self._step()
            now = time.monotonic()
            self.at.seconds = before + now - began
            if self.at.tokens - self.at.examined >= self._exam_gap() or self._is_over():
                speed = (self.at.tokens - spoken[1]) / max(now - spoken[0], 1e-9)
                self._examine(speed)
                spoken = (time.monotonic(), self.at.tokens)
            if self.at.done or now - saved >= self._checkpoint_seconds:
                self._save()
                saved = time.monotonic()

    @torch.no_grad()
    def average(self) -> None:
        """Take the plan's share of the weights from before the last stage into the model's."""
        if not self.plan.averaged:
            return
        path = self.folder / BEFORE_LAST
        try:
            before = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path}: cannot be read ({error}); train again") from error
        for name, parameter in self._parameters():
            parameter.lerp_(before[name], self.plan.averaged)

    def _step(self) -> None:
        batch = next(self._stream)
        self.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._autocast):
            logits = self.model(input_ids=batch.ids, use_cache=False).logits
        loss = weighted_loss(logits, batch)
        torch.autograd.backward(loss)
        self._optimiser.step(self._factor())
        at = self.at
        at.losses.append(loss.item())
        at.step += 1
        at.tokens += batch.tokens
        at.stage_tokens += batch.tokens
        at.place = self._stream.place

    def _factor(self) -> float:
        """Of the learning rates: linear up at the start, linear down where a stage decays.

        A stage after one that decayed begins anew: warm restarts (Loshchilov and Hutter 2017,
        arXiv 1608.03983).
        """
        stage = self.plan.stages[self.at.stage]
        warm = stage.rate * min(1.0, (self.at.step + 1) / self.plan.warmup)
        if not stage.decay:
            return warm
        fall = min(1.0, max(0.0, 1 - self._progress()) / stage.decay)
        return warm * (stage.floor + (1 - stage.floor) * fall)

    def _progress(self) -> float:
        """Share of the stage that is done, in tokens or, in the last one, in time."""
        share = self.at.stage_tokens / self.plan.stages[self.at.stage].max_tokens
        if self._limit is None or self.at.stage < len(self.plan.stages) - 1:
            return share
        left = max(self._limit - self.at.stage_seconds, 1.0)
        return max(share, (self.at.seconds - self.at.stage_seconds) / left)

    def _is_over(self) -> bool:
        """Whether the stage has used what it was given."""
        stage = self.plan.stages[self.at.stage]
        if self.at.stage == len(self.plan.stages) - 1:
            return self._progress() >= 1
        late = self._limit is not None and self.at.seconds > _EARLY_SHARE * self._limit
        return late or self.at.stage_tokens >= stage.max_tokens

    def _exam_gap(self) -> int:
        """Tokens between two exams: more where there is more to ask, so that training goes on."""
        exams = len(self.plan.stages[self.at.stage].exams)
        return self.plan.exam_every * max(1, exams // 4)

    def _examine(self, speed: float) -> None:
        """Hold the stage's exams, write a line, and go to the next stage if this one is over."""
        at, stage = self.at, self.plan.stages[self.at.stage]
        seed = f"{self.plan.seed}/exam/{at.tokens}"
        self.model.eval()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._autocast):
            right = exam_accuracy(
                self.model,
                self.tokenizer,
                {
                    name: draw_documents(source, f"{seed}/{name}", self.plan.exam_size)
                    for name, source in stage.exams.items()
                },
            )
        self._write(
            {
                "tokens": at.tokens,
                "step": at.step,
                "stage": stage.name,
                "loss": round(sum(at.losses) / max(len(at.losses), 1), 4),
                "rate": round(self._factor(), 4),
                "exam": {name: round(share, 3) for name, share in right.items()},
                "tokens_per_second": round(speed),
                "seconds": round(at.seconds, 1),
            }
        )
        at.examined, at.losses = at.tokens, []
        mean = sum(right.values()) / max(len(right), 1)
        if self._is_over() or (stage.until is not None and mean >= stage.until):
            self._next_stage()

    def _next_stage(self) -> None:
        at = self.at
        if at.stage == len(self.plan.stages) - 1:
            at.done = True
            return
        at.stage += 1
        if self.plan.averaged and at.stage == len(self.plan.stages) - 1:
            weights = {name: parameter.detach() for name, parameter in self._parameters()}
            write_whole(self.folder / BEFORE_LAST, save(weights))
        at.stage_tokens, at.stage_seconds, at.place = 0, at.seconds, (0, 0)
        self._stream = self._open()

    def _open(self) -> Stream:
        stage = self.plan.stages[self.at.stage]
        return Stream(
            stage.source,
            self._encoder,
            seed=f"{self.plan.seed}/{stage.name}",
            tokens=self.plan.batch_tokens,
            planted=stage.planted,
            place=self.at.place,
        )

    def _write(self, line: dict[str, Any]) -> None:
        with (self.folder / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.at.lines += 1
        self._report(line)

    def _keep_lines(self) -> None:
        """Forget what was logged after the checkpoint: it is lived through again."""
        path = self.folder / LOG
        kept = (
            path.read_bytes().splitlines(keepends=True)[: self.at.lines] if path.is_file() else []
        )
        write_whole(path, b"".join(kept))

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {
            f"model.{name}": parameter.detach() for name, parameter in self._parameters()
        }
        tensors |= self._optimiser.state()
        about = {"plan": self._fingerprint(), "position": json.dumps(asdict(self.at))}
        write_whole(self.folder / CHECKPOINT, save(tensors, metadata=about))

    def _resume(self) -> None:
        path = self.folder / CHECKPOINT
        try:
            with safe_open(path, framework="pt") as file:
                about = file.metadata()
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}); remove it to begin again"
            ) from error
        if about["plan"] != self._fingerprint():
            raise InputError(
                f"{path}: is of another plan; remove it to begin again, or name another folder"
            )
        kept = json.loads(about["position"])
        self.at = Position(**(kept | {"place": tuple(kept["place"])}))
        with torch.no_grad():
            for name, parameter in self._parameters():
                parameter.copy_(state[f"model.{name}"])
        self._optimiser.load(state)

    def _parameters(self) -> list[tuple[str, Tensor]]:
        return list(self.model.named_parameters())

    def _fingerprint(self) -> str:
        """What of a plan can be written down; its sources are known by their stages' names."""
        plan = self.plan
        return json.dumps(
            {
                "name": plan.name,
                "shape": asdict(plan.shape),
                "vocabulary": plan.vocabulary,
                "stages": [stage.name for stage in plan.stages],
                "seed": plan.seed,
                "batch_tokens": plan.batch_tokens,
            }
        )


def train(plan: Plan, folder: Path, **options: Any) -> Run:
    """Train a plan to its end, or go on where the folder's checkpoint stands; see `Run`."""
    run = Run(plan, folder, **options)
    run.go()
    return run


def weighted_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Mean cross-entropy of the next token, in nats, each token by its weight as a target.

    Args:
        logits: (documents, longest, vocabulary).
        batch: what was read.
    """
    targets, weights = batch.ids[:, 1:], batch.weights[:, 1:]
    losses = cross_entropy(
        logits[:, :-1].float().flatten(0, 1), targets.flatten(), reduction="none"
    ).view_as(weights)
    return (losses * weights).sum() / weights.sum()
