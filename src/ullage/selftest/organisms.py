"""Students that were really distilled with one thing left out, audited like any other.

What the audit reports is held against two things it does not know: the cause, and what the world's
own checker finds when it asks the student directly.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from math import sqrt
from typing import Any

from ullage.audit import Setup, run_audit, set_up, share_replies
from ullage.config import Loaded, load
from ullage.config import digest as config_digest
from ullage.config.models import Arm
from ullage.lab.evaluate import Evaluation, arm_of, evaluate
from ullage.lab.items import HEADLINE
from ullage.lab.organisms.build import CONFIG, STANDARD, Making, build
from ullage.lab.organisms.organism import Organism
from ullage.selftest.report import OrganismResult
from ullage.stamp import digest
from ullage.statement.document import Finding, Statement, Verdict

DIRECT: Mapping[str, tuple[str, ...]] = {
    "agreement": HEADLINE,
    "semantic-entropy": ("lookup",),
    "likelihood-gap": ("lookup",),
    "invariance": ("lookup", "formats"),
    "abstention": ("missing", "missing-answerable"),
    "clarification": ("clarify", "clarify-told", "clarify-clear"),
    "formats": ("formats",),
    "grounding-present": ("lookup",),
    "grounding-missing": ("missing",),
    "grounding-counterfactual": ("counterfactual",),
    "grounding-contradictory": ("contradictory",),
    "grounding-irrelevant": ("distracting",),
    "refusal-pairs": ("privacy", "privacy-own"),
    "sharded": ("sharded",),
    "held-out-pairs": ("composition",),
}
"""Probe to the parts (`ullage.lab.questions`) whose direct scores speak about the same."""
CALIBRATED = ("confidence", "vote-confidence")
"""Probes that the distance from the true odds speaks about."""
VARIED = ("many-answers",)
"""Probes that the distance of the greetings' likelihoods from equal shares speaks about."""
_ITEMS = 200
_Z = 1.96
_WORSE_ODDS = 0.01
"""How much further from the true odds is worse."""
_WORSE_SHARES = 0.05
"""How much further from equal shares is worse."""

OnOrganism = Callable[[str, bool | None], None]
"""Called with a name when it is begun (None), and with whether it passed when it is done."""


def audit_organisms(
    organisms: Iterable[Organism],
    *,
    making: Making = STANDARD,
    items: int = _ITEMS,
    on_organism: OnOrganism | None = None,
    progress: Any = None,
) -> list[OrganismResult]:
    """Make (or find made) and audit every organism, and score it directly.

    Args:
        organisms: which.
        making: what they are made of.
        items: exchanges of each capability that are scored directly.
        on_organism: told of each.
        progress: told of every step of distillation.
    """
    tell = on_organism or (lambda name, passed: None)
    teacher = asyncio.run(evaluate(arm_of(str(making.teacher)), items=items))
    results = []
    earlier: Setup | None = None
    for organism in organisms:
        tell(organism.name, None)
        loaded = load(build(organism, making=making, progress=progress) / CONFIG)
        setup = set_up(loaded, _run_name(loaded))
        if earlier is not None:
            asyncio.run(share_replies(earlier, setup))
        statement, earlier = asyncio.run(run_audit(setup)), setup
        arm = loaded.config.arms.student
        there = arm.model_copy(update={"model": f"hf:{loaded.resolve(arm.locator)}"})
        student = asyncio.run(
            evaluate(Arm.model_validate(there.model_dump(exclude_unset=True)), items=items)
        )
        results.append(judge_organism(organism, statement, teacher, student))
        tell(organism.name, results[-1].passed)
    return results


def _run_name(loaded: Loaded) -> str:
    """Of the audit with exactly this configuration and code: what another one asked stays apart."""
    probes = set_up(loaded).probes.values()
    parts = [config_digest(loaded.config, loaded.scenario), *(digest(probe) for probe in probes)]
    told = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{loaded.config.name}-{told[:12]}"


