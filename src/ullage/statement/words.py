"""The words, symbols and number formats that every view of the Statement shares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from ullage.config.models import Severity
from ullage.statement.document import Estimate, Finding, Verdict

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True, slots=True)
class Word:
    """How a verdict is said: never by colour alone."""

    label: str
    symbol: str
    ascii: str
    """For terminals that have no Unicode."""
    style: str
    """Of rich, for the terminal."""
    meaning: str


VERDICTS: dict[Verdict, Word] = {
    Verdict.PRESERVED: Word(
        "preserved", "●", "o", "green", "shown to lose less than its margin allows"
    ),
    Verdict.DEGRADED: Word(
        "degraded", "▼", "v", "yellow", "shown to be worse; not shown to be within its margin"
    ),
    Verdict.LOST: Word("lost", "✖", "X", "bold red", "shown to lose more than its margin allows"),
    Verdict.INCONCLUSIVE: Word(
        "inconclusive", "◇", "?", "bold blue", "asked, but too few answers to show anything"
    ),
    Verdict.UNMEASURED: Word("not measured", "▧", "#", "bold reverse", "nobody could look"),
    Verdict.NEVER_HAD: Word(
        "never had", "○", "-", "dim", "the teacher is no better than the base model or chance"
    ),
}
"""In the order a reader is told of them."""

LOSSES = (Verdict.LOST, Verdict.DEGRADED)
UNKNOWN = (Verdict.UNMEASURED, Verdict.INCONCLUSIVE)

SEVERITIES: dict[Severity, str] = {
    Severity.MUST: "must keep",
    Severity.SHOULD: "should keep",
    Severity.MAY_LOSE: "may lose",
}

DIMENSIONS: dict[str, str] = {
    "fidelity": "Does it say what the teacher says?",
    "uncertainty": "Does its confidence still mean something?",
    "boundary": "Does it know where to stop, ask, or cope?",
    "process": "Are its steps right, and do they cause the answer?",
    "stability": "Does it hold on its own words?",
    "grounding": "Does it answer from what it was given?",
    "privacy": "What does it leak?",
    "safety": "Does it refuse what it should, and only that?",
    "diversity": "How many ways can it still go?",
    "capacity": "Has it learnt the principle, or a lookup table?",
    "agency": "What can a user do through it?",
    "inheritance": "Which teacher faults came along, and grew?",
}
"""The twelve dimensions of DESIGN §5, in its order, each with its question."""

ARMS: dict[str, str] = {
    "teacher": "the large model, the reference",
    "teacher_again": "the teacher asked a second time: what is noise",
    "base": "the student before distillation",
    "control": "trained on the same prompts, without the teacher",
    "student": "the distilled model this statement is about",
    "derived": "the student after quantisation, pruning or merging",
    "judge": "says which of two replies is better, where no rule can",
}
"""Every role, in the order it is shown, and what it is."""

MARGINS_SET: dict[str, str] = {
    "before asking": "written down before anything was asked",
    "after replies": "set when the replies were there already",
}
"""What is said of when the margins were fixed."""


def by_dimension(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings grouped by dimension in DESIGN's order (unknown ones last), `must` first."""
    groups: dict[str, list[Finding]] = {}
    order = {name: position for position, name in enumerate(DIMENSIONS)}
    severity = list(SEVERITIES)
    for finding in sorted(
        findings,
        key=lambda f: (
            order.get(f.dimension, len(order)),
            f.dimension,
            severity.index(f.severity),
            f.id,
        ),
    ):
        groups.setdefault(finding.dimension, []).append(finding)
    return groups


def against(finding: Finding) -> str:
    """What the student is compared with, where that is not the teacher; else nothing."""
    return "" if finding.against == "teacher" else f"against {finding.against}"


def other_references(findings: Iterable[Finding]) -> str:
    """A sentence on targets whose loss is not counted from the teacher; empty without any."""
    marked = in_order({against(finding) for finding in findings} - {""})
    return "".join(
        f" A target marked '{mark}' is compared with that arm instead." for mark in marked
    )


def in_order(arms: Iterable[str]) -> list[str]:
    """Arm names, the known roles first and in their order."""
    order = {name: position for position, name in enumerate(ARMS)}
    return sorted(arms, key=lambda name: (order.get(name, len(order)), name))


def places(finding: Finding) -> int:
    """Decimals that show the finding's loss; see `decimals`."""
    return decimals(finding.loss, finding.target.margin)


