"""In which order rows are learnt from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch.utils.data import Sampler

BLANK = -1
"""A row with nothing to learn. The last of a dataset's rows, by its index as by its name."""

_POOL = 32
"""Batches whose rows are sorted by length together."""


class RowOrder(Sampler[int]):
    """Rows in random order, similar lengths together: a pure function of seed and epoch.

    Trainer's own grouping draws from the global generator, which a resumed epoch cannot replay.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        announce: Callable[[list[int]], None] | None = None,
        *,
        grouped: bool = True,
        multiple: int = 1,
    ) -> None:
        """Order rows.

        Args:
            lengths: of the rows, in tokens.
            batch_size: rows of a step.
            seed: of the order.
            announce: told the rows of an epoch as it begins.
            grouped: whether rows of similar length share a batch.
            multiple: the number of rows is filled up to one of it with `BLANK`, so that each of
                several processes has as many batches.
        """
        self._pool = batch_size * (_POOL if grouped else 1)
        self._announce = announce
        self._lengths = lengths
        self._batch_size = batch_size
        self._seed = seed
        self._blanks = -len(lengths) % multiple
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose which epoch's order comes next."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._lengths) + self._blanks

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed((self._seed << 20) + self._epoch)
        order = torch.randperm(len(self._lengths), generator=generator).tolist()
        batches = []
        for start in range(0, len(order), self._pool):
            rows = sorted(order[start : start + self._pool], key=lambda row: -self._lengths[row])
            batches += [
                rows[first : first + self._batch_size]
                for first in range(0, len(rows), self._batch_size)
            ]
        # A short batch anywhere but last would shift every batch after it.
        whole = [batch for batch in batches if len(batch) == self._batch_size]
        short = [batch for batch in batches if len(batch) < self._batch_size]
        shuffled = torch.randperm(len(whole), generator=generator).tolist()
        rows = [row for batch in [*(whole[index] for index in shuffled), *short] for row in batch]
        rows += [BLANK] * self._blanks
        if self._announce is not None:
            self._announce(rows)
        yield from rows
