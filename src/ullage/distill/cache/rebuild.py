"""From what a cache keeps back to what objectives eat, and how far that is from the teacher."""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ullage.distill.cache.about import About
from ullage.distill.cache.describe import MEASURED
from ullage.distill.cache.given import Distributions
from ullage.distill.sparse import Background, Sampled, TopK


def as_signal(
    given: Distributions, about: About, background: Background, device: torch.device | None = None
) -> TopK | Sampled:
    """What an objective eats.

    Args:
        given: N positions.
        about: of their cache.
        background: of the cache's groups, on `device`.
        device: where the objective is.
    """
    ids_NK = torch.from_numpy(given.ids_NK).long()
    logs_NK = torch.from_numpy(given.logprobs_NK)
    rest_N = torch.from_numpy(given.rest_N).to(device)
    if about.compressor.signal == "sampled":
        ids_NK = ids_NK.clamp(min=0).to(device)
        log_p_NK = rest_N[:, None].expand(ids_NK.shape)
        return Sampled(ids_NK, logs_NK.exp().to(device), log_p_NK, about.temperature)
    ids_NK, logs_NK = _filled(ids_NK[:, : about.vocabulary]), logs_NK[:, : about.vocabulary]
    group_N = torch.from_numpy(given.group_N).long().to(device)
    return TopK(
        ids_NK.to(device), logs_NK.to(device), rest_N, about.temperature, background, group_N
    )


def _filled(ids_NK: torch.Tensor) -> torch.Tensor:
    """Fewer than K tokens are kept only where all others have no probability: any of them do."""
    for row in (ids_NK < 0).any(dim=1).nonzero()[:, 0].tolist():
        known_K = ids_NK[row][ids_NK[row] >= 0]
        others = np.setdiff1d(np.arange(ids_NK.shape[1]), known_K)
        ids_NK[row, len(known_K) :] = torch.from_numpy(others[: ids_NK.shape[1] - len(known_K)])
    return ids_NK


def measure(truth_MV: torch.Tensor, given: TopK) -> NDArray[np.float32]:
    """How much is lost at M positions, (M, 3), in the order of `MEASURED`.

    Args:
        truth_MV: the teacher's log-probabilities.
        given: what a student is given at the same positions.
    """
    found = np.zeros((len(truth_MV), len(MEASURED)), np.float32)
    for row in range(len(truth_MV)):
        here = slice(row, row + 1)
        truth_V, ids_K = truth_MV[row].double(), given.ids_NK[row]
        rest_V = truth_V.scatter(0, ids_K, -torch.inf)
        merged_O = torch.cat([truth_V[ids_K], rest_V.logsumexp(dim=0, keepdim=True)])
        kept_O = torch.cat([given.log_probs_NK[row], given.log_tail_N[here]])
        rebuilt_V = (given[here].dense()[0] / given.temperature).double()
        found[row] = (
            float(merged_O[-1].exp()),
            _divergence(merged_O, kept_O.double()),
            _divergence(truth_V, rebuilt_V),
        )
    return found


def _divergence(log_p: torch.Tensor, log_q: torch.Tensor) -> float:
    """Σ p (log p − log q), infinite where q lacks what p has: a loss keeps that finite."""
    some = log_p > -torch.inf
    return float((log_p[some].exp() * (log_p[some] - log_q[some])).sum())
