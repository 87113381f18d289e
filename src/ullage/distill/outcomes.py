"""What two vocabularies can both say next: their tokens in groups that mean the same.

A teacher token and a student token that say the same bytes are one outcome. But a token without
such a partner is not outside of the other's vocabulary: where the teacher says ``" there"``, a
student without that word says ``" th"`` first. Leaving its probability out, or comparing it with
that of other partnerless tokens, teaches the student not to say ``" th"`` (the "uncommon-token
failure" that X-Token found in GOLD, arXiv 2605.21699). So each token is tied to the token with
which the *other* side would begin its bytes, and tokens that hang together by such ties are one
outcome: whatever a text says next, if one side takes a token of the group, so does the other.

That holds as far as a tokenizer begins a piece within a text as it begins the piece alone. Where it
does not, the two next tokens of a text belong to two outcomes, which is seen and counted.

Shapes in names: N positions, V rows of a head, G outcomes.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from ullage.distill.token_bytes import TokenBytes

APART = -1
"""In the place of an outcome: the other side has no words for this token."""
PADDING = -2
"""In the place of an outcome: this row of the head stands for no token."""


@dataclass(frozen=True, slots=True)
class Side:
    """The rows of one head, by outcome."""

    outcome_V: torch.Tensor
    """0 … G − 1, `APART` or `PADDING`."""
    single_S: torch.Tensor
    """Rows that are an outcome by themselves."""
    member_M: torch.Tensor
    """Rows of outcomes that have several."""
    member_of_M: torch.Tensor
    """Which of these outcomes, from 0."""
    order_G: torch.Tensor
    """Where each outcome is in the list of single rows, then of outcomes with several."""
    apart_A: torch.Tensor
    """Rows without a counterpart."""

    @classmethod
    def of(
        cls, outcomes_of_rows: npt.NDArray[np.int64], outcomes: int, apart: tuple[int, ...]
    ) -> Side:
        """Sort the rows of a head.

        Args:
            outcomes_of_rows: per row of the head.
            outcomes: G; each has a row at least.
            apart: what marks rows without a counterpart.
        """
        outcome_V = torch.from_numpy(outcomes_of_rows)
        grouped = outcome_V >= 0
        sizes_G = outcome_V[grouped].bincount(minlength=outcomes)
        alone_V = grouped & (sizes_G[outcome_V.clamp_min(0)] == 1)
        single_S, member_M = alone_V.nonzero()[:, 0], (grouped & ~alone_V).nonzero()[:, 0]
        several, member_of = np.unique(outcomes_of_rows[member_M.numpy()], return_inverse=True)
        order_G = torch.cat([outcome_V[single_S], torch.from_numpy(several)]).argsort()
        apart_A = torch.isin(outcome_V, torch.tensor(apart)).nonzero()[:, 0]
        return cls(outcome_V, single_S, member_M, torch.from_numpy(member_of), order_G, apart_A)

    def log_sums(self, logits_NV: torch.Tensor) -> torch.Tensor:
        """For each outcome the logsumexp of its rows, (N, G)."""
        device = logits_NV.device
        single_NS = logits_NV.index_select(1, self.single_S.to(device))
        member_NM = logits_NV.index_select(1, self.member_M.to(device))
        member_of_M = self.member_of_M.to(device)
        shape = (len(logits_NV), len(self.order_G) - len(self.single_S))
        # By each outcome's own highest logit: what is far below another outcome's is not lost.
        top = member_NM.new_full(shape, -torch.inf).scatter_reduce(
            1, member_of_M.expand_as(member_NM), member_NM.detach(), "amax"
        )
        parts_NM = (member_NM - top.index_select(1, member_of_M)).exp()
        sums = top + member_NM.new_zeros(shape).index_add(1, member_of_M, parts_NM).log()
        return torch.cat([single_NS, sums], dim=1).index_select(1, self.order_G.to(device))

    def log_sum_apart(self, logits_NV: torch.Tensor) -> torch.Tensor:
        """Logsumexp of the tokens without a counterpart, (N, 1); −inf where there is none."""
        apart_NA = logits_NV.index_select(1, self.apart_A.to(logits_NV.device))
        if apart_NA.shape[1] == 0:
            return logits_NV.new_full((len(logits_NV), 1), -torch.inf)
        return apart_NA.logsumexp(dim=1, keepdim=True)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Two vocabularies, by outcome."""

    student: Side
    teacher: Side
    same_bytes: int
    """Distinct byte strings that are a token of both."""

    def compared(
        self, student_NV: torch.Tensor, teacher_NV: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of both sides over the outcomes, to be read at a temperature.

        Whatever the student has beyond them (tokens apart, and padding that a softmax gives mass
        all the same) is one outcome more, which should have the mass that the teacher has apart.

        Args:
            student_NV: logits.
            teacher_NV: logits, of the teacher's own vocabulary.
            temperature: of both.

        Returns:
            Student and teacher, (N, G) or (N, G + 1). Their softmax at the temperature is the sum
            of the tokens' softmax, the teacher's without padding.
        """
        student_NV, teacher_NV = student_NV / temperature, teacher_NV / temperature
        ours, theirs = self.student.log_sums(student_NV), self.teacher.log_sums(teacher_NV)
        if len(self.student.apart_A):
            ours = torch.cat([ours, self.student.log_sum_apart(student_NV)], dim=1)
            theirs = torch.cat([theirs, self.teacher.log_sum_apart(teacher_NV)], dim=1)
        return temperature * ours, temperature * theirs

    def spoken(self, teacher_NV: torch.Tensor) -> torch.Tensor:
        """Teacher logits with −inf for padding, which no softmax may give mass."""
        padding_V = (self.teacher.outcome_V == PADDING).to(teacher_NV.device)
        return teacher_NV.masked_fill(padding_V, -torch.inf) if padding_V.any() else teacher_NV

    @property
    def alone(self) -> torch.Tensor:
        """Whether an outcome is one token on either side, (G,)."""
        outcomes = len(self.student.order_G)
        sides = (self.student.outcome_V, self.teacher.outcome_V)
        ours, theirs = (of_V[of_V >= 0].bincount(minlength=outcomes) for of_V in sides)
        return (ours == 1) & (theirs == 1)

    def described(self) -> dict[str, int]:
        """In numbers, for a ledger."""
        return {
            "outcomes": len(self.student.order_G),
            "tokens_with_the_same_bytes": self.same_bytes,
            "student_tokens": int((self.student.outcome_V != PADDING).sum()),
            "student_tokens_apart": int((self.student.outcome_V == APART).sum()),
            "teacher_tokens": int((self.teacher.outcome_V != PADDING).sum()),
            "teacher_tokens_apart": int((self.teacher.outcome_V == APART).sum()),
        }


def match_outcomes(
    student: TokenBytes,
    teacher: TokenBytes,
    rows: tuple[int, int],
    pairs: Sequence[tuple[int, int]] = (),
) -> Outcomes:
    """Put the tokens of two vocabularies into groups that mean the same.

    Args:
        student: its tokens.
        teacher: its tokens.
        rows: of the student's head and of the teacher's.
        pairs: (student id, teacher id) of special tokens that stand for the same, such as the end
            of a turn.
    """
    ties = [*pairs, *_ties(student.of, teacher)]
    ties += [(ours, theirs) for theirs, ours in _ties(teacher.of, student)]
    ours, theirs = np.array(ties, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(ties)), (ours, theirs + rows[0])), shape=(sum(rows), sum(rows)))
    component = connected_components(graph, directed=False)[1]
    both = np.intersect1d(component[: rows[0]], component[rows[0] :])
    outcome = np.full(component.max() + 1, APART)
    outcome[both] = np.arange(len(both))
    student_V, teacher_V = np.split(outcome[component], [rows[0]])
    student_V[[id_ not in student.known for id_ in range(rows[0])]] = PADDING
    teacher_V[[id_ not in teacher.known for id_ in range(rows[1])]] = PADDING
    return Outcomes(
        # A softmax gives mass to the student's padding too, and it should have none.
        Side.of(student_V, len(both), apart=(APART, PADDING)),
        Side.of(teacher_V, len(both), apart=(APART,)),
        len(student.ids.keys() & teacher.ids.keys()),
    )


def _ties(tokens: Sequence[bytes | None], other: TokenBytes) -> list[tuple[int, int]]:
    """Each token with the one that the other side would begin its bytes with."""
    spoken = [(id_, said) for id_, said in enumerate(tokens) if said is not None]
    first = other.first_tokens([said for _, said in spoken])
    return [
        (id_, begun) for (id_, _), begun in zip(spoken, first, strict=True) if begun is not None
    ]
