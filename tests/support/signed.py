"""Run folders with real keys, for tests of consent, gate and signature."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from ullage.statement.acceptance import accept, make_acceptance
from ullage.statement.document import Statement
from ullage.statement.keys import SecretKey
from ullage.statement.store import to_bytes

TODAY = date(2026, 6, 1)
UNTIL = date(2026, 9, 30)


def write_key(folder: Path, name: str = "ada") -> SecretKey:
    """A key pair in `folder`, as ``NAME.key`` and ``NAME.key.pub``."""
    key = SecretKey.generate()
    (folder / f"{name}.key").write_bytes(key.pem())
    (folder / f"{name}.key.pub").write_bytes(key.public.pem())
    return key


def write_statement(folder: Path, statement: Statement) -> Path:
    """A run folder that holds a statement and nothing else."""
    folder.mkdir(exist_ok=True)
    path = folder / "statement.json"
    path.write_bytes(to_bytes(statement))
    return path


def give(
    folder: Path,
    statement: Statement,
    target: str,
    key: SecretKey,
    *,
    by: str = "Ada Lovelace",
    role: str = "product owner",
    accepted: date = TODAY,
    until: date = UNTIL,
) -> Path:
    """An acceptance of a target, signed, beside the statement."""
    made = make_acceptance(
        statement,
        target,
        by=by,
        role=role,
        because="Ambiguous questions go to the teacher.",
        mitigation="A router that knows them.",
        accepted=accepted,
        until=until,
    )
    return accept(folder, made, key)
