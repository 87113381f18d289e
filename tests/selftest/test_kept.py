"""A self-test that was stopped goes on; what was tried with other code is tried again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ullage.config.models import Planning
from ullage.probes.registry import get_probe
from ullage.progress import TerminalReporter
from ullage.selftest import plants
from ullage.selftest.kept import key_of
from ullage.selftest.plants import PLANTS
from ullage.selftest.report import ProbeResult, Report
from ullage.selftest.run import choose, run_selftest
from ullage.selftest.trials import Settings

FEW = Settings(audits=4, matrix_audits=1, seed=1, planning=Planning(items=60), pilot=100)


def tried(
    folder: Path, settings: Settings = FEW, *, fresh: bool = False
) -> tuple[Report, list[str]]:
    begun = []

    def tell(name: str, result: ProbeResult | None) -> None:
        if result is None:
            begun.append(name)

    sources = choose(["agreement", "formats"], None)
    report = run_selftest(
        sources, settings, quick=True, jobs=1, on_probe=tell, kept=folder, fresh=fresh
    )
    return report, begun


def test_what_was_tried_with_this_very_code_is_not_tried_again(tmp_path: Path) -> None:
    first, begun = tried(tmp_path / "kept")
    assert sorted(begun) == ["agreement", "formats"]
    again, begun = tried(tmp_path / "kept")
    assert begun == []
    assert again == first
    _, begun = tried(tmp_path / "kept", fresh=True)
    assert sorted(begun) == ["agreement", "formats"]
    key = key_of(get_probe("formats"), None, FEW)
    (tmp_path / "kept" / f"{key}.json").write_text("{")
    again, begun = tried(tmp_path / "kept")
    assert begun == ["formats"], "as if it had been stopped there"
    assert again == first
    _, begun = tried(tmp_path / "kept", replace(FEW, seed=2))
    assert sorted(begun) == ["agreement", "formats"]


def test_what_was_kept_counts_as_tried(capsys: pytest.CaptureFixture[str]) -> None:
    with TerminalReporter(Console(stderr=True, width=200)) as reporter:
        reporter.tried("agreement", True, 2)  # found: nobody said that it begins
        reporter.tried("formats", None, 2)
        reporter.tried("formats", False, 2)
    assert "self-test: 2/2" in capsys.readouterr().err


def test_the_key_holds_all_that_a_result_follows_from(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, other = get_probe("agreement"), get_probe("formats")
    keys = [
        key_of(probe, None, FEW),
        key_of(other, None, FEW),
        key_of(probe, {}, FEW),
        key_of(probe, {"flips": 0.1}, FEW),
        key_of(probe, None, replace(FEW, audits=5)),
    ]
    flips = PLANTS["agreement", "flips"]
    same = PLANTS["agreement", "agreement"]
    for changed in (
        replace(flips, margin=0.2),
        replace(flips, damage="accuracy"),
        replace(flips, mean=same.mean),
    ):
        monkeypatch.setitem(PLANTS, ("agreement", "flips"), changed)
        keys.append(key_of(probe, None, FEW))
    monkeypatch.setitem(PLANTS, ("agreement", "flips"), flips)
    monkeypatch.setattr(plants, "BASELINES", {"agreement": plants.BASELINES["vote-confidence"]})
    assert key_of(other, None, FEW) == keys[1]
    keys.append(key_of(probe, None, FEW))
    assert len(set(keys)) == len(keys)
