"""Keys and envelopes: what is signed, by whom, and that no secret leaks."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from typer.testing import CliRunner

from tests.support import statements
from tests.support.signed import write_key, write_statement
from ullage.cli import app
from ullage.errors import InputError
from ullage.gate import run_gate
from ullage.statement import jcs, keys
from ullage.statement.envelope import pae, seal, unseal
from ullage.statement.keys import KEY_ENV, PASSWORD_ENV, SecretKey, open_signer, open_verifier
from ullage.statement.policy import Gate

KIND = "urn:ullage:predicate:test:1.0"
SUBJECT = {"model.safetensors": "ab" * 32}


def test_what_is_signed_is_dsse() -> None:
    """The example of DSSE's own protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_the_envelope_can_be_checked_without_ullage(tmp_path: Path) -> None:
    """With nothing but `cryptography`, json and the words of the two specifications."""
    key = write_key(tmp_path)
    envelope = json.loads(seal(KIND, {"b": 1, "a": [2.5]}, SUBJECT, key))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    payload = base64.b64decode(envelope["payload"])
    kind = envelope["payloadType"].encode()
    message = b" ".join(
        [b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload]
    )
    (signature,) = envelope["signatures"]
    public = serialization.load_pem_public_key((tmp_path / "ada.key.pub").read_bytes())
    public.verify(base64.b64decode(signature["sig"]), message)  # type: ignore[call-arg, union-attr]
    assert signature["keyid"] == key.keyid
    assert json.loads(payload) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.safetensors", "digest": {"sha256": "ab" * 32}}],
        "predicateType": KIND,
        "predicate": {"b": 1, "a": [2.5]},
    }


def test_an_envelope_reads_back_and_is_held_to_its_signer(tmp_path: Path) -> None:
    key, other = SecretKey.generate(), SecretKey.generate()
    (tmp_path / "a.json").write_bytes(seal(KIND, {"a": 1}, SUBJECT, key))
    signed = unseal(tmp_path / "a.json", KIND)
    assert (dict(signed.subject), signed.predicate) == (SUBJECT, {"a": 1})
    assert signed.signer([other.public, key.public]).keyid == key.keyid
    with pytest.raises(InputError, match="none of those trusted"):
        signed.signer([other.public])
    with pytest.raises(InputError, match="is about urn:ullage"):
        unseal(tmp_path / "a.json", "urn:other")


@pytest.mark.parametrize(
    "content",
    ["", "{}", "[]", "null", '{"payload": 3}', '{"payload":"e30=","signatures":[]}', "[" * 10**5],
)
def test_what_is_no_envelope_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match="is no whole signed document"):
        unseal(tmp_path / "a.json")


def by_hand(payload: str, key: SecretKey) -> bytes:
    """An envelope that `seal` would not make, rightly signed."""
    kind = "application/vnd.in-toto+json"
    signature = key.sign(pae(kind, payload.encode()))
    envelope = {
        "payload": base64.b64encode(payload.encode()).decode(),
        "payloadType": kind,
        "signatures": [{"keyid": key.keyid, "sig": base64.b64encode(signature).decode()}],
    }
    return json.dumps(envelope, separators=(",", ":"), sort_keys=True).encode() + b"\n"


@pytest.mark.parametrize(
    ("predicate", "whole"),
    [('{"a":1}', True), ('{"a":1,"a":2}', False), ('{"a":NaN}', False), ('{"a":"\\ud800"}', False)],
)
def test_what_two_readers_could_read_differently_is_refused_though_signed(
    tmp_path: Path, predicate: str, whole: bool
) -> None:
    payload = (
        f'{{"_type":"https://in-toto.io/Statement/v1","predicate":{predicate},'
        f'"predicateType":"{KIND}","subject":[]}}'
    )
    (tmp_path / "a.json").write_bytes(by_hand(payload, SecretKey.generate()))
    if whole:
        assert unseal(tmp_path / "a.json").predicate == {"a": 1}
    else:
        with pytest.raises(InputError, match="is no whole signed document"):
            unseal(tmp_path / "a.json")


def test_keygen_makes_a_pair_for_its_owner_alone(tmp_path: Path) -> None:
    public = keys.keygen(tmp_path / "ci.key", env={})
    assert stat.S_IMODE((tmp_path / "ci.key").stat().st_mode) == 0o600
    signer = open_signer(str(tmp_path / "ci.key"), env={})
    assert signer.keyid == public.keyid == open_verifier("ci.key.pub", tmp_path).keyid
    with pytest.raises(InputError, match="is already there"):
        keys.keygen(tmp_path / "ci.key", env={})


def test_a_password_locks_the_key(tmp_path: Path) -> None:
    password = {PASSWORD_ENV: "a word that nobody guesses"}
    keys.keygen(tmp_path / "ci.key", env=password)
    assert b"ENCRYPTED" in (tmp_path / "ci.key").read_bytes()
    assert open_signer(str(tmp_path / "ci.key"), env=password).keyid
    for env in ({}, {PASSWORD_ENV: "another"}):
        with pytest.raises(InputError, match="ULLAGE_SIGNING_KEY_PASSWORD") as caught:
            open_signer(str(tmp_path / "ci.key"), env=env)
        assert "another" not in str(caught.value)


def test_the_environment_may_hold_the_key() -> None:
    key = SecretKey.generate()
    assert open_signer(None, env={KEY_ENV: key.pem().decode()}).keyid == key.keyid
    with pytest.raises(InputError, match="no key to sign with"):
        open_signer(None, env={})


