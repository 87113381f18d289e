"""`ullage statement verify`: is a statement what it was, about these weights, and does it follow?

In this order, each only where all before it hold: the form of the file; the signature; the files it
follows from; the weights; and every finding, judged again from the recorded scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullage import __version__
from ullage.audit import set_up_again
from ullage.errors import InputError
from ullage.judge import judge
from ullage.models.identity import file_digest
from ullage.plan import Plan
from ullage.run_folder import RunFolder, read_ledger, read_part
from ullage.scores import read_scores
from ullage.signing import is_local, read_signed, weight_problem
from ullage.state import compose
from ullage.statement import jcs, sanitise
from ullage.statement.document import Statement
from ullage.statement.envelope import Signed
from ullage.statement.keys import Verifier
from ullage.statement.store import read, to_bytes

_TOLERANCE = 1e-9
"""Another processor may round the last digits of a sum differently."""
_MAY_DIFFER = ("ullage_version", "versions")
"""What tells who judged, and not what was found."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    holds: bool
    told: str
    """What was found, in words that are safe to print."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """What is verified, and what it is verified against."""

    folder: RunFolder
    trusted: Sequence[Verifier]
    weights: Path | None
    root: Path | None


def verify(
    folder: Path,
    trusted: Sequence[Verifier],
    *,
    weights: Path | None = None,
    root: Path | None = None,
) -> list[Check]:
    """Check a run's statement; the last check is the first thing that is off, if any is.

    Args:
        folder: the run folder, with `statement.dsse.json` in it.
        trusted: whose signature is believed.
        weights: the folder or file that is to be shipped; None says that weights were not looked
            at.
        root: folder of the configuration; None: as the run folder's place tells. Only probes with
            items or tasks of a user's own need it.
    """
    subject = _Subject(RunFolder(folder), trusted, weights, root)
    done: list[Check] = []
    for name, check in _CHECKS.items():
        try:
            done.append(Check(name, True, check(subject)))
        except InputError as error:
            return [*done, Check(name, False, sanitise.terminal(str(error), limit=1000))]
    return done


def _form(subject: _Subject) -> str:
    path = subject.folder.path / "statement.json"
    statement = read(path)
    if path.read_bytes() != to_bytes(statement):
        raise InputError(f"{path}: is not spelt as Ullage spells it; it was changed")
    return f"a statement of schema {statement.schema_version}, spelt canonically"


def _signature(subject: _Subject) -> str:
    signed = read_signed(subject.folder.path)
    signer = signed.signer(subject.trusted)
    return f"signed with key {signer.keyid[:16]}…"


def _files(subject: _Subject) -> str:
    folder = subject.folder.path
    signed = read_signed(folder)
    listed = _listed(signed)
    for name, wanted in listed.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: is not there, and was when the statement was signed")
        if file_digest(path) != wanted:
            raise InputError(f"{path}: is not the file that was signed; it was changed")
    if subject.folder.ledger.exists() and subject.folder.ledger.name not in listed:
        raise InputError(f"{subject.folder.ledger}: was not there when the statement was signed")
    statement = read(folder / "statement.json").model_dump(mode="json")
    if jcs.canonical(statement) != jcs.canonical(signed.predicate.get("statement")):
        raise InputError(f"{folder / 'statement.json'}: is another than was signed")
    return f"{len(listed)} files are those that were signed"


def _listed(signed: Signed) -> dict[str, str]:
    """The files that a signed statement follows from, by name, with their SHA-256.

    Raises:
        InputError: those it cannot do without are not among them.
    """
    files = signed.predicate.get("files")
    known = {"statement.json", "config.yaml", "plan.json", "scores.parquet"}
    allowed = known | {"distillation.json"}
    if not isinstance(files, dict) or not known <= files.keys() <= allowed:
        raise InputError(f"{signed.where}: does not name the files the statement follows from")
    return {name: str(digest) for name, digest in files.items()}


def _weights(subject: _Subject) -> str:
    statement = read(subject.folder.path / "statement.json")
    if not is_local(statement.arms["student"].identity):
        if subject.weights is not None:
            raise InputError(
                f"{subject.weights}: is not what was judged: the student answered from elsewhere"
            )
        return "not looked at: the student answered from elsewhere, so there are none"
    if subject.weights is None:
        return "not looked at: name the folder to be shipped with --weights"
    signed = read_signed(subject.folder.path)
    if problem := weight_problem(signed, subject.weights):
        raise InputError(problem)
    return f"{len(signed.subject)} files of {subject.weights} are those that were judged"


def _findings(subject: _Subject) -> str:
    folder = subject.folder
    statement = read(folder.path / "statement.json")
    again = _judged_again(subject, statement)
    old, new = (_comparable(made) for made in (statement, again))
    for place, recorded, found in _differences(old, new):
        told = f"{place} is {_shown(recorded)}, and judged again {_shown(found)}"
        if statement.ullage_version != __version__:
            told += f" (judged by Ullage {statement.ullage_version}, this is {__version__})"
        raise InputError(f"{folder.path / 'statement.json'}: {told}")
    return f"{len(statement.findings)} findings follow from the recorded scores"


def _judged_again(subject: _Subject, statement: Statement) -> Statement:
    """The statement as it follows from the files of the run; its examples are as they are."""
    folder = subject.folder
    setup = set_up_again(folder, statement, subject.root)
    config, plan = setup.loaded.config, read_part(folder.plan, Plan)
    scores = read_scores(folder.scores)
    result = judge(plan, statement.scenario, config.budget, setup.probes, scores)
    examples = {finding.id: finding.examples for finding in statement.findings}
    findings = tuple(
        finding.model_copy(update={"examples": examples.get(finding.id, ())})
        for finding in result.findings
    )
    result = result.model_copy(update={"findings": findings})
    ledger = read_ledger(folder)
    return compose(config, statement.scenario, plan, result, scores, ledger=ledger)


def _comparable(statement: Statement) -> dict[str, Any]:
    """What must be the same however often it is judged."""
    return statement.model_dump(mode="json", exclude=set(_MAY_DIFFER))


def _differences(old: Any, new: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two documents differ: (place, in the first, in the second)."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            at = f"{place}.{key}".removeprefix(".")
            yield from _differences(old.get(key), new.get(key), at)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differences(one, other, f"{place}[{index}]")
    elif isinstance(old, float) and isinstance(new, float):
        if not math.isclose(old, new, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE):
            yield place, old, new
    elif old != new:
        yield place, old, new


def _shown(value: Any) -> str:
    return sanitise.terminal(repr(value), limit=60)


_CHECKS: dict[str, Callable[[_Subject], str]] = {
    "form": _form,
    "signature": _signature,
    "files": _files,
    "weights": _weights,
    "findings": _findings,
}
