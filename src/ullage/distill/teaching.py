"""Who says something at supervised positions: nobody, the teacher, or what it said before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ullage.distill.cached import CachedTeacher, about, fill, is_filled
from ullage.distill.crossing import Crossing
from ullage.distill.job import Job
from ullage.distill.loaded import LoadedTeacher
from ullage.distill.module import LogitsTeacher, Teacher
from ullage.distill.rendering import Example
from ullage.distill.result import Report
from ullage.distill.stopping import Stop
from ullage.distill.students import aligned
from ullage.models.hf.load import pick_device


def crossing_of(job: Job, loaded: LoadedTeacher, student: tuple[Any, Any]) -> Crossing | None:
    """Teacher and student side by side, where each reads its own tokens.

    Args:
        job: whose alignment decides.
        loaded: the teacher.
        student: model and tokenizer.

    Raises:
        InputError: see `Crossing.of`.
    """
    return Crossing.of(loaded.pair, student) if job.recipe.alignment == "bytes" else None


def teacher_of(
    job: Job,
    loaded: LoadedTeacher,
    student: tuple[Any, Any],
    crossing: Crossing | None,
    asked: Sequence[Example],
    *,
    stop: Stop,
    report: Report | None = None,
) -> Teacher | None:
    """The teacher of a recipe, None where the text is enough.

    Args:
        job: its recipe decides.
        loaded: the teacher, loaded only if somebody has to ask it; let go of where a cache has
            everything.
        student: model and tokenizer.
        crossing: where each side reads its own tokens.
        asked: all rows that are learnt or measured.
        stop: looked at while a cache is filled.
        report: told of it.

    Raises:
        Stopped: asked to, while a cache was filled.
        InputError: the two do not read the same, or the cache is damaged.
    """
    recipe = job.recipe
    if not recipe.needs_weights:
        return None
    if crossing is not None:
        return crossing.teacher
    if recipe.paths.caches is None:
        return _reading_the_same(job, loaded, student)
    model, tokenizer = student
    what = about(job, tokenizer, asked)
    folder = what.folder(recipe.paths.caches)

    def ask() -> None:
        if not is_filled(folder):
            teacher = _reading_the_same(job, loaded, student)
            fill(folder, what, teacher, asked, recipe.settings.batch_size, stop=stop, report=report)

    job.processes.first(ask)
    loaded.release()
    rows = model.get_output_embeddings().weight.shape[0]
    return CachedTeacher(folder, what, rows, pick_device("auto"))


def _reading_the_same(job: Job, loaded: LoadedTeacher, student: tuple[Any, Any]) -> LogitsTeacher:
    talks = [row.messages for row in job.corpus.train[:32]]
    vocabulary = aligned(loaded.pair, student, talks, job.recipe.settings.max_length)
    return LogitsTeacher(loaded.model, vocabulary)
