"""How far a running audit is, read from the files that it leaves behind."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from ullage.plan import Plan
from ullage.serve.runs import Run
from ullage.statement.words import in_order, listed

STEPS = {
    "plan.json": "Planned",
    "replies.jsonl": "Asking",
    "scores.parquet": "Scored",
    "findings.json": "Judged",
    "statement.json": "Stated",
}
"""What each step writes, in their order."""

_QUIET_SECONDS = 120.0
_MODEL = re.compile(rb'\{"key":"[0-9a-f]{32}","model":"((?:[^"\\]|\\.)*)"')
_FAILED = b',"answer":{"failure":'  # in the text of a message its quotes would be escaped
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class Asked:
    """How far one model is. Arms that are one model share its replies."""

    arms: str
    replies: int
    failures: int
    planned: int
    """Of one asking; about, for a conversation may turn out shorter or longer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an audit is."""

    steps: dict[str, bool]
    """In order, by what they are called."""
    models: list[Asked]
    seconds: float | None
    """Since the last reply; None where there is none."""
    finished: bool

    @property
    def told(self) -> str:
        """In a sentence."""
        if self.finished:
            return "Finished."
        replies = sum(one.replies for one in self.models)
        if self.seconds is None:
            return "Planned; nothing was asked yet."
        if self.seconds > _QUIET_SECONDS:
            return (
                f"{replies:,} replies, and none for {self.seconds / 60:,.0f} minutes: it seems to "
                "be stopped. The same command goes on."
            )
        return f"{replies:,} replies so far."

    def as_json(self) -> dict[str, object]:
        """For the page's script."""
        return {
            "told": self.told,
            "finished": self.finished,
            "steps": list(self.steps.values()),
            "models": [
                {"replies": one.replies, "failures": one.failures, "planned": one.planned}
                for one in self.models
            ],
        }


@dataclass(slots=True)
class _Tail:
    """What was counted of a journal so far."""

    inode: int = 0
    offset: int = 0
    replies: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


class Watch:
    """Counts journals as they grow, each line once."""

    def __init__(self) -> None:
        self._tails: dict[Path, _Tail] = {}
        self._lock = Lock()

    def progress(self, run: Run, plan: Plan) -> Progress:
        """How far a run is."""
        steps = {label: run.has(name) for name, label in STEPS.items()}
        replies, failures, seconds = Counter[str](), Counter[str](), None
        if run.has("replies.jsonl"):
            path = run.folder.replies
            with self._lock:
                tail = self._counted(path)
                replies, failures = tail.replies.copy(), tail.failures.copy()
            if tail.offset:
                seconds = max(0.0, time.time() - path.stat().st_mtime)
        return Progress(
            steps=steps,
            models=[
                Asked(arms, replies[identity], failures[identity], planned)
                for identity, (arms, planned) in _models(plan).items()
            ],
            seconds=seconds,
            finished=steps["Stated"],
        )

    def _counted(self, path: Path) -> _Tail:
        tail = self._tails.setdefault(path, _Tail())
        with path.open("rb") as journal:
            found = path.stat()
            if found.st_ino != tail.inode or found.st_size < tail.offset:
                tail = self._tails[path] = _Tail(inode=found.st_ino)
            journal.seek(tail.offset)
            rest = b""
            while chunk := journal.read(_CHUNK):
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()  # still being written, or cut by the chunk
                for line in lines:
                    tail.offset += len(line) + 1
                    _count(tail, line)
        return tail


def _count(tail: _Tail, line: bytes) -> None:
    if match := _MODEL.match(line):
        identity = match[1].decode("ascii", "replace")
        tail.replies[identity] += 1
        tail.failures[identity] += _FAILED in line


def _models(plan: Plan) -> dict[str, tuple[str, int]]:
    """By identity: the arms that it is, and how much they will ask of it."""
    arms: dict[str, list[str]] = {}
    for role in in_order(plan.arms):
        arms.setdefault(plan.arms[role].identity, []).append(role)
    return {
        identity: (listed(roles), max(plan.arms[role].requests for role in roles))
        for identity, roles in arms.items()
    }
