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
from typing import Any

from ullage.errors import InputError
from ullage.models.types import Message

_ROLES = ("system", "user", "assistant")
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation to learn from."""

    line: int
    """Where it stands in the file, from 1."""
    prompt: tuple[Message, ...]
    """Everything before the final answer; the last turn is the user's."""
    reference: str | None
    """The final answer the corpus gives, where it gives one."""
    rationale: str | None = None
    """How that answer is come by, where somebody says so."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation, with its reference where there is one."""
        if self.reference is None:
            return self.prompt
        return (*self.prompt, Message("assistant", self.reference))


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
    """Rows left out, by reason: ``audit_item``, ``duplicate``, ``no_reference``."""

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


def read_rows(path: Path) -> tuple[list[Row], str]:
    """The rows of a JSONL corpus and the sha256 of its bytes.

    A line is ``{"messages": [{"role", "content"}, ...]}``; the final answer is the last message if
    that is the assistant's, or ``"reference"``, and ``"rationale"`` may say how it is come by.
    Other keys are kept by their owner and ignored.

    Raises:
        InputError: naming file, line, what was found and what would do.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); distill.corpus wants a JSONL file"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 at byte {error.start}; save the corpus as UTF-8"
        ) from None
    rows = [
        _row(f"{path}, line {number}", number, line)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    if not rows:
        raise InputError(
            f'{path}: holds no conversation; write one {{"messages": [...]}} object a line'
        )
    return rows, hashlib.sha256(raw).hexdigest()


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
) -> Corpus:
    """Read a corpus, leave out what must not be learnt, and hold a share of it out.

    Args:
        path: the JSONL file.
        held_out: share of the prompts kept for measuring, by hash: a prompt stays on its side
            when rows are added, moved or removed.
        audit_items: the messages of every item the audit may ask.
        needs_reference: whether rows without a reference are of no use.

    Raises:
        InputError: a malformed line, or nothing left to learn or to hold out.
    """
    rows, sha256 = read_rows(path)
    forbidden = {text for messages in audit_items for text in asked_texts(messages)}
    dropped: Counter[str] = Counter()
    seen: set[tuple[Message, ...]] = set()
    kept: list[Row] = []
    for row in rows:
        identity = row.messages if needs_reference else row.prompt
        if not forbidden.isdisjoint(asked_texts(row.prompt)):
            dropped["audit_item"] += 1
        elif needs_reference and row.reference is None:
            dropped["no_reference"] += 1
        elif identity in seen:
            dropped["duplicate"] += 1
        else:
            seen.add(identity)
            kept.append(row)
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


def is_held_out(prompt: Sequence[Message], share: float) -> bool:
    """Whether a prompt belongs to the held-out share: a pure function of its words."""
    text = "\x1e".join(f"{message.role}\x1f{normalised(message.content)}" for message in prompt)
    point = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) / 2**64
    return point < share


def _row(where: str, number: int, line: str) -> Row:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error.msg}); write one object a line") from None
    messages = data.get("messages") if isinstance(data, dict) else None
    if not isinstance(messages, list) or not messages:
        raise InputError(
            f'{where}: no "messages" list; write {{"messages": [{{"role": "user", '
            f'"content": "..."}}, ...]}}'
        )
    turns = [_message(where, index, message) for index, message in enumerate(messages)]
    reference = data.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise InputError(f'{where}: "reference" is {type(reference).__name__}; write a string')
    if turns[-1].role == "assistant":
        if reference is not None:
            raise InputError(
                f'{where}: has both a final assistant message and a "reference"; keep one'
            )
        reference = turns.pop().content
    if not turns or turns[-1].role != "user":
        raise InputError(
            f"{where}: no user turn before the answer; end the prompt with the user's message"
        )
    if reference is not None and not reference.strip():
        raise InputError(f"{where}: the reference is empty; write an answer or leave it out")
    rationale = data.get("rationale")
    if rationale is not None and not (isinstance(rationale, str) and rationale.strip()):
        raise InputError(
            f'{where}: "rationale" is no text; write the steps to the answer or leave it out'
        )
    return Row(number, tuple(turns), reference, rationale)


def _message(where: str, index: int, message: Any) -> Message:
    if (
        not isinstance(message, dict)
        or message.get("role") not in _ROLES
        or not isinstance(message.get("content"), str)
    ):
        raise InputError(
            f"{where}: message {index + 1} is not {{role: system|user|assistant, content: text}}; "
            "mend or remove the line"
        )
    return Message(message["role"], message["content"])
