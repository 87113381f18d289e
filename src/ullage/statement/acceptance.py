"""Acceptances and their withdrawal: what they say, and the signed files they are.

They are kept beside the statement, in the folder ``acceptances``: one file for each acceptance and
each withdrawal, none ever changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import pydantic

from ullage.errors import InputError
from ullage.files import write_whole
from ullage.statement import jcs, sanitise
from ullage.statement.document import Finding, Part, Statement, Verdict
from ullage.statement.envelope import Signed, seal, unseal
from ullage.statement.keys import Signer
from ullage.statement.words import LOSSES, VERDICTS, listed

FOLDER = "acceptances"
ACCEPTANCE = "urn:ullage:predicate:acceptance:1.0"
WITHDRAWAL = "urn:ullage:predicate:withdrawal:1.0"

_NOTHING_TO_ACCEPT = (Verdict.PRESERVED, Verdict.NEVER_HAD)


class Acceptance(Part):
    """One person's consent to one finding: a loss, or not knowing of one."""

    kind: Literal["ullage.acceptance"] = "ullage.acceptance"
    """What this document is."""
    target: str
    """``probe.metric``."""
    verdict: Verdict
    """What was accepted."""
    finding: str
    """SHA-256 of the finding's canonical form, without `examples`, `generalisation` and
    `selftest`."""
    student: str
    """Identity of the model it is about."""
    teacher: str
    """Identity of the model it is compared with."""
    use: str
    """What the student is used for, in the scenario's words. For another use it does not hold."""
    by: str
    """Who accepts."""
    role: str
    """As what."""
    because: str
    """Why the loss is acceptable."""
    mitigation: str = ""
    """What is done about it; empty where nothing is."""
    accepted: date
    """The day."""
    until: date
    """The last day it holds."""


class Withdrawal(Part):
    """An acceptance taken back."""

    kind: Literal["ullage.withdrawal"] = "ullage.withdrawal"
    """What this document is."""
    target: str
    """``probe.metric``."""
    acceptance: str
    """SHA-256 of the acceptance that is taken back, in canonical form."""
    by: str
    """Who takes it back."""
    because: str
    """Why."""
    withdrawn: date
    """The day."""


@dataclass(frozen=True, slots=True)
class Record:
    """A signed acceptance or withdrawal as it was read; its signature is not yet checked."""

    signed: Signed
    document: Acceptance | Withdrawal

    @property
    def hash(self) -> str:
        """What a withdrawal names an acceptance by."""
        return jcs.digest(self.document.model_dump(mode="json"))


def finding_hash(finding: Finding) -> str:
    """SHA-256 of a finding in canonical form, without `examples`, `generalisation` and `selftest`.

    Those are beside the result: what was shown of it, what it is called, and how well the auditor
    sees.
    """
    data = finding.model_dump(exclude={"examples", "generalisation", "selftest"})
    # A lone surrogate, which no file can hold, is hashed as what the file has in its place.
    return jcs.digest(json.loads(sanitise.mend(json.dumps(data, ensure_ascii=False))))


def make_acceptance(
    statement: Statement,
    target: str,
    *,
    by: str,
    role: str,
    because: str,
    accepted: date,
    until: date,
    mitigation: str = "",
) -> Acceptance:
    """An acceptance of one finding of a statement.

    Raises:
        InputError: no such target, nothing there to accept, or a name, role or reason is missing.
    """
    finding = _find(statement, target)
    if finding.verdict in _NOTHING_TO_ACCEPT:
        label = VERDICTS[finding.verdict].label
        raise InputError(f"{target}: is {label}, so there is nothing to accept")
    if finding.infrastructure:
        raise InputError(
            f"{target}: too many items could not be asked, so nothing is known that could be "
            "accepted; run the audit again"
        )
    for name, text in (("--by", by), ("--role", role), ("--because", because)):
        if not text.strip():
            raise InputError(f"{name}: is blank; an acceptance has a name, a role and a reason")
    if until < accepted:
        raise InputError(f"--until {until}: is past; name the last day on which it shall hold")
    return Acceptance(
        target=target,
        verdict=finding.verdict,
        finding=finding_hash(finding),
        student=statement.arms["student"].identity,
        teacher=statement.arms["teacher"].identity,
        use=statement.scenario.use,
        by=by.strip(),
        role=role.strip(),
        because=because.strip(),
        mitigation=mitigation.strip(),
        accepted=accepted,
        until=until,
    )


