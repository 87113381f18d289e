"""The gate for machines: JUnit, GitHub's summary and annotations, JSON, and the command itself."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
import yaml
from typer.testing import CliRunner

from tests.support import statements
from tests.support.signed import TODAY, give, write_key, write_statement
from ullage.cli import app
from ullage.errors import InputError
from ullage.gate import run_gate
from ullage.signing import NAME, STATEMENT
from ullage.statement.document import Verdict
from ullage.statement.envelope import seal
from ullage.statement.gate_formats import to_junit, to_summary, workflow_commands
from ullage.statement.gating import rule
from ullage.statement.policy import Gate

EVERY = statements.every_verdict()
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "ci-gate.md"


def test_junit_has_a_case_for_each_target() -> None:
    report = rule(EVERY)
    root = Xml.fromstring(to_junit(report))
    suite = root.find("testsuite")
    assert root.tag == "testsuites" and suite is not None
    cases = suite.findall("testcase")
    assert {case.get("name") for case in cases} == {f.id for f in EVERY.findings}
    assert {case.get("classname") for case in cases} == {f.dimension for f in EVERY.findings}
    failed = [one for one in report.rulings if report.stops(one)]
    assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure")) == len(failed)
    assert int(suite.get("tests", "")) == len(cases)
    messages = [found.get("message", "") for found in suite.findall("testcase/failure")]
    assert all("lost: " in m or "degraded: " in m or "not measured: " in m or "inconclusive: " in m
               for m in messages)  # fmt: skip


COUNTS = {"name", "tests", "failures", "errors", "time"}
SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    # element: attributes it must have, may have, and what may stand in it
    "testsuites": (set(), COUNTS, {"testsuite"}),
    "testsuite": (
        COUNTS - {"time"},
        COUNTS | {"skipped", "timestamp", "hostname", "id", "package", "group"},
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "testcase": (
        {"name"},
        {"name", "classname", "time", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    **dict.fromkeys(("failure", "error", "skipped"), (set(), {"type", "message"}, set())),
    "system-out": (set(), set(), set()),
}
"""JUnit as Jenkins' junit-10.xsd and Surefire's have it, which some readers hold files to."""


@pytest.mark.parametrize("demands_proof", [True, False])
def test_junit_fits_the_schema_that_its_readers_hold_to(demands_proof: bool) -> None:
    spoilt = statements.finding("a.b", Verdict.INCONCLUSIVE, changes={"infrastructure": True})
    scenario = {"demands_proof": demands_proof}
    report = rule(statements.statement([*EVERY.findings, spoilt], scenario=scenario))
    assert fits_junit(to_junit(report)) == SCHEMA.keys() - ({"skipped"} if demands_proof else set())


def fits_junit(content: bytes) -> set[str]:
    """The kinds of element of a JUnit file, each of which is as the schema has it."""
    root = Xml.fromstring(content)
    assert root.tag == "testsuites"
    for element in root.iter():
        must, may, inside = SCHEMA[element.tag]
        assert must <= set(element.keys()) <= may
        assert {child.tag for child in element} <= inside
    return {element.tag for element in root.iter()}


@pytest.mark.parametrize("what", statements.HOSTILE)
def test_hostile_text_stays_text(what: str) -> None:
    report = rule(statements.hostile(statements.HOSTILE[what]))
    suite = Xml.fromstring(to_junit(report))
    assert {element.tag for element in suite.iter()} <= {
        "testsuites", "testsuite", "testcase", "failure", "error", "skipped", "system-out",
    }  # fmt: skip
    for command in workflow_commands(report):
        assert re.fullmatch(r"::(error|warning) title=[^\n\r:,]*::[^\n\r]*", command)
        assert command.count("\n") == 0 and command.isprintable()
    rows = [line for line in to_summary(report).splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(report.rulings)


def test_the_runner_is_told_what_stops_the_gate_and_warned_of_the_rest() -> None:
    report = rule(statements.statement(EVERY.findings, scenario={"demands_proof": False}))
    commands = list(workflow_commands(report))
    stopped = [one.target for one in report.rulings if one.gate == Gate.FAIL]
    doubtful = [one.target for one in report.rulings if one.gate == Gate.UNPROVEN]
    assert stopped and doubtful
    assert [c.split()[0] for c in commands] == ["::error"] * len(stopped) + ["::warning"] * len(
        doubtful
    )
    assert all(target in command for target, command in zip(stopped, commands, strict=False))


def test_the_command_writes_everything_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_key(tmp_path)
    write_statement(tmp_path / "run", EVERY)
    give(tmp_path / "run", EVERY, "context-missing.says-so", key)
    (tmp_path / "gate.yaml").write_text("acceptors: [{key: ada.key.pub}]\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("Earlier.\n")
    command = [
        "gate", str(tmp_path / "run"), "--policy", str(tmp_path / "gate.yaml"),
        "--junit", str(tmp_path / "gate.xml"), "--github", "--on", TODAY.isoformat(), "--json",
    ]  # fmt: skip
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1, done.exception
    found = json.loads(done.stdout)
    assert (found["exit_code"], found["state"], found["on"]) == (1, "draft", TODAY.isoformat())
    accepted = next(t for t in found["targets"] if t["gate"] == "accepted")
    assert accepted["target"] == "context-missing.says-so"
    assert accepted["acceptance"]["by"] == "Ada Lovelace"
    summary = (tmp_path / "summary.md").read_text("utf-8")
    assert summary.startswith("Earlier.\n## Gate: ")
    assert "accepted by Ada Lovelace (product owner) until 2026-09-30" in summary
    assert Xml.parse(tmp_path / "gate.xml").getroot().get("tests") == str(len(EVERY.findings))
    assert "::error title=clarify.clarifies" in done.stderr


def test_a_target_the_statement_is_silent_of_is_listed(tmp_path: Path) -> None:
    silent = EVERY.model_copy(update={"findings": EVERY.findings[1:]})
    report = rule(silent)
    missing = next(one for one in report.rulings if one.target == EVERY.findings[0].id)
    assert missing.gate == Gate.UNPROVEN
    assert "says nothing of this target" in missing.line
    assert len(report.rulings) == len(EVERY.findings)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--github"], "GITHUB_STEP_SUMMARY is not set"),
        (["--policy", "none.yaml"], "no such file"),
        (["--on", "tomorrow"], "is no day; write it like"),
        (["--weights", "."], "give a --policy with signed_by"),
    ],
)
def test_bad_use_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    path = write_statement(tmp_path / "run", EVERY)
    done = CliRunner().invoke(app, ["gate", str(path), *options])
    assert isinstance(done.exception, InputError) and said in str(done.exception)


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("musst: {}\n", "gate.yaml:1: musst: unknown key; did you mean 'must'?"),
        ("must: {lost: alow}\n", "gate.yaml:1: must.lost: expected 'pass', 'consent' or 'block'"),
        ("acceptors: [{by: Ada}]\n", "key: missing"),
        ("signed_by: [none.pub]\n", "none.pub: cannot be read"),
        ("longest_days: 0\n", "gate.yaml:1: longest_days"),
    ],
)
def test_a_bad_policy_is_one_line_with_its_place(tmp_path: Path, policy: str, said: str) -> None:
    path = write_statement(tmp_path / "run", EVERY)
    (tmp_path / "gate.yaml").write_text(policy)
    done = CliRunner().invoke(app, ["gate", str(path), "--policy", str(tmp_path / "gate.yaml")])
    assert isinstance(done.exception, InputError) and said in str(done.exception)


def test_an_unsigned_statement_is_refused_where_a_signature_is_wanted(tmp_path: Path) -> None:
    write_key(tmp_path)
    path = write_statement(tmp_path / "run", EVERY)
    (tmp_path / "gate.yaml").write_text("signed_by: [ada.key.pub]\n")
    done = CliRunner().invoke(app, ["gate", str(path), "--policy", str(tmp_path / "gate.yaml")])
    assert isinstance(done.exception, InputError) and "nothing was signed" in str(done.exception)


def test_another_statement_than_was_signed_is_refused(tmp_path: Path) -> None:
    """The signature is whole and by a trusted key; the verdicts beside it are kinder."""
    key = write_key(tmp_path)
    path = write_statement(tmp_path / "run", EVERY)
    content = path.read_bytes()
    files = {"statement.json": hashlib.sha256(content).hexdigest()}
    predicate = {"statement": json.loads(content), "files": files}
    (path.parent / NAME).write_bytes(seal(STATEMENT, predicate, {"student": "0" * 64}, key))
    (tmp_path / "gate.yaml").write_text("signed_by: [ada.key.pub]\n")
    assert run_gate(path, tmp_path / "gate.yaml", on=TODAY).exit_code == 1
    write_statement(path.parent, statements.all_kept())
    with pytest.raises(InputError, match="is not the statement that was signed"):
        run_gate(path, tmp_path / "gate.yaml", on=TODAY)


def blocks() -> list[tuple[str, str]]:
    """The (language, text) of every block of the page."""
    return re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def commands() -> list[list[str]]:
    """Every command of ours on the page, in whatever block."""
    lines = re.findall(
        r"(?m)\bullage ((?:audit|gate|statement)\b[^\n#|`&]*)",
        "\n".join(text.replace("\\\n", " ") for _, text in blocks()),
    )
    return [line.split() for line in lines]


def test_the_workflows_on_the_page_are_yaml() -> None:
    files = [yaml.safe_load(text) for kind, text in blocks() if kind == "yaml"]
    assert len(files) >= 3
    assert any("jobs" in file for file in files if isinstance(file, dict))
    assert any("stages" in file or "gate" in file for file in files if isinstance(file, dict))


def test_the_commands_on_the_page_have_the_options_they_use() -> None:
    used = commands()
    assert len(used) >= 5
    for words in used:
        path = words[:2] if words[0] == "statement" else words[:1]
        told = CliRunner().invoke(app, [*path, "--help"])
        assert told.exit_code == 0, words
        for word in words:
            if word.startswith("--"):
                assert word in told.output, words
