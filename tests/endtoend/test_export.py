"""`ullage statement export` and `log`, as typed; the trackers are the real ones."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.support import statements
from tests.support.signed import give, write_key, write_statement
from ullage.cli import app
from ullage.collect.conversation import Outcome
from ullage.errors import InputError
from ullage.exporting import take
from ullage.probes.protocol import Item
from ullage.score import ScoreTable
from ullage.statement.exports import formats
from ullage.statement.exports.snapshot import Snapshot
from ullage.statement.store import write_all
from ullage.tracking import metrics, tags

DAY = ["--on", "2026-06-01"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder: the statement with its views, and one loss accepted by name."""
    folder = tmp_path / "run"
    statement = statements.every_verdict()
    write_statement(folder, statement)
    write_all(statement, folder)
    give(folder, statement, "clarify.clarifies", write_key(tmp_path))
    return folder


def export(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["statement", "export", *arguments, *DAY])


def refused(*arguments: str) -> str:
    result = export(*arguments)
    assert isinstance(result.exception, InputError)
    return str(result.exception)


@pytest.mark.parametrize("form", formats.Format)
def test_a_file_is_written_once_and_never_over_another(
    run: Path, tmp_path: Path, form: str
) -> None:
    place = tmp_path / "out"
    first = export(form, str(run), "-o", str(place))
    assert first.exit_code == 0, first.output
    assert f"wrote {place}" in first.output
    content = place.read_bytes()
    assert "is so already" in export(form, str(run), "-o", str(place)).output
    place.write_bytes(b"# mine\n")
    if form == "card":
        assert export(form, str(run), "-o", str(place)).exit_code == 0
        assert b"\n# mine\n\n<!-- ullage:begin -->" in place.read_bytes()
        return
    assert "holds something else" in refused(form, str(run), "-o", str(place))
    assert place.read_bytes() == b"# mine\n"
    assert export(form, str(run), "-o", str(place), "--force").exit_code == 0
    assert place.read_bytes() == content


@pytest.mark.parametrize("form", ["card", "cyclonedx", "spdx", "csv"])
def test_text_is_printed_where_no_file_is_named(run: Path, tmp_path: Path, form: str) -> None:
    place = tmp_path / "out"
    export(form, str(run), "-o", str(place))
    assert export(form, str(run / "statement.json")).stdout_bytes == place.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("parquet",), "give a file: -o FILE"),
        (("card", "--items"), "is for csv and parquet"),
        (("csv", "--items"), "no readable score table"),
        (("spdx", "--released", "May"), "--released 'May': is no day"),
        (("spdx", "--download", "https://ada:pw@host/x"), "--download: is no plain address"),
        (("spdx", "--download", "javascript:alert(1)"), "--download: is no plain address"),
        (("csv", "-o", "nowhere/out.csv"), "nowhere: is not a folder"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    run: Path, arguments: tuple[str, ...], told: str
) -> None:
    said = refused(arguments[0], str(run), *arguments[1:])
    assert told in said
    assert "pw" not in said


def test_a_card_that_is_no_text_is_left_alone(run: Path, tmp_path: Path) -> None:
    place = tmp_path / "README.md"
    place.write_bytes(b"# caf\xe9\n")
    assert "byte 5 is not UTF-8" in refused("card", str(run), "-o", str(place))
    assert place.read_bytes() == b"# caf\xe9\n"