def accept(folder: Path, acceptance: Acceptance, signer: Signer) -> Path:
    """Sign an acceptance and put it beside the statement in `folder`.

    Raises:
        InputError: it was taken back, in these very words and on this day.
    """
    if jcs.digest(acceptance.model_dump(mode="json")) in withdrawals(read_records(folder)):
        raise InputError(
            f"{acceptance.target}: was accepted in these very words today, and taken back; say in "
            "--because what is different now"
        )
    return _keep(folder, ACCEPTANCE, acceptance, acceptance.student, signer)


def withdraw(
    folder: Path,
    statement: Statement,
    target: str,
    *,
    by: str,
    because: str,
    withdrawn: date,
    signer: Signer,
) -> list[Path]:
    """Take back every acceptance of a target that is not taken back yet.

    Raises:
        InputError: there is none, or a name or reason is missing.
    """
    _find(statement, target)
    for name, text in (("--by", by), ("--because", because)):
        if not text.strip():
            raise InputError(f"{name}: is blank; a withdrawal has a name and a reason")
    records = read_records(folder)
    gone = withdrawals(records)
    written = []
    for record in records:
        given = record.document
        if isinstance(given, Acceptance) and given.target == target and record.hash not in gone:
            taken = Withdrawal(
                target=target, acceptance=record.hash, by=by.strip(), because=because.strip(),
                withdrawn=withdrawn,
            )  # fmt: skip
            written.append(_keep(folder, WITHDRAWAL, taken, given.student, signer))
    if not written:
        raise InputError(f"{target}: nobody has accepted it, so there is nothing to withdraw")
    return written


def read_records(folder: Path) -> list[Record]:
    """Every acceptance and withdrawal beside the statement in `folder`; none where none was made.

    Raises:
        InputError: a file there is not one.
    """
    paths = sorted((folder / FOLDER).glob("*.json"))
    return [_read(path) for path in paths]


def withdrawals(records: Iterable[Record]) -> dict[str, Withdrawal]:
    """What was taken back, by the hash of the acceptance.

    Whoever signed it: it takes a trusted key to say yes, and none to say no.
    """
    return {
        record.document.acceptance: record.document
        for record in records
        if isinstance(record.document, Withdrawal)
    }


def _find(statement: Statement, target: str) -> Finding:
    for finding in statement.findings:
        if finding.id == target:
            return finding
    known = [finding.id for finding in statement.findings if finding.verdict in LOSSES]
    losses = f"its losses are {listed(known)}" if known else "it has no losses"
    raise InputError(f"{sanitise.terminal(target)}: the statement has no such target; {losses}")


def _keep(
    folder: Path, kind: str, document: Acceptance | Withdrawal, student: str, signer: Signer
) -> Path:
    subject = {"student": hashlib.sha256(student.encode()).hexdigest()}
    data = document.model_dump(mode="json")
    try:
        content = seal(kind, data, subject, signer)
    except ValueError:  # half a surrogate pair, from a command line that was no text
        raise InputError("--by, --role, --because: hold what is no text; type them anew") from None
    path = folder / FOLDER / f"{hashlib.sha256(content).hexdigest()[:32]}.json"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, content)
    return path


def _read(path: Path) -> Record:
    signed = unseal(path)
    models: dict[str, type[Acceptance | Withdrawal]] = {
        ACCEPTANCE: Acceptance,
        WITHDRAWAL: Withdrawal,
    }
    model = models.get(signed.predicate_type)
    if model is not None:
        try:
            document = model.model_validate_json(jcs.canonical(signed.predicate), strict=True)
            return Record(signed, document)
        except pydantic.ValidationError:
            pass
    raise InputError(f"{signed.where}: is neither an acceptance nor a withdrawal; remove it")
