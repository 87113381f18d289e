"""What a gate lets pass: rules by severity and verdict, and whose acceptances count.

`docs/gate.md` has the decisions as tables that a person can read; its test is made from them.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from ullage.config.base import Strict
from ullage.config.models import Severity
from ullage.config.problems import validate
from ullage.config.schema import DIALECT
from ullage.config.source import parse, read_text
from ullage.errors import InputError
from ullage.statement.acceptance import Acceptance, Record
from ullage.statement.document import Verdict
from ullage.statement.keys import open_verifier


class Action(StrEnum):
    """What a gate does with a verdict."""

    PASS = "pass"  # noqa: S105 - a verdict, not a word to enter by
    """Let it through."""
    CONSENT = "consent"
    """Let it through where somebody has accepted it."""
    BLOCK = "block"
    """Let it through never."""


class Gate(StrEnum):
    """What one target means for the gate."""

    PASS = "pass"  # noqa: S105 - a verdict, not a word to enter by
    ACCEPTED = "accepted"
    FAIL = "FAIL"
    ERROR = "error"
    UNPROVEN = "unproven"


class Rules(Strict):
    """What is done with each verdict; `preserved` and `never_had` always pass."""

    lost: Action
    """Shown to lose more than its margin."""
    degraded: Action
    """Shown to lose, not shown to lose more than its margin."""
    inconclusive: Action
    """Asked, and nothing shown."""
    unmeasured: Action
    """Nobody could look."""
    error: Action
    """Too many items could not be asked; no consent helps, asking again may."""

    def action(self, verdict: Verdict, *, infrastructure: bool = False) -> Action:
        """What is done with a finding.

        Args:
            verdict: the finding's.
            infrastructure: whether there is none for want of answers.
        """
        if infrastructure:
            return self.error
        if verdict in (Verdict.PRESERVED, Verdict.NEVER_HAD):
            return Action.PASS
        found: Action = getattr(self, verdict.value)
        return found


class MustRules(Rules):
    """For targets that must be kept."""

    lost: Action = Action.BLOCK
    degraded: Action = Action.CONSENT
    inconclusive: Action = Action.CONSENT
    unmeasured: Action = Action.CONSENT
    error: Action = Action.BLOCK


class ShouldRules(Rules):
    """For targets that should be kept."""

    lost: Action = Action.CONSENT
    degraded: Action = Action.CONSENT
    inconclusive: Action = Action.PASS
    unmeasured: Action = Action.PASS
    error: Action = Action.BLOCK


class MayLoseRules(Rules):
    """For targets that may be lost: by a name."""

    lost: Action = Action.CONSENT
    degraded: Action = Action.CONSENT
    inconclusive: Action = Action.PASS
    unmeasured: Action = Action.PASS
    error: Action = Action.PASS


class Acceptor(Strict):
    """Somebody whose acceptances count."""

    key: str
    """Public key, relative to this file (or ``name:what`` of another way of signing)."""
    by: str | None = None
    """The name that acceptances signed with it must bear; left out, any."""
    role: str | None = None
    """The role that they must give; left out, any."""


class Policy(Strict):
    """A gate's policy: `ullage gate --policy FILE`."""

    must: MustRules = MustRules()
    """For targets that must be kept."""
    should: ShouldRules = ShouldRules()
    """For targets that should be kept."""
    may_lose: MayLoseRules = MayLoseRules()
    """For targets that may be lost."""
    demands_proof: bool | None = None
    """Whether what is unproven stops the release; left out, as the scenario says."""
    acceptors: tuple[Acceptor, ...] = ()
    """Whose acceptances count; with none, no acceptance does."""
    longest_days: PositiveInt | None = None
    """Most days from the day of an acceptance to its last; left out, any number."""
    signed_by: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Public keys (as for acceptors) of which one must have signed the statement; left out, the
    statement need not be signed."""

    def rules(self, severity: Severity) -> Rules:
        """The rules for a severity."""
        found: Rules = getattr(self, severity.value)
        return found

    def decide(
        self,
        severity: Severity,
        verdict: Verdict,
        *,
        infrastructure: bool = False,
        accepted: bool = False,
    ) -> Gate:
        """What one target means for the gate.

        Args:
            severity: the target's, as written before asking.
            verdict: what was shown.
            infrastructure: whether there is no verdict for want of answers.
            accepted: whether an acceptance holds.
        """
        action = self.rules(severity).action(verdict, infrastructure=infrastructure)
        if action == Action.PASS:
            return Gate.PASS
        if infrastructure:
            return Gate.ERROR
        if action == Action.CONSENT and accepted:
            return Gate.ACCEPTED
        return Gate.FAIL if verdict in (Verdict.LOST, Verdict.DEGRADED) else Gate.UNPROVEN


PLAIN = Policy.model_validate(
    {
        "must": dict.fromkeys(Rules.model_fields, Action.BLOCK),
        "should": dict.fromkeys(Rules.model_fields, Action.PASS)
        | {"lost": Action.BLOCK, "error": Action.BLOCK},
        "may_lose": dict.fromkeys(Rules.model_fields, Action.PASS),
    }
)
"""The gate without a policy: what a statement comes to by itself. It knows no acceptance."""


class Trust:
    """A policy's keys, opened: which signatures and acceptances it honours."""

    def __init__(self, policy: Policy, root: Path) -> None:
        """Open every key that a policy names, relative to `root`.

        Raises:
            InputError: one cannot be used.
        """
        self.policy = policy
        self.statement_keys = [open_verifier(key, root) for key in policy.signed_by]
        """Whose signature a statement may bear."""
        self._acceptors = [(one, open_verifier(one.key, root)) for one in policy.acceptors]

    def unfit(self, record: Record) -> str | None:
        """Why an acceptance is not honoured; None where it is."""
        given = record.document
        if not isinstance(given, Acceptance):
            return "it is a withdrawal"
        keyid = record.signed.keyid
        entitled = [(who, key) for who, key in self._acceptors if key.keyid == keyid]
        if not entitled:
            return f"the policy does not know its key {keyid[:16]}"
        try:
            record.signed.signer([key for _, key in entitled])
        except InputError:
            return "its signature does not fit"
        if not any(_speaks_for(who, given) for who, _ in entitled):
            return f"its key may not sign as {given.by} ({given.role})"
        longest = self.policy.longest_days
        if longest is not None and (given.until - given.accepted).days > longest:
            return f"it is for more than {longest} days"
        return None


def _speaks_for(who: Acceptor, given: Acceptance) -> bool:
    return who.by in (None, given.by) and who.role in (None, given.role)


def policy_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a policy's file."""
    schema = Policy.model_json_schema(mode="validation")
    return {"$schema": DIALECT, **schema, "title": "Ullage gate policy"}


def load_policy(path: Path) -> Policy:
    """A policy from its YAML file.

    Raises:
        InputError: it is not one; the line says where and what would do.
    """
    mend = "`docs/gate.md` has one to start from"
    return validate(Policy, parse(read_text(path, mend), str(path)))
