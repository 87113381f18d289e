"""A Hugging Face model card: a section of README.md, and evaluation results in its metadata.

A card that is there already is kept, byte for byte, but for two places that are ours: the section
between our marks, and in ``model-index`` the results on data sets that are called ``ullage/…``.
Licence, base model and all other metadata are the publisher's to say and are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from ullage.errors import InputError
from ullage.statement import words
from ullage.statement.consent import State
from ullage.statement.document import Finding
from ullage.statement.exports.snapshot import Snapshot, shown
from ullage.statement.outcome import outcome_sentence
from ullage.statement.sanitise import markdown as text
from ullage.statement.sanitise import markdown_code

BEGIN = "<!-- ullage:begin -->"
END = "<!-- ullage:end -->"
DATASETS = "ullage/"
"""What names of our data sets begin with; by this our results are known again."""

_FRONT = re.compile(r"\A(\s*---\n)(.*?)(\n---[ \t]*(?:\n|\Z))", re.DOTALL)
"""The metadata, as the hub finds it (line ends made ``\\n``)."""
_KEY = "model-index"


def to_card(snapshot: Snapshot, card: str = "", where: str = "README.md") -> str:
    """The model card with the statement in it.

    Args:
        snapshot: the statement.
        card: the card there is; "" where there is none.
        where: its file, for errors.

    Raises:
        InputError: the card's metadata cannot be read, or our marks in it are broken.
    """
    if card.startswith("\ufeff"):
        raise InputError(f"{where}: starts with a byte order mark; save it as UTF-8 without one")
    line_end = "\r\n" if "\r\n" in card else "\n"
    card = card.replace("\r\n", "\n")
    found = _FRONT.match(card)
    opening, front, closing = found.groups() if found else ("---\n", "", "\n---\n")
    body = card[found.end() :] if found else card
    front = _with_results(front, snapshot, where).strip("\n")
    merged = f"{opening}{front}{closing}{_with_section(body, section(snapshot), where)}"
    return merged.replace("\n", line_end)


def section(snapshot: Snapshot) -> str:
    """The statement as a section of a card: every target, who accepted what, all not known."""
    return "\n\n".join(_blocks(snapshot))


def results(snapshot: Snapshot) -> list[dict[str, Any]]:
    """The findings as results of a ``model-index``, the loss and its verdict as arguments."""
    return [
        {
            "task": {"type": "text-generation"},
            "dataset": {
                "type": f"{DATASETS}{finding.target.probe}",
                "name": f"Ullage {finding.target.probe} ({shown(finding.dimension)})",
            },
            "metrics": [_metric(snapshot, finding)],
        }
        for finding in snapshot.statement.findings
    ]


def _blocks(snapshot: Snapshot) -> Iterator[str]:
    statement, scenario = snapshot.statement, snapshot.statement.scenario
    yield "## Distillation Loss Statement"
    yield f"**{outcome_sentence(statement)}** {snapshot.report.sentence} {snapshot.standing}"
    yield (
        f"The student {markdown_code(snapshot.name('student'))} against its teacher "
        f"{markdown_code(snapshot.name('teacher'))}. Loss is teacher less student, positive is "
        "worse, with its 95 % interval; δ is the margin, "
        f"{words.MARGINS_SET[statement.margins_set]}. *Preserved* means shown to lose less than δ."
    )
    table: list[tuple[str, ...]] = [
        ("dimension", "target", "severity", "verdict", "loss", "δ", "consent"),
        ("---", "---", "---", "---", "---:", "---:", "---"),
    ]
    for dimension, findings in words.by_dimension(statement.findings).items():
        table += [_row(snapshot, text(dimension), finding) for finding in findings]
    yield "\n".join("| " + " | ".join(row) + " |" for row in table)
    yield "### What is not known"
    unknown = [f"- {text(one, limit=1000)}" for one in snapshot.unknown]
    yield "\n".join(unknown) or "Every target was settled, every dimension has one."
    yield "### Scope"
    scope = [f"- Made for: {text(scenario.use, limit=1000)}"]
    if scenario.not_for:
        scope.append(f"- Not for: {text(scenario.not_for, limit=1000)}")
    if scenario.falls_back:
        scope.append(f"- Falls back to the teacher: {text(scenario.falls_back, limit=1000)}")
    yield "\n".join(scope)
    arms = [
        f"{text(role)} {markdown_code(statement.arms[role].identity)}"
        for role in words.in_order(statement.arms)
    ]
    yield (
        f"Of the statement {text(statement.name)} (SHA-256 `{snapshot.sha256}`, Ullage "
        f"{text(statement.ullage_version)}), about {words.listed(arms)}."
    )


def _row(snapshot: Snapshot, dimension: str, finding: Finding) -> tuple[str, ...]:
    word, digits = words.VERDICTS[finding.verdict], words.places(finding)
    loss = "no number" if finding.loss is None else words.interval(finding.loss, digits)
    told = snapshot.consent_told(finding)
    bold = told == State.NONE and finding.verdict in words.LOSSES
    return (
        dimension,
        markdown_code(finding.id) + (" (headline)" if finding.target.headline else ""),
        words.SEVERITIES[finding.severity],
        f"{word.symbol} **{word.label}**",
        loss.replace("[", "\\["),
        words.number(finding.target.margin, digits),
        f"**{told}**" if bold else text(told, limit=600) if told else "",
    )


def _metric(snapshot: Snapshot, finding: Finding) -> dict[str, Any]:
    student = finding.values.get("student")
    measured = student is not None and finding.loss is not None
    told: dict[str, Any] = {
        "verdict": str(finding.verdict),
        "severity": str(finding.severity),
        "margin": finding.target.margin,
    }
    if finding.loss is not None:
        loss = finding.loss
        told |= {"loss": loss.estimate, "loss_low": loss.low, "loss_high": loss.high}
    if consent := snapshot.consent_told(finding):
        told["consent"] = shown(consent)
    return {
        "type": finding.target.metric,
        "name": f"{finding.id} of the student",
        "value": student.value if student is not None and measured else "not measured",
        "args": told,
    }


def _with_section(body: str, written: str, where: str) -> str:
    """The body with the section in its place between the marks, or at the end."""
    ours = f"{BEGIN}\n\n{written}\n\n{END}"
    begins, ends = (
        [match.span() for match in re.finditer(f"^{re.escape(mark)}[ \t]*$", body, re.MULTILINE)]
        for mark in (BEGIN, END)
    )
    if not begins and not ends:
        kept = body.rstrip("\n")
        return f"{kept}\n\n{ours}\n" if kept else f"\n{ours}\n"
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        raise InputError(
            f"{where}: {BEGIN} and {END} do not stand once each, in this order; mend or remove both"
        )
    return body[: begins[0][0]] + ours + body[ends[0][1] :]


def _with_results(front: str, snapshot: Snapshot, where: str) -> str:
    """The metadata with our results anew in ``model-index``, every other line as it is."""
    before = _metadata(front, where)
    entries = before.get(_KEY) or [{"name": snapshot.name("student"), "results": []}]
    try:
        first = entries[0]
        others = [one for one in first["results"] if not _is_ours(one)]
        entries = [first | {"results": others + results(snapshot)}, *entries[1:]]
    except (TypeError, KeyError, IndexError):
        raise InputError(
            f"{where}: {_KEY} is not a list of models with name and results; mend or remove it"
        ) from None
    block = yaml.safe_dump({_KEY: entries}, sort_keys=False, allow_unicode=True, width=10**6)
    lines = front.split("\n") if front.strip() else []
    start, stop = _lines_of(front)
    merged = "\n".join([*lines[:start], *block.rstrip("\n").split("\n"), *lines[stop:]])
    if not _holds(merged, before | {_KEY: entries}):
        raise InputError(
            f"{where}: {_KEY} stands there twice, or other metadata refers into it; write it once, "
            "and the other out in full"
        )
    return merged


def _is_ours(result: Any) -> bool:
    return str(result["dataset"].get("type", "")).startswith(DATASETS)


def _metadata(front: str, where: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(front)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 2}: " if mark else ""
        raise InputError(f"{where}: {at}its metadata is not YAML; mend it") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InputError(f"{where}: its metadata is not keys and values; mend it")
    return data


def _holds(front: str, wanted: dict[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(front) == wanted)
    except yaml.YAMLError:
        return False


def _lines_of(front: str) -> tuple[int, int]:
    """First line of ``model-index`` and the line after its last; both the end if there is none."""
    lines = front.count("\n") + 1 if front.strip() else 0
    tree = yaml.compose(front, yaml.SafeLoader)
    for key, value in tree.value if isinstance(tree, yaml.MappingNode) else ():
        if key.value == _KEY:
            return key.start_mark.line, _last_line(value) + 1
    return lines, lines


def _last_line(node: yaml.Node) -> int:
    """The last line of a node, without the comments and blank lines that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_line(last[1] if isinstance(last, tuple) else last)
    mark: yaml.Mark = node.end_mark
    # A block of text ends where the next thing begins.
    return mark.line - 1 if mark.column == 0 and mark.line > node.start_mark.line else mark.line
