"""The gate's report for machines that show it: JUnit XML, a GitHub step summary, annotations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree as Xml

from ullage.statement.gating import Report, Ruling
from ullage.statement.policy import Gate
from ullage.statement.sanitise import markdown, markdown_code
from ullage.statement.sanitise import terminal as safe
from ullage.statement.words import SEVERITIES, VERDICTS

_LIMIT = 2000


def to_junit(report: Report) -> bytes:
    """JUnit XML: a test case for each target, by dimension.

    What stops the gate is a failure (an error where too many items could not be asked). What is
    unproven where no proof is demanded is skipped: it neither failed nor passed.
    """
    counts = Counter(_outcome(report, one) for one in report.rulings)
    numbers = {
        "tests": str(len(report.rulings)),
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
    }
    # Readers that hold to the schema of Jenkins and Surefire know `skipped` of a suite alone.
    root = Xml.Element("testsuites", {"name": "ullage gate", **numbers})
    skipped = {"skipped": str(counts["skipped"])}
    suite = Xml.SubElement(root, "testsuite", {"name": safe(report.name), **numbers, **skipped})
    for ruling in report.rulings:
        about = {"classname": safe(ruling.dimension) or "unmeasured", "name": safe(ruling.target)}
        case = Xml.SubElement(suite, "testcase", about)
        outcome = _outcome(report, ruling)
        if outcome is not None:
            said = {"message": safe(ruling.sentence, limit=_LIMIT)}
            kind = {} if outcome == "skipped" else {"type": str(ruling.gate)}
            Xml.SubElement(case, outcome, said | kind)
        Xml.SubElement(case, "system-out").text = safe(ruling.line, limit=_LIMIT)
    Xml.indent(root)
    written: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def to_summary(report: Report) -> str:
    """Markdown for a GitHub step summary."""
    rows = [
        ("gate", "target", "severity", "verdict", "consent"),
        ("---", "---", "---", "---", "---"),
        *(_row(report, ruling) for ruling in report.rulings),
    ]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    head = f"## Gate: {markdown(report.name)}\n\n**{report.sentence}**"
    return f"{head} The statement is {report.life}.\n\n{table}\n"


def workflow_commands(report: Report) -> Iterator[str]:
    """GitHub workflow commands: an error for each target that stops the gate, else a warning."""
    for ruling in report.rulings:
        if ruling.gate in (Gate.PASS, Gate.ACCEPTED):
            continue
        level = "error" if report.stops(ruling) else "warning"
        title = _escaped(f"{ruling.target}: {ruling.gate}").replace(":", "%3A").replace(",", "%2C")
        yield f"::{level} title={title}::{_escaped(ruling.sentence)}"


def _outcome(report: Report, ruling: Ruling) -> str | None:
    if ruling.gate == Gate.ERROR:
        return "error"
    if report.stops(ruling):
        return "failure"
    return "skipped" if ruling.gate == Gate.UNPROVEN else None


def _row(report: Report, ruling: Ruling) -> tuple[str, ...]:
    word = VERDICTS[ruling.verdict]
    return (
        f"**{ruling.gate}**" if report.stops(ruling) else str(ruling.gate),
        markdown_code(ruling.target),
        SEVERITIES[ruling.severity],
        f"{word.symbol} {word.label}",
        markdown(ruling.consent.told) if ruling.asks_consent else "",
    )


def _escaped(text: str) -> str:
    """As the runner's own toolkit escapes what follows ``::``."""
    return safe(text, limit=_LIMIT).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
