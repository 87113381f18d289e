"""What the findings come to: the gate, the sentence, and the list of what is not known.

The gate without a policy, target by target (`ullage.statement.policy.PLAIN`):

=============================== ========= ========= =========
verdict                         must      should    may_lose
=============================== ========= ========= =========
preserved, never_had            pass      pass      pass
lost                            FAIL      FAIL      pass
degraded                        FAIL      pass      pass
inconclusive, unmeasured        unproven  pass      pass
too many items went unasked     error     error     pass
=============================== ========= ========= =========

The burden of proof is on the student where a capability *must* be kept, so a shown loss fails it
whether or not it is shown to exceed the margin. A *should* fails only on a shown loss beyond its
margin. What a teacher never had cannot have been lost by distilling it. Where a machine failed,
nothing was learnt about the student, and asking again may mend it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from ullage.config.models import Scenario, Severity
from ullage.statement.document import Finding, NotKnown, Statement, Verdict
from ullage.statement.policy import PLAIN, Gate
from ullage.statement.words import (
    DIMENSIONS,
    SEVERITIES,
    UNKNOWN,
    VERDICTS,
    listed,
    sentence,
    several,
)


def severity_of(finding: Finding, scenario: Scenario) -> Severity:
    """The severity that counts: the scenario's where it names the target, written before asking."""
    for target in scenario.targets:
        if target.id == finding.id:
            return target.severity
    return finding.severity


def gate(finding: Finding, scenario: Scenario) -> Gate:
    """What a finding by itself means for the gate: without a policy, and so without consent."""
    return PLAIN.decide(
        severity_of(finding, scenario), finding.verdict, infrastructure=finding.infrastructure
    )


def exit_code(findings: Iterable[Finding], scenario: Scenario) -> int:
    """What the findings by themselves come to; see `code_of`.

    A target of the scenario that no finding speaks of is unmeasured.
    """
    findings = list(findings)
    judged = {finding.id for finding in findings}
    gates = [gate(finding, scenario) for finding in findings]
    gates += [
        PLAIN.decide(target.severity, Verdict.UNMEASURED)
        for target in scenario.targets
        if target.id not in judged
    ]
    return code_of(gates, demands_proof=scenario.demands_proof)


def code_of(gates: Collection[Gate], *, demands_proof: bool) -> int:
    """0 pass, 1 a target failed, 4 the machinery did, 3 unproven where proof is demanded.

    The gravest wins, in the order 1, 4, 3.
    """
    if Gate.FAIL in gates:
        return 1
    if Gate.ERROR in gates:
        return 4
    return 3 if Gate.UNPROVEN in gates and demands_proof else 0


def outcome_sentence(statement: Statement) -> str:
    """The outcome in one plain sentence, every target counted once."""
    counts = Counter(finding.verdict for finding in statement.findings)
    total = len(statement.findings)
    if not total:
        return "Nothing was judged, so nothing is known."
    kept, lost = counts[Verdict.PRESERVED], counts[Verdict.LOST]
    if kept == total:
        every = "the one capability" if total == 1 else f"all {total} capabilities"
        return f"The student kept {every} asked about."
    of_any = "the one capability asked about" if total == 1 else f"any of {total} capabilities"
    if not kept and not lost:
        clauses = [f"is shown neither to have kept nor to have lost {of_any}"]
    else:
        clauses = [
            f"kept {kept} of {total} capabilities" if kept else f"is not shown to keep {of_any}",
            f"lost {lost}" if lost else "is not shown to have lost any",
        ]
    if weaker := counts[Verdict.DEGRADED]:
        clauses.append(f"is weaker in {weaker}")
    if unknown := sum(counts[verdict] for verdict in UNKNOWN):
        clauses.append(f"{unknown} {'is' if unknown == 1 else 'are'} not known")
    told = "The student " + listed(clauses)
    if never := counts[Verdict.NEVER_HAD]:
        told += f"; {never} {'was' if never == 1 else 'were'} never there to keep"
    return told + "."


