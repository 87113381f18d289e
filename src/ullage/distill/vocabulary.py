"""Teacher tokens in the student's vocabulary, by what the tokens say and never by their count.

Embeddings are padded to convenient sizes (151,936 rows against 152,064 for one and the same
tokenizer), and two vocabularies of equal size need not be equal.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.errors import InputError


@dataclass(frozen=True, slots=True)
class VocabularyMap:
    """How one token set sits in two embeddings."""

    student_rows: int
    teacher_rows: int
    student_ids_K: torch.Tensor
    """Student ids of the K tokens both have, ascending."""
    teacher_ids_K: torch.Tensor
    """Teacher ids of the same tokens."""

    same_ids: bool
    """Whether every token has one id in both."""

    def inputs(self, student_ids_BT: torch.Tensor) -> torch.Tensor:
        """Token ids as the teacher knows them."""
        if self.same_ids:
            return student_ids_BT
        table = torch.zeros(self.student_rows, dtype=torch.long)
        table[self.student_ids_K] = self.teacher_ids_K
        return table.to(student_ids_BT.device)[student_ids_BT]

    def logits(self, teacher_logits_NV: torch.Tensor) -> torch.Tensor:
        """Teacher logits in student rows, shape (N, student_rows).

        Rows that stand for no token get −inf, which is probability 0. (A pad of 0 would be a
        logit like any other, and teach the student padding.)
        """
        tokens = self.student_ids_K.numel()
        if self.same_ids and int(self.student_ids_K[-1]) == tokens - 1:
            if self.teacher_rows == self.student_rows == tokens:
                return teacher_logits_NV
            padding = (0, self.student_rows - tokens)
            return F.pad(teacher_logits_NV[:, :tokens], padding, value=float("-inf"))
        device = teacher_logits_NV.device
        shape = (teacher_logits_NV.shape[0], self.student_rows)
        mapped_NV = teacher_logits_NV.new_full(shape, float("-inf"))
        picked_NK = teacher_logits_NV.index_select(1, self.teacher_ids_K.to(device))
        return mapped_NV.index_copy_(1, self.student_ids_K.to(device), picked_NK)


def align_vocabularies(
    teacher_vocab: Mapping[str, int],
    teacher_rows: int,
    student_vocab: Mapping[str, int],
    student_rows: int,
) -> VocabularyMap:
    """Match two vocabularies token string by token string.

    Args:
        teacher_vocab: token string to id (``tokenizer.get_vocab()``).
        teacher_rows: rows of the teacher's head, padding included.
        student_vocab: likewise.
        student_rows: likewise.

    Raises:
        InputError: they differ beyond padding, or a tokenizer knows ids its model has no row for.
    """
    require_rows("teacher", teacher_vocab, teacher_rows)
    require_rows("student", student_vocab, student_rows)
    if teacher_vocab.keys() != student_vocab.keys():
        only_teacher = sorted(teacher_vocab.keys() - student_vocab.keys())
        only_student = sorted(student_vocab.keys() - teacher_vocab.keys())
        examples = ", ".join(repr(token) for token in (only_teacher + only_student)[:3])
        raise InputError(
            f"distill.student: the vocabularies differ beyond padding ({len(only_teacher)} tokens "
            f"only the teacher has, {len(only_student)} only the student, e.g. {examples}), so "
            "their logits cannot be compared token by token; use method: cross-tokenizer or "
            "black-box, or a student with the teacher's tokenizer"
        )
    pairs = sorted((student_vocab[token], teacher_vocab[token]) for token in student_vocab)
    ids = torch.tensor(pairs, dtype=torch.long)
    student_ids_K, teacher_ids_K = ids.unbind(dim=1)
    same_ids = torch.equal(student_ids_K, teacher_ids_K)
    return VocabularyMap(student_rows, teacher_rows, student_ids_K, teacher_ids_K, same_ids)


def require_rows(role: str, vocab: Mapping[str, int], rows: int) -> None:
    """Refuse a tokenizer with ids that its model has no row for.

    Raises:
        InputError: naming both numbers.
    """
    if max(vocab.values()) >= rows:
        raise InputError(
            f"distill.{role}: its tokenizer has ids up to {max(vocab.values())} but its head "
            f"has {rows} rows; use the tokenizer the model was trained with"
        )
