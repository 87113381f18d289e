"""The gallery shows what its statements say, and nothing of the machine they were made on."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ullage.cli import app
from ullage.config import load
from ullage.errors import InputError
from ullage.gate import run_gate
from ullage.models.hf.smollm2 import HUB_ID
from ullage.statement.acceptance import Acceptance, read_records
from ullage.statement.consent import State
from ullage.statement.store import read

ROOT = Path(__file__).parents[1]
GALLERY = ROOT / "docs" / "gallery"
LAB = GALLERY / "lab"
LOGS = ROOT / "tests" / "imports" / "logs" / "lm-eval"

_ABSOLUTE = re.compile(r"(?<![\w./])/[\w.-]+/|\b[A-Z]:\\")
"""A path from the root of some machine."""


def test_pages_are_what_the_statements_say() -> None:
    command = [sys.executable, "tools/gallery.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_import_still_comes_to_what_is_shown(tmp_path: Path) -> None:
    arms = ("teacher", "student", "base")
    logs = [word for arm in arms for word in (f"--{arm}", str(LOGS / arm))]
    CliRunner().invoke(app, ["import", *logs, "-o", str(tmp_path), "--audit"])
    made = tmp_path / "runs" / "imported" / "statement.md"
    shown = GALLERY / "imported" / "statement.md"
    assert made.read_text("utf-8") == shown.read_text("utf-8"), "run `make gallery-imported`"


def test_there_is_a_loss_of_every_standing() -> None:
    day, until = _days()
    report = run_gate(LAB / "statement.json", LAB / "policy.yaml", on=day)
    rulings = {(str(one.verdict), str(one.gate), one.consent.state) for one in report.rulings}
    assert ("lost", "accepted", State.ACCEPTED) in rulings
    assert ("lost", "FAIL", State.NONE) in rulings
    assert ("degraded", "FAIL", State.NONE) in rulings
    assert any("No target" in one.why for one in read(LAB / "statement.json").not_known)
    later = run_gate(LAB / "statement.json", LAB / "policy.yaml", on=until + timedelta(days=1))
    assert State.EXPIRED in {one.consent.state for one in later.rulings}


def test_a_changed_statement_is_refused(tmp_path: Path) -> None:
    for file in LAB.rglob("*"):
        if file.is_file():
            copy = tmp_path / file.relative_to(LAB)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(file.read_bytes())
    statement, policy = tmp_path / "statement.json", tmp_path / "policy.yaml"
    assert run_gate(statement, policy, on=_days()[0]).exit_code == 1
    text = statement.read_text("utf-8")
    statement.write_text(text.replace('"verdict": "lost"', '"verdict": "preserved"', 1), "utf-8")
    with pytest.raises(InputError, match="is not the statement that was signed"):
        run_gate(statement, policy, on=_days()[0])


def test_nothing_names_the_machine_or_is_secret() -> None:
    for place, text in _texts():
        assert not _ABSOLUTE.search(text), place
        assert "PRIVATE KEY" not in text, place


def test_the_real_models_configuration_is_one(tmp_path: Path) -> None:
    text = (GALLERY / "smollm2.yaml").read_text("utf-8").replace("{teacher}", HUB_ID)
    (tmp_path / "ullage.yaml").write_text(text, "utf-8")
    loaded = load(tmp_path / "ullage.yaml")
    assert loaded.scenario.name == "all-dimensions" and loaded.config.distill is not None


def _days() -> tuple[date, date]:
    """On which the lab's loss was accepted, and until when."""
    (given,) = [record.document for record in read_records(LAB)]
    assert isinstance(given, Acceptance)
    return given.accepted, given.until


def _texts() -> Iterator[tuple[str, str]]:
    """Every file of the gallery; of what is signed, the words."""
    for path in sorted(GALLERY.rglob("*.*")):
        text = path.read_text("utf-8")
        if path.suffix == ".json" and "payload" in (envelope := json.loads(text)):
            text = base64.b64decode(envelope["payload"]).decode()
        yield str(path), text
