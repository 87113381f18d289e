"""A second implementation of reading a statement, made of docs/statement.md and nothing of ours.

`cryptography`, `json` and `hashlib` alone: it agrees with `ullage statement verify` and with
`ullage gate` on what holds and on what was changed, and so shows that the page says enough.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from typer.testing import CliRunner

from tests.endtoend.test_verify import TARGET, invoke, world  # noqa: F401
from tests.support.signed import UNTIL, give, write_key
from ullage.cli import app
from ullage.statement.store import read

pytestmark = pytest.mark.local

STATEMENT = "urn:ullage:predicate:distillation-loss-statement:1.0"
ACCEPTANCE = "urn:ullage:predicate:acceptance:1.0"
WITHDRAWAL = "urn:ullage:predicate:withdrawal:1.0"
FILES_OF_A_MODEL = (
    "*.safetensors", "pytorch_model*.bin", "*.index.json", "*.py", "config.json",
    "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "chat_template.jinja",
    "chat_template.json",
)  # fmt: skip


class OffError(Exception):
    """Something does not hold."""


# ------------------------------------------------------------------ "Its hash, its signature"


def canonical(data: Any) -> bytes:
    """RFC 8785."""
    return written(data).encode()


def written(data: Any) -> str:
    if isinstance(data, dict):
        keys = sorted(data, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{written(data[k])}"
                              for k in keys) + "}"  # fmt: skip
    if isinstance(data, list):
        return "[" + ",".join(map(written, data)) + "]"
    if isinstance(data, float):
        return number(data)
    return json.dumps(data, ensure_ascii=False)


def number(value: float) -> str:
    """ECMAScript's Number::toString, from the digits that Python finds too."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        raise OffError("no number")
    for digits in range(1, 18):  # the fewest that read back equal
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        if float(f"{mantissa}e{exponent}") == value:
            break
    sign = "-" if mantissa.startswith("-") else ""
    shown, point = mantissa.lstrip("-").replace(".", ""), int(exponent) + 1
    if len(shown) <= point <= 21:
        return sign + shown + "0" * (point - len(shown))
    if 0 < point <= 21:
        return f"{sign}{shown[:point]}.{shown[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{shown}"
    rest = f".{shown[1:]}" if shown[1:] else ""
    return f"{sign}{shown[0]}{rest}e{point - 1:+d}"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest(data: Any) -> str:
    return f"sha256:{sha256(canonical(data))}"


def opened(path: Path, public: bytes) -> dict[str, Any]:
    """The payload of an envelope that a key signed."""
    content = path.read_bytes()
    try:
        envelope = json.loads(content)
        payload = base64.b64decode(envelope["payload"], validate=True)
        (signature,) = envelope["signatures"]
        sealed = base64.b64decode(signature["sig"], validate=True)
        body: dict[str, Any] = json.loads(payload)
        again = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"keyid": signature["keyid"], "sig": base64.b64encode(sealed).decode()}],
        }
        if canonical(again) + b"\n" != content or canonical(body) != payload:
            raise OffError(f"{path.name}: not canonical")
        if body["_type"] != "https://in-toto.io/Statement/v1":
            raise OffError(f"{path.name}: no in-toto Statement")
    except (ValueError, KeyError, TypeError) as error:
        raise OffError(f"{path.name}: {error}") from None
    key = serialization.load_pem_public_key(public)
    der = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if signature["keyid"] != sha256(der):
        raise OffError(f"{path.name}: another key")
    kind = b"application/vnd.in-toto+json"
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    try:
        key.verify(sealed, message)  # type: ignore[union-attr, call-arg]
    except InvalidSignature:
        raise OffError(f"{path.name}: the signature does not fit") from None
    return body


# ----------------------------------------------------------------- "Checking it, step by step"


