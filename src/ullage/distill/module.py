"""The student and its objective as one module whose forward is the loss."""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, Protocol

import torch
from torch import nn

from ullage.distill.chunked import TeacherAt, chunked_loss
from ullage.distill.inner import fit_projections
from ullage.distill.inside import Inside, Wanted, listening
from ullage.distill.objectives import IGNORED, OWN, Objective, label_counts
from ullage.distill.packing import packed_trunk
from ullage.distill.rendering import Example
from ullage.distill.signals import IN_WORDS, Signal
from ullage.distill.vocabulary import VocabularyMap
from ullage.errors import InputError

Batch = dict[str, Any]
"""Tensors, and what a teacher has put beside them."""

_MOST_SCORES = 2**27
"""Attention scores that a step may keep for its backward pass."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A batch half done: the student has read it, its head has not been applied."""

    batch: Batch
    """As collated, without the number of items."""
    mask_BT: torch.Tensor
    """Where something is supervised: N positions."""
    hidden_NH: torch.Tensor
    """The student's, at these."""
    student: Any
    clamped: Counter[str]
    """See `DistillationModule.clamped`: whoever cuts counts."""
    lengths_B: Sequence[int] | None = None
    """Tokens of each row, where rows are packed."""


class Teacher(Protocol):
    """Whoever says something at supervised positions."""

    @property
    def model(self) -> Any:
        """What is asked; None where nothing is."""

    def expect(self, examples: Sequence[Example]) -> None:
        """Hear which rows come, in which order."""

    def beside(self, examples: Sequence[Example]) -> Batch:
        """What it wants to find in a batch of these, besides their tokens; begun when collated."""

    def says(self, reading: Reading) -> TeacherAt:
        """What it says, a chunk at a time."""


@dataclass(frozen=True, slots=True)
class LogitsTeacher:
    """Gives dense logits on demand: the trunk once a batch, the head a chunk at a time."""

    model: Any
    """A causal language model of transformers, in eval mode."""
    vocabulary: VocabularyMap

    def expect(self, examples: Sequence[Example]) -> None:
        """It takes them as they come."""

    def beside(self, examples: Sequence[Example]) -> Batch:
        """Nothing: it reads what the student reads."""
        return {}

    def says(self, reading: Reading) -> TeacherAt:
        """Its logits in the student's vocabulary."""
        hidden_NH = self.hidden(reading.batch["input_ids"], reading.mask_BT, reading.lengths_B)
        return lambda here: self.logits(hidden_NH[here])

    @torch.no_grad()
    def hidden(
        self,
        student_ids_BT: torch.Tensor,
        mask_BT: torch.Tensor,
        lengths_B: Sequence[int] | None = None,
    ) -> torch.Tensor:
        """Last hidden states at the masked positions, (N, H); of packed rows with their lengths."""
        return trunk(self.model, self.vocabulary.inputs(student_ids_BT), lengths_B)[mask_BT]

    @torch.no_grad()
    def logits(self, hidden_NH: torch.Tensor) -> torch.Tensor:
        """Logits in the student's vocabulary, (N, V), in the head's dtype: widen for a softmax."""
        head = self.model.get_output_embeddings()
        return self.vocabulary.logits(head(hidden_NH.to(head.weight.dtype)))


