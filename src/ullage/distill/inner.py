"""Terms on what goes on inside: which layers they compare, and what they learn on the side.

A learnt projection lets a narrow student stand beside a wide teacher. It is trained with the
student, and is no part of it: it is left behind when the student is saved.
"""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from ullage.config.objective import Attention, Hidden, InnerSettings, LayerMap, Relation
from ullage.distill import features
from ullage.distill.inside import Inside, Wanted, attention_heads
from ullage.errors import InputError

Pairs = tuple[tuple[int, int], ...]
"""(student layer, teacher layer), counted from 0."""

_HIDDEN = {"mse": features.mean_squared, "cosine": features.cosine}
_RELATIONS = {
    "distances": features.distances,
    "angles": features.angles,
    "similarity": features.similarity,
}
_Function = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Inner(nn.Module, ABC):
    """The arithmetic of one term; `forward` gives its sum over supervised positions."""

    def __init__(self, pairs: Pairs, *, attention: bool = False) -> None:
        super().__init__()
        self.pairs = pairs
        self._attention = attention
        self.clamped: Counter[str] = Counter()
        """See `DistillationModule.clamped`."""

    def wanted(self, of: int) -> Wanted:
        """Layers to listen to in the student (`of` 0) or the teacher (1)."""
        layers = frozenset(pair[of] for pair in self.pairs)
        return Wanted(attention=layers) if self._attention else Wanted(hidden=layers)

    def forward(self, student: Inside, teacher: Inside, mask_BT: torch.Tensor) -> torch.Tensor:
        """The mean over layer pairs, summed over the positions of `mask_BT` (scalar, fp32)."""
        values = [
            self.compare(student, teacher, mask_BT, index) for index in range(len(self.pairs))
        ]
        return torch.stack(values).mean()

    @abstractmethod
    def compare(
        self, student: Inside, teacher: Inside, mask_BT: torch.Tensor, index: int
    ) -> torch.Tensor:
        """The value of one pair of layers."""


