"""The gate: a statement, a policy and the acceptances beside it come to one exit code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from ullage.config.models import Severity
from ullage.statement import sanitise
from ullage.statement.consent import UNACCEPTED, Consent, Life, State, life
from ullage.statement.document import Finding, Statement, Verdict
from ullage.statement.outcome import code_of, sentence_of, severity_of
from ullage.statement.policy import PLAIN, Action, Gate, Policy
from ullage.statement.words import SEVERITIES, VERDICTS, sentence

GRAVEST_FIRST = (Gate.FAIL, Gate.ERROR, Gate.UNPROVEN, Gate.ACCEPTED, Gate.PASS)


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the gate says of one target."""

    target: str
    """``probe.metric``."""
    dimension: str
    severity: Severity
    """As written before asking."""
    verdict: Verdict
    gate: Gate
    why: str
    """The finding's own sentence. May hold hostile text."""
    consent: Consent
    """Of no weight where the policy has no use for it."""
    asks_consent: bool
    """Whether the policy lets it pass by consent and not otherwise."""

    @property
    def line(self) -> str:
        """In one line, safe to print."""
        told = f"{self.gate:<8}  {self.severity:<8}  {self.target}  {self.sentence}"
        return sanitise.terminal(told, limit=1000)

    @property
    def sentence(self) -> str:
        """The verdict, why, and what became of the consent where that matters."""
        told = f"{VERDICTS[self.verdict].label}: {sentence(self.why)}"
        if self.asks_consent:
            told += f" {sentence(self.consent.told)}"
        return told


@dataclass(frozen=True)
class Report:
    """What the gate says of a statement."""

    name: str
    """Of the statement."""
    rulings: tuple[Ruling, ...]
    """Every target, the gravest first."""
    demands_proof: bool
    """Whether what is unproven stops the release."""
    life: Life
    """Of the statement; a draft where no policy was given, for then no acceptance counts."""
    on: date | None
    """The day it was asked for; None without a policy, where the day does not matter."""

    @cached_property
    def exit_code(self) -> int:
        """See `ullage.statement.outcome.code_of`."""
        return code_of([one.gate for one in self.rulings], demands_proof=self.demands_proof)

    @property
    def sentence(self) -> str:
        """What it comes to."""
        return sentence_of((one.gate for one in self.rulings), demands_proof=self.demands_proof)

    @property
    def lines(self) -> list[str]:
        """One line a target, safe to print."""
        return [one.line for one in self.rulings]

    def stops(self, ruling: Ruling) -> bool:
        """Whether a target keeps the gate from passing."""
        if ruling.gate == Gate.UNPROVEN:
            return self.demands_proof
        return ruling.gate in (Gate.FAIL, Gate.ERROR)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "kind": "ullage.gate",
            "name": self.name,
            "exit_code": self.exit_code,
            "sentence": self.sentence,
            "state": str(self.life),
            "on": None if self.on is None else self.on.isoformat(),
            "targets": [_target(ruling) for ruling in self.rulings],
        }


def rule(
    statement: Statement,
    policy: Policy = PLAIN,
    found: Mapping[str, Consent] | None = None,
    *,
    on: date | None = None,
) -> Report:
    """Judge a statement by a policy.

    Args:
        statement: what is judged. Its verdicts count, not the `exit_code` that it gives itself.
        policy: the rules.
        found: what became of the consent to each target (`ullage.statement.consent.consents`).
        on: the day for which that was found.
    """
    found = found or {}
    scenario, judged = statement.scenario, {finding.id for finding in statement.findings}
    rulings = [_rule(f, severity_of(f, scenario), policy, found) for f in statement.findings]
    rulings += [
        Ruling(
            target=target.id,
            dimension="",
            severity=target.severity,
            verdict=Verdict.UNMEASURED,
            gate=policy.decide(target.severity, Verdict.UNMEASURED),
            why="The statement says nothing of this target.",
            consent=UNACCEPTED,
            asks_consent=False,
        )
        for target in scenario.targets
        if target.id not in judged
    ]
    severities = list(SEVERITIES)
    rulings.sort(
        key=lambda one: (
            GRAVEST_FIRST.index(one.gate), severities.index(one.severity), one.target
        )
    )  # fmt: skip
    return Report(
        name=statement.name,
        rulings=tuple(rulings),
        demands_proof=scenario.demands_proof
        if policy.demands_proof is None
        else policy.demands_proof,
        life=life(statement, found),
        on=on,
    )


def _rule(
    finding: Finding, severity: Severity, policy: Policy, found: Mapping[str, Consent]
) -> Ruling:
    consent = found.get(finding.id, UNACCEPTED)
    action = policy.rules(severity).action(finding.verdict, infrastructure=finding.infrastructure)
    return Ruling(
        target=finding.id,
        dimension=finding.dimension,
        severity=severity,
        verdict=finding.verdict,
        gate=policy.decide(
            severity,
            finding.verdict,
            infrastructure=finding.infrastructure,
            accepted=consent.state == State.ACCEPTED,
        ),
        why=finding.why,
        consent=consent,
        asks_consent=action == Action.CONSENT,
    )


def _target(ruling: Ruling) -> dict[str, Any]:
    given = ruling.consent.acceptance
    return {
        "target": ruling.target,
        "dimension": ruling.dimension,
        "severity": str(ruling.severity),
        "verdict": str(ruling.verdict),
        "gate": str(ruling.gate),
        "why": ruling.why,
        "consent": str(ruling.consent.state),
        "acceptance": None if given is None else given.model_dump(mode="json"),
        "line": ruling.line,
    }
