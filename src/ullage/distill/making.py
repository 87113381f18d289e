"""The part of a distillation with models in memory: measure, train, measure, put in place."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import send_to_device

from ullage.config.models import Arm
from ullage.distill import ledger as ledgers
from ullage.distill.account import account
from ullage.distill.cached import CachedTeacher
from ullage.distill.checkpoint import finished_folder, load_model, save_model
from ullage.distill.crossing import Crossing
from ullage.distill.engine import Trained, train
from ullage.distill.job import Job, identity
from ullage.distill.learnt import RenderedRows, rendered
from ullage.distill.loaded import LoadedTeacher
from ullage.distill.lora import ADAPTER, adapt, fold, trained_parameters
from ullage.distill.measuring import mean_terms
from ullage.distill.module import (
    Batch,
    DistillationModule,
    Teacher,
    require_plain_head,
)
from ullage.distill.own import OwnWords, Writer, turn_ends
from ullage.distill.packing import require_blind_rows
from ullage.distill.rendering import Example, render
from ullage.distill.result import Progress, Report, Stage
from ullage.distill.resume import load_beside
from ullage.distill.signals import IN_WORDS
from ullage.distill.stopping import Stop, stop_on_signal
from ullage.distill.students import load_base, make_base
from ullage.distill.teaching import crossing_of, teacher_of
from ullage.distill.terms import build_objective
from ullage.errors import InputError
from ullage.models.hf.load import pick_device

_FITTED_ROWS = 256
"""Rows whose states projections are fitted to: at some tokens a row, more than states are wide."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Who is told, and who may ask to stop."""

    stop: Stop
    report: Report | None


def make_student(job: Job, loaded: LoadedTeacher, report: Report | None) -> dict[str, Any]:
    """Make base and student, each part picked up where an earlier session left it.

    Args:
        job: its corpus has every reference that is to be learnt.
        loaded: the teacher; loaded here, unless it is already, where its weights are needed.
        report: told of every step.

    Returns:
        The ledger, which is also in the finished folder.

    Raises:
        InputError: models, tokenizers and corpus do not fit together.
        Stopped: asked to stop; what was done is kept.
    """
    started = time.monotonic()
    processes = job.processes
    base = processes.first(lambda: make_base(job.recipe, job.root, job.start_identity))
    with stop_on_signal() as stop:
        watched = Watched(stop, report)
        student, tokenizer = load_base(job.recipe)
        require_plain_head(student, "student")
        if job.recipe.settings.packing:
            require_blind_rows(student, "student")
        if job.recipe.settings.lora is not None:
            adapt(student, job.recipe.settings.lora, job.recipe.seed)
        crossing = crossing_of(job, loaded, (student, tokenizer))
        rows = rendered(job, partial(render, tokenizer) if crossing is None else crossing.render)
        if not rows["train"].examples:
            raise InputError(
                f"{job.corpus.path}: no row has a supervised token within distill.max_length "
                f"{job.recipe.settings.max_length} ({rows['train'].counts}); raise it"
            )
        asked = [example for part in rows.values() for example in part.examples]
        teacher = teacher_of(
            job, loaded, (student, tokenizer), crossing, asked, stop=stop, report=report
        )
        module = _module(job, student, teacher).to(pick_device("auto"))
        module.suit_attention(job.recipe.settings.batch_size, job.recipe.settings.max_length)
        module.fit_projections(_first_batches(job, module, rows["train"].examples))
        writer = _writer(job, tokenizer, rows["train"].examples)
        own = None if writer is None else OwnWords(writer, rows["train"].examples)
        before = processes.first(
            lambda: _before(job, module, rows["held_out"].examples, watched, writer)
        )
        trained = train(
            module,
            rows["train"].examples,
            job.recipe.settings,
            job.recipe.seed,
            job.recipe.paths.checkpoints,
            stop=stop,
            report=report,
            own=own,
            measure=_measure(job, module, rows["held_out"].examples),
            processes=processes,
            logs=job.recipe.paths.logs,
        )

        def finished() -> dict[str, Any]:
            whole = module
            if trained.parted is not None:
                whole = _whole(job, module, teacher, trained.parted)
            made = {
                "tokens": {name: part.counts for name, part in rows.items()},
                "steps": trained.steps,
                "steps_clipped": trained.clipped,
                "clamped": trained.clamped,
                "cache": teacher.facts() if isinstance(teacher, CachedTeacher) else None,
                "loss": _losses(job, whole, rows, before, watched, writer),
                "curve": _curve(job, trained, before["base_held_out"]),
                "own_words": None if own is None else own.written,
            }
            if crossing is not None:
                made["alignment"] = _account(job, crossing, rows)
            timing = {
                "seconds_this_session": round(time.monotonic() - started, 1),
                "resumed_from_step": trained.resumed_from,
                "tokens_this_session": trained.tokens,
            }
            return _finish(job, whole, tokenizer, _origin(base) | made, timing)

        return processes.first(finished)


