"""`ullage import` from the shell to a statement that verifies."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from tests.imports.making import HOMES, LM_EVAL
from tests.support.signed import write_key
from ullage.cli import app
from ullage.errors import UllageError


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    if isinstance(result.exception, UllageError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


def places(*more: str) -> list[str]:
    return [
        "import",
        "--teacher",
        str(LM_EVAL["teacher"]),
        "--student",
        str(LM_EVAL["student"]),
        *more,
    ]


def test_import_then_audit_then_verify(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    code, told = run(*places("-o", str(folder)))
    assert code == 0
    assert f"of 6 targets; then: ullage audit {folder / 'ullage.yaml'}" in told.replace("\n", "")
    assert run("validate", str(folder / "ullage.yaml"))[0] == 0
    code, told = run("audit", str(folder / "ullage.yaml"))
    assert code == 1 and "small-sums-flexible-extract.exact-match" in told
    run_folder = folder / "runs" / "imported"
    write_key(tmp_path, "ci")
    assert run("statement", "sign", str(run_folder), "--key", str(tmp_path / "ci.key"))[0] == 0
    _, told = run("statement", "verify", str(run_folder), "--key", str(tmp_path / "ci.key.pub"))
    assert "6 findings follow from the recorded scores" in told.replace("\n", " ")
    checked = ["--key", str(tmp_path / "ci.key.pub"), "--weights", str(tmp_path)]
    code, told = run("statement", "verify", str(run_folder), *checked)
    assert code == 1 and "the student answered from elsewhere" in told.replace("\n", " ")
    recording = folder / "student.jsonl"
    recording.write_text(recording.read_text().replace('"exact-match": 0.0', '"exact-match": 1.0'))
    assert run("audit", str(folder / "ullage.yaml"))[0] == 2


def test_audit_in_the_same_breath(tmp_path: Path) -> None:
    code, told = run(*places("-o", str(tmp_path / "a"), "--audit", "--json"))
    assert code == 1
    assert "ullage.distillation-loss-statement" in told


def test_the_same_logs_give_the_same_statement(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        run(*places("-o", str(tmp_path / name), "--audit", "--json"))
        made.append((tmp_path / name / "runs" / "imported" / "statement.json").read_bytes())
    assert made[0] == made[1]


def test_an_import_that_is_there_is_kept(tmp_path: Path) -> None:
    assert run(*places("-o", str(tmp_path)))[0] == 0
    code, told = run(*places("-o", str(tmp_path)))
    assert code == 2 and "is already there; use --force" in told.replace("\n", " ")
    assert run(*places("-o", str(tmp_path), "--force"))[0] == 0


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for place, says in (
        ("nowhere", "is not there"),
        ("notes.txt", "no log; name a .eval or .json log"),
        (".", "no log of Inspect in it"),
    ):
        command = ["import", "--teacher", str(tmp_path / place), "--student", str(HOMES["student"])]
        code, told = run(*command, "-o", str(tmp_path / "made"))
        assert code == 2 and says in told.replace("\n", " ")


def test_json_for_machines(tmp_path: Path) -> None:
    code, told = run(*places("-o", str(tmp_path), "--json"))
    made = json.loads(told)
    assert code == 0 and made["targets"] == 6 and made["unmeasured"] == {}
