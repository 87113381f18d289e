"""From what a cache keeps back to whole distributions, and how far those are from the teacher's."""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ullage.distill.cache.kept import Distributions
from ullage.distill.cache.manifest import MEASURED
from ullage.distill.cache.model import Model


def rebuild(
    ids_NK: torch.Tensor,
    logprobs_NK: torch.Tensor,
    tail_logmass_N: torch.Tensor,
    background_NV: torch.Tensor,
) -> torch.Tensor:
    """Log-probabilities over the vocabulary, (N, V).

    A token that is not kept gets the share of the tail that it has of the background, the kept
    tokens left out: q_v = tail · b_v / (1 − Σ_kept b).

    Args:
        ids_NK: see `Distributions`.
        logprobs_NK: likewise.
        tail_logmass_N: likewise.
        background_NV: probabilities, (N, V) or (1, V); 0 for tokens the teacher excludes.
    """
    used_NK = ids_NK >= 0
    ids_NK = ids_NK.long()
    wide_NV = background_NV.expand(len(ids_NK), -1)
    inside_NK = wide_NV.gather(1, ids_NK.clamp(min=0)).masked_fill(~used_NK, 0)
    left_N = (1 - inside_NK.sum(dim=1)).clamp(min=1e-12)
    logprobs_NV = background_NV.log() + (tail_logmass_N - left_N.log())[:, None]
    row, place = used_NK.nonzero(as_tuple=True)
    logprobs_NV[row, ids_NK[row, place]] = logprobs_NK[row, place]
    return logprobs_NV


def measure(truth_MV: torch.Tensor, given: Distributions, model: Model) -> NDArray[np.float32]:
    """KL(teacher ‖ rebuilt) in nats at M positions, (M, 4), in the order of `MEASURED`.

    Args:
        truth_MV: the teacher's log-probabilities.
        given: what a student is given at the same positions.
        model: of the cache.
    """
    found = np.zeros((len(given), len(MEASURED)), np.float32)
    for row in range(len(given)):
        here = slice(row, row + 1)
        truth_V = truth_MV[row].double()
        group_V = torch.from_numpy(model.backgrounds_GV[given.group_N[row]])
        unigram_V = torch.from_numpy(model.background_V)
        uniform_V = (unigram_V > 0).float() / (unigram_V > 0).sum().clamp(min=1)
        ids_K = torch.from_numpy(given.ids_NK[here])
        parts = (ids_K, torch.from_numpy(given.logprobs_NK[here]).double())
        tail = torch.from_numpy(given.tail_logmass_N[here]).double()
        for column, background_V in enumerate((uniform_V, unigram_V, group_V), start=1):
            rebuilt_V = rebuild(*parts, tail, background_V.double()[None])[0]
            found[row, column] = _divergence(truth_V, rebuilt_V)
        found[row, 0] = _divergence(*_coarse(truth_V, ids_K[0], parts[1][0], tail[0]))
    return found


def _coarse(
    truth_V: torch.Tensor, ids_K: torch.Tensor, logprobs_K: torch.Tensor, tail: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Both distributions with the tail as one outcome."""
    used_K = ids_K >= 0
    ids = ids_K[used_K].long()
    left_V = truth_V.clone()
    left_V[ids] = -torch.inf
    truth = torch.cat([truth_V[ids], left_V.logsumexp(dim=0)[None]])
    return truth, torch.cat([logprobs_K[used_K], tail[None]])


def _divergence(truth: torch.Tensor, rebuilt: torch.Tensor) -> float:
    """Σ p (log p − log q); what p lacks adds nothing, and what q alone lacks is infinite."""
    some = truth > -torch.inf
    return float((truth[some].exp() * (truth[some] - rebuilt[some])).sum())
