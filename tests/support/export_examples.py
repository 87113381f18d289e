"""Writes the examples of docs/how-to/export.md, from a statement of three targets.

Run ``python -m tests.support.export_examples`` after changing an export; a test says when.
"""

from __future__ import annotations

import csv
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml

from tests.support import statements
from tests.support.signed import TODAY, give, write_key, write_statement
from tests.support.statement_reference import fields
from ullage.config.models import Severity
from ullage.exporting import exported, take
from ullage.score import SCHEMA
from ullage.statement.document import Verdict
from ullage.statement.exports.cyclonedx import Publication
from ullage.statement.exports.formats import Format
from ullage.statement.exports.rows import Row
from ullage.statement.exports.snapshot import Snapshot
from ullage.tracking import metrics, tags

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
LOST = "clarify.clarifies"
_SHOWN = ("target", "verdict", "margin", "loss", "low", "high", "consent", "accepted_until")


def inserted(page: str) -> str:
    """The page with what stands between its marks made anew."""
    for name, text in examples().items():
        start, end = f"<!-- {name}: generated -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def examples() -> dict[str, str]:
    """Each part of the page, by its name."""
    with tempfile.TemporaryDirectory() as scratch:
        snapshot = _snapshot(Path(scratch))
        made = {form: _made(snapshot, form) for form in Format if form != Format.PARQUET}
    return {
        "card": _card(made[Format.CARD]),
        "cyclonedx": _cyclonedx(json.loads(made[Format.CYCLONEDX])),
        "spdx": _spdx(json.loads(made[Format.SPDX])),
        "csv": _csv(made[Format.CSV]),
        "columns": fields(Row),
        "items": ", ".join(f"`{name}`" for name in SCHEMA.names),
        "log": _log(snapshot),
    }


def _snapshot(folder: Path) -> Snapshot:
    """One kept, one lost and accepted, one that nobody could measure."""
    statement = statements.statement(
        [
            statements.finding(
                "agreement.accuracy", Verdict.PRESERVED, dimension="fidelity", headline=True
            ),
            statements.finding(LOST, Verdict.LOST, severity=Severity.SHOULD),
            statements.finding(
                "confidence.brier", Verdict.UNMEASURED, dimension="uncertainty",
                severity=Severity.MAY_LOSE,
            ),
        ]
    )  # fmt: skip
    path = write_statement(folder / "run", statement)
    give(path.parent, statement, LOST, write_key(folder))
    return take(path, None, TODAY)


def _made(snapshot: Snapshot, form: Format) -> str:
    nobody = Publication()
    return exported(snapshot, Path("unused"), form, items=False, publication=nobody).decode()


def _card(card: str) -> str:
    front, body = card.split("---\n", 2)[1:]
    results = yaml.safe_load(front)["model-index"][0]["results"]
    mine = [one for one in results if one["dataset"]["type"] == "ullage/clarify"]
    result = yaml.safe_dump(mine, sort_keys=False, width=10**6)
    table = "\n".join(line for line in body.splitlines() if line.startswith("| "))
    return f"{table}\n\n{_block('yaml', result)}"


def _cyclonedx(bom: Any) -> str:
    card = bom["metadata"]["component"]["modelCard"]
    told = {
        "performanceMetrics": _about(card["quantitativeAnalysis"]["performanceMetrics"], "type"),
        "ethicalConsiderations": _about(card["considerations"]["ethicalConsiderations"], "name"),
    }
    return _block("json", json.dumps(told, indent=2, ensure_ascii=False))


def _about(entries: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    found = [one for one in entries if one[key].startswith((LOST, "confidence.brier"))]
    return [one for one in found if "value of" not in one[key]]


def _spdx(document: Any) -> str:
    (student,) = [
        one
        for one in document["@graph"]
        if one["type"] == "ai_AIPackage" and one["spdxId"].endswith(":student")
    ]
    kept = ("type", "name", "summary", "ai_metric", "ai_metricDecisionThreshold")
    return _block("json", json.dumps({key: student[key] for key in kept}, indent=2))


def _csv(text: str) -> str:
    table = [*csv.DictReader(io.StringIO(text))][:4]
    lines = [",".join(_SHOWN), *(",".join(row[name] for name in _SHOWN) for row in table)]
    return _block("text", "\n".join(lines))


def _log(snapshot: Snapshot) -> str:
    told: dict[str, object] = metrics(snapshot) | tags(snapshot)  # type: ignore[operator]
    lines = [f"{name}: {value}" for name, value in told.items() if name.endswith(LOST)]
    return _block("text", "\n".join(lines))


def _block(kind: str, text: str) -> str:
    return f"```{kind}\n{text.strip()}\n```"


if __name__ == "__main__":
    PAGE.write_text(inserted(PAGE.read_text("utf-8")), encoding="utf-8")
