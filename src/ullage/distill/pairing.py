"""One conversation as student and teacher read it, each in its own tokens and its own template.

Only what the assistant says is compared: the words of a turn, which both templates pass on, and the
token that ends it. Markers, role names and line breaks around them are each template's own affair,
and so is a BOS that one side has and the other has not: both sides count from the first byte of the
turn's words.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from ullage.distill.objectives import IGNORED
from ullage.distill.outcomes import Outcomes, match_outcomes
from ullage.distill.rendering import Example, as_text, render, truncated
from ullage.distill.spans import Span, common_spans, token_ends
from ullage.distill.token_bytes import TokenBytes
from ullage.distill.vocabulary import require_rows
from ullage.errors import InputError
from ullage.models.types import Message

NOWHERE = -1
"""In the place of a position or a span: there is none."""
KINDS = ("one_to_one", "merged", "unaligned")
"""What can become of a supervised token of the student."""


@dataclass(frozen=True, slots=True)
class PairedExample(Example):
    """One conversation as the student reads it, and as the teacher does."""

    teacher_ids: tuple[int, ...] = ()
    begins: tuple[int, ...] = ()
    """Per position of the student: the position of the teacher that is about to say the same span,
    in the same outcome; else `NOWHERE`."""
    span: tuple[int, ...] = ()
    """Per position of the student: the number of the merged span that its next token is of."""
    teacher_span: tuple[int, ...] = ()
    """The same per position of the teacher."""
    spans: int = 0
    """All spans, merged and one to one."""
    teacher_supervised: int = 0
    """Tokens of the teacher that the assistant says, kept or not."""
    contradicted: int = 0
    """Spans that the two sides begin with tokens of different outcomes: merged, whatever their
    number of tokens, and their next tokens not compared."""

    def blank(self) -> PairedExample:
        """A row of this kind with nothing to learn."""
        nowhere = (NOWHERE,)
        return PairedExample(
            (0,), (IGNORED,), teacher_ids=(0,), begins=nowhere, span=nowhere, teacher_span=nowhere
        )

    @property
    def kinds(self) -> dict[str, int]:
        """How many supervised tokens there are of each of `KINDS`."""
        merged = sum(number != NOWHERE for number in self.span)
        one = sum(
            at != NOWHERE and number == NOWHERE
            for at, number in zip(self.begins, self.span, strict=True)
        )
        return dict(zip(KINDS, (one, merged, self.supervised - one - merged), strict=True))


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the assistant says once, as tokens of one side."""

    words: range
    ends: list[int]
    """Byte of the words at which each of these tokens ends."""
    closing: int | None
    """The special token that ends the turn."""


@dataclass(frozen=True)
class Pairing:
    """Two tokenizers, and what their tokens have in common."""

    student: TokenBytes
    teacher: TokenBytes
    outcomes: Outcomes

    @classmethod
    def of(cls, student: Any, teacher: Any, rows: tuple[int, int]) -> Pairing:
        """Match two tokenizers.

        Args:
            student: fast tokenizer with a chat template.
            teacher: likewise.
            rows: of the student's head and of the teacher's.

        Raises:
            InputError: one of them cannot say where its tokens lie or has more of them than rows,
                or the teacher's has no chat template.
        """
        if teacher.chat_template is None:
            raise InputError(
                "distill.teacher: its tokenizer has no chat template, so it cannot read "
                "conversations in its own tokens; give arms.teacher.hf.chat_template"
            )
        require_rows("student", student.get_vocab(), rows[0])
        require_rows("teacher", teacher.get_vocab(), rows[1])
        ours, theirs = TokenBytes.read(student, "student"), TokenBytes.read(teacher, "teacher")
        ends = (_end_of_turn(student), _end_of_turn(teacher))
        pairs = [] if ends[0] is None or ends[1] is None else [(ends[0], ends[1])]
        return cls(ours, theirs, match_outcomes(ours, theirs, rows, pairs))

    @cached_property
    def _outcome_of(self) -> tuple[list[int], list[int]]:
        return self.outcomes.student.outcome_V.tolist(), self.outcomes.teacher.outcome_V.tolist()

    def render(
        self,
        messages: Sequence[Message],
        max_length: int,
        teacher_length: int,
        *,
        final_only: bool = False,
        rationale: str = "",
    ) -> PairedExample | None:
        """A conversation for both.

        Args:
            messages: the conversation; its assistant turns are what is learnt.
            max_length: tokens of the student that are kept, from the start.
            teacher_length: tokens that the teacher can read.
            final_only: learn the last turn alone.
            rationale: how the last turn begins, as far as it explains the rest.

        Returns:
            The example; None where a template rewrites what was said.
        """
        ours = _read(self.student, messages, final_only, rationale)
        theirs = _read(self.teacher, messages, final_only)
        if ours is None or theirs is None or len(ours[1]) != len(theirs[1]):
            return None
        example = truncated(ours[0], max_length)
        spans = [
            span
            for turns in zip(ours[1], theirs[1], strict=True)
            for span in _spans(*turns)
            if span.student[1] <= max_length and span.teacher[1] <= teacher_length
        ]
        return self._paired(example, theirs[0], spans)

    def _paired(self, example: Example, teacher: Example, spans: list[Span]) -> PairedExample:
        # What the teacher would read after the last span is compared with nothing.
        teacher_ids = teacher.ids[: spans[-1].teacher[1]] if spans else teacher.ids[:1]
        begins, number = [NOWHERE] * len(example.ids), [NOWHERE] * len(example.ids)
        teacher_number = [NOWHERE] * len(teacher_ids)
        merged = contradicted = 0
        our_outcome, their_outcome = self._outcome_of
        for span in spans:
            first, teacher_first = span.student[0], span.teacher[0]
            outcome = our_outcome[example.ids[first]]
            agreed = outcome >= 0 and outcome == their_outcome[teacher_ids[teacher_first]]
            contradicted += not agreed
            if agreed:
                begins[first - 1] = teacher_first - 1
            if agreed and span.one_to_one:
                continue
            for token in range(*span.student):
                number[token - 1] = merged
            for token in range(*span.teacher):
                teacher_number[token - 1] = merged
            merged += 1
        return PairedExample(
            example.ids,
            example.labels,
            example.cut,
            example.truncated,
            example.rationale,
            teacher_ids,
            tuple(begins),
            tuple(number),
            tuple(teacher_number),
            len(spans),
            teacher.supervised,
            contradicted,
        )