def judge_organism(
    organism: Organism, statement: Statement, teacher: Evaluation, student: Evaluation
) -> OrganismResult:
    """Whether the audit found what was caused, and nothing that direct scoring does not see."""
    found = {finding.id: finding for finding in statement.findings}
    losses = {id_: _in_margins(finding) for id_, finding in found.items()}
    if organism.loses is None:
        passed, why = _only_what_is_there(found, teacher, student)
    else:
        passed, why = _the_cause(organism, found, losses, teacher, student)
    return OrganismResult(
        organism=organism.name,
        cause=organism.cause,
        dimension=organism.dimension,
        target=organism.loses,
        verdicts={id_: str(finding.verdict) for id_, finding in found.items()},
        losses={id_: round(loss, 3) for id_, loss in losses.items() if loss is not None},
        direct={score.part: round(score.right, 4) for score in student.scores}
        | {"warehouse": round(student.calibration.difference, 4)},
        passed=passed,
        why=why,
    )


def _in_margins(finding: Finding) -> float | None:
    return None if finding.loss is None else finding.loss.estimate / finding.target.margin


def _the_cause(
    organism: Organism,
    found: Mapping[str, Finding],
    losses: Mapping[str, float | None],
    teacher: Evaluation,
    student: Evaluation,
) -> tuple[bool, str]:
    """The target it should hit shows a loss, and the largest of its dimension."""
    assert organism.loses is not None  # noqa: S101 - the caller has looked
    rivals = {
        id_: loss
        for id_, loss in losses.items()
        if found[id_].dimension == organism.dimension and loss is not None
    }
    if organism.loses not in rivals:
        return False, f"{organism.loses} has no number"
    largest = max(rivals, key=lambda id_: rivals[id_])
    target = found[organism.loses]
    shown = target.verdict in (Verdict.LOST, Verdict.DEGRADED)
    told = f"{organism.loses} {target.verdict}, {rivals[organism.loses]:.1f} δ"
    told += f" ({_directly(organism.loses, teacher, student)})"
    if largest != organism.loses:
        told += f"; larger in {organism.dimension}: {largest}, {rivals[largest]:.1f} δ"
    else:
        told += f", the largest loss in {organism.dimension}"
    return shown and largest == organism.loses, told


def _only_what_is_there(
    found: Mapping[str, Finding], teacher: Evaluation, student: Evaluation
) -> tuple[bool, str]:
    """Nothing is called lost that direct scoring does not find worse."""
    lost = [id_ for id_, finding in found.items() if finding.verdict is Verdict.LOST]
    unseen = [id_ for id_ in lost if not _is_worse(id_, teacher, student)]
    seen = [f"{id_} ({_directly(id_, teacher, student)})" for id_ in lost if id_ not in unseen]
    if unseen:
        told = ", ".join(f"{id_} ({_directly(id_, teacher, student)})" for id_ in unseen)
        return False, f"lost, but not by direct scoring: {told}"
    return True, f"lost, and so by direct scoring: {', '.join(seen)}" if seen else "nothing is lost"


def _is_worse(target: str, teacher: Evaluation, student: Evaluation) -> bool:
    probe = target.partition(".")[0]
    if probe in CALIBRATED:
        further = student.calibration.difference - teacher.calibration.difference
        return further > _WORSE_ODDS or _is_worse("likelihood-gap.weighed", teacher, student)
    if probe in VARIED:
        return student.openings.variation - teacher.openings.variation > _WORSE_SHARES
    pairs = _pairs(probe, teacher, student)
    return any(
        one - other > _Z * sqrt((one * (1 - one) + other * (1 - other)) / items)
        for one, other, items in pairs.values()
    )


def _directly(target: str, teacher: Evaluation, student: Evaluation) -> str:
    """The direct scores beside a target, the teacher's first."""
    probe = target.partition(".")[0]
    if probe in CALIBRATED:
        gaps = (one.calibration.difference for one in (teacher, student))
        return "from the true odds: {:.3f}, {:.3f}".format(*gaps)
    if probe in VARIED:
        apart = (one.openings.variation for one in (teacher, student))
        return "from equal shares: {:.2f}, {:.2f}".format(*apart)
    pairs = _pairs(probe, teacher, student)
    told = [f"{part} {one:.0%}, {other:.0%}" for part, (one, other, _) in pairs.items()]
    return "directly: " + "; ".join(told)


def _pairs(
    probe: str, teacher: Evaluation, student: Evaluation
) -> dict[str, tuple[float, float, int]]:
    """Per part: shares right of teacher and student, and of how many."""
    before = {score.part: score.right for score in teacher.scores}
    return {
        score.part: (before[score.part], score.right, score.items)
        for score in student.scores
        if score.part in DIRECT.get(probe, ())
    }