def other_kind() -> bytes:
    return generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nothing of a key: hunter2", "is no private key in PEM"),
        (b"\xff\x00hunter2", "is no private key in PEM"),
        (other_kind(), "is no Ed25519 key"),
        (SecretKey.generate().public.pem(), "is no private key in PEM"),
    ],
)
def test_what_is_no_key_is_refused_and_not_quoted(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "x.key").write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        open_signer(str(tmp_path / "x.key"), env={})
    assert "hunter2" not in str(caught.value)


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    write_key(tmp_path)
    with pytest.raises(InputError, match="is a private key; name its public half"):
        open_verifier("ada.key", tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        open_verifier("nobody.pub", tmp_path)


def test_no_secret_is_printed_or_written(tmp_path: Path) -> None:
    key = write_key(tmp_path)
    secret = "".join(key.pem().decode().splitlines()[1:-1])
    statement = statements.every_verdict()
    write_statement(tmp_path / "run", statement)
    given = ("--by", "Ada", "--role", "owner", "--because", "x", "--until", "2999-01-01")
    command = ["statement", "accept", "clarify.clarifies", str(tmp_path / "run"), *given]
    run = CliRunner().invoke(app, command, env={KEY_ENV: key.pem().decode()})
    assert run.exit_code == 0, run.exception
    assert secret not in run.output
    for path in (tmp_path / "run").rglob("*"):
        assert path.is_dir() or secret.encode() not in path.read_bytes()


@pytest.mark.parametrize("form", ["PEM", "Base64", "locked"])
def test_a_key_given_where_its_file_belongs_is_not_quoted(form: str, tmp_path: Path) -> None:
    """``--key "$(cat ada.key)"``: the line would stand in the log of the build."""
    pem = SecretKey.generate().pem("a word" if form == "locked" else None).decode()
    given = pem.splitlines()[1] if form == "Base64" else pem
    refused: list[Callable[[], object]] = [
        lambda: open_signer(given, env={}),
        lambda: open_verifier(given, tmp_path),
    ]
    for opened in refused:
        with pytest.raises(InputError, match="stands a private key itself") as caught:
            opened()
        assert pem.splitlines()[1] not in str(caught.value)


class Backwards:
    """Another way of signing, as a package may offer one: here, a message turned round."""

    keyid = "backwards"

    def signer(self, what: str) -> Backwards:
        assert what == "me"
        return self

    def verifier(self, what: str) -> Backwards:
        return self.signer(what)

    def sign(self, message: bytes) -> bytes:
        return message[::-1]

    def verify(self, message: bytes, signature: bytes) -> bool:
        return signature == message[::-1]


BACKWARDS = Backwards()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that offers the way of signing, as an installer would leave it."""
    about = tmp_path / "site" / "backwards-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: backwards\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[{keys.GROUP}]\nbackwards = {__name__}:BACKWARDS\n")
    monkeypatch.syspath_prepend(tmp_path / "site")


@pytest.mark.usefixtures("installed")
def test_another_way_of_signing_can_be_installed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(seal(KIND, {}, SUBJECT, open_signer("backwards:me")))
    signed = unseal(tmp_path / "a.json")
    assert signed.signer([open_verifier("backwards:me")]).keyid == "backwards"


@pytest.mark.usefixtures("installed")
def test_another_way_of_signing_is_used_by_commands_and_policies(tmp_path: Path) -> None:
    """What the hook for Sigstore goes through: accepted with it, and the gate believes it."""
    statement = statements.every_verdict()
    run = write_statement(tmp_path / "run", statement).parent
    given = ("--by", "Ada", "--role", "owner", "--because", "x", "--until", "2999-01-01")
    command = ["statement", "accept", "clarify.clarifies", str(run), *given]
    done = CliRunner().invoke(app, [*command, "--key", "backwards:me"])
    assert done.exit_code == 0, done.exception
    policy = tmp_path / "gate.yaml"
    policy.write_text('must: {lost: consent}\nacceptors: [{key: "backwards:me", by: Ada}]\n')
    assert ruled(run, policy) == Gate.ACCEPTED
    (written,) = (run / "acceptances").iterdir()
    envelope = json.loads(written.read_bytes())
    sealed = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
    sealed[-1] ^= 1
    envelope["signatures"][0]["sig"] = base64.b64encode(sealed).decode()
    written.write_bytes(jcs.canonical(envelope) + b"\n")
    assert ruled(run, policy) == Gate.FAIL


def ruled(run: Path, policy: Path) -> Gate:
    report = run_gate(run / "statement.json", policy, on=datetime.now(UTC).date())
    return next(one.gate for one in report.rulings if one.target == "clarify.clarifies")


@pytest.mark.usefixtures("installed")
def test_a_file_does_not_stand_in_for_a_way_of_signing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may add a file to a checkout does not thereby say whom its policy trusts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "backwards:me").write_bytes(SecretKey.generate().public.pem())
    assert open_verifier("backwards:me").keyid == "backwards"
    assert open_verifier("./backwards:me").keyid != "backwards"


@pytest.mark.parametrize("opened", [open_signer, open_verifier])
def test_sigstore_is_refused_clearly_where_it_is_not_installed(opened: object) -> None:
    with pytest.raises(InputError, match="signing with sigstore is not installed"):
        opened("sigstore:ada@example.org")  # type: ignore[operator]
