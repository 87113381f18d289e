"""Who signs and who is trusted: Ed25519 keys from files or the environment, or another way.

A private key is read, used and forgotten: no message, log or file of ours ever holds it.

Another way of signing (Sigstore, a hardware token, a key service) is offered by a package through
an entry point in the group ``ullage.signers``: an object like `Backend`, under the name that
stands before the colon of ``--key sigstore:…``. None is packaged: keyless signing needs a network.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ullage.errors import InputError
from ullage.files import cannot_write

KEY_ENV = "ULLAGE_SIGNING_KEY"
"""The variable that may hold a private key, as the text of its PEM."""
PASSWORD_ENV = "ULLAGE_SIGNING_KEY_PASSWORD"  # noqa: S105 - the name of a variable, not a password
"""The variable that may hold the password of a private key."""
GROUP = "ullage.signers"

_BACKEND = re.compile(r"([a-z][a-z0-9-]+):(.*)", re.DOTALL)
_LARGEST = 1 << 16
_KEY_ITSELF = ("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEI")
"""What the text of a private key holds: the first line of its PEM, the start of its Base64."""


class Signer(Protocol):
    """Signs bytes."""

    @property
    def keyid(self) -> str:
        """What a verifier is told to look for."""

    def sign(self, message: bytes) -> bytes:
        """The signature of a message."""


class Verifier(Protocol):
    """Tells whether a signature is somebody's."""

    @property
    def keyid(self) -> str:
        """Of the signatures it can check."""

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether this is their signature of the message."""


class Backend(Protocol):
    """Another way of signing, offered by an installed package."""

    def signer(self, what: str) -> Signer:
        """For ``--key name:what``, where something is signed."""

    def verifier(self, what: str) -> Verifier:
        """For ``name:what`` where a trusted key is named."""


class SecretKey:
    """An Ed25519 private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def generate(cls) -> SecretKey:
        """A new one."""
        return cls(Ed25519PrivateKey.generate())

    @property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self._key.public_key())

    @property
    def keyid(self) -> str:
        """Of its public half."""
        return self.public.keyid

    def sign(self, message: bytes) -> bytes:
        """The signature (64 bytes) of a message."""
        return self._key.sign(message)

    def pem(self, password: str | None = None) -> bytes:
        """As PKCS 8 PEM, encrypted where a password is given."""
        how: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            how = serialization.BestAvailableEncryption(password.encode())
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how
        )


class PublicKey:
    """An Ed25519 public key."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @property
    def keyid(self) -> str:
        """SHA-256 of its DER form, in hex."""
        der = self._key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(der).hexdigest()

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether the signature is this key's, of this message."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def pem(self) -> bytes:
        """As PEM."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


def keygen(path: Path, env: Mapping[str, str] = os.environ) -> PublicKey:
    """Make a key: the private half in `path`, for its owner alone, the public half in ``.pub``.

    The private half is encrypted where `PASSWORD_ENV` is set.

    Raises:
        InputError: one of the files is there already, or cannot be written.
    """
    public = path.with_name(path.name + ".pub")
    for file in (path, public):
        if file.exists():
            raise InputError(f"{file}: is already there; name another file, no key is replaced")
    key = SecretKey.generate()
    for file, content, mode in (
        (path, key.pem(env.get(PASSWORD_ENV)), 0o600),
        (public, key.public.pem(), 0o644),
    ):
        try:
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
                out.write(content)
        except OSError as error:
            raise cannot_write(file, error) from error
    return key.public


def open_signer(reference: str | None, env: Mapping[str, str] = os.environ) -> Signer:
    """What signs: a private key's file, ``name:what`` of a `Backend`, or the environment's key.

    Raises:
        InputError: there is none, or it cannot be used. The message never quotes it.
    """
    if reference is not None:
        if backend := _backend(reference):
            return backend[0].signer(backend[1])
        return _secret(_read(Path(reference)), reference, env)
    if not (text := env.get(KEY_ENV)):
        raise InputError(
            f"no key to sign with: give --key FILE, or the key's text in ${KEY_ENV}; "
            "`ullage statement keygen FILE` makes one"
        )
    return _secret(text.encode(), f"${KEY_ENV}", env)


def open_verifier(reference: str, root: Path = Path()) -> Verifier:
    """Whom to trust: a public key's file relative to `root`, or ``name:what`` of a `Backend`.

    Raises:
        InputError: it cannot be used.
    """
    if backend := _backend(reference):
        return backend[0].verifier(backend[1])
    path = root / Path(reference).expanduser()
    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise InputError(f"{path}: is a private key; name its public half, the .pub beside it")
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise InputError(f"{path}: is no public key in PEM; give the .pub file") from None
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path}: is no Ed25519 key; `ullage statement keygen` makes one")
    return PublicKey(key)


def _secret(data: bytes, where: str, env: Mapping[str, str]) -> SecretKey:
    password = env.get(PASSWORD_ENV)
    encrypted = b"ENCRYPTED" in data
    if encrypted and not password:
        raise InputError(f"{where}: is encrypted; put its password in ${PASSWORD_ENV}")
    try:
        key = serialization.load_pem_private_key(
            data, password.encode() if password and encrypted else None
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        what = f"${PASSWORD_ENV} does not open it" if encrypted else "is no private key in PEM"
        raise InputError(f"{where}: {what}; `ullage statement keygen FILE` makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{where}: is no Ed25519 key; `ullage statement keygen FILE` makes one")
    return SecretKey(key)


def _read(path: Path) -> bytes:
    if any(mark in str(path) for mark in _KEY_ITSELF):
        raise InputError(
            "where a key's file is named stands a private key itself, which others may have read; "
            f"make a new one, and give its file, or its text in ${KEY_ENV}"
        )
    try:
        with path.expanduser().open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); name a key's file, "
            "`ullage statement keygen FILE` makes one"
        ) from None


def _backend(reference: str) -> tuple[Backend, str] | None:
    """The backend that a reference names, and what it names there; None for a file."""
    # Whether a file of that name is there does not matter: whoever may put one there would decide
    # who is trusted. ``./name:what`` names the file.
    match = _BACKEND.fullmatch(reference)
    if match is None:
        return None
    for point in entry_points(group=GROUP):
        if point.name == match[1]:
            found: Backend = point.load()
            return found, match[2]
    raise InputError(
        f"{reference}: signing with {match[1]} is not installed (no package offers it under the "
        f"entry point {GROUP}); install one that does, or use a key's file"
    )
