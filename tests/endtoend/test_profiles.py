"""An audit at a profile: the plan and the statement say which, and what it could not show."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from ullage.cli import app

CONFIG = """
name: look
scenario: one.yaml
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1}}
  student: {model: "simulated:s", simulated: {seed: 2}}
"""
SCENARIO = """
name: one
title: One
use: Whatever it is.
targets:
  - {probe: agreement, metric: accuracy, margin: 0.05, reason: For this test alone.}
  - {probe: abstention, metric: contrast, margin: 0.15, reason: For this test alone.}
"""


def test_the_plan_and_the_statement_say_which(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(SCENARIO)
    path = tmp_path / "ullage.yaml"
    path.write_text(CONFIG)
    plans = {}
    for profile in ("quick", "standard", "thorough"):
        run = CliRunner().invoke(app, ["plan", str(path), "--profile", profile, "--json"])
        assert run.exit_code == 0, run.output
        plans[profile] = json.loads(run.stdout)
        assert plans[profile]["profile"] == profile
    for target in ("agreement.accuracy", "abstention.contrast"):
        powers = [plan["targets"][target]["power"] for plan in plans.values()]
        assert powers == sorted(set(powers))
    narrow = plans["quick"]["targets"]["agreement.accuracy"]
    assert narrow["items"] == 200
    assert narrow["power"] < 0.5, "the limit costs power, and the plan says so"

    CliRunner().invoke(app, ["audit", str(path), "--profile", "quick"])
    statement = json.loads((tmp_path / "runs" / "look" / "statement.json").read_text())
    assert any(note.startswith("Profile quick:") for note in statement["notes"])
    assert statement["findings"][0]["power"]["planned_power"] == narrow["power"]
    assert "Profile quick" in (tmp_path / "runs" / "look" / "statement.html").read_text()

    again = CliRunner().invoke(app, ["audit", str(path), "--profile", "standard"])
    assert again.exit_code != 0, "a begun run keeps the profile that it began with"
    assert "profile: 'quick' then, 'standard' now" in str(again.exception)