def collate_pairs(examples: Sequence[PairedExample]) -> dict[str, torch.Tensor]:
    """What the teacher reads of a batch, right-padded like what the student reads."""

    def padded(rows: list[tuple[int, ...]], filling: int) -> torch.Tensor:
        length = max(map(len, rows))
        return torch.tensor([[*row, *[filling] * (length - len(row))] for row in rows])

    return {
        "teacher_ids": padded([example.teacher_ids for example in examples], 0),
        "begins": padded([example.begins for example in examples], NOWHERE),
        "span": padded([example.span for example in examples], NOWHERE),
        "teacher_span": padded([example.teacher_span for example in examples], NOWHERE),
    }


def _read(
    tokens: TokenBytes, messages: Sequence[Message], final_only: bool, rationale: str = ""
) -> tuple[Example, list[_Turn]] | None:
    """A conversation on one side, and where in it the assistant's words are."""
    example = render(
        tokens.tokenizer, messages, sys.maxsize, final_only=final_only, rationale=rationale
    )
    if example is None:
        return None
    text = as_text(tokens.tokenizer, messages)
    offsets: list[tuple[int, int]] = tokens.tokenizer(
        text, add_special_tokens=False, return_offsets_mapping=True
    )["offset_mapping"]
    said = [message.content.strip() for message in messages if message.role == "assistant"]
    runs = _runs(example)
    if len(runs) != len(said[-1:] if final_only else said):
        return None
    turns = []
    for run, words in zip(runs, said[-1:] if final_only else said, strict=True):
        start = text.find(words, offsets[run.start - 1][1])
        stop = start + len(words)
        if start < 0 or stop > offsets[run.stop - 1][1]:
            return None
        of_words = [at for at in run if offsets[at][0] < stop and offsets[at][1] > start]
        places = range(of_words[0], of_words[-1] + 1) if of_words else range(run.start, run.start)
        ends = token_ends(
            words,
            [(offsets[at][0] - start, offsets[at][1] - start) for at in places],
            [
                None if (said_by := tokens.of[example.ids[at]]) is None else len(said_by)
                for at in places
            ],
        )
        special = example.ids[run.stop - 1] in tokens.tokenizer.all_special_ids
        turns.append(_Turn(places, ends, run.stop - 1 if special else None))
    return example, turns


def _runs(example: Example) -> list[range]:
    """The supervised tokens, a range for each turn."""
    runs: list[range] = []
    for token in (at + 1 for at, label in enumerate(example.labels) if label != IGNORED):
        if runs and runs[-1].stop == token:
            runs[-1] = range(runs[-1].start, token + 1)
        else:
            runs.append(range(token, token + 1))
    return runs


def _spans(ours: _Turn, theirs: _Turn) -> list[Span]:
    """The spans of a turn, in tokens of the whole conversation."""
    spans = [
        Span(
            (ours.words.start + span.student[0], ours.words.start + span.student[1]),
            (theirs.words.start + span.teacher[0], theirs.words.start + span.teacher[1]),
        )
        for span in common_spans(ours.ends, theirs.ends)
    ]
    if ours.closing is not None and theirs.closing is not None:
        spans.append(Span((ours.closing, ours.closing + 1), (theirs.closing, theirs.closing + 1)))
    return spans


def _end_of_turn(tokenizer: Any) -> int | None:
    """The special token with which the template ends what the assistant says."""
    talk = (Message("user", "a"), Message("assistant", "b"))
    example = render(tokenizer, talk, sys.maxsize)
    learnt = [] if example is None else [label for label in example.labels if label != IGNORED]
    return learnt[-1] if learnt and learnt[-1] in tokenizer.all_special_ids else None
