"""The gate decides as the tables of docs/gate.md say: the cases are read from that page."""

from __future__ import annotations

import itertools
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree as Xml

import jsonschema
import pytest
import yaml

from tests.support import statements
from tests.support.signed import TODAY, UNTIL, give, write_key, write_statement
from ullage.config.models import Severity
from ullage.gate import run_gate
from ullage.statement.acceptance import withdraw
from ullage.statement.document import Statement, Verdict
from ullage.statement.gate_formats import to_junit
from ullage.statement.gating import Report
from ullage.statement.keys import SecretKey
from ullage.statement.outcome import code_of
from ullage.statement.policy import PLAIN, Gate, Policy, Rules, load_policy, policy_schema

PAGE = Path(__file__).parents[2] / "docs" / "gate.md"
TARGET = "clarify.clarifies"


def table(name: str) -> list[dict[str, str]]:
    """The rows of a marked table, by the names of its columns."""
    text = PAGE.read_text("utf-8").split(f"<!-- {name}:")[1].split(f"<!-- /{name} -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


DECISIONS = table("decisions")
OUTCOMES = {(row["word"], row["proof"]): row for row in table("outcomes")}
STANDINGS = list(DECISIONS[0])[2:]


def about(verdict: str, severity: Severity, *, demands_proof: bool = True) -> Statement:
    """A statement of one target; `error` is a target that could not be asked."""
    kind = Verdict.INCONCLUSIVE if verdict == "error" else Verdict(verdict)
    finding = statements.finding(
        TARGET, kind, severity=severity, changes={"infrastructure": verdict == "error"}
    )
    return statements.statement([finding], scenario={"demands_proof": demands_proof})


def acceptable(statement: Statement) -> Statement:
    """The same with its finding one that can be accepted: what was there to accept before."""
    (finding,) = statement.findings
    made = finding.model_copy(update={"verdict": Verdict.LOST, "infrastructure": False})
    return statement.model_copy(update={"findings": (made,)})


def other_weights(statement: Statement) -> Statement:
    arms = statement.arms | {"student": statements.arm("another student")}
    return statement.model_copy(update={"arms": arms})


def other_finding(statement: Statement) -> Statement:
    (finding,) = statement.findings
    changed = finding.model_copy(update={"why": "The loss is a little larger than it was."})
    return statement.model_copy(update={"findings": (changed,)})


def arranged(folder: Path, standing: str, statement: Statement, key: SecretKey) -> None:
    """Bring about what a column of the table says, with real keys, and write the statement."""
    # Nothing to accept where a target is kept or was not asked: what was accepted was another.
    can = statement.findings[0].verdict not in (Verdict.PRESERVED, Verdict.NEVER_HAD)
    given = statement if can and not statement.findings[0].infrastructure else acceptable(statement)
    signer, until = key, UNTIL
    if standing == "weights changed":
        given = other_weights(given)
    elif standing == "finding changed":
        given = other_finding(given)
    elif standing == "not valid":
        signer = SecretKey.generate()
    elif standing == "expired":
        until = TODAY
    if standing != "not accepted":
        give(folder, given, TARGET, signer, until=until)
    if standing == "withdrawn":
        withdraw(
            folder, given, TARGET, by="Ada", because="A complaint.", withdrawn=TODAY, signer=signer
        )
    write_statement(folder, statement)


def gated(
    folder: Path, verdict: str, action: str, severity: Severity, demands_proof: bool | None
) -> Report:
    """What the gate says under a policy with one rule; kept targets have none."""
    rule = f"{severity}: {{{verdict}: {action}}}\n" if verdict in Rules.model_fields else ""
    if demands_proof is not None:
        rule += f"demands_proof: {str(demands_proof).lower()}\n"
    (folder / "gate.yaml").write_text(f"{rule}acceptors: [{{key: ada.key.pub}}]\n")
    day = TODAY + timedelta(days=1)
    return run_gate(folder / "run" / "statement.json", folder / "gate.yaml", on=day)


def junit_outcome(report: Report) -> str:
    suite = Xml.fromstring(to_junit(report)).find("testsuite")
    assert suite is not None
    (case,) = suite.findall("testcase")
    found = [child.tag for child in case if child.tag != "system-out"]
    counted = {name: suite.get(name) for name in ("failures", "errors", "skipped")}
    assert sum(int(count or 0) for count in counted.values()) == len(found)
    return found[0] if found else "passed"


@pytest.mark.parametrize("row", DECISIONS, ids=lambda row: f"{row['verdict']}-{row['rule']}")
def test_every_decision_is_as_the_page_says(row: dict[str, str], tmp_path: Path) -> None:
    key = write_key(tmp_path)
    cases = itertools.product(STANDINGS, Severity, ("demanded", "not demanded"))
    for number, (standing, severity, proof) in enumerate(cases):
        # Every other time it is the policy that says so, and the scenario the contrary.
        demanded, overruled = proof == "demanded", number % 4 > 1
        statement = about(row["verdict"], severity, demands_proof=demanded != overruled)
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "ada.key.pub").write_bytes(key.public.pem())
        (folder / "run").mkdir()
        arranged(folder / "run", standing, statement, key)
        said = demanded if overruled else None
        report = gated(folder, row["verdict"], row["rule"], severity, said)
        case = f"{standing}, {severity}, {proof}: {report.lines}"
        assert [str(one.gate) for one in report.rulings] == [row[standing]], case
        outcome = OUTCOMES[row[standing], proof]
        assert report.exit_code == int(outcome["exit code"]), case
        assert junit_outcome(report) == outcome["JUnit"], case
        assert report.as_json()["exit_code"] == report.exit_code


def test_the_table_is_whole() -> None:
    kinds = [*(str(verdict) for verdict in Verdict), "error"]
    wanted = set(itertools.product(kinds, ("pass", "consent", "block")))
    assert {(row["verdict"], row["rule"]) for row in DECISIONS} == wanted
    assert len(DECISIONS) == len(wanted)
    assert {row[standing] for row in DECISIONS for standing in STANDINGS} == {
        word for word, _ in OUTCOMES
    }


@pytest.mark.parametrize("row", table("rules"), ids=lambda row: f"{row['gate']}-{row['severity']}")
def test_the_rules_are_as_the_page_says(row: dict[str, str]) -> None:
    policy = PLAIN if row["gate"] == "without a policy" else Policy()
    rules = policy.rules(Severity(row["severity"]))
    assert {name: str(getattr(rules, name)) for name in Rules.model_fields} == {
        name: row[name] for name in Rules.model_fields
    }


def test_the_policy_on_the_page_is_the_default_one(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "gate.yaml").write_text(text)
    policy = load_policy(tmp_path / "gate.yaml")
    assert policy.acceptors and policy.longest_days == 180 and policy.signed_by
    for severity in Severity:
        assert policy.rules(severity) == Policy().rules(severity)


def test_the_schema_fits_the_policy_on_the_page() -> None:
    text = PAGE.read_text("utf-8").split("```yaml\n")[1].split("```")[0]
    schema = policy_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"must": {"lost": "perhaps"}}, schema)


def test_the_gravest_target_decides() -> None:
    order = list(dict.fromkeys(word for word, _ in OUTCOMES))
    for one, other in itertools.product(order, order):
        gravest = min(one, other, key=order.index)
        code = code_of([Gate(one), Gate(other)], demands_proof=True)
        assert code == int(OUTCOMES[gravest, "demanded"]["exit code"])
