"""`statement.md`: the statement for a model card or a pull request, compact and inert."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ullage.statement import words
from ullage.statement.consent import UNACCEPTED, Consent, State, life_sentence
from ullage.statement.document import Example, Finding, Statement
from ullage.statement.outcome import gate, gate_sentence, outcome_sentence
from ullage.statement.policy import Gate
from ullage.statement.sanitise import markdown as text
from ullage.statement.sanitise import markdown_block, markdown_code
from ullage.statement.standing import Standing, picture


def to_markdown(statement: Statement, found: Mapping[str, Consent] | None = None) -> str:
    """The statement as GitHub-flavoured Markdown; hostile text stands in code spans and fences.

    Args:
        statement: what is written.
        found: what became of the consent to each target.
    """
    found = found or {}
    blocks = [
        f"# Distillation Loss Statement: {text(statement.name)}",
        f"**{outcome_sentence(statement)}**",
        f"{gate_sentence(statement)} Exit code {statement.exit_code}. "
        f"Scenario: {text(statement.scenario.title)}. {words.trusted(statement.findings)}",
        life_sentence(statement, found),
        *_verdicts(statement),
        *_reach(statement),
        *_unknown(statement),
        *_losses(statement, found),
        *_standings(statement),
        *_trust(statement),
        *_scope(statement),
        *_provenance(statement),
    ]
    return "\n\n".join(blocks) + "\n"


def _verdicts(statement: Statement) -> Iterator[str]:
    yield "## Verdicts"
    yield (
        "Loss is teacher less student, positive is worse, with its 95 % interval; δ is the margin, "
        f"{words.MARGINS_SET[statement.margins_set]}. *Preserved* means shown to lose less than δ."
        + words.other_references(statement.findings)
    )
    rows: list[tuple[str, ...]] = [
        ("dimension", "target", "severity", "verdict", "loss", "δ", "gate"),
        ("---", "---", "---", "---", "---:", "---:", "---"),
    ]
    for dimension, findings in words.by_dimension(statement.findings).items():
        rows += [_row(statement, text(dimension), finding) for finding in findings]
    yield "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(statement: Statement, dimension: str, finding: Finding) -> tuple[str, ...]:
    digits = words.places(finding)
    word = words.VERDICTS[finding.verdict]
    outcome = gate(finding, statement.scenario)
    marks = ["headline"] * finding.target.headline + [words.against(finding)]
    told = ", ".join(filter(None, marks))
    return (
        dimension,
        f"{markdown_code(finding.id)}{f' ({told})' if told else ''}",
        words.SEVERITIES[finding.severity],
        f"{word.symbol} **{word.label}**",
        _loss(finding),
        words.number(finding.target.margin, digits),
        str(outcome) if outcome == Gate.PASS else f"**{outcome}**",
    )


def _loss(finding: Finding) -> str:
    if finding.loss is None:
        return "no number"
    return words.interval(finding.loss, words.places(finding)).replace("[", "\\[")


def _unknown(statement: Statement) -> Iterator[str]:
    yield "## What is not known"
    if statement.not_known:
        yield "\n".join(f"- **{text(e.what)}**: {text(e.why)}" for e in statement.not_known)
    else:
        yield "Every target was settled, every dimension has one, and every arm answered."


def _losses(statement: Statement, found: Mapping[str, Consent]) -> Iterator[str]:
    yield "## What was lost"
    losses = [
        finding
        for findings in words.by_dimension(statement.findings).values()
        for finding in findings
        if finding.verdict in words.LOSSES
    ]
    if not losses:
        yield "No loss was shown. What was not measured, or not settled, is listed above."
    for finding in losses:
        yield f"### {markdown_code(finding.id)}: {words.VERDICTS[finding.verdict].label}"
        yield (
            f"{text(finding.metric_summary)} Loss {_loss(finding)} against a margin of "
            f"{words.number(finding.target.margin, words.places(finding))}. "
            f"Why it matters: {text(finding.target.reason)}"
        )
        yield from _consent(found.get(finding.id, UNACCEPTED))
        if finding.examples:
            yield from _example(finding.examples[0], finding.against)


def _reach(statement: Statement) -> Iterator[str]:
    """How far capabilities reach, where that was measured."""
    lines = [
        f"- {markdown_code(finding.id)}: **{found.word}**. "
        f"{text(words.sentence(found.why), limit=1000)}"
        for findings in words.by_dimension(statement.findings).values()
        for finding in findings
        if (found := finding.generalisation) is not None
    ]
    if lines:
        yield "## Principle or lookup table"
        yield "\n".join(lines)


def _consent(consent: Consent) -> Iterator[str]:
    given = consent.acceptance
    if given is None:
        yield "**Unaccepted**: nobody has put a name to this loss."
        return
    label = "Accepted" if consent.state == State.ACCEPTED else f"**{consent.state}**"
    told = f"{label} by {text(given.by)} ({text(given.role)}) until {given.until}"
    told += f", because: {text(given.because, limit=1000)}"
    if given.mitigation:
        told += f" Mitigation: {text(given.mitigation, limit=1000)}"
    yield told + (f" No longer: {text(consent.why, limit=1000)}" if consent.why else "")


def _example(example: Example, against: str) -> Iterator[str]:
    yield f"Asked ({markdown_code(example.item)}):"
    for turn in example.prompt[-1:]:
        yield markdown_block(turn.content)
    for arm in (against, "student"):
        turns = example.replies.get(arm, ())
        yield f"The {arm} said:" if turns else f"The {arm} said nothing."
        for index, turn in enumerate(turns):
            if index:
                yield f"Then, {text(turn.role)}:"
            yield markdown_block(turn.content)


def _standings(statement: Statement) -> Iterator[str]:
    drawn = picture(statement)
    yield "## Performance against capability"
    rows: list[tuple[str, ...]] = [
        ("arm", "performance", "capability kept"),
        ("---", "---:", "---:"),
    ]
    rows += [
        (text(standing.arm), *(_share(value) for value in _axes(standing)))
        for standing in drawn.standings
    ]
    yield "\n".join("| " + " | ".join(row) + " |" for row in rows)
    yield (
        f"Performance: mean of {words.several(drawn.headline_targets, 'headline target')}. "
        f"Capability kept: mean share of the teacher's over "
        f"{words.several(drawn.other_targets, 'other target')}, capped at the teacher's."
    )


def _axes(standing: Standing) -> tuple[float | None, float | None]:
    return standing.performance, standing.capability


def _share(value: float | None) -> str:
    return "not measured" if value is None else words.percent(value)


def _trust(statement: Statement) -> Iterator[str]:
    yield "## How well this auditor sees"
    yield "\n".join(
        f"- {markdown_code(finding.id)}: {text(words.trust(finding), limit=2000)}"
        for findings in words.by_dimension(statement.findings).values()
        for finding in findings
    )


def _scope(statement: Statement) -> Iterator[str]:
    yield "## Scope"
    scope = f"- Made for: {text(statement.scenario.use, limit=1000)}"
    if statement.scenario.not_for:
        scope += f"\n- Not for: {text(statement.scenario.not_for, limit=1000)}"
    if statement.scenario.falls_back:
        scope += f"\n- Falls back to the teacher: {text(statement.scenario.falls_back, limit=1000)}"
    yield scope


def _provenance(statement: Statement) -> Iterator[str]:
    yield "## Provenance"
    lines = [
        f"- {text(arm)}: {markdown_code(statement.arms[arm].identity)}, "
        f"{words.several(statement.arms[arm].replies, 'reply', 'replies')}"
        for arm in words.in_order(statement.arms)
    ]
    if stated := words.terms(statement.distillation):
        lines.append(f"- {text(stated, limit=1000)}")
    lines += [f"- Note: {text(note, limit=1000)}" for note in statement.notes]
    lines.append(
        f"- Ullage {text(statement.ullage_version)}, seed {statement.seed}, "
        f"configuration {markdown_code(statement.config_digest)}, "
        f"replies {markdown_code(statement.replies_digest)}"
    )
    yield "\n".join(lines)
