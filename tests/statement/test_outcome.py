from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import statements
from ullage.config.models import Scenario, Severity
from ullage.statement.document import Finding, Statement, Verdict
from ullage.statement.gating import rule
from ullage.statement.outcome import (
    exit_code,
    gate,
    gate_sentence,
    not_known,
    outcome_sentence,
)
from ullage.statement.policy import Gate
from ullage.statement.words import DIMENSIONS

TABLE = {
    Severity.MUST: {
        Verdict.PRESERVED: 0,
        Verdict.NEVER_HAD: 0,
        Verdict.LOST: 1,
        Verdict.DEGRADED: 1,
        Verdict.INCONCLUSIVE: 3,
        Verdict.UNMEASURED: 3,
    },
    Severity.SHOULD: {verdict: int(verdict == Verdict.LOST) for verdict in Verdict},
    Severity.MAY_LOSE: dict.fromkeys(Verdict, 0),
}


def scenario_of(findings: list[Finding], **changes: object) -> Scenario:
    return statements.statement(findings, scenario=changes).scenario


def judged(*pairs: tuple[Severity, Verdict]) -> list[Finding]:
    return [
        statements.finding(f"probe-{index}.metric", verdict, severity=severity)
        for index, (severity, verdict) in enumerate(pairs)
    ]


@pytest.mark.parametrize(("severity", "verdict"), list(itertools.product(Severity, Verdict)))
def test_one_target_gates_as_the_table_says(severity: Severity, verdict: Verdict) -> None:
    findings = judged((severity, verdict))
    expected = TABLE[severity][verdict]
    assert exit_code(findings, scenario_of(findings)) == expected
    lenient = scenario_of(findings, demands_proof=False)
    assert exit_code(findings, lenient) == (0 if expected == 3 else expected)


@given(st.lists(st.tuples(st.sampled_from(Severity), st.sampled_from(Verdict)), min_size=1))
def test_a_failure_wins_over_a_doubt_and_a_doubt_over_a_pass(
    pairs: list[tuple[Severity, Verdict]],
) -> None:
    findings = judged(*pairs)
    codes = {TABLE[severity][verdict] for severity, verdict in pairs}
    expected = 1 if 1 in codes else 3 if 3 in codes else 0
    assert exit_code(findings, scenario_of(findings)) == expected


@pytest.mark.parametrize(
    ("severity", "code"), [(Severity.MUST, 4), (Severity.SHOULD, 4), (Severity.MAY_LOSE, 0)]
)
def test_a_target_the_machinery_failed_is_no_loss_and_no_pass(
    severity: Severity, code: int
) -> None:
    broken = statements.finding(
        "a.a", Verdict.INCONCLUSIVE, severity=severity, changes={"infrastructure": True}
    )
    unproven, lost = judged((Severity.MUST, Verdict.UNMEASURED), (Severity.MUST, Verdict.LOST))
    assert exit_code([broken], scenario_of([broken])) == code
    both = [broken, unproven]
    assert exit_code(both, scenario_of(both)) == (code or 3)
    three = [broken, unproven, lost]
    assert exit_code(three, scenario_of(three)) == 1
    assert ("cannot answer" in gate_sentence(statements.statement([broken]))) == bool(code)
    assert "items would show it kept" not in not_known([broken], ())[0].why


def test_a_target_nobody_judged_is_unmeasured() -> None:
    both = judged((Severity.MUST, Verdict.PRESERVED), (Severity.MUST, Verdict.PRESERVED))
    assert exit_code(both[:1], scenario_of(both)) == 3


def test_the_severity_written_before_asking_counts() -> None:
    lost = judged((Severity.MUST, Verdict.LOST))
    softened = judged((Severity.MAY_LOSE, Verdict.LOST))
    assert gate(softened[0], scenario_of(lost)) == Gate.FAIL
    assert exit_code(softened, scenario_of(lost)) == 1


def test_gate_lines_put_failures_first_one_line_a_target() -> None:
    statement = statements.every_verdict()
    lines = rule(statement).lines
    assert len(lines) == len(statement.findings)
    words = [line.split()[0] for line in lines]
    assert words == ["FAIL"] * 3 + ["unproven"] * 2 + ["pass"] * 6
    assert all(finding.id in "\n".join(lines) for finding in statement.findings)


def test_gate_lines_of_hostile_text_are_printable_lines() -> None:
    for line in rule(statements.hostile()).lines:
        assert line.isprintable()


@pytest.mark.parametrize(
    ("verdicts", "sentence"),
    [
        ("ppplllllui", "kept 3 of 10 capabilities, lost 5, and 2 are not known."),
        ("pl", "kept 1 of 2 capabilities and lost 1."),
        ("ppp", "kept all 3 capabilities asked about."),
        ("p", "kept the one capability asked about."),
        (
            "u",
            "is shown neither to have kept nor to have lost the one capability asked about and 1 ",
        ),
        ("uu", "neither to have kept nor to have lost any of 2 capabilities and 2 are not known."),
        ("lu", "is not shown to keep any of 2 capabilities, lost 1, and 1 is not known."),
        ("pdn", "kept 1 of 3 capabilities, is not shown to have lost any, and is weaker in 1; 1 "),
        ("pnn", "is not shown to have lost any; 2 were never there to keep."),
    ],
)
def test_the_outcome_in_one_sentence(verdicts: str, sentence: str) -> None:
    by_letter = {str(verdict)[0]: verdict for verdict in Verdict}
    statement = statements.statement(
        judged(*((Severity.SHOULD, by_letter[letter]) for letter in verdicts.strip()))
    )
    assert sentence in outcome_sentence(statement)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (statements.every_verdict(), "The gate fails: 3 targets failed, 2 more are unproven."),
        (statements.all_kept(), "The gate passes"),
        (statements.bare(), "proof is demanded"),
    ],
    ids=["fails", "passes", "unproven"],
)
def test_the_gate_in_one_sentence(statement: Statement, told: str) -> None:
    assert told in gate_sentence(statement)
    assert ("passes" in gate_sentence(statement)) == (statement.exit_code == 0)


def test_what_is_not_known_starts_with_the_gravest() -> None:
    findings = judged(
        (Severity.MAY_LOSE, Verdict.UNMEASURED),
        (Severity.MUST, Verdict.INCONCLUSIVE),
        (Severity.MUST, Verdict.PRESERVED),
        (Severity.MUST, Verdict.UNMEASURED),
    )
    entries = not_known(findings, ("teacher", "student", "base"))
    assert [entry.what.split(".")[0] for entry in entries[:3]] == ["probe-3", "probe-1", "probe-0"]
    assert "About 2,130 items would show it kept" in entries[1].why
    unasked = [entry.what.split(":")[0] for entry in entries[3:-2]]
    assert unasked == [name for name in DIMENSIONS if name != "boundary"]
    assert [entry.what for entry in entries[-2:]] == [
        "How much of each loss is noise",
        "Whether the teacher was needed",
    ]


def test_an_inconclusive_target_without_a_known_n_says_so() -> None:
    finding = statements.finding("clarify.clarifies", Verdict.INCONCLUSIVE)
    assert finding.power is not None
    power = finding.power.model_copy(update={"items_needed": None})
    entry = not_known([finding.model_copy(update={"power": power})], ())[0]
    assert "No number of items is known to settle it (640 were asked)" in entry.why


def test_dimensions_are_those_of_the_probes() -> None:
    from ullage.probes.protocol import Dimension

    assert list(DIMENSIONS) == [str(dimension) for dimension in Dimension]
