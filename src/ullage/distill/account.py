"""What of a teacher's signal reaches a student with another tokenizer, and what does not."""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ullage.distill.crossing import BytesTeacher, Crossing
from ullage.distill.module import trunk
from ullage.distill.outcomes import Outcomes
from ullage.distill.pairing import KINDS, NOWHERE, PairedExample, collate_pairs
from ullage.distill.rendering import Example

_CHUNK = 128
"""Positions per application of the teacher's head."""


def account(
    crossing: Crossing, rows: Mapping[str, Sequence[Example]], batch_size: int, most: int
) -> dict[str, Any]:
    """The part of a ledger that is about alignment.

    Args:
        crossing: what rendered the rows.
        rows: by what they are for.
        batch_size: for the teacher, which is asked how much probability is where.
        most: rows it is asked about, of each kind.
    """
    pairs = {
        name: [row for row in part if isinstance(row, PairedExample)] for name, part in rows.items()
    }
    return {
        "vocabularies": crossing.pairing.outcomes.described(),
        "tokens": {name: counted(part) for name, part in pairs.items()},
        "teacher_mass": {
            name: mass(crossing.teacher, part[:most], batch_size)
            for name, part in pairs.items()
            if part
        },
    }


def counted(rows: Sequence[PairedExample]) -> dict[str, int]:
    """The student's supervised tokens by what became of them, and how much of the teacher is used.

    Returns:
        Tokens of each of `KINDS`; spans, and how many of them begin with different outcomes; the
        teacher's tokens for what the assistant says, and at how many its distribution is compared.
    """
    return {
        **{kind: sum(row.kinds[kind] for row in rows) for kind in KINDS},
        "spans": sum(row.spans for row in rows),
        "spans_contradicted": sum(row.contradicted for row in rows),
        "teacher_tokens": sum(row.teacher_supervised for row in rows),
        "teacher_distributions_compared": sum(at != NOWHERE for row in rows for at in row.begins),
    }


@torch.no_grad()
def mass(teacher: BytesTeacher, rows: Sequence[PairedExample], batch_size: int) -> dict[str, float]:
    """Where the teacher's probability is, on average over the positions that are compared.

    Returns:
        Shares of ``one_to_one`` (tokens that are an outcome by themselves on both sides),
        ``merged`` (outcomes of several tokens) and ``ranked`` (no counterpart); the entropy of its
        next token in nats, and what of that the outcomes keep.
    """
    device = teacher.model.device
    sums, positions = torch.zeros(5, dtype=torch.float64), 0
    for start in range(0, len(rows), batch_size):
        batch = collate_pairs(rows[start : start + batch_size])
        hidden_BUH = trunk(teacher.model, batch["teacher_ids"].to(device))
        at_BT = batch["begins"]
        row, _ = (at_BT != NOWHERE).nonzero(as_tuple=True)
        hidden_NH = hidden_BUH[row.to(device), at_BT[at_BT != NOWHERE].to(device)]
        positions += len(hidden_NH)
        for first in range(0, len(hidden_NH), _CHUNK):
            logits_nU = teacher.logits(hidden_NH[first : first + _CHUNK])
            sums += _mass(teacher.outcomes, logits_nU).cpu()
    names = ("one_to_one", "merged", "ranked", "entropy", "entropy_over_outcomes")
    means = (sums / max(positions, 1)).tolist()
    return {"positions": positions, **dict(zip(names, means, strict=True))}


def _mass(outcomes: Outcomes, logits_NU: torch.Tensor) -> torch.Tensor:
    """Sums over positions of what `mass` averages."""
    log_p_NU = logits_NU.double().log_softmax(dim=1)
    log_rest_N1 = outcomes.teacher.log_sum_apart(log_p_NU)
    p_NU, p_NG = log_p_NU.exp(), outcomes.teacher.log_sums(log_p_NU).exp()
    alone_G = outcomes.alone.to(p_NG.device)
    entropies = (
        torch.special.entr(p).sum() for p in (p_NU, torch.cat([p_NG, log_rest_N1.exp()], 1))
    )
    shares = (p_NG[:, alone_G].sum(), p_NG[:, ~alone_G].sum(), log_rest_N1.exp().sum())
    return torch.stack([*shares, *entropies])
