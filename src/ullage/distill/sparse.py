"""A teacher's distribution in a few numbers per position, as a cache keeps it.

Two kinds, since there are two honest things to do with what is left out. `TopK` lists the likeliest
tokens and says how much is not listed; that rest is one more outcome, or is spread by a model of
it. `Sampled` is a random list whose expectation is the whole distribution. (Dropping the rest and
calling the list a distribution, or summing over the list alone, gives a KL that can be negative and
a student that is too sure of itself: *Sparse Logit Sampling*, Anshumann et al., ACL 2025, arXiv
2503.16870, §3.)

Probabilities are those at one temperature, which the type carries: from the top k of one the top k
of another cannot be had, as the rest would have to be known.

Shapes in names: N positions, V tokens of the student's vocabulary, K entries. Logarithms and
weights are in fp32 or wider; a cache that keeps less widens what it reads.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.distill.divergences import tempered


@dataclass(frozen=True, slots=True)
class Background:
    """What tails are like: for each of G kinds of positions, how they are shared out."""

    weights_GV: torch.Tensor
    """A token's share of a tail is its weight over that of all unlisted ones; 0 where the teacher
    has no such token."""
    totals_G: torch.Tensor
    """Σ b, in fp64: what is left of it outside a list is a difference."""
    moments_G: torch.Tensor
    """Σ b log b, likewise."""

    @classmethod
    def of(cls, weights_GV: torch.Tensor) -> Background:
        """From weights (G, V), or (V,) for one kind of positions."""
        weights_GV = weights_GV.reshape(-1, weights_GV.shape[-1])
        wide_GV = _wide(weights_GV)
        return cls(weights_GV, wide_GV.sum(dim=1), torch.xlogy(wide_GV, wide_GV).sum(dim=1))


@dataclass(frozen=True, slots=True)
class TopK:
    """The likeliest tokens and the mass of the rest."""

    ids_NK: torch.Tensor
    """Token ids of the student's vocabulary, int64, distinct in each row."""
    log_probs_NK: torch.Tensor
    """Their log-probabilities; −inf for a token that the teacher lacks."""
    log_tail_N: torch.Tensor
    """Log of the mass that is not listed; −inf where nothing is left."""
    temperature: float = 1.0
    """Of the teacher's softmax."""
    background: Background | None = None
    """A model of the rest (unigram frequencies, say), by which the tail is shared out. None: the
    rest stays one outcome."""
    group_N: torch.Tensor | None = None
    """Which kind of the background's each position is; None: all are the first."""

    @classmethod
    def of(
        cls,
        teacher_logits_NV: torch.Tensor,
        k: int,
        temperature: float = 1.0,
        background: Background | None = None,
    ) -> TopK:
        """The k likeliest tokens of dense logits, all V of them where k ≥ V."""
        log_p_NV = F.log_softmax(tempered(teacher_logits_NV, temperature), dim=-1)
        log_probs_NK, ids_NK = log_p_NV.topk(min(k, log_p_NV.shape[-1]), dim=-1)
        log_tail_N = _log_mass_outside(log_p_NV, ids_NK)
        return cls(ids_NK, log_probs_NK, log_tail_N, temperature, background)

    @classmethod
    def listed(
        cls,
        ids_NK: torch.Tensor,
        log_probs_NK: torch.Tensor,
        temperature: float = 1.0,
        background: Background | None = None,
    ) -> TopK:
        """A list that does not say what its tail is: the mass it lacks.

        Rounded probabilities may sum to 1 or more. The tail is never less than the precision of
        their sum, as a softmax leaves no token without mass; the excess goes when the outcomes are
        normalised.
        """
        tail_N = 1.0 - log_probs_NK.exp().sum(dim=-1)
        log_tail_N = tail_N.clamp_min(torch.finfo(tail_N.dtype).eps).log()
        return cls(ids_NK, log_probs_NK, log_tail_N, temperature, background)

    def __getitem__(self, rows: slice) -> TopK:
        """Some of the positions."""
        return replace(
            self,
            ids_NK=self.ids_NK[rows],
            log_probs_NK=self.log_probs_NK[rows],
            log_tail_N=self.log_tail_N[rows],
            group_N=None if self.group_N is None else self.group_N[rows],
        )

    def outcomes(self, student_logits_NV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Both distributions over the listed tokens and, as one outcome, the rest.

        Merging outcomes never raises an f-divergence (data processing inequality), so a divergence
        of these is a lower bound of the dense one, and never negative.

        Args:
            student_logits_NV: (N, V).

        Returns:
            Logits of student and teacher, (N, K + 1), to be read at `temperature`.
        """
        listed_NK = student_logits_NV.gather(1, self.ids_NK)
        log_rest_N = _log_mass_outside(tempered(student_logits_NV, self.temperature), self.ids_NK)
        # Where all V tokens are listed there is no rest: the student's gets a logit so low that its
        # probability is 0 and yet finite, and the teacher's, which rounding alone can fill, −inf.
        no_rest_N = log_rest_N.isneginf()
        nowhere_N = listed_NK.detach().amin(dim=1) - 1e3 * self.temperature
        rest_N = torch.where(no_rest_N, nowhere_N, self.temperature * log_rest_N)
        tail_N = self.log_tail_N.masked_fill(no_rest_N, -math.inf)
        teacher_NO = torch.cat([self.log_probs_NK, tail_N[:, None]], dim=1)
        return torch.cat([listed_NK, rest_N[:, None]], dim=1), self.temperature * teacher_NO

    def dense(self) -> torch.Tensor:
        """The distribution rebuilt with the background, as logits (N, V) at `temperature`.

        Each unlisted token has the share of the tail that it has of the background outside the
        list. Where the background has nothing there, the listed tokens share the tail.

        Raises:
            ValueError: there is no background.
        """
        weights_NV, _, _ = self._backgrounds()
        rest_NV = weights_NV.to(self.log_probs_NK.dtype).log()
        log_rest_N = _log_mass_outside(rest_NV, self.ids_NK)
        shift_N = torch.where(log_rest_N.isneginf(), 0.0, self.log_tail_N - log_rest_N)
        log_p_NV = (rest_NV + shift_N[:, None]).scatter_(1, self.ids_NK, self.log_probs_NK)
        return self.temperature * log_p_NV

    def forward_kl(self, student_logits_NV: torch.Tensor) -> torch.Tensor:
        """`divergences.forward_kl` from `dense()`, (N,), without making that.

        Outside the list p is c·b, with b the background and c the same for a whole row. So
        Σ p log q, which is all of the student that forward KL has in it, is a sum over the list and
        one product with b, and Σ p log p needs the list alone.

        Raises:
            ValueError: there is no background.
        """
        weights_NV, total_N, moment_N = self._backgrounds()
        # All of the teacher in fp64: it is a few numbers a row, some of them small differences.
        b_NK = _wide(weights_NV.gather(1, self.ids_NK))
        log_p_NK = _wide(self.log_probs_NK)
        rest_N = total_N - b_NK.sum(dim=1)
        # What rounding leaves of a background that is all listed.
        rest_N = rest_N.masked_fill(rest_N <= 1e-12 * total_N, math.inf)
        c_N = _wide(self.log_tail_N).exp() / rest_N
        tail_N = torch.where(rest_N.isinf(), 0.0, c_N * rest_N)
        # Rounded lists, and tails with nowhere to go: a softmax of `dense` makes them sum to 1.
        sum_N = log_p_NK.exp().sum(dim=1) + tail_N
        p_NK, c_N, tail_N = log_p_NK.exp() / sum_N[:, None], c_N / sum_N, tail_N / sum_N
        moment_N = moment_N - torch.xlogy(b_NK, b_NK).sum(dim=1)
        negentropy_N = (
            torch.xlogy(p_NK, p_NK).sum(dim=1) + torch.xlogy(tail_N, c_N) + c_N * moment_N
        )
        logits_NV = tempered(student_logits_NV, self.temperature)
        dtype = logits_NV.dtype
        more_NK = (p_NK - c_N[:, None] * b_NK).to(dtype)
        mean_N = (more_NK * logits_NV.gather(1, self.ids_NK)).sum(dim=1)
        mean_N = mean_N + c_N.to(dtype) * (weights_NV.to(dtype) * logits_NV).sum(dim=1)
        cross_entropy_N = logits_NV.logsumexp(dim=1) - mean_N
        return self.temperature**2 * (negentropy_N.to(dtype) + cross_entropy_N)

    def _backgrounds(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Weights (N, V), their sums and moments (N,), of each position."""
        if self.background is None:
            raise ValueError("a top k without a background cannot be rebuilt; give one")
        parts = (self.background.weights_GV, self.background.totals_G, self.background.moments_G)
        if self.group_N is None:
            weights_NV, total_N, moment_N = (
                part[:1].expand(len(self.ids_NK), *part.shape[1:]) for part in parts
            )
        else:
            weights_NV, total_N, moment_N = (part[self.group_N] for part in parts)
        return weights_NV, total_N, moment_N


class _Proposal(NamedTuple):
    """From what the ids of a `Sampled` are taken."""

    log_p_NV: torch.Tensor
    """The teacher."""
    log_rest_NV: torch.Tensor
    """The same without the top, unnormalised."""
    log_r_NV: torch.Tensor
    """What samples are drawn from."""
    top_Nk: torch.Tensor
    """Ids that are taken whatever happens."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A random list of tokens whose weights are the teacher's probabilities on average.

    Any function linear in p is estimated without bias: cross-entropy against the teacher, forward
    KL, and their gradients (arXiv 2503.16870, §4). Others are not linear in p, and are not offered.
    """

    ids_NK: torch.Tensor
    """Token ids of the student's vocabulary, int64; one may be listed more than once."""
    weights_NK: torch.Tensor
    """E[sum of a token's weights] is its probability; a row need not sum to 1."""
    log_probs_NK: torch.Tensor
    """The teacher's, finite; or for all of a row their mean Σ p log p, with which the value varies
    less. The gradient does not depend on them."""
    temperature: float = 1.0
    """Of the teacher's softmax."""

    @classmethod
    def draw(
        cls,
        teacher_logits_NV: torch.Tensor,
        samples: int,
        temperature: float = 1.0,
        *,
        top: int = 0,
        power: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Sampled:
        """Draw from dense logits.

        Args:
            teacher_logits_NV: (N, V).
            samples: tokens drawn per position, with replacement.
            temperature: T > 0.
            top: the likeliest tokens that are taken as they are, with their probabilities; only
                the rest is then left to chance.
            power: what is left to chance is drawn in proportion to p^power; 1 gives every sample
                of a position the same weight.
            generator: of the randomness.
        """
        proposal = _propose(teacher_logits_NV, temperature, top, power)
        drawn_NS = proposal.log_r_NV.exp().multinomial(
            samples, replacement=True, generator=generator
        )
        return cls._weighed(proposal, drawn_NS, temperature)

    @classmethod
    def weigh(
        cls,
        teacher_logits_NV: torch.Tensor,
        drawn_NS: torch.Tensor,
        temperature: float = 1.0,
        *,
        top: int = 0,
        power: float = 1.0,
    ) -> Sampled:
        """What `draw` makes of it when chance picks `drawn_NS`."""
        proposal = _propose(teacher_logits_NV, temperature, top, power)
        return cls._weighed(proposal, drawn_NS, temperature)

    @classmethod
    def _weighed(cls, proposal: _Proposal, drawn_NS: torch.Tensor, temperature: float) -> Sampled:
        log_p_NV, log_rest_NV, log_r_NV, top_Nk = proposal
        log_ratio_NS = log_rest_NV.gather(1, drawn_NS) - log_r_NV.gather(1, drawn_NS)
        certain_Nk = log_p_NV.gather(1, top_Nk).exp()
        weights_NK = torch.cat([certain_Nk, log_ratio_NS.exp() / drawn_NS.shape[1]], dim=1)
        ids_NK = torch.cat([top_Nk, drawn_NS], dim=1)
        return cls(ids_NK, weights_NK, log_p_NV.gather(1, ids_NK), temperature)

    def __getitem__(self, rows: slice) -> Sampled:
        """Some of the positions."""
        return replace(
            self,
            ids_NK=self.ids_NK[rows],
            weights_NK=self.weights_NK[rows],
            log_probs_NK=self.log_probs_NK[rows],
        )

    def forward_kl(self, student_logits_NV: torch.Tensor) -> torch.Tensor:
        """T² Σ w (log p − log q), whose expectation is T² KL(p ‖ q), (N,); may be negative."""
        logits_NV = tempered(student_logits_NV, self.temperature)
        log_q_NK = logits_NV.gather(1, self.ids_NK) - logits_NV.logsumexp(dim=1, keepdim=True)
        return self.temperature**2 * (self.weights_NK * (self.log_probs_NK - log_q_NK)).sum(dim=1)


Teacher = torch.Tensor | TopK | Sampled
"""What is known of a teacher at N positions: dense logits (N, V), or a sparse kind."""


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """In fp64, where the device has it."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def _log_mass_outside(logits_NV: torch.Tensor, ids_NK: torch.Tensor) -> torch.Tensor:
    """Logsumexp over the tokens that are not listed; from 1 − Σ nothing would be left of it."""
    return logits_NV.scatter(1, ids_NK, -math.inf).logsumexp(dim=1)


def _propose(
    teacher_logits_NV: torch.Tensor, temperature: float, top: int, power: float
) -> _Proposal:
    log_p_NV = F.log_softmax(tempered(teacher_logits_NV, temperature), dim=-1)
    top_Nk = log_p_NV.topk(min(top, log_p_NV.shape[-1]), dim=-1).indices
    # Finite, so that a row of which nothing is left to chance is drawn evenly, with weights of 0.
    lowest = torch.finfo(log_p_NV.dtype).min
    log_p_NV = log_p_NV.clamp_min(lowest)
    log_rest_NV = log_p_NV.scatter(1, top_Nk, lowest)
    log_r_NV = F.log_softmax((power * log_rest_NV).clamp_min(lowest), dim=-1)
    return _Proposal(log_p_NV, log_rest_NV, log_r_NV, top_Nk)
