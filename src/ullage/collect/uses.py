"""Which replies a scoring used: what they cost per arm, and one digest of them all.

A reply is used by many items and probes but was paid for once, so uses are told apart by key at
the end; until then they are rows of a compact buffer.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

import numpy as np

from ullage.collect.journal import usage_of
from ullage.models.types import Answer, Failure, answer_to_json

_ROW = np.dtype(
    [("key", "S32"), ("digest", "S16"), ("prompt", "<u8"), ("completion", "<u8"), ("good", "?")]
)


class ArmUse(NamedTuple):
    """What one arm's replies cost."""

    replies: int
    prompt_tokens: int
    completion_tokens: int


def _digest(answer: Answer) -> bytes:
    data = {"failure": answer.reason} if isinstance(answer, Failure) else answer_to_json(answer)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    # Hex of 8 bytes: numpy's byte strings drop trailing zero bytes, hex digits have none.
    return hashlib.sha256(text.encode()).hexdigest()[:16].encode()


class Uses:
    """Collects uses of answers by arm."""

    def __init__(self) -> None:
        self._rows: dict[str, bytearray] = {}

    def add(self, role: str, key: str, answer: Answer) -> None:
        """Count that `role` answered `key` with `answer`."""
        prompt, completion = usage_of(answer)
        row = np.array(
            (key.encode(), _digest(answer), prompt, completion, not isinstance(answer, Failure)),
            dtype=_ROW,
        )
        self._rows.setdefault(role, bytearray()).extend(row.tobytes())

    def _unique(self, role: str) -> np.ndarray[tuple[int], np.dtype[np.void]]:
        rows = np.frombuffer(self._rows.get(role, b""), dtype=_ROW)
        return rows[np.unique(rows["key"], return_index=True)[1]]

    def of(self, role: str) -> ArmUse:
        """Replies and tokens of one arm, each reply once, failures not at all.

        A teacher that repeats itself answers `teacher_again` for nothing.
        """
        rows = self._unique(role)
        rows = rows[rows["good"]]
        if role == "teacher_again":
            rows = rows[~np.isin(rows["key"], self._unique("teacher")["key"])]
        return ArmUse(len(rows), int(rows["prompt"].sum()), int(rows["completion"].sum()))

    def digest(self) -> str:
        """SHA-256 over every used key and answer, in key order: the same however they came."""
        total = hashlib.sha256()
        for role in sorted(self._rows):
            rows = self._unique(role)
            total.update(role.encode() + b"\0")
            total.update(rows["key"].tobytes() + rows["digest"].tobytes())
        return total.hexdigest()
