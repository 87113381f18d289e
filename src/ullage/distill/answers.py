"""Black-box teaching: the teacher answers every prompt; its words become the references."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from ullage.collect.arms import ArmView
from ullage.collect.budget import Spending
from ullage.collect.journal import Journal, Record
from ullage.config.models import Rationale
from ullage.distill.rationales import parted, shown
from ullage.distill.result import Progress, Report
from ullage.distill.rows import Row
from ullage.distill.selection import Selection
from ullage.errors import InfrastructureError
from ullage.models.types import Answer, Ask, Failure, Model, Sample, Subject

_TOGETHER = 256
"""Answers that share one fsync, at most."""
_OFTEN = 0.2
"""Seconds from one fsync to the next, where answers come that fast: what a kill may cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the teacher is asked, and which of its answers is learnt."""

    max_tokens: int
    """Length of an answer."""
    temperature: float
    """0 is greedy."""
    seed: int
    """Of sampling; each sample has its own."""
    selection: Selection
    samples: int = 1
    """Answers to each prompt."""
    rationale: Rationale | None = None
    """How the teacher is asked to show its steps, if it is."""


@dataclass(frozen=True, slots=True)
class Answered:
    """Rows with the teacher's answer as their reference."""

    rows: tuple[Row, ...]
    dropped: dict[str, int]
    """Rows of whose answers none is of use, by what is wrong with the first: ``teacher_failed``,
    ``answer_cut_off`` (learning it would teach to stop in mid-sentence), ``answer_empty``,
    ``answer_unmarked`` where steps were asked for; and ``answers_refused`` by a scorer."""
    samples: dict[str, int]
    """Answers: ``given``, ``learnt``, ``not_chosen``, and those of no use, by reason."""


def teacher_answers(
    model: Model,
    rows: Sequence[Row],
    journal: Path,
    asking: Asking,
    spending: Spending,
    *,
    report: Report | None = None,
) -> Answered:
    """Have the teacher answer every row's prompt, asking only what the journal does not hold.

    Args:
        model: the teacher; opened only if something must be asked.
        rows: prompts; their own references are not shown to anybody but a scorer.
        journal: file of replies, fsynced as they come.
        asking: how.
        spending: the budget, of which what the journal holds is spent already.
        report: called as answers come in.

    Raises:
        InputError: a scorer failed.
        InfrastructureError: the teacher answered nothing at all, or a budget is spent.
    """
    asks = [ask for row in rows for ask in _asks(row, asking)]
    view = ArmView.of("teacher", model)
    keys = [view.key(ask) for ask in asks]
    failures: dict[str, Failure] = {}
    with Journal(journal) as replies:
        missing = {
            key: ask
            for key, ask in zip(keys, asks, strict=True)
            if isinstance(replies.get(key), Failure | None)
        }
        known = (answer for key in keys if (answer := replies.get(key)) is not None)
        spending.add_earlier((model.identity, answer) for answer in known)
        if missing:
            failures = asyncio.run(_ask(model, missing, replies, spending, report))
        answers = [failures.get(key) or replies.get(key) for key in keys]
    return _as_references(rows, answers, asking)


def _asks(row: Row, asking: Asking) -> list[Ask]:
    how = asking.rationale
    return Sample(
        messages=row.prompt if how is None else shown(row.prompt, how),
        n=asking.samples,
        max_tokens=asking.max_tokens,
        temperature=asking.temperature,
        seed=asking.seed,
        subject=Subject(item=f"corpus-{row.line}", probe="corpus", answer=row.reference or ""),
    ).asks()


async def _ask(
    model: Model,
    missing: dict[str, Ask],
    journal: Journal,
    spending: Spending,
    report: Report | None,
) -> dict[str, Failure]:
    """Ask what is missing and journal it; returns the failures."""
    keys = list(missing)[: spending.allowance()]
    failures: dict[str, Failure] = {}
    started = kept = time.monotonic()
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
                        spending.add(model.identity, answer)
                        if len(buffer) >= _TOGETHER or time.monotonic() - kept >= _OFTEN:
                            journal.append(buffer)
                            buffer.clear()
                            kept = time.monotonic()
                        if report is not None:
                            report(_progress(done, len(missing), time.monotonic() - started))
                        if done < len(missing):
                            spending.allowance()
            finally:
                # Also on Ctrl-C: what was answered is kept.
                journal.append(buffer)
    return failures


def _progress(done: int, total: int, seconds: float) -> Progress:
    left = seconds / done * (total - done)
    return Progress(stage="answers", done=done, total=total, seconds_left=left)


def _as_references(
    rows: Sequence[Row], answers: Sequence[Answer | None], asking: Asking
) -> Answered:
    kept: list[Row] = []
    dropped: Counter[str] = Counter()
    samples: Counter[str] = Counter()
    for index, row in enumerate(rows):
        said = answers[index * asking.samples : (index + 1) * asking.samples]
        read = [_read(answer, asking.rationale) for answer in said]
        usable = [one for one in read if isinstance(one, _Usable)]
        faults = [one for one in read if isinstance(one, str)]
        samples.update(faults)
        if not usable:
            dropped[faults[0]] += 1
            continue
        chosen = asking.selection.choose(row, [one.answer for one in usable])
        samples["not_chosen"] += len(usable) - (chosen is not None)
        if chosen is None:
            dropped["answers_refused"] += 1
            continue
        one = usable[chosen]
        kept.append(replace(row, reference=one.answer, rationale=one.rationale))
    if dropped["teacher_failed"] == len(rows):
        reason = next((a.reason for a in answers if isinstance(a, Failure)), "no answer")
        raise InfrastructureError(
            f"distill.teacher: none of {len(rows)} prompts was answered (first reason: {reason}); "
            "check the teacher and run the same command again"
        )
    given = len(answers) - samples["teacher_failed"]
    counts = {"given": given, "learnt": len(kept), **dict(sorted(samples.items()))}
    return Answered(tuple(kept), dict(sorted(dropped.items())), counts)


class _Usable(NamedTuple):
    """An answer that may be learnt."""

    answer: str
    rationale: str | None = None


def _read(answer: Answer | None, rationale: Rationale | None) -> _Usable | str:
    """An answer, or why it is of no use."""
    text = getattr(answer, "text", None)
    if text is None:
        return "teacher_failed"
    if getattr(answer, "finish_reason", "stop") == "length":
        return "answer_cut_off"
    if not text.strip():
        return "answer_empty"
    if rationale is None:
        return _Usable(text)
    parts = parted(text, rationale)
    return "answer_unmarked" if parts is None else _Usable(parts[1], parts[0])
