"""Each export says what the statement says, and its own tools read it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import spdx_python_model
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support import statements
from tests.support.signed import TODAY, UNTIL, give, write_key, write_statement
from ullage.config.models import Severity
from ullage.errors import InputError
from ullage.exporting import exported, publication_of, take
from ullage.statement.document import Statement, Verdict
from ullage.statement.exports.card import BEGIN, END, section, to_card
from ullage.statement.exports.cyclonedx import Publication
from ullage.statement.exports.formats import Format
from ullage.statement.exports.rows import NOBODY_LOOKED, Row, rows
from ullage.statement.exports.snapshot import Snapshot
from ullage.statement.words import DIMENSIONS

NOBODY = Publication()
WHOLE = publication_of("Acme", "2026-05-01", "https://models.example/desk")
MADE = {
    "every": statements.every_verdict,
    "bare": statements.bare,
    "kept": statements.all_kept,
    "many": statements.many,
    "hostile": statements.hostile,
}


def snapshot_of(folder: Path, statement: Statement) -> Snapshot:
    return take(write_statement(folder / "run", statement), None, TODAY)


@pytest.fixture
def accepted(tmp_path: Path) -> Snapshot:
    """Every verdict; one loss and one unmeasured target are accepted by name."""
    statement = statements.every_verdict()
    path = write_statement(tmp_path / "run", statement)
    key = write_key(tmp_path)
    for target in ("clarify.clarifies", "confidence.overconfidence"):
        give(path.parent, statement, target, key)
    return take(path, None, TODAY)


def as_json(snapshot: Snapshot, form: Format, publication: Publication = NOBODY) -> Any:
    path = Path("unused")
    return json.loads(exported(snapshot, path, form, items=False, publication=publication))


# ---------------------------------------------------------------------------------------- rows


def test_every_target_and_every_dimension_nobody_looked_at_has_a_row(accepted: Snapshot) -> None:
    statement = accepted.statement
    told = rows(accepted)
    assert [row.target for row in told if row.target] == [f.id for f in statement.findings]
    unlooked = [row.dimension for row in told if not row.target]
    assert set(unlooked) == set(DIMENSIONS) - {f.dimension for f in statement.findings}
    assert {(row.verdict, row.why) for row in told if not row.target} == {
        ("unmeasured", NOBODY_LOOKED)
    }
    for row, finding in zip(told, statement.findings, strict=False):
        assert row.verdict == str(finding.verdict)
        assert row.margin == finding.target.margin
        if finding.loss is None:
            assert (row.loss, row.low, row.high) == (None, None, None)
        else:
            assert (row.loss, row.low, row.high) == (
                finding.loss.estimate, finding.loss.low, finding.loss.high
            )  # fmt: skip


def test_a_row_says_who_accepted_it_and_until_when(accepted: Snapshot) -> None:
    by_target = {row.target: row for row in rows(accepted)}
    given = by_target["clarify.clarifies"]
    assert (given.consent, given.accepted_by, given.accepted_as) == (
        "accepted", "Ada Lovelace", "product owner"
    )  # fmt: skip
    assert given.accepted_until == UNTIL.isoformat()
    assert given.mitigation == "A router that knows them."
    assert by_target["confidence.overconfidence"].consent == "accepted"
    assert by_target["abstain.abstains"].consent == "unaccepted"
    assert by_target["agreement.agreement"].consent == ""  # nothing to accept
    assert by_target["clarify.clarifies"].gate == "FAIL"  # without a policy no consent counts


def test_a_target_no_finding_speaks_of_is_unmeasured(tmp_path: Path) -> None:
    finding = statements.finding("clarify.clarifies", Verdict.PRESERVED)
    silent = statements.target("formats.spread", severity=Severity.MUST, margin=0.07)
    statement = statements.statement([finding], scenario={"targets": (finding.target, silent)})
    snapshot = snapshot_of(tmp_path, statement)
    (row,) = [row for row in rows(snapshot) if row.target == "formats.spread"]
    assert (row.verdict, row.margin, row.gate) == ("unmeasured", 0.07, "unproven")
    assert any(told.startswith("formats.spread") for told in snapshot.unknown)
    assert "formats.spread" in section(snapshot)


def test_every_column_says_what_it_is() -> None:
    assert all(field.description for field in Row.model_fields.values())


def test_a_model_is_named_without_the_folders_that_lead_to_it(tmp_path: Path) -> None:
    places = {
        "/home/ada/secret-project/small": "small",
        "C:\\Users\\ada\\small": "small",
        "~/models/small": "small",
        "../models/small": "small",
        "HuggingFaceTB/SmolLM2-135M": "HuggingFaceTB/SmolLM2-135M",
    }
    statement = statements.bare()
    for place, name in places.items():
        student = statements.arm("student", description={"adapter": "hf", "model": place})
        changed = statement.model_copy(update={"arms": statement.arms | {"student": student}})
        assert snapshot_of(tmp_path, changed).name("student") == name


@pytest.mark.parametrize("form", Format)
def test_no_export_holds_what_a_model_said(accepted: Snapshot, form: Format) -> None:
    said = statements.example().replies["student"][0].content
    assert said in accepted.statement.model_dump_json()
    made = exported(accepted, Path("unused"), form, items=False, publication=NOBODY)
    text = str(pq.read_table(io.BytesIO(made)).to_pylist()) if form == "parquet" else made.decode()
    assert "clarify.clarifies" in text
    assert said not in text


# -------------------------------------------------------------------------------------- tables


def read_csv(snapshot: Snapshot) -> list[dict[str, str]]:
    made = exported(snapshot, Path("unused"), Format.CSV, items=False, publication=NOBODY)
    return list(csv.DictReader(io.StringIO(made.decode(), newline="")))


@pytest.mark.parametrize("name", MADE)
def test_csv_and_parquet_hold_the_rows(tmp_path: Path, name: str) -> None:
    snapshot = snapshot_of(tmp_path, MADE[name]())
    wanted = rows(snapshot)
    made = exported(snapshot, Path("unused"), Format.PARQUET, items=False, publication=NOBODY)
    table = pq.read_table(io.BytesIO(made))
    assert [Row.model_validate(row) for row in table.to_pylist()] == wanted
    about = table.schema.metadata
    assert json.loads(about[b"ullage.not_known"]) == snapshot.unknown
    assert about[b"ullage.statement_sha256"].decode() == snapshot.sha256
    found = read_csv(snapshot)
    assert list(found[0]) == list(Row.model_fields)
    for row, told in zip(wanted, found, strict=True):
        assert told["verdict"] == row.verdict
        for number in ("margin", "loss", "low", "high", "student"):
            value = getattr(row, number)
            assert told[number] == "" if value is None else float(told[number]) == value


def test_a_spreadsheet_computes_nothing(tmp_path: Path) -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("https://evil.test")'):
        statement = statements.bare().model_copy(update={"name": text})
        assert {row["statement"] for row in read_csv(snapshot_of(tmp_path, statement))} == {
            "'" + text
        }


# ------------------------------------------------------------------------------------ CycloneDX


def problems(bom: Any, version: SchemaVersion = SchemaVersion.V1_6) -> list[str]:
    """What the official JSON Schema (its strict form) has against a document."""
    found = JsonStrictValidator(version).validate_str(json.dumps(bom), all_errors=True)
    return [str(one) for one in found or ()]


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("publication", [NOBODY, WHOLE], ids=["nobody", "whole"])
def test_cyclonedx_fits_the_official_schema(
    tmp_path: Path, name: str, publication: Publication
) -> None:
    bom = as_json(snapshot_of(tmp_path, MADE[name]()), Format.CYCLONEDX, publication)
    assert problems(bom) == []
    later = bom | {"specVersion": "1.7", "$schema": bom["$schema"].replace("1.6", "1.7")}
    assert problems(later, SchemaVersion.V1_7) == []


def test_the_schema_refuses_what_does_not_fit(accepted: Snapshot) -> None:
    bom = as_json(accepted, Format.CYCLONEDX)
    metrics = bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]
    metrics["performanceMetrics"][0]["verdict"] = "lost"
    assert problems(bom) != []


def test_cyclonedx_says_what_the_statement_says(accepted: Snapshot) -> None:
    component = as_json(accepted, Format.CYCLONEDX, WHOLE)["metadata"]["component"]
    assert component["type"] == "machine-learning-model"
    assert component["supplier"] == {"name": "Acme"}
    card = component["modelCard"]
    metrics = {one["type"]: one for one in card["quantitativeAnalysis"]["performanceMetrics"]}
    for finding in accepted.statement.findings:
        metric = metrics[f"{finding.id}: loss, teacher less student"]
        if finding.loss is None:
            assert metric["value"] == "not measured"
            assert "confidenceInterval" not in metric
        else:
            interval = metric["confidenceInterval"]
            assert float(metric["value"]) == finding.loss.estimate
            assert float(interval["lowerBound"]) == finding.loss.low
            assert float(interval["upperBound"]) == finding.loss.high
    considered = card["considerations"]
    limits = "\n".join(considered["technicalLimitations"])
    assert all(told in limits for told in accepted.unknown)
    assert limits.count(" is lost: ") == 4
    risks = {one["name"].partition(",")[0]: one for one in considered["ethicalConsiderations"]}
    assert "accepted by Ada Lovelace" in risks["clarify.clarifies"]["name"]
    assert risks["clarify.clarifies"]["mitigationStrategy"] == "A router that knows them."
    assert risks["abstain.abstains"]["name"].endswith("unaccepted")
    assert "mitigationStrategy" not in risks["abstain.abstains"]
    findings = [
        json.loads(one["value"]) for one in component["properties"]
        if one["name"] == "ullage:finding"
    ]  # fmt: skip
    told = {(one.get("target", ""), one["verdict"], one.get("margin")) for one in findings}
    assert told == {(row.target, row.verdict, row.margin) for row in rows(accepted)}


def test_the_serial_number_is_that_of_the_content(tmp_path: Path, accepted: Snapshot) -> None:
    one = as_json(accepted, Format.CYCLONEDX)
    assert one == as_json(accepted, Format.CYCLONEDX)
    other = as_json(snapshot_of(tmp_path, statements.all_kept()), Format.CYCLONEDX)
    assert one["serialNumber"] != other["serialNumber"]


# ----------------------------------------------------------------------------------------- SPDX


def spdx_objects(data: Any) -> dict[str, Any]:
    """The elements, read by SPDX's own bindings: they are made from its SHACL shapes.

    Reading refuses an unknown property or value, writing refuses a missing one.
    """
    model, found = spdx_python_model.load_data(data)
    assert found.link() == set()  # every reference leads somewhere
    written = io.BytesIO()
    model.JSONLDSerializer().write(found, written)
    assert len(json.loads(written.getvalue())["@graph"]) == len(data["@graph"])
    return {one.spdxId: one for one in found.foreach() if getattr(one, "spdxId", None)}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("publication", [NOBODY, WHOLE], ids=["nobody", "whole"])
def test_spdx_fits_its_own_shapes(tmp_path: Path, name: str, publication: Publication) -> None:
    data = as_json(snapshot_of(tmp_path, MADE[name]()), Format.SPDX, publication)
    assert len(spdx_objects(data)) == len(data["@graph"]) - 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda student: student.update(ai_verdict="lost"),
        lambda student: student.update(software_primaryPurpose="student"),
        lambda student: student.pop("creationInfo"),
        lambda student: student["ai_metric"][0].pop("key"),
        lambda student: student.update(suppliedBy="urn:nobody"),
    ],
    ids=["property", "value", "missing", "entry", "reference"],
)
def test_the_shapes_refuse_what_does_not_fit(
    accepted: Snapshot, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    data = as_json(accepted, Format.SPDX)
    spoil(next(one for one in data["@graph"] if one["type"] == "ai_AIPackage"))
    with pytest.raises((KeyError, ValueError, AssertionError)):
        spdx_objects(data)


def test_spdx_says_what_the_statement_says(accepted: Snapshot) -> None:
    objects = spdx_objects(as_json(accepted, Format.SPDX))
    student = next(one for id_, one in objects.items() if id_.endswith(":student"))
    metrics = {entry.key: entry.value for entry in student.ai_metric}
    margins = {entry.key: entry.value for entry in student.ai_metricDecisionThreshold}
    for finding in accepted.statement.findings:
        key = f"{finding.id}: loss"
        assert margins[key] == f"{finding.target.margin!r} ({finding.severity})"
        if finding.loss is None:
            assert metrics[key] == "not measured"
        else:
            assert metrics[key].startswith(
                f"{finding.loss.estimate!r} [{finding.loss.low!r}, {finding.loss.high!r}] "
            )
    assert all(told in student.ai_limitation for told in accepted.unknown)
    notes = [json.loads(one.statement) for id_, one in objects.items() if ":finding-" in id_]
    by_target = {note.get("target"): note for note in notes}
    assert len(notes) == len(rows(accepted))
    assert by_target["clarify.clarifies"]["accepted_by"] == "Ada Lovelace"
    descent = next(one for id_, one in objects.items() if id_.endswith(":descent"))
    assert [one.spdxId.rpartition(":")[2] for one in descent.to] == ["teacher", "base"]


def test_the_profile_is_claimed_where_the_publisher_said_what_it_asks(accepted: Snapshot) -> None:
    def profiles(publication: Publication) -> list[str]:
        (document,) = [
            one for one in as_json(accepted, Format.SPDX, publication)["@graph"]
            if one["type"] == "SpdxDocument"
        ]  # fmt: skip
        return list(document["profileConformance"])

    assert profiles(NOBODY) == ["core", "software"]
    assert profiles(Publication(supplier="Acme")) == ["core", "software"]
    assert profiles(WHOLE) == ["core", "software", "ai"]


# ------------------------------------------------------------------------------------------ card


def front(card: str) -> dict[str, Any]:
    data = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(data, dict)
    return data


OLD = """---
# what this is
license: apache-2.0   # ours
base_model: HuggingFaceTB/SmolLM2-135M
version: 1.10
model-index:
- name: desk
  results:
  - task: {type: text-generation}
    dataset: {type: acme/tickets, name: Tickets}
    metrics:
    - {type: accuracy, value: 0.90}

