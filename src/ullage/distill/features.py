"""How far the inside of a student is from its teacher's, as plain functions.

Shapes in names: N supervised positions, H width of the student, G of the teacher, A heads, T
positions attended to, R rows (sequences) with an embedding each. Widths of student and teacher may
differ where a function does not say otherwise.
"""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812


def mean_squared(student_NG: torch.Tensor, teacher_NG: torch.Tensor) -> torch.Tensor:
    """Mean over the width of (s − t)² (FitNets, Romero et al. 2015, arXiv 1412.6550, eq. 3), (N,).

    Of states as they are: a few dimensions of large size can outweigh all others.
    """
    return (student_NG - teacher_NG).square().mean(dim=-1)


def cosine(student_NG: torch.Tensor, teacher_NG: torch.Tensor) -> torch.Tensor:
    """1 − cos(s, t) (DistilBERT, Sanh et al. 2019, arXiv 1910.01108, §2), in [0, 2], (N,)."""
    return 1.0 - F.cosine_similarity(student_NG, teacher_NG, dim=-1)


def attention_kl(student_NAT: torch.Tensor, teacher_NAT: torch.Tensor) -> torch.Tensor:
    """KL(teacher ‖ student) of what a position attends to, mean over heads (N,).

    MiniLM, Wang et al. 2020, arXiv 2002.10957, eq. 1. Positions that neither can see have weight 0
    in both, and count 0.

    Args:
        student_NAT: weights that sum to 1 over T.
        teacher_NAT: likewise, as many heads.
    """
    tiny = _tiny(student_NAT)
    ratio_NAT = teacher_NAT.clamp_min(tiny).log() - student_NAT.clamp_min(tiny).log()
    return (teacher_NAT * ratio_NAT).sum(dim=-1).mean(dim=-1)


def attention_cut(student_NAT: torch.Tensor, teacher_NAT: torch.Tensor) -> int:
    """Weights that the student's softmax rounds to nothing, and the teacher's does not.

    Their share of `attention_kl` is infinite, and taken as if they were the least normal number.
    """
    return int(((student_NAT < _tiny(student_NAT)) & (teacher_NAT > 0)).sum())


def distances(student_RH: torch.Tensor, teacher_RG: torch.Tensor) -> torch.Tensor:
    """RKD-D: Huber of ψ_t − ψ_s, ψ a pair's distance over the mean distance (scalar).

    Park et al. 2019, arXiv 1904.05068, eq. 5-7; mean over the pairs of different rows, 0 for fewer
    than two rows.
    """
    if len(student_RH) < 2:
        return student_RH.sum() * 0.0
    return F.smooth_l1_loss(_relative_distances(student_RH), _relative_distances(teacher_RG))


def angles(student_RH: torch.Tensor, teacher_RG: torch.Tensor) -> torch.Tensor:
    """RKD-A: Huber of ψ_t − ψ_s, ψ the cosine of the angle at the middle of three rows (scalar).

    Park et al. 2019, arXiv 1904.05068, eq. 8-10; mean over the triples of different rows, 0 for
    fewer than three rows.
    """
    rows = len(student_RH)
    if rows < 3:
        return student_RH.sum() * 0.0
    same_RR = torch.eye(rows, dtype=torch.bool, device=student_RH.device)
    # Axes: the row in the middle, and the two it is seen from.
    repeats_RRR = same_RR[:, :, None] | same_RR[:, None, :] | same_RR[None]
    ours_RRR, theirs_RRR = _angle_cosines(student_RH), _angle_cosines(teacher_RG)
    return F.smooth_l1_loss(ours_RRR[~repeats_RRR], theirs_RRR[~repeats_RRR])


def similarity(student_RH: torch.Tensor, teacher_RG: torch.Tensor) -> torch.Tensor:
    """‖G_t − G_s‖²_F / R², G the rows' inner products, each line of length 1 (scalar).

    Tung and Mori 2019, arXiv 1907.09682, eq. 1-4; 0 for fewer than two rows.
    """
    return (_similarities(student_RH) - _similarities(teacher_RG)).square().sum() / max(
        len(student_RH) ** 2, 1
    )


def embeddings(hidden_BTH: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
    """Mean state over the supervised positions of each row that has any, (R, H)."""
    counts_B = mask_BT.sum(dim=1)
    # Not a product with the mask: what padding holds may be anything, and nan · 0 is nan.
    sums_BH = hidden_BTH.masked_fill(~mask_BT[..., None], 0.0).sum(dim=1)
    return sums_BH[counts_B > 0] / counts_B[counts_B > 0, None]


def fitted(student_NH: torch.Tensor, teacher_NG: torch.Tensor) -> torch.Tensor:
    """The linear map W, (G, H), with the least Σ ‖W s − t‖², by ridge regression.

    Ridge of a millionth of the states' mean square, so that widths larger than N do no harm.
    """
    s_NH, t_NG = student_NH.double(), teacher_NG.double()
    gram_HH = s_NH.T @ s_NH
    ridge = 1e-6 * gram_HH.diagonal().mean().clamp_min(1e-12)
    gram_HH.diagonal().add_(ridge)
    map_HG: torch.Tensor = torch.linalg.solve(gram_HH, s_NH.T @ t_NG)
    return map_HG.T


def _tiny(like: torch.Tensor) -> float:
    return torch.finfo(like.dtype).tiny


def _relative_distances(rows_RH: torch.Tensor) -> torch.Tensor:
    """Distance of every pair over their mean, (R (R − 1) / 2,)."""
    distances_P = F.pdist(rows_RH)
    return distances_P / distances_P.mean().clamp_min(torch.finfo(distances_P.dtype).eps)


def _angle_cosines(rows_RH: torch.Tensor) -> torch.Tensor:
    """[j, i, k]: cosine of the angle at row j between rows i and k, (R, R, R)."""
    directions_RRH = F.normalize(rows_RH[None] - rows_RH[:, None], dim=-1)
    return directions_RRH @ directions_RRH.mT


def _similarities(rows_RH: torch.Tensor) -> torch.Tensor:
    return F.normalize(rows_RH @ rows_RH.T, dim=-1)