def check(run: Path, public: bytes, weights: Path) -> dict[str, Any]:
    """The statement, where everything but the judging holds."""
    body = opened(run / "statement.dsse.json", public)
    if body["predicateType"] != STATEMENT:
        raise OffError("about something else")
    predicate = body["predicate"]
    content = (run / "statement.json").read_bytes()
    for name, wanted in predicate["files"].items():
        if sha256((run / name).read_bytes()) != wanted:
            raise OffError(f"{name}: changed")
    try:
        statement: dict[str, Any] = json.loads(content)
    except ValueError:
        raise OffError("statement.json: no JSON") from None
    if canonical(statement) != canonical(predicate["statement"]):
        raise OffError("statement.json: another than was signed")
    judged = {one["name"]: one["digest"]["sha256"] for one in body["subject"]}
    if (weights / "adapter_config.json").exists():
        raise OffError("adapter_config.json: an adapter")
    found = {
        file.name: sha256(file.read_bytes())
        for pattern in FILES_OF_A_MODEL
        for file in weights.glob(pattern)
    }
    if found != judged:
        differing = sorted(
            name for name in found.keys() | judged.keys() if found.get(name) != judged.get(name)
        )
        raise OffError(f"{differing[0]}: not what was judged")
    return statement


def consent(run: Path, statement: dict[str, Any], target: str, public: bytes, on: str) -> bool:
    """Whether an acceptance by the key holds for a target on a day."""
    (finding,) = (f for f in statement["findings"] if named(f["target"]) == target)
    hashed = finding_hash(finding)
    given, gone = [], set()
    for path in sorted((run / "acceptances").glob("*.json")):
        payload = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
        if payload["predicateType"] == WITHDRAWAL:
            gone.add(payload["predicate"]["acceptance"])
        else:
            assert payload["predicateType"] == ACCEPTANCE
            given.append(path)
    for path in given:
        try:
            accepted = opened(path, public)["predicate"]
        except OffError:
            continue
        identities = {role: arm["identity"] for role, arm in statement["arms"].items()}
        holds = (
            digest(accepted) not in gone
            and accepted["target"] == target
            and accepted["finding"] == hashed
            and accepted["student"] == identities["student"]
            and accepted["teacher"] == identities["teacher"]
            and accepted["use"] == statement["scenario"]["use"]
            and accepted["accepted"] <= on <= accepted["until"]
        )
        if holds:
            return True
    return False


def finding_hash(finding: dict[str, Any]) -> str:
    beside = {"examples", "generalisation", "selftest"}
    return digest({key: value for key, value in finding.items() if key not in beside})


def named(target: dict[str, Any]) -> str:
    return f"{target['probe']}.{target['metric']}"


def exit_code(statement: dict[str, Any]) -> int:
    """ "The gate": without a policy."""
    scenario = statement["scenario"]
    by_target = {named(finding["target"]): finding for finding in statement["findings"]}
    words = set()
    for target in scenario["targets"]:
        finding = by_target.get(named(target), {"verdict": "unmeasured", "infrastructure": False})
        severity, verdict = target["severity"], finding["verdict"]
        if severity == "may_lose":
            continue
        if finding["infrastructure"]:
            words.add("error")
        elif verdict == "lost" or (verdict == "degraded" and severity == "must"):
            words.add("fail")
        elif verdict in ("inconclusive", "unmeasured") and severity == "must":
            words.add("unproven")
    if "fail" in words:
        return 1
    if "error" in words:
        return 4
    return 3 if "unproven" in words and scenario["demands_proof"] else 0


# ------------------------------------------------------------------------------ do they agree?


def test_the_example_of_the_page_has_the_hashes_that_stand_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "statement.md").read_text("utf-8")
    told = page.split("<!-- example: generated -->")[1].split("<!-- /example -->")[0]
    statement = json.loads(told.split("```json\n")[1].split("```")[0])
    assert f"`{sha256(canonical(statement))}`" in told
    assert f"`{finding_hash(statement['findings'][0])}`" in told
    assert exit_code(statement) == statement["exit_code"]


def keys_of(folder: Path) -> bytes:
    return (folder / "ci.key.pub").read_bytes()


