"""A CycloneDX 1.6 bill of materials for a model (ML-BOM): the student, and what it lost.

The specification is ECMA-424; a model card within it has places for metrics with intervals, for
limits, trade-offs and risks. Margin, verdict and consent have none, so each finding also stands as
one property, ``ullage:finding``, whose value is JSON with the columns of `rows.Row`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ullage.statement.consent import State
from ullage.statement.document import Estimate, Finding, Verdict
from ullage.statement.exports.rows import rows
from ullage.statement.exports.snapshot import Snapshot, finding_told, shown
from ullage.statement.outcome import outcome_sentence
from ullage.statement.words import LOSSES, SEVERITIES, sentence

_SERIALS = uuid.UUID("3b0f6f3c-64a4-5c5a-9d1f-6a2f1f0f7a51")
"""Namespace of serial numbers: one for one content."""
_TRADED = (*LOSSES, Verdict.INCONCLUSIVE)


@dataclass(frozen=True, slots=True)
class Publication:
    """What a statement does not know of its student, and a bill of materials asks for."""

    supplier: str = ""
    """Who publishes it."""
    released: str = ""
    """The day, like 2027-01-31."""
    download: str = ""
    """Address it is to be had from."""


def to_cyclonedx(snapshot: Snapshot, publication: Publication) -> bytes:
    """The bill of materials as JSON. It holds no clock time: equal statements give equal bytes."""
    statement = snapshot.statement
    tool = {"type": "application", "name": "Ullage", "version": shown(statement.ullage_version)}
    bom: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": {"components": [tool]},
            "component": _student(snapshot, publication),
        },
    }
    content = json.dumps(bom, sort_keys=True)
    bom["serialNumber"] = uuid.uuid5(_SERIALS, content).urn
    return (json.dumps(bom, indent=2, ensure_ascii=False) + "\n").encode()


def _student(snapshot: Snapshot, publication: Publication) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": "student",
        "name": snapshot.name("student"),
        "description": shown(outcome_sentence(snapshot.statement)),
        "pedigree": {
            "ancestors": [
                {
                    "type": "machine-learning-model",
                    "bom-ref": role,
                    "name": snapshot.name(role),
                    "properties": [_property("ullage:role", role), *_identity(snapshot, role)],
                }
                for role in snapshot.ancestors
            ]
        },
        "externalReferences": [
            {
                "type": "quality-metrics",
                "url": "statement.json",
                "comment": "The Distillation Loss Statement this was made from.",
                "hashes": [{"alg": "SHA-256", "content": snapshot.sha256}],
            }
        ],
        "modelCard": _card(snapshot),
        "properties": list(_properties(snapshot)),
    }
    if publication.supplier:
        component["supplier"] = {"name": shown(publication.supplier)}
    if publication.download:
        reference = {"type": "distribution", "url": publication.download}
        component["externalReferences"].append(reference)
    return component


def _card(snapshot: Snapshot) -> dict[str, Any]:
    findings, scenario = snapshot.statement.findings, snapshot.statement.scenario
    limits = [finding_told(one) for one in findings if one.verdict in LOSSES]
    limits += [f"Not known: {shown(one)}" for one in snapshot.unknown]
    if scenario.not_for:
        limits.append(f"Not for: {shown(scenario.not_for)}")
    if scenario.falls_back:
        limits.append(f"Falls back to the teacher: {shown(scenario.falls_back)}")
    return {
        "quantitativeAnalysis": {
            "performanceMetrics": [metric for one in findings for metric in _metrics(one)]
        },
        "considerations": {
            "useCases": [shown(scenario.use)],
            "technicalLimitations": limits,
            "performanceTradeoffs": [
                _traded(snapshot, f) for f in findings if f.verdict in _TRADED
            ],
            "ethicalConsiderations": [
                _risk(snapshot, one) for one in findings if snapshot.consent_told(one)
            ],
        },
    }


def _metrics(finding: Finding) -> Iterator[dict[str, Any]]:
    """The loss with its interval, then each arm's own value; said also where nobody could look."""
    yield _metric(f"{finding.id}: loss, teacher less student", finding.loss)
    for arm, value in finding.values.items():
        told = shown(f"{finding.id}: value of {arm}")
        yield {"type": told, "value": repr(value.value)}


def _metric(name: str, estimate: Estimate | None) -> dict[str, Any]:
    if estimate is None:
        return {"type": name, "value": "not measured"}
    return {
        "type": name,
        "value": repr(estimate.estimate),
        "confidenceInterval": {
            "lowerBound": repr(estimate.low),
            "upperBound": repr(estimate.high),
        },
    }


def _traded(snapshot: Snapshot, finding: Finding) -> str:
    margin = f"Margin {finding.target.margin:g}, {SEVERITIES[finding.severity]}"
    return f"{finding_told(finding)} {margin}: {sentence(shown(finding.target.reason))}"


def _risk(snapshot: Snapshot, finding: Finding) -> dict[str, str]:
    """What somebody must consent to, and whether somebody did."""
    consent = snapshot.consent(finding)
    risk = {"name": shown(f"{finding.id}, {finding.verdict}: {snapshot.consent_told(finding)}")}
    if consent.state == State.ACCEPTED and consent.acceptance is not None:
        given = consent.acceptance
        risk["mitigationStrategy"] = shown(given.mitigation or f"None. {sentence(given.because)}")
    return risk


def _properties(snapshot: Snapshot) -> Iterator[dict[str, str]]:
    yield _property("ullage:statement", shown(snapshot.statement.name))
    yield _property("ullage:standing", snapshot.standing)
    yield _property("ullage:gate", f"{snapshot.report.exit_code}: {snapshot.report.sentence}")
    yield from _identity(snapshot, "student")
    for row in rows(snapshot):
        # What every row repeats stands once, above.
        told = row.model_dump(
            exclude={"statement", "teacher_identity", "student_identity", "statement_sha256"}
        )
        kept = {name: value for name, value in told.items() if value not in (None, "")}
        yield _property("ullage:finding", json.dumps(kept, ensure_ascii=False))


def _identity(snapshot: Snapshot, role: str) -> Iterator[dict[str, str]]:
    yield _property("ullage:identity", shown(snapshot.statement.arms[role].identity))


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}
