"""Training on transformers' Trainer: steps, checkpoints, progress."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.integrations.integration_utils import TensorBoardCallback
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from ullage.config.models import Distill
from ullage.distill.checkpoint import quiet
from ullage.distill.lora import additions, is_adapted
from ullage.distill.measuring import Tally
from ullage.distill.module import Batch, DistillationModule
from ullage.distill.muon import Muon
from ullage.distill.objectives import label_counts
from ullage.distill.order import BLANK, RowOrder
from ullage.distill.own import OwnWords
from ullage.distill.processes import ALONE, Processes
from ullage.distill.recipe import planned_steps
from ullage.distill.rendering import Example
from ullage.distill.result import Progress, Report, Stopped
from ullage.distill.resume import BESIDE, last_checkpoint, load_beside, step_of, under
from ullage.distill.stopping import Stop
from ullage.errors import InfrastructureError, InputError

HELD_OUT = "held_out_"
"""What names in the Trainer's log begin with that are measured on held-out rows."""
_COUNTED = "counted.json"
"""In a checkpoint: what was cut down or cut off so far."""


class DistillationTrainer(Trainer):
    """Trainer that saves and loads the student alone and knows its loss terms."""

    def __init__(
        self,
        lengths: Sequence[int],
        optimiser: str = "adamw",
        own: OwnWords | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.remove_callback(PrinterCallback)
        self._lengths = lengths
        self._optimiser = optimiser
        self._own = own
        self._order: tuple[int, list[int]] = (-1, [])
        """The rows of one epoch, in order."""
        self.tally = Tally()
        self.tokens = 0
        """Tokens read in this session, padding not counted."""
        self.clipped = 0
        """Steps whose gradient was longer than ``max_grad_norm``, in all sessions."""
        self.clamped: Counter[str] = Counter()
        """As `DistillationModule.clamped`, in all sessions and processes."""
        self.gradient = 0.0
        """Length of the last step's."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        return self._row_order(self._announce)

    def _row_order(self, announce: Callable[[list[int]], None] | None = None) -> RowOrder:
        module: Any = self.accelerator.unwrap_model(self.model)
        together = self.args.train_batch_size * self.args.world_size
        return RowOrder(
            self._lengths,
            together * self.args.gradient_accumulation_steps,
            self.args.seed,
            announce,
            grouped=not module.packing,
            multiple=together if self.args.world_size > 1 else 1,
        )

    def _announce(self, rows: list[int]) -> None:
        module: Any = self.accelerator.unwrap_model(self.model)
        numbered: Any = self.train_dataset
        module.expect([numbered[row][1] for row in rows])

    def _rows_of(self, step: int) -> list[int]:
        """Rows that a step reads; none after the last."""
        if step >= self.state.max_steps:
            return []
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps
        epoch, place = divmod(step, -(-len(self._lengths) // rows))
        if self._order[0] != epoch:
            order = self._row_order()
            order.set_epoch(epoch)
            self._order = (epoch, list(order))
        return self._order[1][place * rows : (place + 1) * rows]

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """The batches of a step, some rows answered by the student as it is now.

        Here and not in the collator, which is a batch ahead of the weights.
        """
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self._own is None or not batches:
            return batches, items
        module: Any = self.accelerator.unwrap_model(self.model)
        step = self.state.global_step
        read = sorted(row for batch in batches for row in batch["rows"].tolist())
        assert read == sorted(self._rows_of(step)), "answers were written for other rows"  # noqa: S101
        self._own.refresh(step, self._rows_of, module.student)
        batches = [
            _collate_rows(module, [(row, self._own.read(row)) for row in batch["rows"].tolist()])
            for batch in batches
        ]
        batches = [send_to_device(batch, device) for batch in batches]
        return batches, self._get_num_items_in_batch(batches, device)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> Any:
        """`label_counts` of a step: terms on a part of the tokens are means over that part."""
        if not batch_samples:
            return None
        counts = [label_counts(batch["labels"], batch["rationale"]) for batch in batch_samples]
        return self.of_all(torch.stack(counts).sum(dim=0).to(device))

    def of_all(self, numbers: torch.Tensor) -> torch.Tensor:
        """Their sum over all processes."""
        if self.args.world_size == 1:
            return numbers
        summed: torch.Tensor = self.accelerator.reduce(numbers, reduction="sum")
        return summed

    def gather_tally(self, *, stop: bool) -> bool:
        """Count what all processes have seen, and hear whether one of them is to stop."""
        names = list(self.tally.sums)
        told = [float(stop), *self.tally.labels, *(self.tally.sums[name] for name in names)]
        stops, *seen = self.of_all(
            torch.tensor(told, dtype=torch.float64, device=self.args.device)
        ).tolist()
        self.tally.labels = [int(count) for count in seen[:3]]
        self.tally.sums = dict(zip(names, seen[3:], strict=True))
        return bool(stops)

    @property
    def is_sharded(self) -> bool:
        """Whether each process holds a part of the weights alone."""
        return bool(self.is_fsdp_enabled or self.is_deepspeed_enabled)

    def create_optimizer(self, model: Any = None) -> Any:
        """The recipe's."""
        if self._optimiser == "muon" and self.optimizer is None:
            module: Any = self.model
            self.optimizer = Muon(
                module.student, self.args.learning_rate, beside=module.inner.parameters()
            )
        return super().create_optimizer(model)

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of a batch, counted on its way."""
        inputs.pop("rows")
        self.tokens += int(inputs["lengths"].sum())
        labels = label_counts(inputs["labels"], inputs["rationale"])
        # By steps and not by what was seen since: a resumed run reads the same weights.
        module = self.accelerator.unwrap_model(model)
        module.at(self.state.global_step / self.state.max_steps)
        loss, outputs = super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        self.tally.add(outputs, labels)
        return (loss, outputs) if return_outputs else loss

    def _clip_grad_norm(self, model: Any) -> Any:
        trainer: Any = super()
        norm = trainer._clip_grad_norm(model)
        # DeepSpeed cuts by itself, and says nothing here.
        self.gradient = 0.0 if norm is None else float(norm)
        self.clipped += self.gradient > self.args.max_grad_norm
        module: Any = self.accelerator.unwrap_model(self.model)
        # Whatever may cut counts in every step, if only 0: all processes have the same names.
        for what, count in sorted(module.clamped.items()):
            self.clamped[what] += int(self.of_all(torch.tensor(count, device=self.args.device)))
        module.clamped.clear()
        return norm

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        module: Any = self.accelerator.unwrap_model(self.model)
        weights = module.state_dict() if state_dict is None else state_dict
        folder = Path(output_dir or self.args.output_dir or ".")
        folder.mkdir(parents=True, exist_ok=True)
        if not is_adapted(module.student):
            with quiet():
                module.student.save_pretrained(
                    folder,
                    state_dict=None if state_dict is None else under("student.", weights),
                    is_main_process=self.args.should_save,
                )
        beside = under("inner.", weights) | additions(weights)
        if beside and self.args.should_save:
            save_file(beside, folder / BESIDE)
        if self.args.should_save:
            counted = {"clipped": self.clipped, "clamped": self.clamped}
            (folder / _COUNTED).write_text(json.dumps(counted), encoding="utf-8")
        if self._own is not None and self.args.should_save:
            self._own.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        module: Any = self.accelerator.unwrap_model(self.model)
        if not is_adapted(module.student):
            super()._load_from_checkpoint(resume_from_checkpoint, model=module.student)
            module.student.tie_weights()
        counted = json.loads((Path(resume_from_checkpoint) / _COUNTED).read_bytes())
        self.clipped, self.clamped = counted["clipped"], Counter(counted["clamped"])
        load_beside(module, Path(resume_from_checkpoint))
        if self._own is not None:
            self._own.load(Path(resume_from_checkpoint))


class _Watch(TrainerCallback):
    """Reports each step and turns a wish to stop into a checkpoint."""

    def __init__(
        self,
        stop: Stop,
        report: Report | None,
        measure: Callable[[], dict[str, float]] | None,
        recipe: Distill,
    ) -> None:
        self._stop = stop
        self._report = report
        self._measure = measure
        self._every = recipe.evaluate_steps
        self._tracked = bool(recipe.report_to)
        self._started = 0.0
        self._first_step = 0
        self.trainer: DistillationTrainer | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._started = time.monotonic()
        self._first_step = state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        trainer = self.trainer
        assert trainer is not None  # noqa: S101 - set right after construction
        module: Any = trainer.accelerator.unwrap_model(trainer.model)
        wanted = trainer.gather_tally(stop=self._stop.wanted)
        terms = trainer.tally.means(module.objective)
        trainer.tally = Tally()
        if not all(math.isfinite(value) for value in terms.values()):
            raise InputError(
                f"distill: the loss is {terms} at step {state.global_step}; lower "
                "distill.learning_rate or use dtype: float32"
            )
        if not math.isfinite(trainer.gradient):
            raise InputError(
                f"distill: the gradient's length is {trainer.gradient} at step "
                f"{state.global_step}; lower distill.learning_rate or use dtype: float32"
            )
        if wanted and state.global_step < state.max_steps:
            control.should_save = True
            control.should_training_stop = True
        seconds = max(time.monotonic() - self._started, 1e-9)
        loss = module.objective.loss(terms)
        if self._tracked:
            trainer.log({"loss": loss, **terms, "tokens_per_second": trainer.tokens / seconds})
        held_out: dict[str, float] = {}
        if self._every is not None and state.global_step % self._every == 0:
            held_out = self._evaluate(trainer, module, state)
        if self._report is not None:
            left = state.max_steps - state.global_step
            self._report(
                Progress(
                    stage="train",
                    done=state.global_step,
                    total=state.max_steps,
                    loss=loss,
                    terms=terms,
                    held_out=held_out,
                    tokens_per_second=trainer.tokens / seconds,
                    seconds_left=seconds / (state.global_step - self._first_step) * left,
                )
            )

    def _evaluate(self, trainer: DistillationTrainer, module: Any, state: Any) -> dict[str, float]:
        """One point of the curve, left in the Trainer's own log, which checkpoints keep."""
        if self._measure is None or state.global_step == state.max_steps:
            # The last point is measured when all is done.
            return {}
        found = self._measure()
        module.train()
        module.at(state.global_step / state.max_steps)
        trainer.log({f"{HELD_OUT}{name}": value for name, value in found.items()})
        return found


@dataclass(frozen=True, slots=True)
class Trained:
    """What training did."""

    steps: int
    resumed_from: int
    """Step this session started at."""
    tokens: int
    """Read in this session."""
    clipped: int
    """Steps whose gradient was cut down to norm 1."""
    clamped: dict[str, int]
    """Numbers that were cut off, by what they are."""
    curve: tuple[dict[str, float], ...]
    """What was measured on the way: each ``step`` with its terms."""
    parted: Path | None = None
    """Where the whole weights are, if each process is left with a part of them (FSDP, ZeRO)."""


def train(
    module: DistillationModule,
    examples: Sequence[Example],
    recipe: Distill,
    seed: int,
    checkpoints: Path,
    *,
    stop: Stop,
    report: Report | None = None,
    own: OwnWords | None = None,
    measure: Callable[[], dict[str, float]] | None = None,
    processes: Processes = ALONE,
    logs: Path | None = None,
) -> Trained:
    """Train until done or stopped, from the last whole checkpoint where there is one.

    Args:
        module: trained in place.
        examples: rows to learn.
        recipe: rates and sizes.
        seed: of the order of rows (nothing else is random).
        checkpoints: folder of checkpoints.
        stop: looked at after every step.
        report: called after every step.
        own: of on-policy recipes.
        measure: the terms on held-out rows, for the curve.
        processes: that train together, each on its share of every step.
        logs: folder for TensorBoard; left out, a folder of the checkpoints'.

    Raises:
        Stopped: the wish was granted; a checkpoint is on disk.
        InputError: the loss is not finite.
        InfrastructureError: a checkpoint cannot be written.
    """
    watch = _Watch(stop, report, measure, recipe)
    if recipe.gradient_checkpointing:
        student = module.student
        # The second is the first's name in older versions of transformers.
        enable = getattr(student, "activation_checkpointing_enable", None)
        (enable or student.gradient_checkpointing_enable)({"use_reentrant": False})
    steps = planned_steps(recipe, len(examples), processes.size)
    trainer = DistillationTrainer(
        lengths=[len(example.ids) for example in examples],
        optimiser=recipe.optimiser,
        own=own,
        model=module,
        args=_arguments(recipe, steps, seed, checkpoints),
        train_dataset=[*enumerate(examples), (BLANK, examples[0].blank())],
        data_collator=partial(_collate_rows, module),
        callbacks=[watch, *_shown(recipe, logs, processes)],
    )
    watch.trainer = trainer
    last = processes.first(lambda: last_checkpoint(checkpoints))
    _require_whole_weights(trainer, recipe)
    resumed_from = 0 if last is None else step_of(last)
    if last is not None and resumed_from == steps:
        # The Trainer would take one more step before it saw that none was left.
        trainer._load_from_checkpoint(str(last))
        state = TrainerState.load_from_json(str(last / TRAINER_STATE_NAME))
        return _trained(trainer, state, resumed_from)
    try:
        trainer.train(resume_from_checkpoint=None if last is None else str(last))
    except (OSError, SafetensorError) as error:
        raise InfrastructureError(
            f"{checkpoints}: a checkpoint cannot be written ({error}); make room and run the same "
            "command to go on"
        ) from error
    if trainer.state.global_step < steps:
        raise Stopped(
            f"stopped at step {trainer.state.global_step} of {steps}, which is saved; run the same "
            "command to go on"
        )
    whole = checkpoints / f"checkpoint-{steps}" if trainer.is_sharded else None
    return _trained(trainer, trainer.state, resumed_from, whole)


def _trained(
    trainer: DistillationTrainer, state: TrainerState, resumed_from: int, whole: Path | None = None
) -> Trained:
    curve = (
        {
            "step": entry["step"],
            **{
                name.removeprefix(HELD_OUT): value
                for name, value in entry.items()
                if name.startswith(HELD_OUT)
            },
        }
        for entry in state.log_history
        if f"{HELD_OUT}loss" in entry
    )
    return Trained(
        state.global_step,
        resumed_from,
        trainer.tokens,
        trainer.clipped,
        dict(trainer.clamped),
        tuple(curve),
        whole,
    )


def _shown(recipe: Distill, logs: Path | None, processes: Processes) -> list[TrainerCallback]:
    """TensorBoard's callback, told where to write: its own choice is thrown away in the end."""
    if "tensorboard" not in recipe.report_to or not processes.is_first:
        return []
    callback: Any = TensorBoardCallback
    board = callback()
    if board.logging_dir is None and logs is not None:
        board.logging_dir = str(logs)
    return [board]


def _require_whole_weights(trainer: DistillationTrainer, recipe: Distill) -> None:
    """Refuse to share out weights where they are wanted whole, or never put together again."""
    if trainer.is_sharded and recipe.lora is not None:
        raise InputError(
            "distill.lora: additions are saved whole, and FSDP or DeepSpeed shares them out; train "
            "all weights, or without sharding: what lora trains fits many times over"
        )
    if trainer.is_sharded and recipe.evaluate_steps is not None:
        raise InputError(
            "distill.evaluate_steps: whole weights are measured, and FSDP or DeepSpeed shares them "
            "out until the end; leave it out"
        )
    if trainer.is_sharded and recipe.optimiser == "muon":
        raise InputError(
            "distill.optimiser: muon wants whole matrices, and FSDP or DeepSpeed shares them out; "
            "use adamw"
        )
    plugin = trainer.accelerator.state.fsdp_plugin if trainer.is_fsdp_enabled else None
    if plugin is not None and "FULL_STATE_DICT" not in str(plugin.state_dict_type):
        raise InputError(
            f"accelerate's configuration: fsdp_state_dict_type is {plugin.state_dict_type}, and a "
            "student is one whole; set FULL_STATE_DICT"
        )


def _collate_rows(module: DistillationModule, numbered: Sequence[tuple[int, Example]]) -> Batch:
    rows, examples = zip(*numbered, strict=True)
    return {**module.collate(examples), "rows": torch.tensor(rows)}


def _arguments(recipe: Distill, steps: int, seed: int, checkpoints: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.gradient_accumulation,
        max_steps=steps,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(recipe.warmup_share * steps),
        weight_decay=0.0,
        bf16=recipe.dtype == "bfloat16",
        # Said outright: left to itself, the Trainer refuses bf16 where it finds no GPU.
        use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),
        seed=seed,
        save_steps=recipe.save_steps,
        save_total_limit=1,
        logging_strategy="no",
        # The default replaces a NaN loss by the average so far, and trains on.
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=torch.cuda.is_available(),
        # Every weight is used in every step; looking for others takes time.
        ddp_find_unused_parameters=False,
        disable_tqdm=True,
        report_to=[name for name in recipe.report_to if name != "tensorboard"],
        run_name=checkpoints.parent.stem,
        log_level="error",
    )
    # A process that finds several GPUs would split batches among threads, but not the teacher.
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
