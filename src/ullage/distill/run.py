"""`ullage distill`, from a configuration to a student, its base and its ledger."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ullage.collect.budget import Spending
from ullage.collect.lock import run_lock
from ullage.config.models import Arm, Config
from ullage.distill import ledger as ledgers
from ullage.distill.answers import Asking, teacher_answers
from ullage.distill.corpus import Corpus, prepare
from ullage.distill.history import recorded
from ullage.distill.job import Job, identity
from ullage.distill.preflight import Preflight
from ullage.distill.preflight.terms import check_terms
from ullage.distill.processes import Processes
from ullage.distill.rationales import planned, used
from ullage.distill.recipe import Recipe, planned_steps, require_one_process, resolve_recipe
from ullage.distill.result import DistillResult, Report, Stopped
from ullage.errors import InfrastructureError, InputError
from ullage.models.registry import open_model
from ullage.models.types import Message
from ullage.probes.registry import resolve

if TYPE_CHECKING:
    from ullage.distill.loaded import LoadedTeacher


class Begun(NamedTuple):
    """What is known of a job once all is done that comes before training."""

    preflight: Mapping[str, Any]
    """What was found."""
    corpus: Corpus
    """With every reference that is to be learnt."""
    samples: Mapping[str, int] | None = None
    """What became of the teacher's answers, if it gave any."""


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
    recipe = resolve_recipe(config, root)
    Preflight(check_terms(recipe).findings, {}).require()
    job = _job(recipe, config, root)
    made = _already_made(job)
    if made is not None:
        return _result("reused", job, made)
    if plan_only:
        rows = planned(job.corpus.train, recipe.rationale, answers=recipe.asks_answers)
        steps = planned_steps(recipe.settings, rows, job.processes.size)
        from ullage.distill.forecast import forecast

        return _result("planned", job, {**job.facts(), "steps": steps, "forecast": forecast(job)})
    report = recorded(job.recipe.paths.history, progress) if job.processes.is_first else None
    try:
        with ExitStack() as held:
            held.callback(job.processes.part)
            job.processes.first(lambda: _claim(job, held, resume=resume))
            # Here and not above: a refusal and `import ullage.distill` need no torch.
            from ullage.distill.loaded import LoadedTeacher
            from ullage.distill.making import make_student

            teacher = LoadedTeacher(job.recipe, root)
            begun = job.processes.first(lambda: _begin(job, teacher, report))
            job = replace(job, **begun._asdict())
            result = _result("made", job, make_student(job, teacher, report))
    except KeyboardInterrupt:
        # While answers come in or models load there is no step to finish first.
        raise Stopped(
            f"stopped; everything done so far is in {job.recipe.paths.work}; run the same command "
            "to go on"
        ) from None
    if job.processes.is_first and not job.recipe.paths.answers.exists():
        # Answers are dear and stay; all else in there has served.
        shutil.rmtree(job.recipe.paths.work, ignore_errors=True)
    return result


def run_preflight(config: Config, root: Path, *, progress: Report | None = None) -> Preflight:
    """Look for what would spoil the student of ``config.distill``, and train nothing.

    Args:
        config: a whole configuration.
        root: folder its relative paths are relative to.
        progress: told how much of the teacher's part is done.

    Raises:
        InputError: models or corpus cannot be read at all.
    """
    recipe = resolve_recipe(config, root)
    terms = check_terms(recipe)
    asked = Preflight(terms.findings, {"terms": terms.facts})
    if asked.errors:
        # A teacher that may not teach is not even looked up.
        return asked
    from ullage.distill.loaded import LoadedTeacher
    from ullage.distill.preflight.run import preflight

    return preflight(_job(recipe, config, root), LoadedTeacher(recipe, root), progress)


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
        near_duplicates=recipe.settings.near_duplicates,
    )
    corpus = used(corpus, recipe.rationale, answers=recipe.asks_answers)
    teacher = identity(recipe.teacher, root)
    start = teacher
    if recipe.start != recipe.teacher.model:
        start = identity(Arm(model=recipe.start), root)
    processes = Processes.of_environment()
    require_one_process(recipe, processes.size)
    identified = recipe.identified(teacher=teacher, start=start, corpus=corpus.digest)
    if processes.size > 1:
        # Each brings a batch of its own: another number makes another student.
        identified["processes"] = processes.size
    digest = ledgers.digest(identified)
    return Job(recipe, corpus, root, teacher, start, len(items), digest, processes=processes)


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


def _claim(job: Job, held: ExitStack, *, resume: bool) -> None:
    """Make the job's folder, and lock it for as long as the job takes."""
    work = job.recipe.paths.work
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(
            f"{work}: cannot be made ({error.strerror}); choose another distill.output"
        ) from error
    held.enter_context(run_lock(work))
    _claim_work(job, resume=resume)


def _claim_work(job: Job, *, resume: bool) -> None:
    """Make sure the work folder is of this recipe, so that no checkpoint of another is resumed.

    Answers are found by what was asked: a recipe that changed before training goes on with them.
    """
    paths = job.recipe.paths
    claim = paths.work / "recipe.json"
    found = json.loads(claim.read_bytes())["recipe_digest"] if claim.exists() else None
    is_other = found not in (None, job.digest)
    if is_other and resume and (paths.checkpoints.exists() or paths.before.exists()):
        raise InputError(
            f"{paths.work}: holds unfinished work of recipe {found}, this is recipe {job.digest}; "
            "finish that one, remove the folder, or name another distill.output"
        )
    if not resume or found != job.digest:
        shutil.rmtree(paths.checkpoints, ignore_errors=True)
        paths.before.unlink(missing_ok=True)
        paths.preflight.unlink(missing_ok=True)
        paths.history.unlink(missing_ok=True)
    ledgers.write_json(claim, {"recipe_digest": job.digest})


def _begin(job: Job, teacher: LoadedTeacher, report: Report | None) -> Begun:
    """Look before training, then have the teacher answer where its answers are learnt."""
    preflight = _preflight(job, teacher, report)
    if not job.recipe.asks_answers:
        return Begun(preflight, job.corpus)
    # It is opened for that in another way, and two of them may not fit.
    teacher.release()
    return Begun(preflight, *_answered(job, report))


def _preflight(job: Job, teacher: LoadedTeacher, report: Report | None) -> dict[str, Any]:
    """What the preflight found, now or before an interruption.

    Raises:
        InputError: something that makes training useless.
    """
    path = job.recipe.paths.preflight
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_bytes())
        return known
    from ullage.distill.preflight.run import preflight

    found = preflight(job, teacher, report)
    found.require()
    ledgers.write_json(path, found.as_json())
    return found.as_json()


def _answered(job: Job, report: Report | None) -> tuple[Corpus, dict[str, int]]:
    """The corpus with the teacher's answers in place of its references."""
    recipe, corpus = job.recipe, job.corpus
    model = asyncio.run(open_model(recipe.teacher, job.root))
    answered = teacher_answers(
        model,
        [*corpus.train, *corpus.held_out],
        recipe.paths.answers,
        Asking(
            max_tokens=recipe.settings.generate_max_tokens,
            temperature=recipe.settings.generate_temperature,
            seed=recipe.seed,
            selection=recipe.selection,
            samples=recipe.settings.generate_samples,
            rationale=recipe.rationale,
        ),
        Spending(recipe.budget, {model.identity: recipe.teacher.price}),
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
    corpus = replace(corpus, train=train, held_out=held_out, dropped=dropped)
    return corpus, answered.samples