class DistillationModule(nn.Module):
    """One loss path: teacher signal, objective, student.

    The teacher is no submodule: it is neither trained, nor saved, nor wrapped.
    """

    accepts_loss_kwargs = True
    """Tells the Trainer that `forward` divides by the labels of the whole accumulated batch."""
    _keys_to_ignore_on_save = None

    def __init__(
        self,
        student: Any,
        objective: Objective,
        teacher: Teacher | None = None,
        *,
        chunk: int | None = None,
        packing: bool = False,
    ) -> None:
        """Join a student and what it is to minimise.

        Args:
            student: a causal language model of transformers.
            objective: the terms.
            teacher: for objectives that eat logits.
            chunk: positions per head application; left out, what suits the device.
            packing: read several short rows as one, each blind to the others.
        """
        super().__init__()
        if objective.eats - IN_WORDS and teacher is None:
            eats = ", ".join(sorted(objective.eats))
            raise ValueError(f"the objective eats {eats}, and no teacher gives them")
        self.student = student
        self._no_split_modules = getattr(student, "_no_split_modules", None)
        """What FSDP wraps one by one where its configuration names nothing."""
        self.objective = objective
        self.inner = nn.ModuleList(term.value for term in objective.inner)
        """Here for its projections: trained with the student, saved beside it, then left behind."""
        self.chunk = chunk
        self.packing = packing
        self._teacher = (teacher,)
        self.clamped: Counter[str] = Counter()
        """How often, in training, a number was cut to the last one that fp32 can tell from where
        its logarithm has no end: by what it is the number of."""
        for term in objective.inner:
            term.value.clamped = self.clamped

    def at(self, progress: float) -> None:
        """Weigh the terms as they are after a share of all steps."""
        self.objective = self.objective.at(progress)

    def suit_attention(self, rows: int, length: int) -> None:
        """On a CPU, attend by plain products where a batch's scores fit into memory.

        The fused kernel keeps no scores and works them out again on the way back, which costs time.

        Args:
            rows: of a batch.
            length: tokens of its longest row.
        """
        config = self.student.config
        scores = rows * length**2 * config.num_hidden_layers * config.num_attention_heads
        if Signal.ATTENTION in self.objective.eats:
            # Plain already, or there would be no maps.
            return
        if self.student.device.type == "cpu" and scores <= _MOST_SCORES:
            self.student.set_attn_implementation("eager")
            (teacher,) = self._teacher
            if teacher is not None and teacher.model is not None:
                teacher.model.set_attn_implementation("eager")

    def expect(self, examples: Sequence[Example]) -> None:
        """Tell the teacher which rows come, in which order; it may prepare."""
        (teacher,) = self._teacher
        if teacher is not None:
            teacher.expect(examples)

    def collate(self, examples: Sequence[Example]) -> Batch:
        """A right-padded batch, as `forward` takes it."""
        (teacher,) = self._teacher
        return collate(examples) | ({} if teacher is None else teacher.beside(examples))

    def forward(
        self,
        input_ids: torch.Tensor,
        labels: torch.Tensor,
        rationale: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        lengths: torch.Tensor | None = None,
        **beside: Any,
    ) -> dict[str, torch.Tensor]:
        """The loss of a right-padded batch.

        Args:
            input_ids: (B, T).
            labels: (B, T), already shifted; `IGNORED` where nothing is supervised, `OWN` where
                no token is right and a divergence counts all the same.
            rationale: (B, T), where the label belongs to a rationale; left out, nowhere.
            num_items_in_batch: `label_counts` of all micro-batches of the step, or one number where
                no term is on a part of the tokens; left out: of this one.
            lengths: (B,) tokens of each row, needed for packing.
            beside: what the teacher has put there (`collate`).

        Returns:
            ``loss``, a scalar; and per term its sum over labels, detached.
        """
        mask_BT = labels != IGNORED
        if num_items_in_batch is None:
            num_items_in_batch = label_counts(labels, rationale)
        objective = self.objective.over(torch.as_tensor(num_items_in_batch).expand(3))
        # A batch without a label has loss 0, not 0/0.
        scale = 1.0 / max(objective.labels[0], 1)
        batch = {"input_ids": input_ids, "labels": labels, **beside}
        with listening(self.student, self._wanted(0)) as inside:
            lengths_B = lengths.tolist() if self.packing and lengths is not None else None
            hidden_NH = trunk(self.student, input_ids, lengths_B)[mask_BT]
        teacher_at, teacher_inside = self._taught(batch, mask_BT, hidden_NH, lengths_B)
        terms: dict[str, torch.Tensor] = {}
        losses: list[torch.Tensor] = []
        if self.objective.terms:
            head = self.student.get_output_embeddings()
            labels_N = labels[mask_BT]
            sums = chunked_loss(
                hidden_NH,
                head.weight,
                getattr(head, "bias", None),
                labels_N.masked_fill(labels_N == OWN, IGNORED),
                objective,
                teacher_at,
                rationale_N=None if rationale is None else rationale[mask_BT],
                scale=scale,
                chunk=self.chunk,
            )
            terms |= sums.terms
            losses.append(sums.total)
        if self.objective.inner:
            values = {
                term.name: term.value(inside, teacher_inside, mask_BT)
                for term in self.objective.inner
            }
            terms |= {name: value.detach() for name, value in values.items()}
            losses.append(scale * objective.total(values))
        return {"loss": torch.stack(losses).sum(), **terms}

    def _taught(
        self,
        batch: Batch,
        mask_BT: torch.Tensor,
        hidden_NH: torch.Tensor,
        lengths_B: Sequence[int] | None = None,
    ) -> tuple[TeacherAt | None, Inside]:
        """What the teacher says at supervised positions, on demand, and what went on inside it."""
        (teacher,) = self._teacher
        if teacher is None:
            return None, Inside()
        with listening(teacher.model, self._wanted(1)) as inside:
            clamped = self.clamped if self.training else Counter[str]()
            reading = Reading(batch, mask_BT, hidden_NH.detach(), self.student, clamped, lengths_B)
            teacher_at = teacher.says(reading)
        # A head applied for a term that does not look is work for nothing.
        return teacher_at if Signal.LOGITS in self.objective.eats else None, inside

    def _wanted(self, of: int) -> Wanted:
        """Layers some term looks at, in the student (`of` 0) or the teacher (1)."""
        return reduce(or_, (term.value.wanted(of) for term in self.objective.inner), Wanted())

    @torch.no_grad()
    def fit_projections(self, batches: Iterable[Batch]) -> None:
        """Start learnt projections where they fit the student as it is."""

        def heard() -> Iterator[tuple[Inside, Inside, torch.Tensor]]:
            for batch in batches:
                mask_BT = batch["labels"] != IGNORED
                with listening(self.student, self._wanted(0)) as inside:
                    hidden_NH = trunk(self.student, batch["input_ids"])[mask_BT]
                yield inside, self._taught(batch, mask_BT, hidden_NH)[1], mask_BT

        if any(True for _ in self.inner.parameters()):
            fit_projections([term.value for term in self.objective.inner], heard())


