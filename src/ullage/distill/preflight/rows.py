"""What the corpus becomes in tokens: cut off, unlabelled, never ended; what it must not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ullage.config.models import Rationale
from ullage.distill.corpus import Corpus
from ullage.distill.preflight.findings import Checked, Finding, error, warning
from ullage.distill.preflight.pairs import Pairs, check_common
from ullage.distill.preflight.sides import Side
from ullage.distill.rationales import lessons
from ullage.distill.rendering import Example, render
from ullage.distill.rows import Row

MOST_ROWS = 512
"""Rows rendered: enough to see what happens to one in a hundred, and a second's work."""

_STAND_IN = "Yes."
"""For an answer that the teacher has not given yet."""


def sampled(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many rows, evenly spread over all of them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[index * len(rows) // most] for index in range(most)]


def check_rows(
    student: Side,
    corpus: Corpus,
    max_length: int,
    *,
    answers_come: bool,
    rationale: Rationale | None = None,
    pairs: Pairs | None = None,
) -> Checked:
    """Render a sample of the corpus as it will be learnt.

    Args:
        student: with the template it will have.
        corpus: prepared.
        max_length: tokens of an example.
        answers_come: the references are still to be given by the teacher, and are all that is
            learnt.
        rationale: how the steps to an answer are learnt, if they are.
        pairs: how both sides read a conversation, where each reads its own tokens.
    """
    rows = sampled(corpus.train, MOST_ROWS)
    if answers_come:
        rows = [replace(row, reference=_STAND_IN) for row in rows]
    reads = partial(render, student.tokenizer) if pairs is None else pairs.render
    found = [
        reads(lesson.messages, max_length, final_only=answers_come or lesson.repeated)
        for lesson in lessons(rows, rationale)
    ]
    examples = [example for example in found if example is not None]
    whole = [example for example in examples if not example.truncated and example.supervised]
    facts = {
        "rows_sampled": len(found),
        "rows_truncated": sum(example.truncated for example in examples),
        "tokens_read": sum(len(example.ids) for example in examples),
        "tokens_supervised": sum(example.supervised for example in examples),
        "tokens_supervised_cut": sum(example.cut for example in examples),
        "rows_without_label": sum(example.supervised == 0 for example in examples),
        "rows_template_rewrites": len(found) - len(examples),
        "rows_whole": len(whole),
        "rows_ended": sum(_is_ended(example, student.ends) for example in whole),
    }
    findings = [
        *_rewritten(student, facts),
        *_cut(facts, max_length),
        *_unended(student, facts),
    ]
    if pairs is not None and facts["tokens_supervised"]:
        common = check_common(examples)
        return Checked((*findings, *common.findings), {**facts, **common.facts})
    return Checked(tuple(findings), facts)


def _is_ended(example: Example, ends: frozenset[int]) -> bool:
    """Whether stopping is learnt; a template may write a line break after it."""
    return not ends.isdisjoint(example.labels)


def _rewritten(student: Side, facts: dict[str, int]) -> list[Finding]:
    count, of = facts["rows_template_rewrites"], facts["rows_sampled"]
    if count == 0:
        return []
    make = error if count == of else warning
    return [
        make(
            "template-rewrites",
            f"{student.key}: the template rewrites earlier turns of {count} of {of} rows, which "
            "cannot be learnt",
            "give a template that leaves turns alone (hf.chat_template), or rows of one turn",
        )
    ]


def _cut(facts: dict[str, int], max_length: int) -> list[Finding]:
    of = facts["rows_sampled"]
    if facts["tokens_supervised"] == 0 and facts["rows_template_rewrites"] < of:
        return [
            error(
                "truncation",
                f"distill.corpus: no row has a supervised token within distill.max_length "
                f"{max_length} ({of} looked at)",
                "raise it",
            )
        ]
    if facts["rows_truncated"] == 0:
        return []
    return [
        warning(
            "truncation",
            f"distill.corpus: {facts['rows_truncated']} of {of} rows are longer than "
            f"distill.max_length {max_length}, which cuts off "
            f"{facts['tokens_supervised_cut']:,} tokens to be learnt and leaves "
            f"{facts['rows_without_label']} rows with none",
            "raise it, or shorten the rows",
        )
    ]


def _unended(student: Side, facts: dict[str, int]) -> list[Finding]:
    ended, of = facts["rows_ended"], facts["rows_whole"]
    if ended == of:
        return []
    names = sorted(map(str, student.tokenizer.convert_ids_to_tokens(sorted(student.ends))))
    make = error if ended == 0 else warning
    return [
        make(
            "eos-never-supervised" if ended == 0 else "eos-not-always-supervised",
            f"{student.key}: of {of} answers {ended} end with what stops a reply "
            f"({', '.join(names) or 'no such token is named'}), so the student "
            f"{'never' if ended == 0 else 'seldom'} learns to stop",
            "give a template that ends assistant turns with it, or set eos_token to what it writes",
        )
    ]


def check_contamination(corpus: Corpus) -> list[Finding]:
    """Audit items in the corpus: they are left out, and somebody should know how they got there."""
    count = sum(corpus.dropped.get(reason, 0) for reason in ("audit_item", "near_audit_item"))
    if count == 0:
        return []
    return [
        warning(
            "audit-items",
            f"distill.corpus: {count} of {corpus.rows} rows ask what the audit asks: left out",
            "find out how they got there: what they were made from may hold more, reworded",
        )
    ]