def gate_sentence(statement: Statement) -> str:
    """What the gate answers without a policy and because of what, in one sentence."""
    gates = [gate(finding, statement.scenario) for finding in statement.findings]
    return sentence_of(gates, demands_proof=statement.scenario.demands_proof)


def sentence_of(gates: Iterable[Gate], *, demands_proof: bool) -> str:
    """What a gate answers and because of what, in one sentence."""
    counts = Counter(gates)
    failed, errors, unproven = counts[Gate.FAIL], counts[Gate.ERROR], counts[Gate.UNPROVEN]
    verb = "is" if unproven == 1 else "are"
    if failed:
        told = f"The gate fails: {several(failed, 'target')} failed"
        return told + (f", {unproven} more {verb} unproven." if unproven else ".")
    if errors:
        return (
            f"The gate cannot answer: for {several(errors, 'target')} too many items could not be "
            "asked. Run the same command again to ask those."
        )
    if unproven and demands_proof:
        return (
            f"The gate does not pass: {several(unproven, 'target')} that must be kept "
            f"{verb} unproven, and proof is demanded."
        )
    if unproven:
        return (
            f"The gate passes, although {several(unproven, 'target')} that must be kept {verb} "
            "unproven: proof is not demanded."
        )
    if accepted := counts[Gate.ACCEPTED]:
        verb = "is" if accepted == 1 else "are"
        return f"The gate passes: {several(accepted, 'target')} {verb} accepted by name."
    return "The gate passes: no target failed and none that must be kept is unproven."


def not_known(findings: Sequence[Finding], arms: Collection[str]) -> tuple[NotKnown, ...]:
    """Everything the statement does not know, the gravest first.

    Args:
        findings: every target, judged.
        arms: names of the arms that answered.

    Returns:
        Unmeasured targets, inconclusive ones with the number of items that would show them,
        dimensions that no target looks at, and arms that are missing with what that hides.
    """
    severities = list(SEVERITIES)
    open_targets = sorted(
        (finding for finding in findings if finding.verdict in UNKNOWN),
        key=lambda f: (severities.index(f.severity), UNKNOWN.index(f.verdict), f.id),
    )
    entries = [_open_target(finding) for finding in open_targets]
    looked_at = {finding.dimension for finding in findings}
    entries += [
        NotKnown(what=f"{name}: {question}", why="No target of this scenario looks at it.")
        for name, question in DIMENSIONS.items()
        if name not in looked_at
    ]
    entries += [
        NotKnown(what=what, why=why)
        for arm, (what, why) in _HIDDEN_BY_ABSENCE.items()
        if arm not in arms
    ]
    return tuple(entries)


_HIDDEN_BY_ABSENCE = {
    "base": (
        "Whether what the student lacks was lost or never there",
        "The student before distillation (arm base) was not asked, so a fault of the student may "
        "be older than its distillation.",
    ),
    "teacher_again": (
        "How much of each loss is noise",
        "The teacher was not asked a second time (arm teacher_again), so there is no noise floor "
        "to hold a loss against.",
    ),
    "control": (
        "Whether the teacher was needed",
        "No model trained on the same prompts without the teacher (arm control) was asked, so "
        "what distillation gained is not told apart from what the prompts alone would have.",
    ),
}


def _open_target(finding: Finding) -> NotKnown:
    """What is open about one target, and what would close it."""
    label = VERDICTS[finding.verdict].label
    why = sentence(finding.why)
    # More items would not help where machines failed to answer the ones there were.
    if (
        finding.verdict == Verdict.INCONCLUSIVE
        and finding.power is not None
        and not finding.infrastructure
    ):
        have, need = finding.power.achieved_items, finding.power.items_needed
        if need is None:
            why += f" No number of items is known to settle it ({have:,} were asked)."
        else:
            why += (
                f" About {need:,} items would show it kept if the loss is what it looks like "
                f"({have:,} were asked)."
            )
    return NotKnown(
        what=f"{finding.id} ({finding.dimension}; {SEVERITIES[finding.severity]}; {label})", why=why
    )
