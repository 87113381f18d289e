"""What every view says of the auditor itself."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from tests.support.statements import every_verdict, selftest
from ullage.statement import words
from ullage.statement.document import Verdict
from ullage.statement.html import to_html
from ullage.statement.markdown import to_markdown
from ullage.statement.terminal import render


def sentences() -> dict[Verdict, str]:
    return {finding.verdict: words.trust(finding) for finding in every_verdict().findings}


def test_a_finding_says_how_often_its_metric_finds_a_planted_loss() -> None:
    assert sentences()[Verdict.LOST] == (
        "Ullage 0.1.0 finds a planted loss of δ = 0.1 in 95 % and of 2δ in 100 % of audits; "
        "false alarms 2 % (n = 146, 400 audits each)."
    )


def test_what_did_not_hold_comes_first() -> None:
    told = sentences()[Verdict.DEGRADED]
    assert told.startswith("Its self-test did not hold: preserved at δ: 120 of 400 (30.0%), wanted")
    assert told.endswith("(n = 146, 400 audits each).")


def test_a_metric_never_tried_says_so() -> None:
    assert sentences()[Verdict.UNMEASURED].startswith("Not self-tested: ")


def test_a_loss_that_no_student_can_have_is_left_out() -> None:
    finding = every_verdict().findings[0]
    tried = selftest(Verdict.LOST).model_copy(update={"found_twice": None, "truth": "measured"})
    told = words.trust(finding.model_copy(update={"selftest": tried}))
    assert "2δ" not in told
    assert told.endswith("The true loss was read through the probe itself.")


@pytest.mark.parametrize("view", ["html", "markdown", "terminal"])
def test_every_view_says_how_many_targets_were_tried(view: str) -> None:
    statement = every_verdict()
    tried = [finding.selftest for finding in statement.findings if finding.selftest]
    weak = sum(bool(one.failed) for one in tried)
    assert 0 < weak < len(tried) < len(statement.findings)
    if view == "terminal":
        out = io.StringIO()
        render(statement, Console(file=out, width=200))
        text = out.getvalue()
    else:
        text = (to_html if view == "html" else to_markdown)(statement)
    assert f"self-tested on {len(tried)} of {len(statement.findings)} targets; on {weak}" in text


def test_a_statement_of_an_untried_auditor_says_so() -> None:
    statement = every_verdict()
    untried = tuple(f.model_copy(update={"selftest": None}) for f in statement.findings)
    told = to_markdown(statement.model_copy(update={"findings": untried}))
    assert "This auditor, as it is now, was not self-tested on any of these targets." in told
