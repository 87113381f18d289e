"""The steps to an answer as something to learn: distilling step by step (arXiv 2305.02301).

A rationale stands in the corpus beside the reference, or the teacher is asked to show its steps.
The student learns it as a second task, with a prompt of its own, as the paper does, or as the first
words of every answer. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ullage.config.models import Rationale
from ullage.distill.corpus import Corpus
from ullage.distill.rows import Row
from ullage.errors import InputError
from ullage.models.types import Message


@dataclass(frozen=True, slots=True)
class Lesson:
    """A conversation whose last turn is learnt."""

    messages: tuple[Message, ...]
    rationale: str = ""
    """How the last turn begins, as far as it explains."""
    repeated: bool = False
    """Whether another lesson has the same earlier turns, so that they are not learnt twice."""


def lessons(rows: Sequence[Row], how: Rationale | None) -> Iterator[Lesson]:
    """What the student reads of some rows.

    A row without a rationale still teaches its answer.
    """
    for row in rows:
        steps = row.rationale
        if how is None or steps is None or row.reference is None:
            yield Lesson(row.messages)
        elif how.learnt == "prefix":
            opening = steps + how.joint
            yield Lesson((*row.prompt, Message("assistant", opening + row.reference)), opening)
        else:
            yield Lesson(row.messages)
            question = row.prompt[-1]
            asked = replace(question, content=how.prompt + question.content)
            yield Lesson((*row.prompt[:-1], asked, Message("assistant", steps)), steps, True)


def planned(rows: Sequence[Row], how: Rationale | None, *, answers: bool) -> int:
    """How many lessons some rows make; at most, where the teacher is yet to give its steps."""
    if how is not None and how.learnt == "task" and answers:
        return 2 * len(rows)
    return sum(1 for _ in lessons(rows, how))


def used(corpus: Corpus, how: Rationale | None, *, answers: bool) -> Corpus:
    """The corpus with its rationales if they are learnt, and without if they are not.

    Args:
        corpus: as read.
        how: None where no rationale is learnt.
        answers: whether the teacher gives them instead.

    Raises:
        InputError: they are to be learnt, and no row has one.
    """
    if how is None or answers:
        return replace(
            corpus,
            train=tuple(replace(row, rationale=None) for row in corpus.train),
            held_out=tuple(replace(row, rationale=None) for row in corpus.held_out),
        )
    if without(corpus.train) == len(corpus.train):
        raise InputError(
            f'{corpus.path}: no row to learn has a "rationale"; add the steps to its answer to a '
            "row, or have the teacher show its own with distill.text: answers"
        )
    return corpus


def without(rows: Sequence[Row]) -> int:
    """How many rows have no rationale."""
    return sum(row.rationale is None for row in rows)


def shown(prompt: Sequence[Message], how: Rationale) -> tuple[Message, ...]:
    """A prompt that asks the teacher to show its steps."""
    question = prompt[-1]
    return (*prompt[:-1], replace(question, content=question.content + how.ask))


def parted(said: str, how: Rationale) -> tuple[str, str] | None:
    """Rationale and answer of a reply, None where the marker does not part it in two."""
    steps, marker, answer = said.rpartition(how.marker)
    if not marker or not steps.strip() or not answer.strip():
        return None
    return steps.strip(), answer.strip()