def trunk(model: Any, ids_BT: torch.Tensor, lengths_B: Sequence[int] | None = None) -> torch.Tensor:
    """Last hidden states of a right-padded batch, (B, T, H); in packs where lengths are given.

    No padding mask: attention is causal, padding comes last and carries no label, so no position
    that counts can see it, and the unmasked kernels are the fast ones.
    """
    if lengths_B is not None:
        return packed_trunk(model, ids_BT, lengths_B)
    hidden: torch.Tensor = model.base_model(input_ids=ids_BT, use_cache=False).last_hidden_state
    return hidden


@torch.no_grad()
def require_plain_head(model: Any, role: str) -> None:
    """Refuse a model whose logits are not simply its head applied to its last hidden states.

    Some architectures cap or scale logits afterwards (Gemma 2, Cohere, Granite); a loss computed
    without that would be wrong in silence.

    Raises:
        InputError: naming the architecture; or there are no logits to compare.
    """
    head = model.get_output_embeddings()
    ids = torch.arange(min(4, model.config.vocab_size), device=head.weight.device)[None]
    whole = model(input_ids=ids, use_cache=False).logits.float()
    split = head(trunk(model, ids)).float()
    if not whole.isfinite().all():
        raise InputError(
            f"distill.{role}: the logits of its first tokens are not finite; use weights that do "
            "not overflow"
        )
    if not torch.allclose(whole, split, rtol=1e-4, atol=1e-5 * float(whole.abs().max())):
        raise InputError(
            f"distill.{role}: {type(model).__name__} changes its logits after the head, which the "
            "chunked loss does not know; use another architecture"
        )


def collate(examples: Sequence[Example]) -> Batch:
    """A right-padded batch; padding is id 0 and carries no label."""
    lengths_B = [len(example.ids) for example in examples]
    length = max(lengths_B)
    ids_BT = torch.zeros((len(examples), length), dtype=torch.long)
    labels_BT = torch.full((len(examples), length), IGNORED)
    rationale_BT = torch.zeros((len(examples), length), dtype=torch.bool)
    for row, example in enumerate(examples):
        ids_BT[row, : len(example.ids)] = torch.tensor(example.ids)
        labels_BT[row, : len(example.labels)] = torch.tensor(example.labels)
        rationale_BT[row, example.rationale.start : example.rationale.stop] = True
    return {
        "input_ids": ids_BT,
        "labels": labels_BT,
        "rationale": rationale_BT,
        "lengths": torch.tensor(lengths_B),
    }
