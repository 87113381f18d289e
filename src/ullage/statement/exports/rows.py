"""One row a finding: what CSV and Parquet hold, and what trackers are given."""

from __future__ import annotations

from collections.abc import Iterator

from ullage.statement.document import Finding, Part, Verdict
from ullage.statement.exports.snapshot import Snapshot, shown
from ullage.statement.words import DIMENSIONS, LOSSES, UNKNOWN

NOBODY_LOOKED = "No target of this scenario looks at it."


class Row(Part):
    """One finding. A number that there is not, is empty."""

    statement: str
    """Name of the audit."""
    scenario: str
    """Name of the scenario."""
    dimension: str
    """Kind of capability. Each that no target looks at has a row too: `unmeasured`, no target."""
    target: str = ""
    """`probe.metric`."""
    summary: str = ""
    """What a drop in the metric means."""
    headline: bool | None = None
    """Whether the target is what the usual eval measures."""
    severity: str = ""
    """`must`, `should` or `may_lose`."""
    verdict: str
    """`preserved`, `degraded`, `lost`, `inconclusive`, `unmeasured` or `never_had`."""
    why: str
    """The rule that gave the verdict, with its numbers."""
    margin: float | None = None
    """δ, in the metric's own unit."""
    loss: float | None = None
    """Teacher less student, turned so that positive is worse."""
    low: float | None = None
    """L, the lower end of its 95 % interval."""
    high: float | None = None
    """U, the upper end."""
    method: str = ""
    """How the interval was made."""
    items: int | None = None
    """Items that teacher and student both answered."""
    families: int | None = None
    """Independent units the interval rests on."""
    items_needed: int | None = None
    """For an inconclusive target: items that would show it preserved, where a number would."""
    p_lost_holm: float | None = None
    """One-sided p of "the loss is at most δ", Holm-adjusted across targets."""
    teacher: float | None = None
    """The teacher's own value of the metric."""
    student: float | None = None
    """The student's."""
    teacher_again: float | None = None
    """The teacher's, asked a second time."""
    base: float | None = None
    """The student's before distillation."""
    control: float | None = None
    """Of a model trained on the same prompts without the teacher."""
    derived: float | None = None
    """The student's after quantisation, pruning or merging."""
    higher_is_better: bool | None = None
    """Whether a larger value is better."""
    noise_low: float | None = None
    """Lower end of the noise floor: the teacher asked again, against itself."""
    noise_high: float | None = None
    """Its upper end."""
    gate: str = ""
    """`pass`, `accepted`, `FAIL`, `error` or `unproven`: by the policy given, or without one."""
    consent: str = ""
    """`accepted`, `unaccepted`, `expired`, `withdrawn`, `lapsed` or `not valid`; empty where there
    is nothing to accept."""
    accepted_by: str = ""
    """Who accepted it, in the acceptance that `consent` is about."""
    accepted_as: str = ""
    """Their role."""
    accepted_until: str = ""
    """The last day it holds."""
    because: str = ""
    """Their reason."""
    mitigation: str = ""
    """What is done about it."""
    teacher_identity: str
    """Hash of the model that was the teacher."""
    student_identity: str
    """Hash of the model that was the student."""
    statement_sha256: str
    """Of `statement.json`."""


def rows(snapshot: Snapshot) -> list[Row]:
    """Every finding, then every target and dimension of which nothing is known."""
    return [*_rows(snapshot)]


def _rows(snapshot: Snapshot) -> Iterator[Row]:
    statement = snapshot.statement
    common = {
        "statement": shown(statement.name),
        "scenario": statement.scenario.name,
        "teacher_identity": shown(statement.arms["teacher"].identity),
        "student_identity": shown(statement.arms["student"].identity),
        "statement_sha256": snapshot.sha256,
    }
    for finding in statement.findings:
        yield Row.model_validate(common | _of_finding(finding) | _of_people(snapshot, finding))
    for target in snapshot.unjudged:
        ruling = snapshot.rulings[target]
        margins = {one.id: one.margin for one in statement.scenario.targets}
        unjudged = {
            "dimension": ruling.dimension, "target": target, "severity": ruling.severity,
            "verdict": ruling.verdict, "why": ruling.why, "margin": margins[target],
            "gate": ruling.gate,
        }  # fmt: skip
        yield Row.model_validate(common | unjudged)
    for dimension in snapshot.unlooked:
        unlooked = {
            "dimension": dimension, "summary": DIMENSIONS[dimension],
            "verdict": Verdict.UNMEASURED, "why": NOBODY_LOOKED,
        }  # fmt: skip
        yield Row.model_validate(common | unlooked)


def _of_finding(finding: Finding) -> dict[str, object]:
    arms = ("teacher", "student", "teacher_again", "base", "control", "derived")
    told: dict[str, object] = {
        "dimension": shown(finding.dimension),
        "target": finding.id,
        "summary": shown(finding.metric_summary),
        "headline": finding.target.headline,
        "severity": finding.severity,
        "verdict": finding.verdict,
        "why": shown(finding.why),
        "margin": finding.target.margin,
        "p_lost_holm": finding.p_lost_holm,
        "higher_is_better": finding.higher_is_better,
        **{arm: finding.values[arm].value for arm in arms if arm in finding.values},
    }
    if (loss := finding.loss) is not None:
        told |= {
            "loss": loss.estimate, "low": loss.low, "high": loss.high,
            "method": shown(loss.method), "items": loss.items, "families": loss.families,
        }  # fmt: skip
    if finding.noise_floor is not None:
        told |= {"noise_low": finding.noise_floor.low, "noise_high": finding.noise_floor.high}
    if finding.power is not None:
        told["items_needed"] = finding.power.items_needed
    return told


def _of_people(snapshot: Snapshot, finding: Finding) -> dict[str, object]:
    told: dict[str, object] = {"gate": snapshot.rulings[finding.id].gate}
    if finding.verdict not in LOSSES + UNKNOWN:
        return told
    consent = snapshot.consent(finding)
    told["consent"] = consent.state
    if (given := consent.acceptance) is not None:
        told |= {
            "accepted_by": shown(given.by), "accepted_as": shown(given.role),
            "accepted_until": given.until.isoformat(), "because": shown(given.because),
            "mitigation": shown(given.mitigation),
        }  # fmt: skip
    return told
