"""All checks of a recipe, cheapest first; nothing is asked of an endpoint, nothing is trained."""

from __future__ import annotations

from typing import Any

import torch

from ullage.distill.checkpoint import load_model, load_tokenizer
from ullage.distill.job import Job
from ullage.distill.preflight.findings import Checked, Finding, Preflight
from ullage.distill.preflight.rows import (
    check_contamination,
    check_rows,
    sampled,
)
from ullage.distill.preflight.sides import Side, open_sides
from ullage.distill.preflight.teacher import MOST_ANSWERS, check_determinism, check_likelihood
from ullage.distill.preflight.terms import check_terms
from ullage.distill.preflight.tokens import (
    check_missing_template,
    check_same_reading,
    check_special_tokens,
    check_template,
    check_thinking,
    check_vocabulary,
)
from ullage.distill.recipe import Recipe
from ullage.distill.result import Progress, Report
from ullage.distill.rows import Row
from ullage.models.hf.load import pick_device

_MOST_TALKS = 32
"""Conversations that both templates must render alike."""


def preflight(job: Job, report: Report | None = None) -> Preflight:
    """Look for what would spoil the student, before a weight is trained.

    Args:
        job: recipe and corpus; its teacher's answers need not be there yet.
        report: told how many of the teacher's weighings are done.

    Returns:
        Findings and facts; `Preflight.require` stops where one is an error.

    Raises:
        InputError: a model or tokenizer cannot be loaded.
    """
    recipe, corpus = job.recipe, job.corpus
    terms = check_terms(recipe.teacher)
    findings: list[Finding] = [*terms.findings, *check_contamination(corpus)]
    facts: dict[str, Any] = {"terms": terms.facts}
    teacher, student = open_sides(recipe, job.root)
    tokens = _check_tokens(job, teacher, student)
    findings += tokens.findings
    facts |= tokens.facts
    learner = student
    if student.template is None and teacher is not None:
        learner = student.with_template(teacher.template)
    if learner.template is not None and not _refuses(tokens):
        rows = check_rows(
            learner,
            corpus,
            recipe.settings.max_length,
            final_only=recipe.asks_answers,
            answers_come=recipe.asks_answers,
        )
        findings += rows.findings
        facts["rows"] = rows.facts
    found = Preflight(tuple(findings), facts)
    if teacher is None or not recipe.needs_weights or found.errors:
        # Weights are loaded last, and not for a recipe that stops anyway.
        return found
    weights = _check_teacher(job, teacher, learner, report)
    return Preflight(
        (*found.findings, *weights.findings), {**found.facts, "teacher": weights.facts}
    )


def _check_tokens(job: Job, teacher: Side | None, student: Side) -> Checked:
    """Everything that tokenizers and templates can say."""
    rows = sampled(job.corpus.train, _MOST_TALKS)
    references = [row.reference for row in rows if row.reference is not None]
    missing = check_missing_template(teacher, student)
    findings = [*missing]
    for side in (teacher, student):
        # A student cut out of its teacher has the teacher's template, wrong in the same way.
        if side is not None and (teacher is None or side is teacher or not _cut_out(job)):
            findings += check_template(side)
    thinking, thinks = check_thinking(
        teacher, student, [] if job.recipe.asks_answers else references
    )
    findings += [*thinking, *check_special_tokens(teacher, student)]
    facts: dict[str, Any] = {"template": thinks}
    if _one_reading(job.recipe) and teacher is not None:
        vocabulary = check_vocabulary(teacher, student)
        talks = [row.messages for row in rows]
        findings += [*vocabulary.findings, *check_same_reading(teacher, student, talks)]
        facts["vocabulary"] = vocabulary.facts
    return Checked(tuple(findings), facts)


def _one_reading(recipe: Recipe) -> bool:
    """Whether the teacher is fed the student's tokens, and compared with it token by token."""
    return recipe.needs_weights and recipe.alignment == "tokens"


def _cut_out(job: Job) -> bool:
    return job.recipe.start == job.recipe.teacher.model


def _refuses(tokens: Checked) -> bool:
    return any(finding.check == "template" for finding in tokens.findings)


def _check_teacher(job: Job, teacher: Side, learner: Side, report: Report | None) -> Checked:
    """What takes the teacher's weights."""
    recipe, length = job.recipe, job.recipe.settings.max_length
    dtype = torch.bfloat16 if recipe.settings.dtype == "bfloat16" else torch.float32
    model = load_model(recipe.teacher, job.root, teacher.key, dtype).to(pick_device("auto"))
    used = teacher if teacher.template is not None else teacher.with_template(learner.template)
    readings = {"used": used, "plain": teacher.with_template(None)}
    if recipe.teacher.hf.chat_template is not None:
        own = _own_template(job)
        if own not in (None, used.template):
            readings["own"] = teacher.with_template(own)

    def tell(done: int) -> None:
        if report is not None:
            report(Progress(stage="preflight", done=done, total=MOST_ANSWERS))

    rows = _spread(job)
    weighed = check_likelihood(model, readings, rows, length, tell)
    repeated = check_determinism(model, used, rows, length)
    return Checked((*weighed.findings, *repeated.findings), {**weighed.facts, **repeated.facts})


def _spread(job: Job) -> list[Row]:
    """More rows than are weighed, as some are too long."""
    return sampled([row for row in job.corpus.train if row.reference], 4 * MOST_ANSWERS)


def _own_template(job: Job) -> str | None:
    """The template of the teacher's checkpoint, which the configuration replaces."""
    plain = job.recipe.teacher.hf.model_copy(update={"chat_template": None})
    arm = job.recipe.teacher.model_copy(update={"hf": plain})
    template: str | None = load_tokenizer(arm, job.root, "distill.teacher").chat_template
    return template