def test_a_policy_says_whose_consent_counts(run: Path, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("acceptors: [{key: ada.key.pub, by: Ada Lovelace}]\n")

    def gates(*more: str) -> dict[str, tuple[str, str]]:
        told = csv.DictReader(io.StringIO(export("csv", str(run), *more).stdout))
        return {row["target"]: (row["gate"], row["consent"]) for row in told}

    assert gates()["clarify.clarifies"] == ("FAIL", "accepted")
    assert "Signatures were not checked" in export("card", str(run)).stdout
    policy.write_text(policy.read_text() + "must: {lost: consent}\n")
    assert gates("--policy", str(policy))["clarify.clarifies"] == ("accepted", "accepted")
    assert "not checked" not in export("card", str(run), "--policy", str(policy)).stdout
    late = CliRunner().invoke(app, ["statement", "export", "csv", str(run), "--on", "2027-01-01"])
    assert "expired" in late.stdout


# ---------------------------------------------------------------------------------------- items


def with_scores(run: Path, digest: str) -> list[dict[str, object]]:
    """Scores beside the statement, and the rows that they are."""
    items = [Item(id=f"=it\u202eem/{n}", family="fam", messages=()) for n in range(2)]
    with ScoreTable(run / "scores.parquet") as table:
        table.add(
            "clarify", items[0], "teacher", Outcome(values={"clarifies": 1.0, "recovers": 0.25})
        )
        table.add("clarify", items[1], "student", Outcome(error="timeout"))
        table.describe("ullage.uses", {"digest": digest, "arms": {}})
    rows = [
        (0, "teacher", "clarifies", 1.0, "ok"),
        (0, "teacher", "recovers", 0.25, "ok"),
        (1, "student", "", None, "timeout"),
    ]
    return [
        {
            "probe": "clarify", "item": f"=it\\u202eem/{number}", "family": "fam", "arm": arm,
            "metric": metric, "value": value, "status": status,
        }
        for number, arm, metric, value, status in rows
    ]  # fmt: skip


def test_every_score_of_every_item(run: Path, tmp_path: Path) -> None:
    wanted = with_scores(run, statements.every_verdict().replies_digest)
    place = tmp_path / "items.parquet"
    assert export("parquet", str(run), "--items", "-o", str(place)).exit_code == 0
    assert pq.read_table(place).to_pylist() == wanted
    told = [*csv.DictReader(io.StringIO(export("csv", str(run), "--items").stdout))]
    assert [row["value"] for row in told] == ["1", "0.25", ""]
    assert [row["item"] for row in told] == [f"'{row['item']}" for row in wanted]  # no formula
    for column in ("probe", "family", "arm", "metric", "status"):
        assert [row[column] for row in told] == [row[column] for row in wanted]


def test_scores_of_other_replies_are_refused(run: Path) -> None:
    with_scores(run, "sha256:other")
    assert "scores of other replies" in refused("csv", str(run), "--items")


# -------------------------------------------------------------------------------------- trackers


def log(run: Path, tracker: str, home: Path, **environ: str) -> str:
    """What a process of its own says, having logged to files below `home` and nowhere else."""
    command = [sys.executable, "-m", "ullage.cli", "statement", "log", str(run), "--to", tracker]
    result = subprocess.run(
        [*command, *DAY], cwd=home, env=os.environ | environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    return result.stdout if result.returncode == 0 else f"{result.returncode} {result.stderr}"


WANTED_FILES = {"statement.json", "statement.md", "statement.html", "findings.csv"}


@pytest.fixture
def snapshot(run: Path) -> Snapshot:
    return take(run / "statement.json", None, date(2026, 6, 1))


def test_numbers_and_words_of_every_target(snapshot: Snapshot) -> None:
    numbers, words = metrics(snapshot), tags(snapshot)
    for finding in snapshot.statement.findings:
        assert words[f"verdict/{finding.id}"] == str(finding.verdict)
        assert numbers[f"margin/{finding.id}"] == finding.target.margin
        if finding.loss is None:
            assert f"loss/{finding.id}" not in numbers
        else:
            assert numbers[f"low/{finding.id}"] == finding.loss.low
            assert numbers[f"high/{finding.id}"] == finding.loss.high
    assert numbers["targets/unmeasured"] == 1.0
    assert words["accepted_by/clarify.clarifies"] == "Ada Lovelace"
    assert all(told in words["ullage.not_known"] for told in snapshot.unknown)


def test_mlflow_holds_the_statement(run: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    store = (tmp_path / "store").as_uri()
    environ = {"MLFLOW_TRACKING_URI": store, "MLFLOW_ALLOW_FILE_STORE": "true"}
    said = log(run, "mlflow", tmp_path, **environ)
    assert said.startswith("logged to mlflow as run "), said
    (kept,) = (tmp_path / "store").glob(f"*/{said.split()[-1]}")
    found = {
        path.relative_to(kept / "metrics").as_posix()
        for path in (kept / "metrics").rglob("*")
        if path.is_file()
    }
    assert found == set(metrics(snapshot))
    value = float((kept / "metrics/low/clarify.clarifies").read_text().split()[1])
    assert value == metrics(snapshot)["low/clarify.clarifies"]
    told = {
        path.relative_to(kept / "tags").as_posix(): path.read_text()
        for path in (kept / "tags").rglob("*")
        if path.is_file()
    }
    assert told == tags(snapshot) | {"mlflow.runName": snapshot.statement.name}
    assert {path.name for path in (kept / "artifacts").iterdir()} == WANTED_FILES | {"acceptances"}
    assert (kept / "artifacts/statement.json").read_bytes() == (run / "statement.json").read_bytes()


def wandb_records(content: bytes) -> Iterator[bytes]:
    """The records of a .wandb file: LevelDB's log format, behind a header of seven bytes."""
    block, head = 32_768, 7
    place, record = head, b""
    while place + head <= len(content):
        if (left := block - place % block) < head:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        record += content[place + head : place + head + length]
        place += head + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def test_wandb_holds_the_statement(run: Path, snapshot: Snapshot, tmp_path: Path) -> None:
    forms = importlib.import_module("wandb.proto.wandb_internal_pb2")
    places = ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR")
    environ = {name: str(tmp_path) for name in places}
    said = log(run, "wandb", tmp_path, WANDB_MODE="offline", WANDB_API_KEY="k" * 40, **environ)
    assert said.startswith("logged to wandb as run "), said
    (file,) = tmp_path.glob(f"wandb/offline-run-*/run-{said.split()[-1]}.wandb")
    numbers: dict[str, float] = {}
    words: dict[str, object] = {}
    names: set[str] = set()
    for data in wandb_records(file.read_bytes()):
        record = forms.Record()
        record.ParseFromString(data)
        numbers |= {
            "/".join(one.nested_key) or one.key: json.loads(one.value_json)
            for one in record.history.item
        }
        words |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
        names |= {one.path for one in record.request.log_artifact.artifact.manifest.contents}
        names |= {one.path for one in record.artifact.manifest.contents}
    assert {key: numbers.get(key) for key in metrics(snapshot)} == metrics(snapshot)
    assert {key: words.get(key) for key in tags(snapshot)} == tags(snapshot)
    assert names >= WANTED_FILES
    for path in (one for one in tmp_path.glob("wandb/**/*") if one.is_file()):
        assert b"k" * 40 not in path.read_bytes(), path
        assert path.name != "requirements.txt"


def test_a_missing_library_is_named(run: Path, tmp_path: Path) -> None:
    # Put where Python looks first, this keeps `find_spec` from seeing what is installed.
    hide = "import sys; sys.modules.update(mlflow=None, wandb=None)\n"
    (tmp_path / "sitecustomize.py").write_text(hide)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    for tracker, package in (("mlflow", "mlflow-skinny"), ("wandb", "wandb")):
        said = log(run, tracker, tmp_path, PYTHONPATH=path)
        assert said == (
            f"2 ullage: --to {tracker}: {tracker} is not installed; pip install {package}\n"
        )


def test_a_tracker_that_refuses_tells_why_and_no_secret(run: Path, tmp_path: Path) -> None:
    said = log(
        run, "mlflow", tmp_path, MLFLOW_TRACKING_URI="nowhere://ada:hunter22@host",
        MLFLOW_TRACKING_PASSWORD="hunter22",
    )  # fmt: skip
    assert said.startswith("4 ullage: mlflow: did not take the run: "), said
    assert "nowhere" in said
    assert "hunter22" not in said
    assert said.count("\n") == 1


def test_where_mlflow_goes_is_asked_for_where_nothing_said_so(run: Path, tmp_path: Path) -> None:
    said = log(run, "mlflow", tmp_path, MLFLOW_TRACKING_URI="")
    assert said.startswith("4 ullage: mlflow: did not take the run: "), said
    assert said.endswith("; say in $MLFLOW_TRACKING_URI where it goes, and log it again\n")
