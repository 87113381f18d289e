"""`ullage distill`, from a configuration to a student, its base and its ledger."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ullage.collect.lock import run_lock
from ullage.config.models import Arm, Config
from ullage.distill import ledger as ledgers
from ullage.distill.answers import teacher_answers
from ullage.distill.corpus import Corpus, prepare
from ullage.distill.job import Job, identity
from ullage.distill.recipe import Recipe, planned_steps, resolve_recipe
from ullage.distill.result import DistillResult, Report, Stopped
from ullage.errors import InfrastructureError, InputError
from ullage.models.registry import open_model
from ullage.models.types import Message
from ullage.probes.registry import resolve


def run_distill(
    config: Config,
    root: Path,
    *,
    progress: Report | None = None,
    resume: bool = True,
    plan_only: bool = False,
) -> DistillResult:
    """Make the student of ``config.distill``, or go on making it, or find it made.

    Args:
        config: a whole configuration; its probes and tasks name what must not be learnt.
        root: folder its relative paths are relative to.
        progress: called with every answer, step and measured batch.
        resume: go on from the last checkpoint; False throws checkpoints away (never answers).
        plan_only: check everything that needs no weights and say what would be done, and about
            how much memory and time it would take.

    Returns:
        Folders and ledger.

    Raises:
        InputError: anything the user can mend, in one line.
        InfrastructureError: disk, lock or teacher failed.
        Stopped: SIGINT or SIGTERM; the message says how to go on.
    """
    job = _job(resolve_recipe(config, root), config, root)
    made = _already_made(job)
    if made is not None:
        return _result("reused", job, made)
    if plan_only:
        steps = planned_steps(job.recipe.settings, len(job.corpus.train))
        from ullage.distill.forecast import forecast

        return _result("planned", job, {**job.facts(), "steps": steps, "forecast": forecast(job)})
    try:
        job.recipe.paths.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"{job.recipe.paths.work}: cannot be made ({error.strerror}); choose another "
            "distill.output"
        ) from error
    try:
        with run_lock(job.recipe.paths.work):
            _claim_work(job, resume=resume)
            result = _result("made", job, _make(job, progress))
    except KeyboardInterrupt:
        # While answers come in or models load there is no step to finish first.
        raise Stopped(
            f"stopped; everything done so far is in {job.recipe.paths.work}; run the same command "
            "to go on"
        ) from None
    if not job.recipe.paths.answers.exists():
        # Answers are dear and stay; all else in there has served.
        shutil.rmtree(job.recipe.paths.work, ignore_errors=True)
    return result


def audit_items(config: Config, root: Path) -> Iterator[tuple[Message, ...]]:
    """Conversations of every item an audit of this configuration may ask, whatever n it plans.

    Canaries are no such items: they were planted in the corpus to be learnt.
    """
    most = config.planning.items or config.planning.max_items
    for probe in resolve(config, root).values():
        if probe.is_planted:
            continue
        for item in itertools.islice(probe.items(config.seed), most):
            yield item.messages


def _result(status: Any, job: Job, ledger: dict[str, Any]) -> DistillResult:
    paths = job.recipe.paths
    return DistillResult(status=status, output=paths.output, base=paths.base, ledger=ledger)


def _job(recipe: Recipe, config: Config, root: Path) -> Job:
    items = list(audit_items(config, root))
    corpus = prepare(
        recipe.paths.corpus,
        held_out=recipe.settings.held_out,
        audit_items=items,
        needs_reference=not recipe.asks_answers,
    )
    teacher = identity(recipe.teacher, root)
    start = teacher
    if recipe.start != recipe.teacher.model:
        start = identity(Arm(model=recipe.start), root)
    identified = recipe.identified(teacher=teacher, start=start, corpus=corpus.digest)
    return Job(recipe, corpus, root, teacher, start, len(items), ledgers.digest(identified))


def _already_made(job: Job) -> dict[str, Any] | None:
    """The ledger of a finished output of this very recipe."""
    output = job.recipe.paths.output
    if not output.exists():
        return None
    ledger = ledgers.read_ledger(output)
    if ledger is None:
        raise InputError(
            f"{output}: exists and was not made by `ullage distill`; remove it or name another "
            "distill.output"
        )
    if ledger.get("recipe_digest") != job.digest:
        raise InputError(
            f"{output}: holds a student of recipe {ledger.get('recipe_digest')}, this is recipe "
            f"{job.digest}; remove the folder or name another distill.output"
        )
    return ledger


def _claim_work(job: Job, *, resume: bool) -> None:
    """Make sure the work folder is of this recipe, so that no checkpoint of another is resumed."""
    paths = job.recipe.paths
    claim = paths.work / "recipe.json"
    found = json.loads(claim.read_bytes())["recipe_digest"] if claim.exists() else None
    if not resume or found is None:
        shutil.rmtree(paths.checkpoints, ignore_errors=True)
        paths.before.unlink(missing_ok=True)
    elif found != job.digest:
        raise InputError(
            f"{paths.work}: holds unfinished work of recipe {found}, this is recipe {job.digest}; "
            "finish that one, remove the folder, or name another distill.output"
        )
    ledgers.write_json(claim, {"recipe_digest": job.digest})


def _make(job: Job, report: Report | None) -> dict[str, Any]:
    """The long part. Answers come first: the teacher that gives them need not be kept loaded."""
    if job.recipe.asks_answers:
        job = replace(job, corpus=_answered(job, report))
    # Here and not above: a refusal and `import ullage.distill` need no torch.
    from ullage.distill.making import make_student

    return make_student(job, report)


def _answered(job: Job, report: Report | None) -> Corpus:
    """The corpus with the teacher's answers in place of its references."""
    recipe, corpus = job.recipe, job.corpus
    answered = teacher_answers(
        asyncio.run(open_model(recipe.teacher, job.root)),
        [*corpus.train, *corpus.held_out],
        recipe.paths.answers,
        max_tokens=recipe.settings.generate_max_tokens,
        temperature=recipe.settings.generate_temperature,
        seed=recipe.seed,
        report=report,
    )
    held = {row.line for row in corpus.held_out}
    train = tuple(row for row in answered.rows if row.line not in held)
    held_out = tuple(row for row in answered.rows if row.line in held)
    if not train:
        raise InputError(
            f"distill.teacher: no usable answer to learn (left out: {answered.dropped}); raise "
            "distill.generate_max_tokens or check the teacher"
        )
    dropped = {**corpus.dropped, **answered.dropped}
    return replace(corpus, train=train, held_out=held_out, dropped=dropped)
