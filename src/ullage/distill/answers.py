"""Black-box teaching: the teacher answers every prompt once; its words become the references."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from ullage.collect.arms import ArmView
from ullage.collect.journal import Journal, Record
from ullage.config.models import Rationale
from ullage.distill.corpus import Row
from ullage.distill.rationales import parted, shown
from ullage.distill.result import Progress, Report
from ullage.errors import InfrastructureError
from ullage.models.types import Answer, Ask, Failure, Model, Subject

_TOGETHER = 256
"""Answers that share one fsync, at most."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows with the teacher's answer as their reference."""

    rows: tuple[Row, ...]
    dropped: dict[str, int]
    """Rows left out: ``teacher_failed``, ``answer_cut_off`` (learning it would teach to stop in
    mid-sentence), ``answer_empty`` and, where steps were asked for, ``answer_unmarked``."""


def teacher_answers(
    model: Model,
    rows: Sequence[Row],
    journal: Path,
    *,
    max_tokens: int,
    temperature: float,
    seed: int,
    rationale: Rationale | None = None,
    report: Report | None = None,
) -> Answered:
    """Have the teacher answer every row's prompt, asking only what the journal does not hold.

    Args:
        model: the teacher; opened only if something must be asked.
        rows: prompts; their own references are not shown to anybody.
        journal: file of replies, fsynced as they come.
        max_tokens: length of an answer.
        temperature: 0 is greedy.
        seed: of sampling.
        rationale: how the teacher is asked to show its steps, if it is.
        report: called as answers come in.

    Raises:
        InfrastructureError: the teacher answered nothing at all.
    """
    asks = [
        Ask(
            messages=row.prompt if rationale is None else shown(row.prompt, rationale),
            max_tokens=max_tokens,
            temperature=temperature,
            seed=seed,
            subject=Subject(item=f"corpus-{row.line}", probe="corpus", answer=row.reference or ""),
        )
        for row in rows
    ]
    view = ArmView.of("teacher", model)
    keys = [view.key(ask) for ask in asks]
    failures: dict[str, Failure] = {}
    with Journal(journal) as replies:
        missing = {
            key: ask
            for key, ask in zip(keys, asks, strict=True)
            if isinstance(replies.get(key), Failure | None)
        }
        if missing:
            failures = asyncio.run(_ask(model, missing, replies, report))
        answers = [failures.get(key) or replies.get(key) for key in keys]
    return _as_references(rows, answers, rationale)


async def _ask(
    model: Model, missing: dict[str, Ask], journal: Journal, report: Report | None
) -> dict[str, Failure]:
    """Ask what is missing and journal it; returns the failures."""
    keys = list(missing)
    failures: dict[str, Failure] = {}
    started = time.monotonic()
    done = 0
    async with model:
        for start in range(0, len(keys), max(model.window, 1)):
            window = keys[start : start + max(model.window, 1)]
            buffer: list[Record] = []
            try:
                async with aclosing(model.answer([missing[key] for key in window])) as stream:  # type: ignore[type-var]
                    async for index, answer in stream:
                        key = window[index]
                        buffer.append(Record(key, model.identity, missing[key], answer))
                        if isinstance(answer, Failure):
                            failures[key] = answer
                        done += 1
                        if len(buffer) >= _TOGETHER:
                            journal.append(buffer)
                            buffer.clear()
                        if report is not None:
                            report(_progress(done, len(keys), time.monotonic() - started))
            finally:
                # Also on Ctrl-C: what was answered is kept.
                journal.append(buffer)
    return failures


def _progress(done: int, total: int, seconds: float) -> Progress:
    left = seconds / done * (total - done)
    return Progress(stage="answers", done=done, total=total, seconds_left=left)


def _as_references(
    rows: Sequence[Row], answers: Sequence[Answer | None], rationale: Rationale | None
) -> Answered:
    kept = []
    dropped: Counter[str] = Counter()
    for row, answer in zip(rows, answers, strict=True):
        text = getattr(answer, "text", None)
        if text is None:
            dropped["teacher_failed"] += 1
        elif getattr(answer, "finish_reason", "stop") == "length":
            dropped["answer_cut_off"] += 1
        elif not text.strip():
            dropped["answer_empty"] += 1
        elif rationale is None:
            kept.append(replace(row, reference=text))
        elif (parts := parted(text, rationale)) is None:
            dropped["answer_unmarked"] += 1
        else:
            kept.append(replace(row, rationale=parts[0], reference=parts[1]))
    if dropped["teacher_failed"] == len(rows):
        reason = next((a.reason for a in answers if isinstance(a, Failure)), "no answer")
        raise InfrastructureError(
            f"distill.teacher: none of {len(rows)} prompts was answered (first reason: {reason}); "
            "check the teacher and run the same command again"
        )
    return Answered(tuple(kept), dict(sorted(dropped.items())))
