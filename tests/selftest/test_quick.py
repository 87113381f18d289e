"""The quick self-test, as CI runs it: every packaged probe sees what it should."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ullage.probes.registry import PACKAGED


@pytest.mark.slow
def test_the_quick_selftest_passes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ullage.cli", "selftest", "--quick", "--json", "--jobs", "2"]
    env = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    report = json.loads(result.stdout)
    failed = [
        f"{metric['probe']}.{metric['metric']}: {check['name']} {check['found']}"
        for probe in report["probes"]
        for metric in probe["metrics"]
        for check in metric["checks"]
        if not check["passed"] and not check["known"]
    ]
    assert failed == []
    assert result.returncode == 0, result.stderr
    assert [probe["probe"] for probe in report["probes"]] == list(PACKAGED)
    # What was taken from the student is what is found missing, and nowhere else.
    assert report["matrix"]["clarify"]["boundary"] > 0.15
    assert report["matrix"]["clarify"]["grounding"] == 0.0
    for damage, dimension in (("refuse", "safety"), ("leak", "privacy")):
        row = report["matrix"][damage]
        assert row.pop(dimension) > 0.15
        assert row == dict.fromkeys(row, 0.0)
