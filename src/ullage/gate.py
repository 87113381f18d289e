"""Everything a gate looks at: the statement, its signature, the weights, and who consented."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from ullage.errors import InputError
from ullage.models.identity import file_digest
from ullage.signing import read_signed, weight_problem
from ullage.statement.acceptance import read_records
from ullage.statement.consent import Consent, consents
from ullage.statement.document import Statement
from ullage.statement.gating import Report, rule
from ullage.statement.policy import Policy, Trust, load_policy
from ullage.statement.store import read


def run_gate(
    path: Path, policy_file: Path | None = None, *, on: date, weights: Path | None = None
) -> Report:
    """What the gate says of a statement.

    Args:
        path: the `statement.json`.
        policy_file: the policy; without one no acceptance counts, and nothing need be signed.
        on: the day that acceptances must hold on.
        weights: what is to be shipped, which must be what was judged.

    Raises:
        InputError: the statement or the policy cannot be read, the policy wants a signature that
            is not there, or the weights are others.
    """
    statement = read(path)
    if policy_file is None:
        if weights is not None:
            raise InputError(
                f"--weights {weights}: which weights were judged is told by a signature; give a "
                "--policy with signed_by"
            )
        return rule(statement)
    policy = load_policy(policy_file)
    trust = Trust(policy, policy_file.parent)
    _refuse_unsigned(path, policy, trust, weights)
    found = consents(statement, read_records(path.parent), on=on, unfit=trust.unfit)
    return rule(statement, policy, found, on=on)


def consents_beside(
    statement: Statement, path: Path, policy_file: Path | None, on: date
) -> dict[str, Consent]:
    """What became of the consents to a statement, as a policy sees them.

    Args:
        statement: the statement.
        path: its file.
        policy_file: whose signatures count; None looks at no signature.
        on: the day.
    """
    unfit = None
    if policy_file is not None:
        unfit = Trust(load_policy(policy_file), policy_file.parent).unfit
    return consents(statement, read_records(path.parent), on=on, unfit=unfit)


def _refuse_unsigned(path: Path, policy: Policy, trust: Trust, weights: Path | None) -> None:
    if not policy.signed_by:
        if weights is not None:
            raise InputError(
                f"--weights {weights}: which weights were judged is told by a signature; name the "
                "keys that may sign under signed_by in the policy"
            )
        return
    signed = read_signed(path.parent)
    signed.signer(trust.statement_keys)
    files = signed.predicate.get("files")
    if not isinstance(files, dict) or files.get("statement.json") != file_digest(path):
        raise InputError(f"{path}: is not the statement that was signed; sign it again")
    if weights is not None and (problem := weight_problem(signed, weights)):
        raise InputError(problem)