class HiddenStates(Inner):
    """States position by position, the student's through a learnt map where one is asked for."""

    def __init__(self, pairs: Pairs, distance: _Function, widths: tuple[int, int] | None) -> None:
        super().__init__(pairs)
        self._distance = distance
        self.projections = nn.ModuleList(
            [] if widths is None else [nn.Linear(*widths, bias=False) for _ in pairs]
        )

    def compare(
        self, student: Inside, teacher: Inside, mask_BT: torch.Tensor, index: int
    ) -> torch.Tensor:
        """Its distances, summed."""
        ours_NH, theirs_NG = self.states(student, teacher, mask_BT, index)
        if self.projections:
            with torch.autocast(ours_NH.device.type, enabled=False):
                ours_NH = self.projections[index](ours_NH)
        return self._distance(ours_NH, theirs_NG).sum()

    def states(
        self, student: Inside, teacher: Inside, mask_BT: torch.Tensor, index: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States of one pair at the supervised positions, (N, H) and (N, G)."""
        ours, theirs = self.pairs[index]
        return (
            _wide(student.hidden_BTH[ours][mask_BT]),
            _wide(teacher.hidden_BTH[theirs][mask_BT]),
        )


class AttentionMaps(Inner):
    """What each supervised position attends to."""

    def __init__(self, pairs: Pairs, *, mean_of_heads: bool) -> None:
        super().__init__(pairs, attention=True)
        self._mean_of_heads = mean_of_heads

    def compare(
        self, student: Inside, teacher: Inside, mask_BT: torch.Tensor, index: int
    ) -> torch.Tensor:
        """Its divergences, summed."""
        ours, theirs = self.pairs[index]
        maps_NAT = [
            _wide(maps_BATT.transpose(1, 2)[mask_BT])
            for maps_BATT in (student.attention_BATT[ours], teacher.attention_BATT[theirs])
        ]
        if self._mean_of_heads:
            maps_NAT = [one.mean(dim=1, keepdim=True) for one in maps_NAT]
        if self.training:
            self.clamped["attention_weights"] += features.attention_cut(*maps_NAT)
        return features.attention_kl(*maps_NAT).sum()


class Relations(Inner):
    """How the sequences of a batch lie to each other.

    The batch is all there is to relate. Its value counts once for every supervised position, so
    that batches weigh as they do in the other terms.
    """

    def __init__(self, pairs: Pairs, relation: _Function) -> None:
        super().__init__(pairs)
        self._relation = relation

    def compare(
        self, student: Inside, teacher: Inside, mask_BT: torch.Tensor, index: int
    ) -> torch.Tensor:
        """The relation, once for every position."""
        ours, theirs = self.pairs[index]
        rows = (
            features.embeddings(_wide(student.hidden_BTH[ours]), mask_BT),
            features.embeddings(_wide(teacher.hidden_BTH[theirs]), mask_BT),
        )
        with torch.autocast(mask_BT.device.type, enabled=False):
            return self._relation(*rows) * mask_BT.sum()


def build_inner(term: InnerSettings, student: Any, teacher: Any) -> Inner:
    """The arithmetic of a term between two models.

    Raises:
        InputError: their architectures do not allow it; says why.
    """
    depths = student.config.num_hidden_layers, teacher.config.num_hidden_layers
    pairs = layer_pairs(term.layers, *depths, term=term.term)
    if isinstance(term, Relation):
        return Relations(pairs, _RELATIONS[term.term])
    if isinstance(term, Attention):
        return _attention(term, pairs, student, teacher)
    return _hidden(term, pairs, student, teacher)


def layer_pairs(choice: LayerMap, student: int, teacher: int, *, term: str) -> Pairs:
    """Which layer of the student is compared with which of the teacher.

    Args:
        choice: pairs; `last`; or `uniform`, which gives the end of a share of the student's depth
            the end of the same share of the teacher's (TinyBERT, arXiv 1909.10351, §3.1).
        student: layers it has.
        teacher: layers it has.
        term: for the error.

    Raises:
        InputError: a layer that is not there.
    """
    if choice == "last":
        return ((student - 1, teacher - 1),)
    if choice == "uniform":
        return tuple(
            (layer, max(round((layer + 1) * teacher / student) - 1, 0)) for layer in range(student)
        )
    for ours, theirs in choice:
        if ours >= student or theirs >= teacher:
            raise InputError(
                f"distill.objective: '{term}' maps layer {ours} to {theirs}; the student's layers "
                f"are 0 to {student - 1}, the teacher's 0 to {teacher - 1}"
            )
    return tuple(choice)


@torch.no_grad()
def fit_projections(inners: Sequence[Inner], heard: Iterator[tuple[Inside, Inside, Any]]) -> None:
    """Start each projection at the best linear map from the student's states to the teacher's.

    A map drawn at random would make the first steps learn the map, and the loss before
    distillation a figure of chance.

    Args:
        inners: those that project are fitted.
        heard: (student, teacher, mask) of some batches.
    """
    projecting = [one for one in inners if isinstance(one, HiddenStates) and one.projections]
    states: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = {}
    for student, teacher, mask_BT in heard:
        for which, inner in enumerate(projecting):
            for index in range(len(inner.pairs)):
                pair = inner.states(student, teacher, mask_BT, index)
                states.setdefault((which, index), []).append(pair)
    for (which, index), parts in states.items():
        ours_NH, theirs_NG = (torch.cat(side) for side in zip(*parts, strict=True))
        linear: Any = projecting[which].projections[index]
        linear.weight.copy_(features.fitted(ours_NH, theirs_NG))


def _hidden(term: Hidden, pairs: Pairs, student: Any, teacher: Any) -> HiddenStates:
    widths = student.config.hidden_size, teacher.config.hidden_size
    if term.projection == "none" and widths[0] != widths[1]:
        raise InputError(
            f"distill.objective: '{term.term}' without a projection compares states of one width; "
            f"the student's are {widths[0]} wide, the teacher's {widths[1]}: leave projection out"
        )
    learnt = term.projection == "learnt" or (term.projection is None and widths[0] != widths[1])
    return HiddenStates(pairs, _HIDDEN[term.distance], widths if learnt else None)


def _attention(term: Attention, pairs: Pairs, student: Any, teacher: Any) -> AttentionMaps:
    ours, theirs = attention_heads(student, "student"), attention_heads(teacher, "teacher")
    if term.heads == "each" and ours != theirs:
        raise InputError(
            f"distill.objective: '{term.term}' compares head with head; the student has {ours} "
            f"heads, the teacher {theirs}: say heads: mean, or leave the term out"
        )
    return AttentionMaps(pairs, mean_of_heads=term.heads == "mean")


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    """At least in fp32."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
