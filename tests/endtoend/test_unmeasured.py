"""What a statement says of a target that nothing could be measured of."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import numpy as np

from ullage.config import load
from ullage.config.models import Budget
from ullage.judge import judge
from ullage.planning import plan_only
from ullage.probes.registry import resolve
from ullage.scores import ProbeScores, Scores
from ullage.statement.document import Finding, Verdict

SCENARIO = """
name: words
title: Words
use: Two vocabularies.
targets:
  - {probe: next-tokens, metric: kl, margin: 0.1, severity: must, reason: It must say the same.}
"""
CONFIG = """
name: words
scenario: scenario.yaml
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1}}
  student: {model: "simulated:s", simulated: {seed: 2}}
planning: {items: 60}
"""
ITEMS = 60


def finding(folder: Path, apart: int) -> Finding:
    """The finding where so many items of the student's have other tokens, and none has a score."""
    (folder / "scenario.yaml").write_text(SCENARIO)
    (folder / "ullage.yaml").write_text(CONFIG)
    loaded = load(folder / "ullage.yaml")
    plan = asyncio.run(plan_only(loaded, run=None, pilot=None))
    column = np.where(np.arange(ITEMS) < apart, 1.0, np.nan)
    scores = ProbeScores(
        items=[str(index) for index in range(ITEMS)],
        family_names=[str(index) for index in range(ITEMS)],
        family=np.arange(ITEMS),
        values={("teacher", "kl"): np.zeros(ITEMS), ("student", "other-tokens"): column},
        errors={role: np.zeros(ITEMS, dtype=bool) for role in ("teacher", "student")},
        reasons={role: Counter() for role in ("teacher", "student")},
    )
    probes = resolve(loaded.config, loaded.root)
    all_scores = Scores({"next-tokens": scores}, {}, "")
    (found,) = judge(plan, loaded.scenario, Budget(), probes, all_scores).findings
    return found


def test_other_vocabularies_are_named_with_what_to_use_instead(tmp_path: Path) -> None:
    found = finding(tmp_path, ITEMS)
    assert found.verdict is Verdict.UNMEASURED
    assert found.why.startswith("the vocabularies differ")
    assert "60 of 60 items" in found.why
    assert "use text-bits.difference" in found.why


def test_what_a_few_items_lack_explains_nothing(tmp_path: Path) -> None:
    found = finding(tmp_path, 10)
    assert found.verdict is Verdict.UNMEASURED
    assert "vocabular" not in found.why
    assert "families" in found.why
