"""Which replies a scoring used: what they cost per arm, and one digest of them all.

A reply is used by many items and probes but was paid for once, so uses are told apart by key at
the end; until then they are rows of a compact buffer.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ullage.collect.journal import usage_of
from ullage.models.types import Answer, Failure

_PACK = Struct("<QQQQQ?")
_ROW = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("digest", "<u8"),
        ("prompt", "<u8"),
        ("completion", "<u8"),
        ("good", "?"),
    ]
)


class ArmUse(NamedTuple):
    """What one arm's replies cost."""

    replies: int
    prompt_tokens: int
    completion_tokens: int


class Uses:
    """Collects uses of answers by arm."""

    def __init__(self) -> None:
        self._rows: dict[str, bytearray] = {}

    def add(self, role: str, key: str, answer: Answer, digest: bytes) -> None:
        """Count that `role` answered `key` with `answer`, of which `digest` is 8 bytes."""
        prompt, completion = usage_of(answer)
        self._rows.setdefault(role, bytearray()).extend(
            _PACK.pack(
                int(key[:16], 16),
                int(key[16:], 16),
                int.from_bytes(digest),
                prompt,
                completion,
                not isinstance(answer, Failure),
            )
        )

    def _unique(self, role: str) -> npt.NDArray[np.void]:
        rows = np.frombuffer(self._rows.get(role, b""), dtype=_ROW)
        rows = rows[np.lexsort((rows["low"], rows["high"]))]
        is_first = np.ones(len(rows), dtype=bool)
        is_first[1:] = (rows["high"][1:] != rows["high"][:-1]) | (
            rows["low"][1:] != rows["low"][:-1]
        )
        return rows[is_first]

    def of(self, role: str) -> ArmUse:
        """Replies and tokens of one arm, each reply once, failures not at all.

        A teacher that repeats itself answers `teacher_again` for nothing.
        """
        rows = self._unique(role)
        rows = rows[rows["good"]]
        if role == "teacher_again":
            paid = self._unique("teacher")
            rows = rows[~np.isin(rows[["high", "low"]], paid[["high", "low"]])]
        return ArmUse(len(rows), int(rows["prompt"].sum()), int(rows["completion"].sum()))

    def digest(self) -> str:
        """SHA-256 over every used key and answer, in key order: the same however they came."""
        total = hashlib.sha256()
        for role in sorted(self._rows):
            rows = self._unique(role)
            total.update(role.encode() + b"\0")
            total.update(rows[["high", "low", "digest"]].tobytes())
        return total.hexdigest()
