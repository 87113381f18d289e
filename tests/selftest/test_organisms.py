"""What is concluded of a really distilled student from its audit and from direct scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.tiny import tiny_making
from tests.support import statements
from ullage.lab.evaluate import Calibration, Evaluation, Openings, Score
from ullage.lab.further import further_lines
from ullage.lab.items import ITEMS_OF
from ullage.lab.organisms.organism import Organism
from ullage.lab.organisms.registry import ORGANISMS
from ullage.selftest.organisms import (
    CALIBRATED,
    DIRECT,
    VARIED,
    audit_organisms,
    judge_organism,
)
from ullage.selftest.report import OrganismResult
from ullage.statement.document import Verdict

P, L, D = Verdict.PRESERVED, Verdict.LOST, Verdict.DEGRADED
PARTS = sorted({part for parts in DIRECT.values() for part in parts})
CLEAN, SCRUBBED = ORGANISMS["clean"], ORGANISMS["no-clarifying"]


def scored(off: float = 0.01, uneven: float = 0.1, **right: float) -> Evaluation:
    """Parts are right on 95 % unless said otherwise."""
    scores = tuple(
        Score(
            part=part, capability=part, dimension="boundary", hard=False, items=200,
            right=right.get(part.replace("-", "_"), 0.95), interval=None, needed=None,
        )
        for part in PARTS
    )  # fmt: skip
    return Evaluation(
        model="m", identity="i", seed=0, scores=scores,
        calibration=Calibration(items=200, difference=off, worst=off),
        openings=Openings(samples=1, distinct=1, possible=16, strange=0.0, variation=uneven),
        canaries=(),
    )  # fmt: skip


def judged(organism: Organism, found: dict[str, Verdict], student: Evaluation) -> OrganismResult:
    findings = [
        statements.finding(name, verdict, dimension="boundary") for name, verdict in found.items()
    ]
    return judge_organism(organism, statements.statement(findings), scored(), student)


def test_a_cause_passes_where_its_target_is_lost_most() -> None:
    asks = scored(clarify=0.02)
    found = judged(SCRUBBED, {"clarification.contrast": L, "abstention.contrast": P}, asks)
    assert found.passed
    assert "the largest loss in boundary" in found.why
    assert "clarify 95%, 2%" in found.why
    assert found.losses["clarification.contrast"] > found.losses["abstention.contrast"]
    assert found.direct["clarify"] == 0.02
    assert not judged(
        SCRUBBED, {"clarification.contrast": P, "abstention.contrast": P}, asks
    ).passed
    beaten = judged(SCRUBBED, {"clarification.contrast": D, "abstention.contrast": L}, asks)
    assert not beaten.passed
    assert "larger in boundary: abstention.contrast" in beaten.why
    assert not judged(SCRUBBED, {"abstention.contrast": L}, asks).passed


def test_a_clean_one_passes_where_direct_scores_see_every_loss() -> None:
    assert judged(CLEAN, {"clarification.contrast": P, "formats.accuracy": D}, scored()).passed
    seen = judged(CLEAN, {"formats.accuracy": L}, scored(formats=0.7))
    assert seen.passed
    assert "formats 95%, 70%" in seen.why
    unseen = judged(CLEAN, {"formats.accuracy": L, "abstention.contrast": L}, scored(formats=0.7))
    assert not unseen.passed
    assert "abstention.contrast" in unseen.why
    assert not judged(CLEAN, {"formats.accuracy": L}, scored(formats=0.93)).passed


@pytest.mark.parametrize(("off", "passed"), [(0.01, False), (0.05, True)])
def test_confidence_is_held_against_the_true_odds(off: float, passed: bool) -> None:
    assert judged(CLEAN, {"confidence.brier": L}, scored(off)).passed is passed


@pytest.mark.parametrize(("uneven", "passed"), [(0.12, False), (0.5, True)])
def test_greetings_are_held_against_equal_shares(uneven: float, passed: bool) -> None:
    found = judged(CLEAN, {"many-answers.coverage": L}, scored(uneven=uneven))
    assert found.passed is passed
    assert f"from equal shares: 0.10, {uneven:.2f}" in found.why


def test_direct_scores_speak_about_every_probe() -> None:
    # Of texts that are weighed the world's checker has nothing to say.
    spoken = {*DIRECT, *CALIBRATED, *VARIED}
    assert {*spoken, "teacher-text", "next-tokens", "text-bits"} == {*ITEMS_OF, *further_lines(0)}


@pytest.mark.local
def test_an_organism_is_made_audited_and_scored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    making = replace(tiny_making(tmp_path), items=40)
    said: list[tuple[str, bool | None]] = []
    (found,) = audit_organisms(
        [ORGANISMS["clean-int4"]],
        making=making,
        items=2,
        on_organism=lambda name, passed: said.append((name, passed)),
    )
    assert said == [("clean-int4", None), ("clean-int4", found.passed)]
    assert found.target is None
    assert len(found.verdicts) > 10
    assert "lookup" in found.direct
