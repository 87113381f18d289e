"""The corpus as tokens: what of it is learnt, and what is lost on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ullage.distill.job import Job
from ullage.distill.rationales import lessons
from ullage.distill.rendering import Example
from ullage.distill.rows import Row

Reads = Callable[..., Example | None]
"""As `ullage.distill.rendering.render`, tokenizers given."""


class RenderedRows(NamedTuple):
    """Rows as tokens, and what became of the others."""

    examples: list[Example]
    counts: dict[str, int]


def rendered(job: Job, reads: Reads) -> dict[str, RenderedRows]:
    """Both sides of the split, ``train`` and ``held_out``.

    Args:
        job: its corpus has every reference that is to be learnt.
        reads: how a conversation is read.
    """
    return {
        "train": _rendered(job, reads, job.corpus.train),
        "held_out": _rendered(job, reads, job.corpus.held_out),
    }


def _rendered(job: Job, reads: Reads, rows: Sequence[Row]) -> RenderedRows:
    settings = job.recipe.settings
    counts = dict.fromkeys(
        (
            "rows",
            "read",
            "supervised",
            "rationale",
            "masked",
            "rows_truncated",
            "supervised_cut",
            "rows_without_label",
            "rows_template_rewrites",
        ),
        0,
    )
    examples = []
    for lesson in lessons(rows, job.recipe.rationale):
        example = reads(
            lesson.messages,
            settings.max_length,
            # Earlier assistant turns of a prompt are the corpus's words, not the teacher's.
            final_only=job.recipe.asks_answers or lesson.repeated,
            rationale=lesson.rationale,
        )
        if example is None:
            counts["rows_template_rewrites"] += 1
            continue
        counts["rows_truncated"] += example.truncated
        counts["supervised_cut"] += example.cut
        if example.supervised == 0:
            counts["rows_without_label"] += 1
            continue
        examples.append(example)
        counts["rows"] += 1
        counts["read"] += len(example.ids)
        counts["supervised"] += example.supervised
        counts["rationale"] += len(example.rationale)
    counts["masked"] = counts["read"] - counts["supervised"]
    return RenderedRows(examples, counts)
