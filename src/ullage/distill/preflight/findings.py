"""What a preflight found: errors that stop a distillation, warnings that go into its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ullage.errors import InputError

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that would spoil the student, or may."""

    check: str
    """Name of the check, kebab-case: what a script looks for."""
    level: Level
    found: str
    """Where and what."""
    mend: str
    """What would do."""

    @property
    def line(self) -> str:
        """All of it in one line."""
        return f"{self.level} [{self.check}] {self.found}; {self.mend}"

    def as_json(self) -> dict[str, str]:
        """As the ledger keeps it."""
        return {
            "check": self.check,
            "level": self.level,
            "found": self.found,
            "mend": self.mend,
        }


def error(check: str, found: str, mend: str) -> Finding:
    """Training would be of no use."""
    return Finding(check, "error", found, mend)


def warning(check: str, found: str, mend: str) -> Finding:
    """Training goes on, and the ledger says so."""
    return Finding(check, "warning", found, mend)


def of_refusal(check: str, refusal: InputError) -> Finding:
    """An error that some other part states as ``where: found; mend``."""
    found, _, mend = str(refusal).rpartition("; ")
    return error(check, found, mend)


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check has to say."""

    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was counted or measured, whether or not anything is wrong."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """All checks of one recipe."""

    findings: tuple[Finding, ...]
    facts: Mapping[str, Mapping[str, Any]]
    """By the part looked at: ``vocabulary``, ``template``, ``corpus``, ``teacher``, ``terms``."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that stop a distillation."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def as_json(self) -> dict[str, Any]:
        """As the ledger keeps it."""
        return {
            "findings": [finding.as_json() for finding in self.findings],
            "facts": {name: dict(facts) for name, facts in self.facts.items()},
        }

    def lines(self) -> list[str]:
        """For a terminal: facts first, then errors and warnings."""
        said = [
            f"{name}: " + ", ".join(f"{key} {_plain(value)}" for key, value in facts.items())
            for name, facts in self.facts.items()
            if facts
        ]
        said += [finding.line for finding in sorted(self.findings, key=lambda one: one.level)]
        return said if self.findings else [*said, "nothing to mend"]

    def require(self) -> None:
        """Stop where there is an error.

        Raises:
            InputError: the first error, and how many more there are.
        """
        if not self.errors:
            return
        first, *more = self.errors
        also = f" (and {len(more)} more: ullage distill --preflight)" if more else ""
        raise InputError(f"{first.found}; {first.mend}{also}")


def _plain(value: Any) -> str:
    if value is None:
        return "not stated"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
