"""All checks of a recipe, cheapest first; nothing is asked of an endpoint, nothing is trained."""

from __future__ import annotations

from typing import Any

from ullage.distill.cached import has_all
from ullage.distill.checkpoint import load_tokenizer
from ullage.distill.job import Job
from ullage.distill.loaded import LoadedTeacher
from ullage.distill.preflight.findings import Checked, Finding, Preflight
from ullage.distill.preflight.pairs import check_pairing
from ullage.distill.preflight.rows import (
    check_contamination,
    check_rows,
    sampled,
)
from ullage.distill.preflight.sides import Reads, Side, open_sides, reads
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
from ullage.distill.result import Progress, Report
from ullage.distill.rows import Row

_MOST_TALKS = 32
"""Conversations that both templates must render alike."""
_REMEMBERED = (
    "likelihood of the references, determinism (a finished cache has all that it would say, so "
    "that its weights are not loaded)"
)
_NO_TEMPLATE = ("missing-template", "error")


def preflight(job: Job, loaded: LoadedTeacher, report: Report | None = None) -> Preflight:
    """Look for what would spoil the student, before a weight is trained.

    Args:
        job: recipe and corpus; its teacher's answers need not be there yet.
        loaded: the teacher, loaded only where the recipe needs its weights and no cache has all
            that it would say.
        report: told how many of the teacher's weighings are done.

    Returns:
        Findings and facts; `Preflight.require` stops where one is an error.

    Raises:
        InputError: a model or tokenizer cannot be loaded.
    """
    recipe, corpus = job.recipe, job.corpus
    terms = check_terms(recipe)
    findings: list[Finding] = [*terms.findings, *check_contamination(corpus)]
    facts: dict[str, Any] = {"terms": terms.facts}
    teacher, student = open_sides(recipe, job.root, loaded)
    learner = student
    if student.template is None and teacher is not None:
        learner = student.with_template(teacher.template)
    tokens = _check_tokens(job, teacher, student)
    findings += tokens.findings
    facts |= tokens.facts
    if _can_write(tokens):
        rows = _check_rows(job, teacher, learner)
        findings += rows.findings
        facts |= rows.facts
    found = Preflight(tuple(findings), facts)
    if teacher is None or not recipe.needs_weights or found.errors:
        # Weights are loaded last, and not for a recipe that stops anyway.
        return found
    if has_all(job, learner.tokenizer):
        return Preflight(found.findings, {**found.facts, "teacher": {"not_asked": _REMEMBERED}})
    weights = _check_teacher(job, loaded, teacher, learner, report)
    return Preflight(
        (*found.findings, *weights.findings), {**found.facts, "teacher": weights.facts}
    )


def _check_tokens(job: Job, teacher: Side | None, student: Side) -> Checked:
    """Everything that tokenizers and templates can say."""
    rows = sampled(job.corpus.train, _MOST_TALKS)
    references = [row.reference for row in rows if row.reference is not None]
    how = reads(job.recipe)
    findings = check_missing_template(teacher, student, how)
    if how is Reads.NOTHING and student.template is not None:
        teacher = None
    if teacher is not None:
        findings += check_template(teacher)
    if teacher is None or job.recipe.start != job.recipe.teacher.model:
        # A student cut out of its teacher has the teacher's template, wrong in the same way.
        findings += check_template(student)
    thinking, thinks = check_thinking(
        teacher, student, [] if job.recipe.asks_answers else references
    )
    findings += thinking
    facts: dict[str, Any] = {"template": thinks}
    if how is not Reads.THE_SAME or teacher is None:
        findings += check_special_tokens(None, student)
        return Checked(tuple(findings), facts)
    vocabulary = check_vocabulary(teacher, student)
    findings += [*check_special_tokens(teacher, student), *vocabulary.findings]
    findings += check_same_reading(teacher, student, [row.messages for row in rows])
    facts["vocabulary"] = vocabulary.facts
    return Checked(tuple(findings), facts)


def _check_rows(job: Job, teacher: Side | None, learner: Side) -> Checked:
    """What the corpus becomes in tokens: the student's, or both sides' where each has its own."""
    recipe, pairs = job.recipe, None
    facts: dict[str, Any] = {}
    if teacher is not None and reads(recipe) is Reads.ITS_OWN:
        pairs, pairing = check_pairing(teacher, learner)
        if pairs is None:
            return pairing
        facts["vocabulary"] = pairing.facts
    length, answers_come = recipe.settings.max_length, recipe.asks_answers
    rows = check_rows(
        learner,
        job.corpus,
        length,
        answers_come=answers_come,
        rationale=recipe.rationale,
        pairs=pairs,
    )
    return Checked(rows.findings, {**facts, "rows": rows.facts})


def _can_write(tokens: Checked) -> bool:
    """Whether every side that reads conversations has a template, and it does not refuse them."""
    return not any(
        finding.check == "template" or (finding.check, finding.level) == _NO_TEMPLATE
        for finding in tokens.findings
    )


def _check_teacher(
    job: Job, loaded: LoadedTeacher, teacher: Side, learner: Side, report: Report | None
) -> Checked:
    """What takes the teacher's weights."""
    recipe, length = job.recipe, job.recipe.settings.max_length
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
    weighed = check_likelihood(loaded.model, readings, rows, length, tell)
    repeated = check_determinism(loaded.model, used, rows, length)
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
