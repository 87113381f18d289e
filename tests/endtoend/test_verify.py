"""The life of a statement with real keys and real weights: signed, accepted, verified, broken."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from tests.support.signed import TODAY, UNTIL, give, write_key
from ullage.audit import run_audit, set_up
from ullage.cli import app
from ullage.config import load
from ullage.errors import InputError
from ullage.gate import run_gate
from ullage.signing import sign_run
from ullage.statement.document import Verdict
from ullage.statement.keys import PublicKey, SecretKey
from ullage.statement.store import read
from ullage.verify import Check, verify

pytest.importorskip("torch")

from tests.support.tiny import build_tiny_model

pytestmark = pytest.mark.local

CONFIG = """
name: small
scenario: scenario.yaml
arms:
  teacher: {model: "recorded:teacher.jsonl", recorded: {match: id}}
  student: {model: "hf:student"}
  teacher_again: {enabled: false}
tasks: [{name: words, file: items.jsonl, rule: {kind: exact}, max_tokens: 2}]
planning: {items: 40}
"""
SCENARIO = """
name: small
title: Small
use: Telling whether what was judged is what is shown.
falls_back: Whatever is not a word.
targets:
  - {probe: words, metric: score, margin: 0.1, severity: must, reason: Words are all there is.}
"""
TARGET = "words.score"
SAMPLES = {"statement.json": 800, "scores.parquet": 700, "student/model.safetensors": 700}
"""Positions at which a byte is changed, by file."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed run about a real student that knows none of its teacher's words."""
    folder = tmp_path_factory.mktemp("verify")
    build_tiny_model(folder / "student", seed=2, hidden=16, layers=1, vocabulary=280)
    rows = [
        {"id": f"w{n}", "prompt": f"Word {n}?", "reference": f"word{n}", "family": f"f{n % 20}"}
        for n in range(40)
    ]
    said = [{"id": f"words/{row['id']}", "reply": row["reference"]} for row in rows]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "teacher.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    (folder / "scenario.yaml").write_text(SCENARIO)
    (folder / "ullage.yaml").write_text(CONFIG)
    asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
    write_key(folder, "ci")
    invoke(folder, "statement", "sign", "runs/small", "--key", "ci.key")
    return folder


def invoke(folder: Path, *arguments: str, code: int = 0) -> Result:
    """A command run in a folder, paths of which are written relative to it."""
    here = [str(folder / text) if (folder / text).exists() else text for text in arguments]
    result = CliRunner().invoke(app, here)
    assert result.exit_code == code, (result.output, result.exception)
    return result


def checks(folder: Path) -> list[Check]:
    """Everything `verify` says, with the key and the weights there."""
    return verify(folder / "runs" / "small", [public(folder)], weights=folder / "student")


def public(folder: Path) -> PublicKey:
    from ullage.statement.keys import open_verifier

    key = open_verifier("ci.key.pub", folder)
    assert isinstance(key, PublicKey)
    return key


def test_an_untouched_statement_holds(world: Path) -> None:
    found = checks(world)
    assert [check.name for check in found] == ["form", "signature", "files", "weights", "findings"]
    assert all(check.holds for check in found), found
    told = invoke(
        world, "statement", "verify", "runs/small", "--key", "ci.key.pub", "--weights", "student"
    )
    assert told.output.count("ok ") == 5 and "OFF" not in told.output


