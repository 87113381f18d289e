"""Who agreed to which loss, in a terminal and for machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from ullage.statement import words
from ullage.statement.consent import UNACCEPTED, Consent, Life, State, life, life_sentence
from ullage.statement.document import Finding, Statement
from ullage.statement.sanitise import terminal as safe
from ullage.statement.terminal import print_page

_WIDTH = max(map(len, State))


def concerned(statement: Statement, found: Mapping[str, Consent]) -> list[Finding]:
    """Findings that want a name, and those that got one without, by dimension."""
    return [
        finding
        for findings in words.by_dimension(statement.findings).values()
        for finding in findings
        if finding.verdict in words.LOSSES or finding.id in found
    ]


def rows(statement: Statement, found: Mapping[str, Consent]) -> list[dict[str, Any]]:
    """For machines: each such target with its consent."""
    listed = []
    for finding in concerned(statement, found):
        consent = found.get(finding.id, UNACCEPTED)
        given = consent.acceptance
        listed.append(
            {
                "target": finding.id,
                "verdict": str(finding.verdict),
                "severity": str(finding.severity),
                "consent": str(consent.state),
                "why": consent.why,
                "key": consent.keyid,
                "acceptance": None if given is None else given.model_dump(mode="json"),
            }
        )
    return listed


def render(
    statement: Statement, found: Mapping[str, Consent], console: Console, *, checked: bool
) -> None:
    """Print them.

    Args:
        statement: the statement.
        found: what became of the consent to each target.
        console: where.
        checked: whether signatures were checked against a policy.
    """
    for finding in concerned(statement, found):
        consent = found.get(finding.id, UNACCEPTED)
        style = "green" if consent.state == State.ACCEPTED else "bold red"
        label = words.VERDICTS[finding.verdict].label
        told = Text.assemble(
            (f"{consent.state:<{_WIDTH}}", style),
            f"  {safe(finding.id)}  ",
            (f"{words.SEVERITIES[finding.severity]}, {label}", "dim"),
        )
        if (given := consent.acceptance) is not None:
            told.append(safe(f"\n    {given.by} ({given.role}), until {given.until}", lines=True))
            told.append(safe(f"\n    {given.because}", lines=True, limit=2000))
            if consent.why:
                told.append(safe(f"\n    {words.sentence(consent.why)}", lines=True, limit=2000))
        print_page(told, console)
    state = life(statement, found)
    style = "" if state == Life.ACCEPTED else "bold red"
    print_page(Text(life_sentence(statement, found), style=style), console)
    if found and not checked:
        print_page(Text("No signature was checked: give --policy.", style="dim"), console)