def decimals(loss: Estimate | None, margin: float) -> int:
    """Decimals that show a loss with two digits of its margin, and never hide its verdict.

    More are given where rounding would make an interval's end look equal to 0 or to the margin
    that it in truth stays below or lies above.
    """
    count = min(12, max(0, 1 - floor(log10(margin))))
    if loss is None:
        return count
    for extra in range(4):
        told = all(
            round(end, count + extra) != round(line, count + extra)
            for end in (loss.low, loss.high)
            for line in (0.0, margin)
            if end != line
        )
        if told:
            return count + extra
    return count


def number(value: float, digits: int, *, sign: bool = False) -> str:
    """A number with a real minus sign and no negative zero."""
    text = f"{abs(value):.{digits}f}"
    if not text.strip("0."):
        return text
    if value < 0:
        return MINUS + text
    return f"+{text}" if sign else text


def interval(estimate: Estimate, digits: int) -> str:
    """``+0.210 [+0.150, +0.270]``."""
    low, high = (number(end, digits, sign=True) for end in (estimate.low, estimate.high))
    return f"{number(estimate.estimate, digits, sign=True)} [{low}, {high}]"


def percent(share: float) -> str:
    """A share as a percentage that says 0 or 100 only where that is exact."""
    for digits in (0, 1, 2):
        text = f"{100 * share:.{digits}f}"
        if float(text) not in (0.0, 100.0) or share in (0.0, 1.0):
            return f"{text} %"
    return "<0.01 %" if share < 0.5 else ">99.99 %"


def trust(finding: Finding) -> str:
    """What self-tests say of this auditor in the finding's metric, in a sentence or two."""
    tried = finding.selftest
    if tried is None:
        return (
            "Not self-tested: it is not known how often this auditor, as it is now, finds a loss "
            "of a known size here."
        )
    shares = (
        (f"a planted loss of δ = {tried.margin:g} in", tried.found_once),
        ("of 2δ in", tried.found_twice),
    )
    found = [f"{what} {percent(share)}" for what, share in shares if share is not None]
    text = f"Ullage {tried.ullage_version} finds {listed(found)} of audits" if found else ""
    if found and tried.false_alarms is not None:
        text += f"; false alarms {percent(tried.false_alarms)}"
    if found:
        text += f" (n = {tried.items:,}, {tried.audits:,} audits each)."
    if tried.truth == "measured" and found:
        text += " The true loss was read through the probe itself."
    if tried.other_items:
        text += " Tried with the probe's packaged items, not with those asked here."
    if tried.failed:
        text = f"Its self-test did not hold: {'; '.join(tried.failed)}. {text}"
    return text.strip()


def trusted(findings: Iterable[Finding]) -> str:
    """How many targets the auditor was self-tested on, in one sentence."""
    every = list(findings)
    tried = [finding.selftest for finding in every if finding.selftest is not None]
    if not tried:
        return "This auditor, as it is now, was not self-tested on any of these targets."
    weak = sum(bool(one.failed) for one in tried)
    other = sum(one.other_items for one in tried)
    text = f"This auditor was self-tested on {len(tried)} of {several(len(every), 'target')}"
    if other:
        text += f" ({other} with other items than those asked here)"
    return f"{text}; on {weak} of them not all held." if weak else f"{text}, and all held."


def several(count: int, noun: str, plural: str = "") -> str:
    """``1 target``, ``3 targets``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(parts: list[str]) -> str:
    """``a``, ``a and b``, ``a, b, and c``."""
    if len(parts) < 3:
        return " and ".join(parts)
    return ", ".join(parts[:-1]) + ", and " + parts[-1]


def sentence(text: str) -> str:
    """The text with a capital at its start and a full stop at its end."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?…" else text + "."


def terms(ledger: Mapping[str, Any] | None) -> str:
    """Whether the teacher's outputs may train a model, as the ledger says; "" where it does not."""
    teacher = ledger.get("teacher") if ledger is not None else None
    if not isinstance(teacher, Mapping) or "terms" not in teacher:
        return ""
    stated = teacher["terms"]
    if not isinstance(stated, Mapping):
        return "Nobody has stated whether outputs of the teacher may train a model."
    may = "may" if stated.get("may_train") is True else "may not"
    return (
        f"Outputs of the teacher {may} train a model, says {stated.get('document')}, read on "
        f"{stated.get('read_on')}."
    )
