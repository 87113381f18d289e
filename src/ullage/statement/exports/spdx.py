"""An SPDX 3.0.1 document (JSON-LD): the student as an AI package, with what it lost.

Losses stand in ``ai_metric``, their margins in ``ai_metricDecisionThreshold``, what is not known in
``ai_limitation``; each finding is an annotation too, JSON with the columns of `rows.Row`. The
profile ``ai`` asks for a supplier, a day of release and an address, which no statement knows: the
document claims that profile where all three are given.
"""

from __future__ import annotations

import json
from typing import Any

from ullage.statement.document import Finding
from ullage.statement.exports.cyclonedx import Publication
from ullage.statement.exports.rows import Row, rows
from ullage.statement.exports.snapshot import Snapshot, finding_told, shown
from ullage.statement.outcome import outcome_sentence
from ullage.statement.words import LOSSES, VERDICTS

CONTEXT = "https://spdx.org/rdf/3.0.1/spdx-context.jsonld"
_CREATION = "_:creation"


def to_spdx(snapshot: Snapshot, publication: Publication) -> bytes:
    """The document as JSON-LD. It is dated by the snapshot's day."""
    elements = [_agent(snapshot), *_models(snapshot, publication), *_annotations(snapshot)]
    if publication.supplier:
        supplier = _element(snapshot, "Agent", "supplier", name=shown(publication.supplier))
        elements.append(supplier)
    document = _element(
        snapshot,
        "SpdxDocument",
        "document",
        name=shown(snapshot.statement.name),
        profileConformance=["core", "software", *(["ai"] if _is_whole(publication) else [])],
        rootElement=[_id(snapshot, "student")],
        element=[element["spdxId"] for element in elements],
    )
    creation = {
        "type": "CreationInfo",
        "@id": _CREATION,
        "specVersion": "3.0.1",
        "created": f"{snapshot.on.isoformat()}T00:00:00Z",
        "createdBy": [_id(snapshot, "ullage")],
    }
    data = {"@context": CONTEXT, "@graph": [creation, document, *elements]}
    return (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode()


def _is_whole(publication: Publication) -> bool:
    return bool(publication.supplier and publication.released and publication.download)


def _agent(snapshot: Snapshot) -> dict[str, Any]:
    name = f"Ullage {shown(snapshot.statement.ullage_version)}"
    return _element(snapshot, "SoftwareAgent", "ullage", name=name)


def _models(snapshot: Snapshot, publication: Publication) -> list[dict[str, Any]]:
    """The student, the models it comes from, and that it does."""
    models = [_student(snapshot, publication)]
    models += [_package(snapshot, role) for role in snapshot.ancestors]
    descent = _element(
        snapshot,
        "Relationship",
        "descent",
        relationshipType="descendantOf",
        to=[_id(snapshot, role) for role in snapshot.ancestors],
        **{"from": _id(snapshot, "student")},
    )
    return [*models, descent]


def _package(snapshot: Snapshot, role: str) -> dict[str, Any]:
    identity = shown(snapshot.statement.arms[role].identity)
    return _element(
        snapshot,
        "ai_AIPackage",
        role,
        name=snapshot.name(role),
        comment=f"The {role} of a distillation; its version is the hash of what answered.",
        software_packageVersion=identity,
        software_primaryPurpose="model",
    )


def _student(snapshot: Snapshot, publication: Publication) -> dict[str, Any]:
    statement = snapshot.statement
    scenario, findings = statement.scenario, statement.findings
    limits = [finding_told(one) for one in findings if one.verdict in LOSSES]
    limits += [f"Not known: {shown(one)}" for one in snapshot.unknown]
    limits += [f"Not for: {shown(scenario.not_for)}"] if scenario.not_for else []
    package = _package(snapshot, "student") | {
        "summary": shown(outcome_sentence(statement)),
        "description": f"{snapshot.report.sentence} {snapshot.standing}",
        "ai_informationAboutApplication": shown(scenario.use),
        "ai_limitation": "\n".join(limits),
        "ai_metric": [_entry(f"{one.id}: loss", _loss(one)) for one in findings],
        "ai_metricDecisionThreshold": [
            _entry(f"{one.id}: loss", f"{one.target.margin!r} ({one.severity})") for one in findings
        ],
    }
    if publication.supplier:
        package["suppliedBy"] = _id(snapshot, "supplier")
    if publication.released:
        package["releaseTime"] = f"{publication.released}T00:00:00Z"
    if publication.download:
        package["software_downloadLocation"] = publication.download
    return package


def _loss(finding: Finding) -> str:
    """The loss, its interval and the verdict."""
    label = VERDICTS[finding.verdict].label
    if (loss := finding.loss) is None:
        return label
    return f"{loss.estimate!r} [{loss.low!r}, {loss.high!r}] {label}"


def _annotations(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        _element(
            snapshot,
            "Annotation",
            f"finding-{number}",
            annotationType="review",
            subject=_id(snapshot, "student"),
            contentType="application/json",
            statement=_json(row),
        )
        for number, row in enumerate(rows(snapshot), start=1)
    ]


def _json(row: Row) -> str:
    told = {name: value for name, value in row.model_dump().items() if value not in (None, "")}
    return json.dumps(told, ensure_ascii=False)


def _entry(key: str, value: str) -> dict[str, Any]:
    return {"type": "DictionaryEntry", "key": key, "value": value}


def _element(snapshot: Snapshot, kind: str, key: str, /, **properties: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "spdxId": _id(snapshot, key),
        "creationInfo": _CREATION,
        **properties,
    }


def _id(snapshot: Snapshot, name: str) -> str:
    return f"urn:ullage:statement:{snapshot.sha256}:{name}"
