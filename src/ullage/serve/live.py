"""How far a running audit is, read from the files that it leaves behind."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass, field

from ullage.plan import Plan
from ullage.serve.runs import Run
from ullage.serve.tail import Tails
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

    @property
    def told(self) -> str:
        """In a sentence."""
        replies = sum(one.replies for one in self.models)
        if self.seconds is None:
            return "Planned; nothing was asked yet."
        if self.seconds > _QUIET_SECONDS:
            return (
                f"{replies:,} replies, and none for {self.seconds / 60:,.0f} minutes: it seems to "
                "be stopped. The same command goes on."
            )
        return f"{replies:,} replies so far."


@dataclass(slots=True)
class _Counted:
    """What was counted of a journal so far, by model."""

    replies: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def take(self, line: bytes) -> None:
        """Count a line."""
        if match := _MODEL.match(line):
            identity = match[1].decode("ascii", "replace")
            self.replies[identity] += 1
            self.failures[identity] += _FAILED in line


class Watch:
    """Counts journals as they grow, each line once."""

    def __init__(self) -> None:
        self._tails = Tails(_Counted, _Counted.take)

    def progress(self, run: Run, plan: Plan) -> Progress:
        """How far a run is."""
        steps = {label: run.has(name) for name, label in STEPS.items()}
        replies, failures, seconds = Counter[str](), Counter[str](), None
        if run.has("replies.jsonl"):
            path = run.folder.replies
            with self._tails.read(path) as counted:
                replies, failures = counted.replies.copy(), counted.failures.copy()
            if replies:
                seconds = max(0.0, time.time() - path.stat().st_mtime)
        return Progress(
            steps=steps,
            models=[
                Asked(arms, replies[identity], failures[identity], planned)
                for identity, (arms, planned) in _models(plan).items()
            ],
            seconds=seconds,
        )


def _models(plan: Plan) -> dict[str, tuple[str, int]]:
    """By identity: the arms that it is, and how much they will ask of it."""
    arms: dict[str, list[str]] = {}
    for role in in_order(plan.arms):
        arms.setdefault(plan.arms[role].identity, []).append(role)
    return {
        identity: (listed(roles), max(plan.arms[role].requests for role in roles))
        for identity, roles in arms.items()
    }
