"""The corpus as rows: read, freed of what the audit will ask, and split by what is asked.

Nothing here knows tokens or models. What is left out is counted by reason, because a student is
also what it never saw.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ullage.distill.near import NearTexts
from ullage.distill.rows import Row, read_rows
from ullage.errors import InputError
from ullage.models.types import Message

NEAR_AUDIT_ITEM = 0.9
"""How alike a row and an audit item are that is left out, where near-duplicates may stay."""

_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus ready to be learnt: what is used, what is held out, what was left out and why."""

    path: Path
    sha256: str
    rows: int
    """Conversations in the file."""
    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    dropped: dict[str, int] = field(default_factory=dict)
    """Rows left out, by reason: ``audit_item``, ``near_audit_item``, ``no_reference``,
    ``duplicate``, ``near_duplicate``."""

    @property
    def digest(self) -> str:
        """Hash of exactly what is learnt and what is held out, in order."""
        hasher = hashlib.sha256()
        for part in (self.train, self.held_out):
            for row in part:
                turns = [[message.role, message.content] for message in row.messages]
                if row.rationale is not None:
                    turns.append(["rationale", row.rationale])
                hasher.update(json.dumps(turns, sort_keys=True).encode() + b"\n")
            hasher.update(b"--\n")
        return hasher.hexdigest()


def normalised(text: str) -> str:
    """Text as it is compared: case, punctuation and spacing carry no difference."""
    return _NOT_WORD.sub(" ", text.casefold()).strip()


def asked_texts(messages: Sequence[Message]) -> set[str]:
    """What a conversation asks: each user turn and all of them together, normalised."""
    turns = [normalised(message.content) for message in messages if message.role == "user"]
    return {text for text in (*turns, " ".join(turns)) if text}


def prepare(
    path: Path,
    *,
    held_out: float,
    audit_items: Iterable[Sequence[Message]],
    needs_reference: bool,
    near_duplicates: float | None = None,
) -> Corpus:
    """Read a corpus, leave out what must not be learnt, and hold a share of it out.

    Args:
        path: as `read_rows` takes it.
        held_out: share of the prompts kept for measuring, by hash: a prompt stays on its side
            when rows are added, moved or removed.
        audit_items: the messages of every item the audit may ask.
        needs_reference: whether rows without a reference are of no use.
        near_duplicates: how alike two rows are that are learnt once; None learns both. What is
            nearly an audit item is left out either way.

    Raises:
        InputError: a malformed line, or nothing left to learn or to hold out.
    """
    rows, sha256 = read_rows(path)
    sieve = _Sieve(audit_items, needs_reference, near_duplicates)
    dropped: Counter[str] = Counter()
    kept: list[Row] = []
    for row in rows:
        reason = sieve.refuses(row)
        if reason is None:
            kept.append(row)
        else:
            dropped[reason] += 1
    train = tuple(row for row in kept if not is_held_out(row.prompt, held_out))
    measured = tuple(row for row in kept if is_held_out(row.prompt, held_out))
    reasons = dict(sorted(dropped.items()))
    if not train:
        raise InputError(
            f"{path}: of {len(rows)} rows none is left to learn (left out: {reasons or 'none'}; "
            f"held out: {len(measured)}); add rows with references that no audit item asks"
        )
    if held_out > 0 and not measured:
        raise InputError(
            f"{path}: {len(kept)} usable rows leave none held out at distill.held_out "
            f"{held_out:g}; raise it or add rows"
        )
    return Corpus(path, sha256, len(rows), train, measured, reasons)


class _Sieve:
    """Says of each row, in order, why it is not learnt."""

    def __init__(
        self,
        audit_items: Iterable[Sequence[Message]],
        needs_reference: bool,
        near_duplicates: float | None,
    ) -> None:
        self._needs_reference = needs_reference
        self._asked: set[str] = set()
        self._nearly_asked = NearTexts(near_duplicates or NEAR_AUDIT_ITEM)
        for messages in audit_items:
            for text in asked_texts(messages) - self._asked:
                self._asked.add(text)
                self._nearly_asked.admit(text)
        self._seen: set[tuple[Message, ...]] = set()
        self._nearly_seen = None if near_duplicates is None else NearTexts(near_duplicates)

    def refuses(self, row: Row) -> str | None:
        """The reason, or None; a row that is kept is remembered."""
        texts = asked_texts(row.prompt)
        if not self._asked.isdisjoint(texts):
            return "audit_item"
        if any(self._nearly_asked.holds(text) for text in texts):
            return "near_audit_item"
        if self._needs_reference and row.reference is None:
            return "no_reference"
        identity = row.messages if self._needs_reference else row.prompt
        if identity in self._seen:
            return "duplicate"
        self._seen.add(identity)
        if self._nearly_seen is not None:
            # A small change of the question that changes the answer is worth learning.
            kind = normalised(row.reference or "") if self._needs_reference else ""
            text = "\n".join(message.content for message in row.prompt)
            if not self._nearly_seen.admit(text, kind):
                return "near_duplicate"
        return None


def is_held_out(prompt: Sequence[Message], share: float) -> bool:
    """Whether a prompt belongs to the held-out share: a pure function of its words."""
    text = "\x1e".join(f"{message.role}\x1f{normalised(message.content)}" for message in prompt)
    point = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    return point < share