def _whole(
    job: Job, module: DistillationModule, teacher: Teacher | None, checkpoint: Path
) -> DistillationModule:
    """The module with whole weights, of which training left each process a part."""
    arm = Arm(model=f"hf:{checkpoint}")
    whole = _module(job, load_model(arm, Path(), "distill.student", torch.float32), teacher)
    load_beside(whole, checkpoint)
    return whole.to(next(module.parameters()).device)


def _account(job: Job, crossing: Crossing, rows: dict[str, RenderedRows]) -> dict[str, Any]:
    """What the alignment lost, its mass measured on as many rows as the losses are."""
    examples = {name: part.examples for name, part in rows.items()}
    most = max(len(examples["held_out"]), 1)
    return account(crossing, examples, job.recipe.settings.batch_size, most)


def _module(job: Job, student: Any, teacher: Teacher | None) -> DistillationModule:
    recipe = job.recipe
    models = None if teacher is None or teacher.model is None else (student, teacher.model)
    objective = build_objective(recipe.terms, answers=recipe.asks_answers, models=models)
    return DistillationModule(student, objective, teacher, packing=recipe.settings.packing)


def _first_batches(
    job: Job, module: DistillationModule, examples: Sequence[Example]
) -> Iterator[Batch]:
    """Some rows to fit projections on: as many whatever the size of a batch."""
    size, device = job.recipe.settings.batch_size, next(module.parameters()).device
    for start in range(0, min(_FITTED_ROWS, len(examples)), size):
        batch = module.collate(examples[start : min(start + size, _FITTED_ROWS)])
        yield send_to_device(batch, device)


def _writer(job: Job, tokenizer: Any, examples: Sequence[Example]) -> Writer | None:
    """How the student answers prompts itself, where the recipe has it do so."""
    recipe = job.recipe
    if recipe.on_policy is None:
        return None
    return Writer(
        recipe.on_policy,
        turn_ends(examples, frozenset(tokenizer.all_special_ids)),
        recipe.settings.max_length,
        recipe.settings.batch_size,
        recipe.seed,
    )


def _before(
    job: Job,
    module: DistillationModule,
    held_out: list[Example],
    watched: Watched,
    writer: Writer | None,
) -> dict[str, Any]:
    """Loss of the base on the held-out rows: measured once, before the first step, and kept."""
    path = job.recipe.paths.before
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_bytes())
        return known
    before = {
        "base_held_out": _held_out(job, module, held_out, "base", watched),
        **_own_words("base_own_words", job, module, held_out, watched, writer),
    }
    ledgers.write_json(path, before)
    return before


def _own_words(
    key: str,
    job: Job,
    module: DistillationModule,
    held_out: list[Example],
    watched: Watched,
    writer: Writer | None,
) -> dict[str, Any]:
    """Loss on the answers that the student as it is gives to the held-out prompts."""
    if writer is None or not held_out:
        return {}
    answered = writer.answered(module.student, held_out, "held out")
    terms = _measured(job, module, answered, "measure", watched)
    assert terms is not None  # noqa: S101 - there are rows
    # Of its own words none is right, so that a term on labels has nothing to say of them.
    blind = {
        term.name for term in module.objective.every if term.eats is None or term.eats in IN_WORDS
    }
    return {key: {name: value for name, value in terms.items() if name not in blind}}


