"""From the teacher to the last student, step by step: what each step took, apart from the others.

A distilled student that was then quantised has lost twice, for two reasons and perhaps by two
people. Its last statement shows the sum; this takes it apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ullage.errors import InputError
from ullage.statement import sanitise
from ullage.statement.compare import Difference, apart, identity, obstacles
from ullage.statement.document import Estimate, Finding, Part, Statement
from ullage.statement.words import listed

JUDGED = "judged"
"""Basis of a step's loss that a statement itself judges."""


class StepLoss(Part):
    """What one step took from one target; positive is worse after it."""

    estimate: float
    """In the metric's own unit."""
    low: float
    """Of the 95 % interval."""
    high: float
    """Of the 95 % interval."""
    basis: str
    """``judged`` by a statement, or what the difference of two rests on: see
    `ullage.statement.compare.Pairing`."""


class ChainTarget(Part):
    """One target along the chain."""

    target: str
    """``probe.metric``."""
    dimension: str
    """The kind of capability."""
    margin: float
    """δ."""
    steps: tuple[StepLoss | None, ...]
    """By step; None where a step has no number."""
    whole: StepLoss | None
    """From the first teacher to the last student, where one statement judges it."""

    @property
    def taken_by(self) -> int | None:
        """Which step took most, of those that are shown to have taken something."""
        shown = [(s.estimate, at) for at, s in enumerate(self.steps) if s is not None and s.low > 0]
        return max(shown)[1] if shown else None


class Chain(Part):
    """All targets, each step's loss apart."""

    kind: Literal["ullage.statement-chain"] = "ullage.statement-chain"
    """What this document is."""
    models: tuple[str, ...]
    """What stands at the ends of the steps, the first teacher first."""
    targets: tuple[ChainTarget, ...]
    """In the statements' order."""

    @property
    def steps(self) -> tuple[str, ...]:
        """What each step is called."""
        return tuple(f"{a} → {b}" for a, b in zip(self.models, self.models[1:], strict=False))

    def to_json(self) -> str:
        """Canonical JSON, hidden characters escaped, with a newline at its end."""
        data = self.model_dump(mode="json")
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
        return sanitise.json_text(text) + "\n"


@dataclass(frozen=True, slots=True)
class _Step:
    to: str
    losses: Mapping[str, StepLoss]
    whole: Mapping[str, StepLoss] | None
    """From the first teacher up to here; None where no statement looks that far."""


def chain(
    statements: Sequence[tuple[str, Statement]], paired: Sequence[Mapping[str, Difference]] = ()
) -> Chain:
    """Take the loss along a chain of models apart.

    Args:
        statements: labels and statements in order. Each is about the last model of the one before,
            as its teacher (then its losses are the step), or about another student of the same
            teacher (then the difference to the one before is the step). An arm `derived` is a step
            of its own, the last.
        paired: for each statement after the first, the differences to the one before that are
            known from the scores (`ullage.differences`); the others are made of two intervals.

    Raises:
        InputError: a statement does not go on where the one before ended, or there is one step.
    """
    label, first = statements[0]
    steps = _own(first, label)
    for at, (label, statement) in enumerate(statements[1:], 1):
        before_label, before = statements[at - 1]
        last = "derived" if "derived" in before.arms else "student"
        if identity(statement, "teacher") == identity(before, last):
            steps += [_Step(s.to, s.losses, None) for s in _own(statement, label)]
            continue
        if why := _no_step(before, statement):
            raise InputError(
                f"{sanitise.terminal(label)} does not go on where {sanitise.terminal(before_label)}"
                f" ends: {why}; name the statements in the order in which the models were made"
            )
        known = paired[at - 1] if at <= len(paired) else {}
        own = _own(statement, label)
        sole = at == 1 or steps[-1].whole is not None
        steps.append(
            _Step(label, _between(before, statement, known), own[0].whole if sole else None)
        )
        steps += own[1:]
    if len(steps) == 1:
        raise InputError(
            "there is one step only, which the statement shows; name the statement of what was "
            "made of its student, or audit that as the arm `derived`"
        )
    return _chain(statements, steps)


def _own(statement: Statement, label: str) -> list[_Step]:
    """The steps that one statement judges itself."""
    found = statement.findings
    losses = {f.id: _judged(f.loss) for f in found if f.loss}
    steps = [_Step(label, losses, losses)]
    if "derived" in statement.arms:
        last = {f.id: _judged(f.derived_loss) for f in found if f.derived_loss}
        whole = {
            f.id: _judged(f.other_losses["derived"]) for f in found if "derived" in f.other_losses
        }
        steps.append(_Step(f"{label}, derived", last, whole))
    return steps


def _judged(loss: Estimate) -> StepLoss:
    return StepLoss(estimate=loss.estimate, low=loss.low, high=loss.high, basis=JUDGED)


def _no_step(before: Statement, statement: Statement) -> str:
    """Why no difference between two statements is a step of the chain; empty where it is one."""
    if "derived" in before.arms:
        return "it has an arm `derived`, and the next is about something else"
    return "; ".join(obstacles(before, statement))


def _between(
    before: Statement, after: Statement, paired: Mapping[str, Difference]
) -> dict[str, StepLoss]:
    """What the later student lost more."""
    losses = {finding.id: finding.loss for finding in before.findings}
    found = {}
    for finding in after.findings:
        earlier = losses.get(finding.id)
        difference = paired.get(finding.id)
        if difference is None and finding.loss is not None and earlier is not None:
            difference = apart(earlier, finding.loss)
        if difference is not None:
            found[finding.id] = StepLoss(
                estimate=difference.estimate,
                low=difference.low,
                high=difference.high,
                basis=str(difference.pairing),
            )
    return found


def _chain(statements: Sequence[tuple[str, Statement]], steps: Sequence[_Step]) -> Chain:
    findings: dict[str, Finding] = {}
    for _, statement in statements:
        findings = {**{finding.id: finding for finding in statement.findings}, **findings}
    whole = steps[-1].whole or {}
    return Chain(
        models=("teacher", *(step.to for step in steps)),
        targets=tuple(
            ChainTarget(
                target=id_,
                dimension=finding.dimension,
                margin=finding.target.margin,
                steps=tuple(step.losses.get(id_) for step in steps),
                whole=whole.get(id_),
            )
            for id_, finding in findings.items()
        ),
    )


def summary(told: Chain) -> list[str]:
    """By step, the targets of which it took most; a plain sentence each."""
    lines = []
    for at, step in enumerate(map(sanitise.terminal, told.steps)):
        took = [
            sanitise.terminal(target.target) for target in told.targets if target.taken_by == at
        ]
        if took:
            few = (
                listed(took)
                if len(took) <= 3
                else f"{', '.join(took[:3])} and {len(took) - 3} more"
            )
            lines.append(f"{step} took most of what {few} lost.")
        else:
            lines.append(f"{step} is not shown to have taken most of anything.")
    return lines
