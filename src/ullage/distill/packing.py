"""Several short rows read as one long one, each blind to the others.

Padding is work for nothing. Rows put end to end leave little of it, but a row must not attend to
its neighbours: positions start again at 0 with every row, from which transformers (and the kernels
for sequences of unequal length) build an attention mask of one block a row.
"""

# ruff: noqa: N803, N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ullage.errors import InputError


@dataclass(frozen=True, slots=True)
class Packing:
    """Where each row of a batch lies in its pack."""

    packs: int
    """Rows of the packed batch."""
    place_B: tuple[tuple[int, int], ...]
    """Pack and first column of each row."""


def pack(lengths_B: Sequence[int], capacity: int) -> Packing:
    """Rows into as few packs of `capacity` tokens as first-fit decreasing finds.

    That is at most 11/9 of the fewest possible, and 4 more (Johnson 1973).

    Raises:
        ValueError: a row is longer than a pack.
    """
    if max(lengths_B) > capacity:
        raise ValueError(f"a row of {max(lengths_B)} tokens into packs of {capacity}")
    used: list[int] = []
    place_B = [(0, 0)] * len(lengths_B)
    for row in sorted(range(len(lengths_B)), key=lambda row: -lengths_B[row]):
        length = lengths_B[row]
        found = next((one for one, full in enumerate(used) if full + length <= capacity), len(used))
        if found == len(used):
            used.append(0)
        place_B[row] = (found, used[found])
        used[found] += length
    return Packing(len(used), tuple(place_B))


def packed_trunk(model: Any, ids_BT: torch.Tensor, lengths_B: Sequence[int]) -> torch.Tensor:
    """Last hidden states of right-padded rows, (B, T, H), read in packs of T tokens; 0 at padding.

    Args:
        model: a causal language model of transformers.
        ids_BT: token ids.
        lengths_B: tokens of each row that are not padding.
    """
    rows, length = ids_BT.shape
    packing = pack(lengths_B, length)
    columns_T = torch.arange(length, device=ids_BT.device)
    start_B = torch.tensor(
        [where * length + first for where, first in packing.place_B], device=ids_BT.device
    )
    mask_BT = columns_T < torch.tensor(lengths_B, device=ids_BT.device)[:, None]
    at_N = (start_B[:, None] + columns_T)[mask_BT]
    # Padding keeps position 0: to the mask each of it is a row of its own.
    ids_PT = ids_BT.new_zeros(packing.packs * length)
    ids_PT[at_N] = ids_BT[mask_BT]
    positions_PT = torch.zeros_like(ids_PT)
    positions_PT[at_N] = columns_T.expand(rows, length)[mask_BT]
    hidden_PTH = model.base_model(
        input_ids=ids_PT.view(packing.packs, length),
        position_ids=positions_PT.view(packing.packs, length),
        use_cache=False,
    ).last_hidden_state
    hidden_BTH: torch.Tensor = hidden_PTH.new_zeros(rows, length, hidden_PTH.shape[-1])
    hidden_BTH[mask_BT] = hidden_PTH.flatten(0, 1)[at_N]
    return hidden_BTH


@torch.no_grad()
def require_blind_rows(model: Any, role: str) -> None:
    """Refuse a model whose rows see each other when packed.

    State-space and convolutional layers carry what they read from one row into the next whatever
    the positions say. So it is tried rather than looked up.

    Raises:
        InputError: naming the architecture.
    """
    ids = torch.arange(12, device=model.device).view(2, 6) % model.config.vocab_size
    ids[1] = ids[1].flip(0)
    lengths = (4, 2)
    packed = packed_trunk(model, ids, lengths)
    for row, length in enumerate(lengths):
        alone = model.base_model(input_ids=ids[row : row + 1, :length], use_cache=False)
        wanted = alone.last_hidden_state[0].float()
        if not torch.allclose(
            packed[row, :length].float(), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max())
        ):
            raise InputError(
                f"distill.packing: rows of {type(model).__name__} (the {role}) see each other when "
                "packed; leave distill.packing out"
            )
