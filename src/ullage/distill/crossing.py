"""A teacher that reads what the student reads in tokens of its own."""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.distill.aligned import Aligned, certain, span_divergence
from ullage.distill.chunked import TeacherAt, head_logits, label_log_probs
from ullage.distill.module import Batch, Reading, trunk
from ullage.distill.outcomes import Outcomes
from ullage.distill.pairing import NOWHERE, PairedExample, Pairing, collate_pairs
from ullage.distill.rendering import Example
from ullage.models.types import Message


@dataclass(frozen=True, slots=True)
class Crossing:
    """A teacher and a student of different tokenizers, ready to read the same conversations."""

    pairing: Pairing
    teacher: BytesTeacher

    @classmethod
    def of(cls, teacher: tuple[Any, Any], student: tuple[Any, Any]) -> Crossing:
        """Bring them together.

        Args:
            teacher: model and tokenizer.
            student: model and tokenizer, with a chat template.

        Raises:
            InputError: see `Pairing.of`.
        """
        ours, theirs = (
            model.get_output_embeddings().weight.shape[0] for model in (student[0], teacher[0])
        )
        pairing = Pairing.of(student[1], teacher[1], (ours, theirs))
        return cls(pairing, BytesTeacher(teacher[0], pairing.outcomes))

    def render(
        self, messages: Sequence[Message], max_length: int, **how: Any
    ) -> PairedExample | None:
        """A conversation for both, see `Pairing.render`."""
        reads = getattr(self.teacher.model.config, "max_position_embeddings", sys.maxsize)
        return self.pairing.render(messages, max_length, reads, **how)


@dataclass(frozen=True, slots=True)
class BytesTeacher:
    """A causal language model with a vocabulary of its own."""

    model: Any
    """Of transformers, in eval mode."""
    outcomes: Outcomes
    chunk: int | None = None
    """Positions per application of a head; left out, what suits the device."""

    def expect(self, examples: Sequence[Example]) -> None:
        """It takes them as they come."""

    def beside(self, examples: Sequence[Example]) -> Batch:
        """The same conversations in its own tokens, and where the two meet."""
        return {**collate_pairs([row for row in examples if isinstance(row, PairedExample)])}

    @torch.no_grad()
    def says(self, reading: Reading) -> TeacherAt:
        """The teacher's logits where both begin a span, and merged spans valued."""
        batch, mask_BT = reading.batch, reading.mask_BT
        hidden_BUH = trunk(self.model, batch["teacher_ids"])
        row_BT = torch.arange(len(mask_BT), device=mask_BT.device)[:, None].expand_as(mask_BT)
        at_N = batch["begins"][mask_BT]
        begins_N = at_N != NOWHERE
        hidden_NH = hidden_BUH[row_BT[mask_BT], at_N.clamp_min(0)]
        value_N, slope_N = self._merged(reading, hidden_BUH)
        rows = self.model.get_output_embeddings().weight.shape[0]

        def at(here: slice) -> Aligned:
            begins_n = begins_N[here]
            logits_nU = hidden_NH.new_zeros((len(begins_n), rows))
            logits_nU[begins_n] = self.logits(hidden_NH[here][begins_n]).to(logits_nU.dtype)
            return Aligned(self.outcomes, logits_nU, begins_n, value_N[here], slope_N[here])

        return at

    def logits(self, hidden_NH: torch.Tensor) -> torch.Tensor:
        """Logits in the teacher's vocabulary, −inf for padding."""
        head = self.model.get_output_embeddings()
        return self.outcomes.spoken(head(hidden_NH.to(head.weight.dtype)))

    def _merged(
        self, reading: Reading, hidden_BUH: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Value and slope of merged spans, per supervised position of the student."""
        batch, mask_BT = reading.batch, reading.mask_BT
        ours_BT, theirs_BU = batch["span"] != NOWHERE, batch["teacher_span"] != NOWHERE
        # Rows number their spans from 0; here all of a batch are told apart.
        most = int(batch["span"].max()) + 1
        row_B1 = torch.arange(len(mask_BT), device=mask_BT.device)[:, None]
        span_BT = torch.where(ours_BT, batch["span"] + most * row_B1, NOWHERE)
        span_BU = torch.where(theirs_BU, batch["teacher_span"] + most * row_B1, NOWHERE)
        spans = max(most, 1) * len(mask_BT)
        log_q_N = label_log_probs(
            head_logits(
                reading.student.get_output_embeddings(), reading.hidden_NH[ours_BT[mask_BT]]
            ),
            batch["labels"][ours_BT],
            chunk=self.chunk,
        )
        next_BU = batch["teacher_ids"].roll(-1, dims=1)
        theirs_NH = hidden_BUH[theirs_BU]
        log_p_N = label_log_probs(
            lambda here: self.logits(theirs_NH[here]),
            next_BU[theirs_BU],
            chunk=self.chunk,
        )
        log_p_C = log_p_N.new_zeros(spans).index_add(0, span_BU[theirs_BU], log_p_N)
        log_q_C = log_q_N.new_zeros(spans).index_add(0, span_BT[ours_BT], log_q_N)
        value_C, slope_C = _valued(log_p_C, log_q_C)
        first_BT = ours_BT & (span_BT != F.pad(span_BT, (1, 0), value=NOWHERE)[:, :-1])
        reading.clamped["spans"] += int(certain(log_p_C, log_q_C)[span_BT[first_BT]].sum())
        value_BT, slope_BT = (
            torch.where(where, per_span[span_BT.clamp_min(0)], 0.0)
            for where, per_span in ((first_BT, value_C), (ours_BT, slope_C))
        )
        return value_BT[mask_BT], slope_BT[mask_BT]


def _valued(log_p_C: torch.Tensor, log_q_C: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The divergence of each span, and its derivative by the student's log-probability."""
    with torch.enable_grad():
        log_q_C = log_q_C.detach().requires_grad_()
        value_C = span_divergence(log_p_C, log_q_C)
        slope_C = torch.autograd.grad(value_C.sum(), log_q_C)[0]
    return value_C.detach(), slope_C
