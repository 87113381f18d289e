"""Whether consent holds: what became of each acceptance, and of a statement with them.

A statement follows from replies alone and holds no clock time, so consent is kept beside it
(`ullage.statement.acceptance`). An acceptance names the finding by its hash, the student and the
teacher by their identities, and the use it is for; with any of them another, it has lapsed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from ullage.statement.acceptance import (
    Acceptance,
    Record,
    Withdrawal,
    finding_hash,
    withdrawals,
)
from ullage.statement.document import Statement
from ullage.statement.words import LOSSES, listed, several


class State(StrEnum):
    """What a target's consent is worth."""

    NONE = "unaccepted"
    """Nobody has accepted it."""
    ACCEPTED = "accepted"
    """Somebody has, and it holds."""
    EXPIRED = "expired"
    """Its last day is past."""
    WITHDRAWN = "withdrawn"
    """It was taken back."""
    LAPSED = "lapsed"
    """It is about another result, model or use."""
    INVALID = "not valid"
    """The policy does not honour it: another key, person or role, or too long."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What became of the consent to one target."""

    state: State
    why: str = ""
    """In a sentence, where it does not hold."""
    acceptance: Acceptance | None = None
    """The one that holds, or else the latest."""
    keyid: str = ""
    """Of its signature."""

    @property
    def told(self) -> str:
        """In words: who, as what, until when, and why not where it does not hold."""
        given = self.acceptance
        if given is None:
            return "unaccepted: nobody has put a name to it"
        who = f"{given.by} ({given.role})"
        if self.state == State.ACCEPTED:
            return f"accepted by {who} until {given.until}"
        return f"{self.state}: acceptance by {who} until {given.until}: {self.why}"


UNACCEPTED = Consent(State.NONE)

Unfit = Callable[[Record], str | None]
"""Says why an acceptance is not to be honoured; None where it is."""


def consents(
    statement: Statement,
    records: Sequence[Record],
    *,
    on: date | None = None,
    unfit: Unfit | None = None,
) -> dict[str, Consent]:
    """What became of the consent to each target that there is an acceptance of.

    Args:
        statement: the findings as they are now.
        records: every acceptance and withdrawal.
        on: the day that is asked about; None leaves expiry to the reader of `Acceptance.until`.
        unfit: why an acceptance is not honoured. None looks at no signature.

    Returns:
        By target: the acceptance that holds longest, or else what became of the latest.
    """
    gone = withdrawals(records)
    by_target: dict[str, list[Consent]] = {}
    for record in records:
        if isinstance(record.document, Acceptance):
            consent = _weigh(statement, record, record.document, gone, on, unfit)
            by_target.setdefault(record.document.target, []).append(consent)
    return {target: max(found, key=_rank) for target, found in by_target.items()}


class Life(StrEnum):
    """The state of a statement as a whole."""

    DRAFT = "draft"
    """A loss is there that nobody has accepted."""
    ACCEPTED = "accepted"
    """Every loss is accepted by name (or there is none)."""
    EXPIRED = "expired"
    """An acceptance has run out, or lapsed, and was not renewed."""
    WITHDRAWN = "withdrawn"
    """An acceptance was taken back and not given again."""


def life(statement: Statement, found: Mapping[str, Consent]) -> Life:
    """The state of a statement: that of its losses, the gravest first."""
    states = {
        found.get(finding.id, UNACCEPTED).state
        for finding in statement.findings
        if finding.verdict in LOSSES
    }
    if State.WITHDRAWN in states:
        return Life.WITHDRAWN
    if states & {State.EXPIRED, State.LAPSED}:
        return Life.EXPIRED
    return Life.DRAFT if states - {State.ACCEPTED} else Life.ACCEPTED


def life_sentence(statement: Statement, found: Mapping[str, Consent]) -> str:
    """The state of a statement in a sentence."""
    losses = [finding.id for finding in statement.findings if finding.verdict in LOSSES]
    held = sum(found.get(id_, UNACCEPTED).state == State.ACCEPTED for id_ in losses)
    of_all = f"{len(losses) - held} of {several(len(losses), 'loss', 'losses')}"
    if not losses:
        return "No loss was shown that somebody would have to accept."
    return {
        Life.DRAFT: f"A draft: nobody has accepted {of_all}.",
        Life.ACCEPTED: f"Accepted: each of {several(len(losses), 'loss', 'losses')} by name.",
        Life.EXPIRED: f"Expired: for {of_all} no acceptance holds any more.",
        Life.WITHDRAWN: f"Withdrawn: for {of_all} no acceptance holds, and one was taken back.",
    }[life(statement, found)]


def _weigh(
    statement: Statement,
    record: Record,
    given: Acceptance,
    gone: Mapping[str, Withdrawal],
    on: date | None,
    unfit: Unfit | None,
) -> Consent:
    def found(state: State, why: str = "") -> Consent:
        return Consent(state, why, given, record.signed.keyid)

    if taken := gone.get(record.hash):
        return found(State.WITHDRAWN, f"{taken.by} took it back: {taken.because}")
    if changed := _changes(statement, given):
        return found(State.LAPSED, f"{listed(changed)} changed since")
    if unfit is not None and (why := unfit(record)):
        return found(State.INVALID, why)
    if on is not None and on > given.until:
        return found(State.EXPIRED, f"it was good until {given.until}")
    if on is not None and on < given.accepted:
        return found(State.INVALID, f"it is dated {given.accepted}, which is yet to come")
    return found(State.ACCEPTED)


def _changes(statement: Statement, given: Acceptance) -> list[str]:
    """What is not as it was when it was accepted."""
    finding = next((f for f in statement.findings if f.id == given.target), None)
    arms = {role: arm.identity for role, arm in statement.arms.items()}
    checks = {
        "the finding": finding is not None and finding_hash(finding) == given.finding,
        "the student": arms.get("student") == given.student,
        "the teacher": arms.get("teacher") == given.teacher,
        "the use": statement.scenario.use == given.use,
    }
    return [what for what, same in checks.items() if not same]


def _rank(consent: Consent) -> tuple[bool, date, date]:
    """Which of several acceptances of a target speaks for it."""
    given = consent.acceptance
    if given is None:
        raise ValueError("a consent without an acceptance")
    held = consent.state == State.ACCEPTED
    return held, given.until if held else given.accepted, given.until
