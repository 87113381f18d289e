"""Signing the statement of a run: the student's weights are the subject, the statement is said.

`statement.dsse.json` holds, signed, the hash of every file that the student can be made of, the
whole statement, and the hash of every file of the run folder that it follows from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ullage.errors import InputError
from ullage.files import write_whole
from ullage.models.identity import file_digest, model_files
from ullage.run_folder import RunFolder, root_of, run_config
from ullage.statement import sanitise
from ullage.statement.document import Statement
from ullage.statement.envelope import Signed, seal, unseal
from ullage.statement.keys import Signer
from ullage.statement.store import read, to_bytes

NAME = "statement.dsse.json"
STATEMENT = "urn:ullage:predicate:distillation-loss-statement:1.0"


def sign_run(
    folder: Path, signer: Signer, *, weights: Path | None = None, root: Path | None = None
) -> Path:
    """Sign a run's statement, and say what it follows from and which weights it is about.

    Args:
        folder: the run folder.
        signer: whose signature.
        weights: the student's folder or file; left out, where the configuration has it.
        root: folder of the configuration; left out, as the run folder's place tells.

    Raises:
        InputError: the run is not whole, or the weights are not those that were judged.
    """
    path = folder / "statement.json"
    statement = read(path)
    if path.read_bytes() != to_bytes(statement):
        raise InputError(f"{path}: was changed by hand; judge the run again to write it anew")
    run = RunFolder(folder)
    files = {
        file.name: file_digest(file)
        for file in (path, run.config, run.plan, run.scores, run.ledger)
        if file != run.ledger or file.exists()
    }
    predicate: dict[str, Any] = {"statement": json.loads(path.read_bytes()), "files": files}
    subject = _subject(run, statement, weights, root)
    try:
        content = seal(STATEMENT, predicate, subject, signer)
    except ValueError as error:
        raise InputError(f"{path}: cannot be signed: {error}") from None
    write_whole(folder / NAME, content)
    return folder / NAME


def read_signed(folder: Path) -> Signed:
    """The signed statement of a run folder; its signature is not checked by reading it.

    Raises:
        InputError: there is none, or it is not one.
    """
    return unseal(folder / NAME, STATEMENT)


def weight_problem(signed: Signed, weights: Path) -> str | None:
    """The first way in which weights are not those that a signed statement is about, if any.

    Raises:
        InputError: there are no weights in that place.
    """
    wanted, found = dict(signed.subject), model_files(weights)
    for name, file in found.items():
        if name not in wanted:
            return f"{file}: is none of the files that were judged"
        if file_digest(file) != wanted[name]:
            return f"{file}: is not the file that was judged"
    if missing := sorted(wanted.keys() - found.keys()):
        return f"{weights}: has no {sanitise.terminal(missing[0])}, which was judged"
    return None


def is_local(identity: str) -> bool:
    """Whether a model was weights on a disk, and not an endpoint or a recording."""
    return identity.startswith("hf:")


def _subject(
    folder: RunFolder, statement: Statement, weights: Path | None, root: Path | None
) -> Mapping[str, str]:
    """What the statement is about: files by SHA-256, or else the identity of what answered."""
    identity = statement.arms["student"].identity
    if not is_local(identity):
        if weights is not None:
            raise InputError(
                f"--weights {weights}: the student answered from elsewhere, so no weights were "
                "judged; leave it out"
            )
        return {"student": hashlib.sha256(identity.encode()).hexdigest()}
    from ullage.models.hf import HfModel

    config = run_config(folder)
    arm, place = config.arms.student, Path()
    if weights is None or arm.hf.chat_template is not None:
        place = root_of(folder.path, config, root)
    locator = arm.locator if weights is None else str(weights.resolve())
    model = HfModel(locator, arm.hf, place)
    if model.identity != identity:
        raise InputError(
            f"{model.path}: is another model than the statement judges (identity "
            f"{model.identity[:20]}…, judged {identity[:20]}…); give the student: --weights FOLDER"
        )
    return {name: file_digest(file) for name, file in model_files(model.path).items()}
