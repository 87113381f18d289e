"""Who agreed to which loss, and when that no longer holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support import statements
from tests.support.signed import TODAY, UNTIL, give, write_key, write_statement
from ullage.cli import app
from ullage.config.models import Severity
from ullage.errors import InputError
from ullage.gate import run_gate
from ullage.statement.acceptance import (
    FOLDER,
    Acceptance,
    accept,
    finding_hash,
    make_acceptance,
    read_records,
    withdraw,
)
from ullage.statement.consent import Life, State, consents, life
from ullage.statement.document import Finding, Generalisation, Statement, Verdict
from ullage.statement.gating import rule
from ullage.statement.html import to_html
from ullage.statement.keys import SecretKey
from ullage.statement.markdown import to_markdown
from ullage.statement.policy import Policy
from ullage.statement.store import read

TARGET = "clarify.clarifies"
EVERY = statements.every_verdict()


def lost(**changes: Any) -> Statement:
    made = statements.finding(TARGET, Verdict.LOST, examples=[statements.example()])
    return statements.statement([made.model_copy(update=changes)])


def states(statement: Statement, folder: Path, **options: Any) -> dict[str, State]:
    found = consents(statement, read_records(folder), **options)
    return {target: consent.state for target, consent in found.items()}


def test_an_acceptance_holds_for_what_it_was_given_for(tmp_path: Path) -> None:
    statement = lost()
    give(tmp_path, statement, TARGET, SecretKey.generate())
    assert states(statement, tmp_path, on=UNTIL) == {TARGET: State.ACCEPTED}
    (record,) = read_records(tmp_path)
    assert isinstance(record.document, Acceptance)
    assert record.document.by == "Ada Lovelace" and record.document.verdict == Verdict.LOST


def changed(statement: Statement, **fields: Any) -> Statement:
    (finding,) = statement.findings
    return statement.model_copy(update={"findings": (finding.model_copy(update=fields),)})


def of_arm(statement: Statement, role: str) -> Statement:
    arms = statement.arms | {role: statements.arm("another")}
    return statement.model_copy(update={"arms": arms})


def used_for(statement: Statement, use: str) -> Statement:
    scenario = statement.scenario.model_copy(update={"use": use})
    return statement.model_copy(update={"scenario": scenario})


BEFORE = lost()
LAPSES = {
    "the finding": [
        changed(BEFORE, verdict=Verdict.DEGRADED),
        changed(BEFORE, loss=statements.estimate(0.22, 0.06)),
        changed(BEFORE, p_lost=0.1),
        changed(BEFORE, target=statements.target(TARGET, margin=0.06)),
        changed(BEFORE, target=statements.target(TARGET, severity=Severity.SHOULD)),
    ],
    "the student": [of_arm(BEFORE, "student")],
    "the teacher": [of_arm(BEFORE, "teacher")],
    "the use": [used_for(BEFORE, "Sorts patients by urgency.")],
}


@pytest.mark.parametrize(
    ("what", "after"), [(what, after) for what, many in LAPSES.items() for after in many]
)
def test_an_acceptance_lapses_with_what_it_was_given_for(
    tmp_path: Path, what: str, after: Statement
) -> None:
    give(tmp_path, BEFORE, TARGET, SecretKey.generate())
    found = consents(after, read_records(tmp_path), on=TODAY)[TARGET]
    assert (found.state, found.why) == (State.LAPSED, f"{what} changed since")
    assert life(after, {TARGET: found}) == Life.EXPIRED


def test_what_is_beside_the_result_does_not_matter(tmp_path: Path) -> None:
    """Another choice of examples, a word for it, and a self-test since, are no other result."""
    give(tmp_path, BEFORE, TARGET, SecretKey.generate())
    named = Generalisation(word="cannot tell", why="It is new.", axis="distance", points=())
    after = changed(BEFORE, examples=(), generalisation=named, selftest=None)
    assert states(after, tmp_path, on=TODAY) == {TARGET: State.ACCEPTED}
    assert finding_hash(after.findings[0]) == finding_hash(BEFORE.findings[0])


def test_it_expires_after_its_last_day_and_can_be_renewed(tmp_path: Path) -> None:
    key = SecretKey.generate()
    give(tmp_path, BEFORE, TARGET, key)
    later = UNTIL + timedelta(days=1)
    assert states(BEFORE, tmp_path, on=later) == {TARGET: State.EXPIRED}
    assert states(BEFORE, tmp_path) == {TARGET: State.ACCEPTED}  # a page has no clock
    give(tmp_path, BEFORE, TARGET, key, accepted=later, until=later)
    assert states(BEFORE, tmp_path, on=later) == {TARGET: State.ACCEPTED}
    assert states(BEFORE, tmp_path, on=UNTIL) == {TARGET: State.ACCEPTED}


def test_an_acceptance_from_the_future_does_not_hold(tmp_path: Path) -> None:
    give(tmp_path, BEFORE, TARGET, SecretKey.generate())
    assert states(BEFORE, tmp_path, on=TODAY - timedelta(days=1)) == {TARGET: State.INVALID}


def test_withdrawing_takes_no_trust_and_accepting_does(tmp_path: Path) -> None:
    give(tmp_path, BEFORE, TARGET, SecretKey.generate())
    stranger = SecretKey.generate()
    options: dict[str, Any] = {"by": "Bob", "because": "Complaints.", "withdrawn": TODAY}
    assert len(withdraw(tmp_path, BEFORE, TARGET, signer=stranger, **options)) == 1
    assert states(BEFORE, tmp_path, on=TODAY) == {TARGET: State.WITHDRAWN}
    with pytest.raises(InputError, match="nothing to withdraw"):
        withdraw(tmp_path, BEFORE, TARGET, signer=stranger, **options)


def test_what_was_taken_back_cannot_be_given_again_in_the_same_words(tmp_path: Path) -> None:
    key = SecretKey.generate()
    give(tmp_path, BEFORE, TARGET, key)
    withdraw(tmp_path, BEFORE, TARGET, by="Ada", because="No.", withdrawn=TODAY, signer=key)
    with pytest.raises(InputError, match="say in --because what is different now"):
        give(tmp_path, BEFORE, TARGET, key)
    give(tmp_path, BEFORE, TARGET, key, until=UNTIL - timedelta(days=1))
    assert states(BEFORE, tmp_path, on=TODAY) == {TARGET: State.ACCEPTED}


@pytest.mark.parametrize(
    ("acceptor", "given", "why"),
    [
        ("{key: ada.key.pub}", {}, None),
        ("{key: ada.key.pub, by: Ada Lovelace, role: product owner}", {}, None),
        ("{key: bob.key.pub}", {}, "the policy does not know its key"),
        ("{key: ada.key.pub, by: Ada Lovelace}", {"by": "Eve"}, "may not sign as Eve"),
        ("{key: ada.key.pub, role: product owner}", {"role": "intern"}, "as Ada Lovelace (intern)"),
        ("{key: ada.key.pub}", {"until": TODAY + timedelta(days=201)}, "more than 200 days"),
    ],
)
def test_a_policy_says_whose_acceptances_count(
    tmp_path: Path, acceptor: str, given: dict[str, Any], why: str | None
) -> None:
    key = write_key(tmp_path)
    write_key(tmp_path, "bob")
    statement = lost()
    path = write_statement(tmp_path / "run", statement)
    give(path.parent, statement, TARGET, key, **given)
    policy = f"must: {{lost: consent}}\nlongest_days: 200\nacceptors: [{acceptor}]\n"
    (tmp_path / "gate.yaml").write_text(policy)
    report = run_gate(path, tmp_path / "gate.yaml", on=TODAY)
    assert report.exit_code == (0 if why is None else 1)
    if why is not None:
        assert why in report.lines[0]
        assert report.life == Life.DRAFT


def test_a_forged_acceptance_does_not_count(tmp_path: Path) -> None:
    """A trusted key's id over another's signature."""
    key, forger = write_key(tmp_path), SecretKey.generate()
    statement = lost()
    path = write_statement(tmp_path / "run", statement)
    forged = give(path.parent, statement, TARGET, forger)
    forged.write_bytes(forged.read_bytes().replace(forger.keyid.encode(), key.keyid.encode()))
    (tmp_path / "gate.yaml").write_text("must: {lost: consent}\nacceptors: [{key: ada.key.pub}]\n")
    report = run_gate(path, tmp_path / "gate.yaml", on=TODAY)
    assert report.exit_code == 1 and "its signature does not fit" in report.lines[0]


def test_every_changed_byte_of_an_acceptance_is_caught(tmp_path: Path) -> None:
    """Refused by name, or not honoured; and the whole one is, before and after."""
    key, statement = write_key(tmp_path), lost()
    path = write_statement(tmp_path / "run", statement)
    given = give(path.parent, statement, TARGET, key)
    policy = tmp_path / "gate.yaml"
    policy.write_text("must: {lost: consent}\nacceptors: [{key: ada.key.pub}]\n")
    whole, draw = given.read_bytes(), Random("acceptance")
    assert run_gate(path, policy, on=TODAY).exit_code == 0
    for place in draw.sample(range(len(whole)), 300):
        broken = bytearray(whole)
        broken[place] ^= draw.randrange(1, 256)
        given.write_bytes(broken)
        try:
            assert run_gate(path, policy, on=TODAY).exit_code == 1, place
        except InputError as error:
            assert given.name in str(error)
    given.write_bytes(whole)
    assert run_gate(path, policy, on=TODAY).exit_code == 0


def test_a_spoilt_acceptance_is_refused_by_name(tmp_path: Path) -> None:
    path = give(tmp_path, BEFORE, TARGET, SecretKey.generate())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"{FOLDER}/{path.name}: is no whole signed document"):
        read_records(tmp_path)


@pytest.mark.parametrize(
    ("target", "options", "said"),
    [
        ("agreement.agreement", {}, "is preserved, so there is nothing to accept"),
        ("invariance.holds", {}, "is never had, so there is nothing to accept"),
        ("no.such", {}, "has no such target; its losses are "),
        (TARGET, {"by": "  "}, "--by: is blank"),
        (TARGET, {"until": TODAY - timedelta(days=1)}, "is past"),
    ],
)
def test_what_cannot_be_accepted_is_refused(
    target: str, options: dict[str, Any], said: str
) -> None:
    plain: dict[str, Any] = {
        "by": "Ada",
        "role": "owner",
        "because": "Why not.",
        "accepted": TODAY,
        "until": UNTIL,
    }
    with pytest.raises(InputError, match=said):
        make_acceptance(EVERY, target, **(plain | options))


def test_not_knowing_can_be_accepted_and_errors_cannot(tmp_path: Path) -> None:
    give(tmp_path, EVERY, "confidence.overconfidence", SecretKey.generate())
    assert states(EVERY, tmp_path, on=TODAY) == {"confidence.overconfidence": State.ACCEPTED}
    broken = changed(BEFORE, verdict=Verdict.INCONCLUSIVE, infrastructure=True)
    with pytest.raises(InputError, match="run the audit again"):
        give(tmp_path, broken, TARGET, SecretKey.generate())


def test_the_state_of_a_statement_is_that_of_its_losses(tmp_path: Path) -> None:
    """What may be lost needs a name as well."""
    losses = [f.id for f in EVERY.findings if f.verdict in (Verdict.LOST, Verdict.DEGRADED)]
    severities = {f.severity for f in EVERY.findings if f.id in losses}
    assert severities == set(Severity)
    key = SecretKey.generate()
    for target in losses:
        assert life(EVERY, consents(EVERY, read_records(tmp_path), on=TODAY)) == Life.DRAFT
        give(tmp_path, EVERY, target, key)
    assert life(EVERY, consents(EVERY, read_records(tmp_path), on=TODAY)) == Life.ACCEPTED
    later = UNTIL + timedelta(days=1)
    assert life(EVERY, consents(EVERY, read_records(tmp_path), on=later)) == Life.EXPIRED
    withdraw(tmp_path, EVERY, losses[0], by="Ada", because="No.", withdrawn=TODAY, signer=key)
    assert life(EVERY, consents(EVERY, read_records(tmp_path), on=TODAY)) == Life.WITHDRAWN
    assert life(statements.all_kept(), {}) == Life.ACCEPTED


def test_the_gate_wants_a_name_for_what_may_be_lost() -> None:
    finding = statements.finding(TARGET, Verdict.LOST, severity=Severity.MAY_LOSE)
    statement = statements.statement([finding])
    assert rule(statement).exit_code == 0
    report = rule(statement, Policy())
    assert report.exit_code == 1 and "Unaccepted: nobody has put a name to it." in report.lines[0]


def test_the_views_say_unaccepted_until_somebody_accepts(tmp_path: Path) -> None:
    losses = [f for f in EVERY.findings if f.verdict in (Verdict.LOST, Verdict.DEGRADED)]
    page, text = to_html(EVERY), to_markdown(EVERY)
    assert page.count("<strong>Unaccepted.</strong>") == len(losses)
    assert page.count('<span class="consent open">unaccepted</span>') == len(losses)
    assert text.count("**Unaccepted**") == len(losses)
    give(tmp_path, EVERY, TARGET, SecretKey.generate())
    found = consents(EVERY, read_records(tmp_path))
    page, text = to_html(EVERY, found), to_markdown(EVERY, found)
    assert page.count("<strong>Unaccepted.</strong>") == len(losses) - 1
    assert "<strong>Accepted</strong> by Ada Lovelace (product owner)" in page
    assert "Accepted by Ada Lovelace (product owner) until 2026-09-30" in text


@pytest.mark.parametrize("what", statements.HOSTILE)
def test_hostile_names_and_reasons_do_nothing(tmp_path: Path, what: str) -> None:
    text = statements.HOSTILE[what]
    if what == "surrogate":
        text = text.encode("utf-8", "replace").decode()
    acceptance = make_acceptance(
        BEFORE, TARGET, by=text, role=text, because=text, mitigation=text, accepted=TODAY,
        until=UNTIL,
    )  # fmt: skip
    write_statement(tmp_path, BEFORE)
    accept(tmp_path, acceptance, SecretKey.generate())
    found = consents(BEFORE, read_records(tmp_path))
    listing = CliRunner().invoke(app, ["statement", "list", str(tmp_path)])
    assert listing.exit_code == 0, listing.exception
    shown = [to_html(BEFORE, found), to_markdown(BEFORE, found), listing.output]
    shown += rule(BEFORE, Policy(), found).lines
    for view in shown:
        for char in ("\x1b", "\x9b", "\u202e", "\u2066", "\u200b", "\x00", "\x07"):
            assert char not in view
    assert "<script>alert" not in shown[0] and 'onerror="' not in shown[0]


def test_a_finding_in_memory_hashes_as_the_one_in_the_file(tmp_path: Path) -> None:
    hostile = statements.hostile()
    path = write_statement(tmp_path, hostile)
    pairs: list[tuple[Finding, Finding]] = list(
        zip(hostile.findings, read(path).findings, strict=True)
    )
    assert all(finding_hash(one) == finding_hash(other) for one, other in pairs)
