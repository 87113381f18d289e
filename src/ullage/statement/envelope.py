"""Signed documents: an in-toto Statement (v1) in a DSSE envelope (v1) with one signature.

The payload says of its subjects (files or models, by hash) that a predicate holds. Both forms are
those of the in-toto project, so that its tools can read and check them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullage.errors import InputError
from ullage.statement import jcs, sanitise
from ullage.statement.bounds import too_wide
from ullage.statement.keys import Signer, Verifier

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_LARGEST = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Signed:
    """An envelope that was read. Its signature is not checked by reading it."""

    where: str
    """The file, as errors call it."""
    payload: bytes
    """What is signed."""
    keyid: str
    """Of the key that is said to have signed."""
    signature: bytes
    subject: tuple[tuple[str, str], ...]
    """(name, SHA-256 in hex) of what the predicate is about."""
    predicate_type: str
    predicate: Mapping[str, Any]

    def signer(self, trusted: Iterable[Verifier]) -> Verifier:
        """Whose signature it is.

        Raises:
            InputError: none of those that are trusted signed it.
        """
        known = [one for one in trusted if one.keyid == self.keyid]
        if not known:
            raise InputError(
                f"{self.where}: is signed with key {sanitise.terminal(self.keyid, limit=16)}, "
                "which is none of those trusted; give the signer's public key"
            )
        message = pae(PAYLOAD_TYPE, self.payload)
        for verifier in known:
            if verifier.verify(message, self.signature):
                return verifier
        raise InputError(
            f"{self.where}: the signature does not fit; the file was changed, or another key made "
            "it"
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """What is signed in truth: DSSE's pre-authentication encoding."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(
    predicate_type: str, predicate: Mapping[str, Any], subject: Mapping[str, str], signer: Signer
) -> bytes:
    """A predicate about subjects (name to SHA-256 in hex), signed: the bytes of the envelope.

    Raises:
        ValueError: the predicate holds what canonical JSON cannot.
    """
    payload = jcs.canonical(
        {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": n, "digest": {"sha256": d}} for n, d in subject.items()],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
    )
    signature = signer.sign(pae(PAYLOAD_TYPE, payload))
    return _written(payload, signer.keyid, signature)


def unseal(path: Path, predicate_type: str | None = None) -> Signed:
    """Read an envelope, which must be spelt exactly as `seal` spells it.

    Args:
        path: the file.
        predicate_type: refuse any other.

    Raises:
        InputError: there is none, it is not one, or it is about something else.
    """
    where = sanitise.terminal(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)
    except FileNotFoundError:
        raise InputError(f"{where}: is not there; nothing was signed") from None
    except OSError as error:
        raise InputError(f"{where}: cannot be read ({error.strerror}); check its rights") from None
    try:
        signed = _parsed(where, _bounded(content))
        whole = _written(signed.payload, signed.keyid, signed.signature) == content
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"{where}: is no whole signed document; get it again from who signed it")
    if predicate_type is not None and signed.predicate_type != predicate_type:
        found = sanitise.terminal(signed.predicate_type, limit=80)
        raise InputError(f"{where}: is about {found}, not {predicate_type}; give another file")
    return signed


def _written(payload: bytes, keyid: str, signature: bytes) -> bytes:
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": keyid, "sig": base64.b64encode(signature).decode()}],
    }
    return jcs.canonical(envelope) + b"\n"


def _bounded(content: bytes) -> Any:
    if too_wide(content):
        raise ValueError("more values than anything of ours has")
    return json.loads(content)


def _parsed(where: str, envelope: Any) -> Signed:
    (signature,) = envelope["signatures"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    body = _bounded(payload)
    if envelope["payloadType"] != PAYLOAD_TYPE or body["_type"] != STATEMENT_TYPE:
        raise ValueError("another kind of envelope")
    if jcs.canonical(body) != payload:
        raise ValueError("a payload that two readers could read differently")
    subject = [(str(one["name"]), str(one["digest"]["sha256"])) for one in body["subject"]]
    if len(dict(subject)) < len(subject) or not isinstance(body["predicate"], dict):
        raise ValueError("a subject twice, or no predicate")
    return Signed(
        where=where,
        payload=payload,
        keyid=str(signature["keyid"]),
        signature=base64.b64decode(signature["sig"], validate=True),
        subject=tuple(subject),
        predicate_type=str(body["predicateType"]),
        predicate=body["predicate"],
    )
