"""Several students of one teacher against what they cost: which of them nothing cheaper beats.

One number for what a student kept is for choosing which statement to read, and decides nothing:
the targets lost are told beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from ullage.errors import InputError
from ullage.statement import sanitise
from ullage.statement.compare import obstacles
from ullage.statement.document import ArmRecord, Part, Statement, Verdict
from ullage.statement.standing import picture
from ullage.statement.words import UNKNOWN


class Cost(StrEnum):
    """What a model costs."""

    WEIGHTS = "weights"
    """Bytes of its weight files."""
    TOKENS = "tokens"
    """Tokens written for a reply, on average: the time of a reply grows with them."""
    MONEY = "money"
    """Money for a thousand replies, where prices were given."""


class Entry(Part):
    """One model in the picture."""

    label: str
    """Of its statement; ``teacher`` for the teacher, ``X, derived`` for what was made of X."""
    cost: float | None
    """None where the statement does not tell it."""
    performance: float | None
    """On the headline targets, 0 to 1; None where not measured."""
    capability: float | None
    """Mean share of the teacher's capability kept, 0 to 1; None where not measured."""
    lost: int | None
    """Targets judged lost; None for models that no verdict is about."""
    unknown: int | None
    """Targets inconclusive or unmeasured; None likewise."""
    on_frontier: bool = False
    """Whether no other model costs as little and keeps as much, one of them strictly more so."""


class Frontier(Part):
    """All models, the cheapest first; those without a known cost last."""

    kind: Literal["ullage.statement-frontier"] = "ullage.statement-frontier"
    """What this document is."""
    cost: Cost
    """What the models are held against."""
    currency: str
    """Of the cost, where it is money."""
    targets: int
    """That the verdicts are counted over."""
    entries: tuple[Entry, ...]

    def to_json(self) -> str:
        """Canonical JSON, hidden characters escaped, with a newline at its end."""
        data = self.model_dump(mode="json")
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
        return sanitise.json_text(text) + "\n"


def frontier(statements: Sequence[tuple[str, Statement]], cost: Cost | None = None) -> Frontier:
    """Hold students against what they cost.

    Args:
        statements: labels and statements, all about students of one teacher under the same targets.
        cost: what they cost; left out, the first of weights, money and tokens that all statements
            tell.

    Raises:
        InputError: they are about different teachers or targets, or do not tell what they cost.
    """
    label, first = statements[0]
    for other_label, other in statements[1:]:
        if why := obstacles(first, other):
            raise InputError(
                f"{sanitise.terminal(label)} and {sanitise.terminal(other_label)} cannot be held "
                f"against each other: {'; '.join(why)}; judge all under the same targets and "
                "teacher"
            )
    told = _told(statements, cost)
    entries = [_entry(first, "teacher", "teacher", told)]
    for label, statement in statements:
        entries.append(_entry(statement, "student", label, told))
        if "derived" in statement.arms:
            entries.append(_entry(statement, "derived", f"{label}, derived", told))
    found = [e.model_copy(update={"on_frontier": _unbeaten(e, entries)}) for e in entries]
    found.sort(key=lambda e: (e.cost is None, e.cost or 0.0, e.label))
    return Frontier(
        cost=told, currency=first.currency, targets=len(first.findings), entries=tuple(found)
    )


def _told(statements: Sequence[tuple[str, Statement]], wanted: Cost | None) -> Cost:
    for cost in (wanted,) if wanted else (Cost.WEIGHTS, Cost.MONEY, Cost.TOKENS):
        silent = [name for name, s in statements if _cost(s.arms["student"], cost) is None]
        if not silent:
            return cost
    raise InputError(
        f"{sanitise.terminal(silent[0])} does not tell what its student costs ({cost}); "
        + (
            "give its arm a `price` in the configuration, or choose another --cost"
            if cost == Cost.MONEY
            else "audit it again with this version, or choose another --cost"
        )
    )


def _cost(arm: ArmRecord, cost: Cost) -> float | None:
    match cost:
        case Cost.WEIGHTS:
            size = arm.description.get("weight_bytes")
            return float(size) if isinstance(size, int) else None
        case Cost.TOKENS:
            return arm.completion_tokens / arm.replies if arm.replies else None
        case Cost.MONEY:
            known = arm.money is not None and arm.replies
            return 1000.0 * arm.money / arm.replies if known and arm.money is not None else None


def _entry(statement: Statement, arm: str, label: str, cost: Cost) -> Entry:
    standing = next(s for s in picture(statement).standings if s.arm == arm)
    verdicts = [finding.verdict for finding in statement.findings]
    judged = arm == "student"
    return Entry(
        label=label,
        cost=_cost(statement.arms[arm], cost),
        performance=standing.performance,
        capability=standing.capability,
        lost=verdicts.count(Verdict.LOST) if judged else None,
        unknown=sum(verdict in UNKNOWN for verdict in verdicts) if judged else None,
    )


def _unbeaten(one: Entry, entries: Sequence[Entry]) -> bool:
    if one.cost is None or one.capability is None:
        return False
    mine = (one.cost, -one.capability)
    others = [
        (e.cost, -e.capability) for e in entries if e.cost is not None and e.capability is not None
    ]
    return not any(o[0] <= mine[0] and o[1] <= mine[1] and o != mine for o in others)