# and what it speaks
language: [en, de]
---
# Desk

Small  text,   <b>kept</b>.
"""


def test_a_card_is_kept_but_for_our_two_places(accepted: Snapshot) -> None:
    card = to_card(accepted, OLD)
    head, body = card.split("\nmodel-index:\n")
    assert head == OLD.split("\nmodel-index:\n", maxsplit=1)[0]
    assert "\n\n# and what it speaks\nlanguage: [en, de]\n---\n# Desk\n\nSmall  text,   " in body
    data, old = front(card), front(OLD)
    others = {key: value for key, value in data.items() if key != "model-index"}
    assert others == {key: value for key, value in old.items() if key != "model-index"}
    results = data["model-index"][0]["results"]
    assert results[0] == old["model-index"][0]["results"][0]
    assert len(results) == 1 + len(accepted.statement.findings)
    assert f"\n{BEGIN}\n\n{section(accepted)}\n\n{END}\n" in card


@pytest.mark.parametrize(
    "old",
    [
        OLD,
        OLD.replace("\n", "\r\n"),
        "",
        "# Without metadata\n",
        "---\n---\n# Empty metadata\n",
        "---\nlicense: mit\n---",
        "---\nmodel-index: []\nlicense: mit\n---\ntext",
        "---\nmodel-index: [{name: x, results: []}]\n# last\n---\ntext",
        f"---\nlicense: mit\n---\nbefore\n\n{BEGIN}\nold\n{END}\n\nafter\n",
    ],
)
def test_a_card_merged_again_stays_the_same(accepted: Snapshot, old: str) -> None:
    once = to_card(accepted, old)
    assert to_card(accepted, once) == once
    assert once.count(BEGIN) == once.count(END) == 1
    assert ("\r\n" in once) == ("\r\n" in old)
    if "after" in old:
        assert once.endswith(f"{END}\n\nafter\n")
        assert "\nold\n" not in once


def test_another_statement_takes_the_place_of_the_first(tmp_path: Path, accepted: Snapshot) -> None:
    later = snapshot_of(tmp_path, statements.all_kept())
    card = to_card(later, to_card(accepted, OLD))
    assert card == to_card(later, OLD)


@pytest.mark.parametrize(
    ("old", "told"),
    [
        (f"# x\n{BEGIN}\n", "do not stand once each"),
        (f"{END}\n{BEGIN}\n", "do not stand once each"),
        (f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n", "do not stand once each"),
        ("---\nlicense: [mit\n---\n", "is not YAML"),
        ("---\n- a list\n---\n", "is not keys and values"),
        ("---\nmodel-index: text\n---\n", "is not a list of models"),
        ("---\nmodel-index: [{name: x}]\n---\n", "is not a list of models"),
        ("---\nmodel-index: []\nmodel-index: [{name: x, results: []}]\n---\n", "there twice"),
        ("---\nmodel-index: &a [{name: x, results: []}]\nother: *a\n---\n", "refers into it"),
        ("\ufeff---\nlicense: mit\n---\n", "byte order mark"),
    ],
)
def test_a_card_that_cannot_be_kept_whole_is_refused(
    accepted: Snapshot, old: str, told: str
) -> None:
    with pytest.raises(InputError, match=told) as raised:
        to_card(accepted, old, "card/README.md")
    assert str(raised.value).startswith("card/README.md: ")


def test_hostile_text_cannot_end_the_section(tmp_path: Path) -> None:
    for text in (END, f"x\n{END}\ny", f"---\n{BEGIN}", *statements.HOSTILE.values()):
        snapshot = snapshot_of(tmp_path, statements.hostile(text))
        once = to_card(snapshot, OLD)
        assert to_card(snapshot, once) == once
        assert front(once)["license"] == "apache-2.0"
        assert once.splitlines().count(END) == 1


@pytest.mark.local
def test_the_card_goes_through_hugging_face_hub_and_back(
    tmp_path: Path, accepted: Snapshot
) -> None:
    from huggingface_hub import ModelCard

    place = tmp_path / "README.md"
    place.write_text(to_card(accepted, OLD), "utf-8")
    card = ModelCard.load(place)
    assert card.data.license == "apache-2.0"
    assert card.data.base_model == "HuggingFaceTB/SmolLM2-135M"
    results = {one.metric_name: one for one in card.data.eval_results or ()}
    for finding in accepted.statement.findings:
        result = results[f"{finding.id} of the student"]
        assert result.dataset_type == f"ullage/{finding.target.probe}"
        told = result.metric_args
        assert told is not None
        assert (told["verdict"], told["margin"]) == (str(finding.verdict), finding.target.margin)
        if finding.loss is None:
            assert result.metric_value == "not measured"
        else:
            assert result.metric_value == finding.values["student"].value
            assert (told["loss_low"], told["loss_high"]) == (finding.loss.low, finding.loss.high)
    assert "accepted by Ada Lovelace" in results["clarify.clarifies of the student"].metric_args[
        "consent"
    ]  # fmt: skip
    card.save(place)
    again = ModelCard.load(place)
    assert yaml.safe_load(str(again.data)) == yaml.safe_load(str(card.data))
    assert section(accepted) in again.text
    merged = ModelCard(to_card(accepted, place.read_text("utf-8")))
    assert yaml.safe_load(str(merged.data)) == yaml.safe_load(str(card.data))
    assert merged.text == again.text