def test_it_holds_wherever_the_run_is_copied_to(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "elsewhere")
    assert all(check.holds for check in checks(tmp_path / "elsewhere"))
    shutil.copytree(world / "runs" / "small", tmp_path / "alone")
    apart = verify(tmp_path / "alone", [public(world)], root=world, weights=world / "student")
    assert all(check.holds for check in apart)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_changed_byte_is_caught(world: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(world, tmp_path / "world")
    folder = tmp_path / "world"
    path = folder / name if "/" in name else folder / "runs" / "small" / name
    whole = path.read_bytes()
    draw = Random(name)
    places = draw.sample(range(len(whole)), min(SAMPLES[name], len(whole)))
    for place in places:
        broken = bytearray(whole)
        broken[place] ^= draw.randrange(1, 256)
        path.write_bytes(broken)
        last = checks(folder)[-1]
        assert not last.holds, f"byte {place} of {name}"
        assert Path(name).name in last.told, last
    path.write_bytes(whole)
    assert all(check.holds for check in checks(folder))


def test_enough_bytes_are_changed(world: Path) -> None:
    sizes = [
        (world / name if "/" in name else world / "runs" / "small" / name).stat().st_size
        for name in SAMPLES
    ]
    wanted = SAMPLES.values()
    assert sum(min(size, most) for size, most in zip(sizes, wanted, strict=True)) >= 2_000


def test_every_changed_byte_of_the_signature_is_caught(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    path = tmp_path / "world" / "runs" / "small" / "statement.dsse.json"
    whole, draw = path.read_bytes(), Random("signature")
    tail = range(whole.rindex(b'"signatures"'), len(whole))
    for place in [*tail, *draw.sample(range(len(whole)), 200)]:
        broken = bytearray(whole)
        broken[place] ^= draw.randrange(1, 256)
        path.write_bytes(broken)
        last = checks(tmp_path / "world")[-1]
        assert (last.name, last.holds) == ("signature", False), place


def rewritten(world: Path, change: Callable[[Path], None]) -> list[Check]:
    """What `verify` says where whoever holds the key changed something and signed it anew."""
    change(world / "runs" / "small")
    key = SecretKey.generate()
    (world / "ci.key").write_bytes(key.pem())
    (world / "ci.key.pub").write_bytes(key.public.pem())
    sign_run(world / "runs" / "small", key, weights=world / "student")
    return checks(world)


def kinder(run: Path) -> None:
    """The verdict made kinder, in canonical form."""
    from ullage.statement.store import to_bytes

    statement = read(run / "statement.json")
    (finding,) = statement.findings
    better = finding.model_copy(update={"verdict": Verdict.PRESERVED})
    made = statement.model_copy(update={"findings": (better,)})
    (run / "statement.json").write_bytes(to_bytes(made))


def other_scores(run: Path) -> None:
    """One item's score turned round."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(run / "scores.parquet")
    values = table["value"].to_pylist()
    values[-1] = 1.0 - values[-1]
    place = table.schema.names.index("value")
    changed = table.set_column(place, table.schema.field(place), pa.array(values, pa.float64()))
    beside = pq.read_metadata(run / "scores.parquet").metadata
    pq.write_table(changed.replace_schema_metadata(beside), run / "scores.parquet")


@pytest.mark.parametrize(
    ("change", "told"), [(kinder, "verdict is 'preserved'"), (other_scores, "judged again")]
)
def test_a_valid_signature_does_not_make_a_finding_follow(
    world: Path, tmp_path: Path, change: Callable[[Path], None], told: str
) -> None:
    shutil.copytree(world, tmp_path / "world")
    last = rewritten(tmp_path / "world", change)[-1]
    assert (last.name, last.holds) == ("findings", False)
    assert told in last.told


def test_what_is_off_is_named(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world, tmp_path / "world")
    folder, run = tmp_path / "world", tmp_path / "world" / "runs" / "small"
    stranger = SecretKey.generate().public
    assert "none of those trusted" in verify(run, [stranger])[-1].told
    (folder / "student" / "chat_template.jinja").write_text("{{ messages }}")
    assert "chat_template.jinja: is n" in checks(folder)[-1].told
    (folder / "student" / "config.json").unlink()
    assert "config.json" in checks(folder)[-1].told
    (run / "plan.json").unlink()
    assert checks(folder)[-1].told.endswith(
        "plan.json: is not there, and was when the statement was signed"
    )
    (run / "statement.dsse.json").unlink()
    assert "nothing was signed" in checks(folder)[-1].told


def test_another_student_is_not_signed_for(world: Path, tmp_path: Path) -> None:
    build_tiny_model(tmp_path / "other", seed=3, hidden=16, layers=1, vocabulary=280)
    with pytest.raises(InputError, match="is another model than the statement judges"):
        sign_run(world / "runs" / "small", SecretKey.generate(), weights=tmp_path / "other")


def test_the_life_of_a_statement(world: Path, tmp_path: Path) -> None:
    """Draft, accepted, expired, withdrawn, accepted, lapsed: by commands, and the gate with it."""
    shutil.copytree(world, tmp_path / "world")
    folder = tmp_path / "world"
    run, key = folder / "runs" / "small", write_key(folder)
    (folder / "gate.yaml").write_text(
        "must: {lost: consent}\nsigned_by: [ci.key.pub]\nacceptors: [{key: ada.key.pub}]\n"
    )
    gate = ("gate", "runs/small", "--policy", "gate.yaml", "--weights", "student")

    def state() -> str:
        listing = ("statement", "list", "runs/small", "--policy", "gate.yaml", "--json")
        return str(json.loads(invoke(folder, *listing).stdout)["state"])

    assert state() == "draft"
    assert "Unaccepted" in invoke(folder, *gate, code=1).output
    assert "Unaccepted.</strong>" in (run / "statement.html").read_text("utf-8")
    by = ("--by", "Ada Lovelace", "--key", "ada.key")
    why = ("--role", "product owner", "--because", "Words go to the teacher.")
    invoke(
        folder, "statement", "accept", TARGET, "runs/small", *by, *why, "--until", "2999-12-31",
        "--mitigation", "A router.",
    )  # fmt: skip
    assert state() == "accepted"
    assert "Accepted by Ada Lovelace (product owner)" in invoke(folder, *gate).output
    page = (run / "statement.html").read_text("utf-8")
    assert "<strong>Accepted</strong> by Ada Lovelace (product owner)" in page
    assert "A router." in page and "Unaccepted.</strong>" not in page
    later = invoke(folder, *gate, "--on", "3000-01-01", code=1).output
    assert "it was good until 2999-12-31" in later
    invoke(folder, "statement", "withdraw", TARGET, "runs/small", *by, "--because", "Complaints.")
    assert state() == "withdrawn"
    assert "took it back: Complaints." in invoke(folder, *gate, code=1).output
    assert "Withdrawn.</strong>" in (run / "statement.html").read_text("utf-8")
    give(run, read(run / "statement.json"), TARGET, key, until=UNTIL)
    day = UNTIL + timedelta(days=1)
    assert run_gate(run / "statement.json", folder / "gate.yaml", on=UNTIL).exit_code == 0
    assert run_gate(run / "statement.json", folder / "gate.yaml", on=day).exit_code == 1
    # Judging again changes nothing, and the views keep who accepted.
    before = (run / "statement.json").read_bytes()
    asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
    assert (run / "statement.json").read_bytes() == before
    assert "Ada Lovelace" in (run / "statement.html").read_text("utf-8")


def test_consent_lapses_when_the_weights_change(world: Path, tmp_path: Path) -> None:
    """Another student, judged and signed: the consent to the first is void for it."""
    shutil.copytree(world, tmp_path / "world")
    folder = tmp_path / "world"
    first, key = folder / "runs" / "small", write_key(folder)
    (folder / "gate.yaml").write_text(
        "must: {lost: consent}\nsigned_by: [ci.key.pub]\nacceptors: [{key: ada.key.pub}]\n"
    )
    give(first, read(first / "statement.json"), TARGET, key)
    gate = {"policy_file": folder / "gate.yaml", "on": TODAY}
    assert run_gate(first / "statement.json", **gate).exit_code == 0  # type: ignore[arg-type]
    shutil.rmtree(folder / "student")
    build_tiny_model(folder / "student", seed=7, hidden=16, layers=1, vocabulary=280)
    with pytest.raises(InputError, match="is not the file that was judged"):
        run_gate(
            first / "statement.json", folder / "gate.yaml", on=TODAY, weights=folder / "student"
        )
    asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"), "second")))
    second = folder / "runs" / "second"
    invoke(folder, "statement", "sign", "runs/second", "--key", "ci.key")
    shutil.copytree(first / "acceptances", second / "acceptances")
    report = run_gate(
        second / "statement.json", folder / "gate.yaml", on=TODAY, weights=folder / "student"
    )
    assert report.exit_code == 1
    assert "the student changed since" in report.lines[0]