def _losses(
    job: Job,
    module: DistillationModule,
    rows: dict[str, RenderedRows],
    before: dict[str, Any],
    watched: Watched,
    writer: Writer | None,
) -> dict[str, Any]:
    """Loss terms at the end, held out and on as many rows that were learnt."""
    held_out = rows["held_out"].examples
    sample = rows["train"].examples[: max(len(held_out), 1)]
    return {
        "units": module.objective.units,
        **before,
        "held_out": _held_out(job, module, held_out, "measure", watched),
        **_own_words("own_words", job, module, held_out, watched, writer),
        "train": _measured(job, module, sample, "measure", watched),
        "train_rows_measured": len(sample),
    }


def _measured(
    job: Job, module: DistillationModule, examples: list[Example], stage: Stage, watched: Watched
) -> dict[str, float] | None:
    if not examples:
        return None

    def told(done: int, total: int) -> None:
        if watched.report is not None:
            watched.report(Progress(stage=stage, done=done, total=total))

    return mean_terms(module, examples, job.recipe.settings, stop=watched.stop, report=told)


def _held_out(
    job: Job, module: DistillationModule, held_out: list[Example], stage: Stage, watched: Watched
) -> dict[str, float] | None:
    """What is measured of the rows held out, told as well: an end of the curve."""
    found = _measured(job, module, held_out, stage, watched)
    if found is not None and watched.report is not None:
        rows = len(held_out)
        watched.report(Progress(stage=stage, done=rows, total=rows, held_out=found))
    return found


def _measure(
    job: Job, module: DistillationModule, held_out: list[Example]
) -> Callable[[], dict[str, float]] | None:
    """For the curve: not to be stopped, as the step that it follows is not saved yet."""
    if not held_out:
        return None
    return lambda: mean_terms(module, held_out, job.recipe.settings, stop=Stop())


def _curve(
    job: Job, trained: Trained, before: dict[str, float] | None
) -> list[dict[str, float]] | None:
    """Held-out loss and terms by step, from the base on, where it was asked for.

    The student's is `loss.held_out`.
    """
    if job.recipe.settings.evaluate_steps is None or before is None:
        return None
    return [{"step": 0, **before}, *trained.curve]


def _origin(base: dict[str, Any]) -> dict[str, Any]:
    """Where the student's first weights came from, and which layers were left behind."""
    origin = {"base": {"from": base["from"], "from_identity": base["from_identity"]}}
    if "layers" not in base:
        return {**origin, "layers": None}
    kept, of = base["layers"], base["of"]
    left_out = [index for index in range(of) if index not in kept]
    return {**origin, "layers": {"of": of, "kept": kept, "left_out": left_out}}


def _finish(
    job: Job,
    module: DistillationModule,
    tokenizer: Any,
    made: dict[str, Any],
    timing: dict[str, Any],
) -> dict[str, Any]:
    """Write the student's folder and move it into place; checkpoints are of no more use."""
    recipe, paths = job.recipe, job.recipe.paths
    trains = trained_parameters(module.student)
    with finished_folder(paths.output, paths.work / "student.partial") as partial:
        if recipe.settings.lora is not None:
            fold(module.student, recipe.settings.lora, partial / ADAPTER)
        save_model(module.student, tokenizer, partial)
        base_identity = identity(Arm(model=f"hf:{paths.base}"), Path())
        ledger = {
            **job.facts(),
            **made,
            "base": {**made["base"], "identity": base_identity},
            "student": {
                "identity": identity(Arm(model=f"hf:{partial}"), Path()),
                "parameters": sum(weight.numel() for weight in module.student.parameters()),
                "parameters_trained": trains,
            },
            "left_behind": {
                "projection_parameters": sum(map(torch.numel, module.inner.parameters()))
            },
            "precision": {
                "student_weights": "float32",
                "teacher_weights": recipe.settings.dtype if recipe.needs_weights else None,
                "matrix_products": recipe.settings.dtype,
                "losses": "float32",
            },
            "versions": ledgers.library_versions(),
            "timing": timing,
        }
        ledgers.write_json(partial / ledgers.FILE, ledger)
        if paths.history.exists():
            shutil.copy(paths.history, partial)
        (partial / "README.md").write_text(ledgers.card(ledger), encoding="utf-8")
    shutil.rmtree(paths.checkpoints, ignore_errors=True)
    return ledger