def ours(folder: Path) -> bool:
    """Whether `ullage statement verify` finds that all holds."""
    arguments = ["statement", "verify", str(folder / "runs" / "small")]
    arguments += ["--key", str(folder / "ci.key.pub"), "--weights", str(folder / "student")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code in (0, 1), done.exception
    return done.exit_code == 0


def theirs(folder: Path) -> bool:
    try:
        check(folder / "runs" / "small", keys_of(folder), folder / "student")
    except OffError:
        return False
    return True


@pytest.fixture
def folder(world: Path, tmp_path: Path) -> Path:  # noqa: F811
    shutil.copytree(world, tmp_path / "world")
    return tmp_path / "world"


def test_both_find_that_an_untouched_statement_holds(folder: Path) -> None:
    statement = check(folder / "runs" / "small", keys_of(folder), folder / "student")
    assert ours(folder)
    done = CliRunner().invoke(app, ["gate", str(folder / "runs" / "small")])
    assert done.exit_code == exit_code(statement) == statement["exit_code"] == 1


FILES = (
    "runs/small/statement.json", "runs/small/statement.dsse.json", "runs/small/scores.parquet",
    "runs/small/plan.json", "runs/small/config.yaml", "student/model.safetensors",
    "student/config.json", "student/tokenizer.json",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_both_find_the_same_changes(folder: Path, name: str) -> None:
    """Of every file that a statement follows from: a byte changed, one added, one gone."""
    path = folder / name
    whole, draw = path.read_bytes(), Random(name)
    broken = [whole + b"\n", whole[:-1], b""]
    for place in draw.sample(range(len(whole)), 12):
        changed = bytearray(whole)
        changed[place] ^= draw.randrange(1, 256)
        broken.append(bytes(changed))
    for content in broken:
        path.write_bytes(content)
        assert not theirs(folder)
        assert not ours(folder)
    path.write_bytes(whole)
    assert theirs(folder) and ours(folder)


ADDED = ("chat_template.jinja", "adapter_config.json", "pytorch_model.bin", "modeling_small.py",
         "model-00001-of-00001.safetensors")  # fmt: skip
CHANGES: dict[str, Callable[[Path], object]] = {
    "gone": lambda folder: (folder / "student" / "tokenizer.json").unlink(),
    "another key": lambda folder: write_key(folder, "ci"),
}


@pytest.mark.parametrize("name", ADDED)
def test_both_find_what_a_model_could_also_be_made_of(folder: Path, name: str) -> None:
    (folder / "student" / "README.md").write_text("# Small")
    assert theirs(folder) and ours(folder)
    (folder / "student" / name).write_text("{}")
    assert not theirs(folder)
    assert not ours(folder)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_both_find_what_is_gone_or_by_somebody_else(
    folder: Path, change: Callable[[Path], object]
) -> None:
    change(folder)
    assert not theirs(folder)
    assert not ours(folder)


def test_both_know_whose_consent_holds_and_until_when(folder: Path) -> None:
    run, key = folder / "runs" / "small", write_key(folder)
    public = (folder / "ada.key.pub").read_bytes()
    (folder / "gate.yaml").write_text("must: {lost: consent}\nacceptors: [{key: ada.key.pub}]\n")
    statement = json.loads((run / "statement.json").read_bytes())

    def agreed(day: str) -> bool:
        gate = ["gate", str(run), "--policy", str(folder / "gate.yaml"), "--on", day]
        passes = CliRunner().invoke(app, gate).exit_code == 0
        assert consent(run, statement, TARGET, public, day) == passes
        return passes

    assert not agreed("2026-06-01")
    written_to = give(run, read(run / "statement.json"), TARGET, key)
    assert agreed("2026-06-01") and agreed(UNTIL.isoformat())
    assert not agreed("2026-10-01") and not agreed("2026-05-31")
    whole = written_to.read_bytes()
    write_key(folder)
    public = (folder / "ada.key.pub").read_bytes()
    assert not agreed("2026-06-01")
    written_to.unlink()
    (folder / "ada.key.pub").write_bytes(key.public.pem())
    public = key.public.pem()
    written_to.write_bytes(whole)
    assert agreed("2026-06-01")
    (folder / "ada.key").write_bytes(key.pem())
    invoke(
        folder, "statement", "withdraw", TARGET, "runs/small", "--key", "ada.key",
        "--by", "Ada", "--because", "Complaints.",
    )  # fmt: skip
    assert not agreed("2026-06-01")


@pytest.mark.parametrize("value", [1e21, 1e-7, 123456789012345680000.0, 0.1, -5e-324, 2.5e-6, 1.0])
def test_both_write_numbers_alike(value: float) -> None:
    from ullage.statement import jcs

    assert canonical([value]) == jcs.canonical([value])
