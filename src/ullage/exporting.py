"""`ullage statement export`: a statement with all that stands beside it, as another tool's file."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ullage.errors import InputError
from ullage.files import write_whole
from ullage.gate import consents_beside, run_gate
from ullage.models.identity import file_digest
from ullage.run_folder import RunFolder
from ullage.scores import read_scores
from ullage.statement.exports import tables
from ullage.statement.exports.card import to_card
from ullage.statement.exports.cyclonedx import Publication, to_cyclonedx
from ullage.statement.exports.formats import TABLES, Format
from ullage.statement.exports.rows import rows
from ullage.statement.exports.snapshot import Snapshot
from ullage.statement.exports.spdx import to_spdx
from ullage.statement.store import read


def take(path: Path, policy: Path | None, on: date) -> Snapshot:
    """A statement as it stands on a day.

    Args:
        path: the `statement.json`.
        policy: whose signatures count, and what passes; None looks at no signature.
        on: the day.

    Raises:
        InputError: as `ullage.gate.run_gate`.
    """
    statement = read(path)
    return Snapshot(
        statement=statement,
        sha256=file_digest(path),
        found=consents_beside(statement, path, policy, on),
        report=run_gate(path, policy, on=on),
        checked=policy is not None,
        on=on,
    )


def exported(
    snapshot: Snapshot, path: Path, form: Format, *, items: bool, publication: Publication
) -> bytes:
    """The bytes of an export; those of a card where there is none yet.

    Args:
        snapshot: the statement.
        path: its `statement.json`.
        form: as what.
        items: every score of every item, not every finding; of tables only.
        publication: what bills of materials ask for beyond the statement.

    Raises:
        InputError: the scores are missing, or are not those the statement rests on.
    """
    if items and form not in TABLES:
        raise InputError(f"--items: is for csv and parquet; {form} has no place for every score")
    if form == Format.CARD:
        return to_card(snapshot).encode()
    if form == Format.CYCLONEDX:
        return to_cyclonedx(snapshot, publication)
    if form == Format.SPDX:
        return to_spdx(snapshot, publication)
    table = tables.findings_table(rows(snapshot)) if not items else _items(snapshot, path)
    if form == Format.CSV:
        return tables.to_csv(table)
    return tables.to_parquet(
        table,
        {
            "ullage.statement": snapshot.statement.name,
            "ullage.statement_sha256": snapshot.sha256,
            "ullage.standing": snapshot.standing,
            "ullage.not_known": json.dumps(snapshot.unknown),
        },
    )


def put(snapshot: Snapshot, content: bytes, form: Format, to: Path, *, force: bool) -> bool:
    """Write an export to its file; a card is merged into the one that is there.

    Returns:
        Whether the file changed.

    Raises:
        UllageError: the file is there and holds something else, or cannot be read or written.
    """
    old = _content(to)
    if old is not None and form == Format.CARD:
        content = _merged(snapshot, old, to)
    if content == old:
        return False
    if old is not None and form != Format.CARD and not force:
        raise InputError(
            f"{to}: is there and holds something else; name another file, or give --force to "
            "write over it"
        )
    write_whole(to, content)
    return True


def publication_of(supplier: str, released: str | None, download: str) -> Publication:
    """What the publisher adds to a bill of materials.

    Raises:
        InputError: the address is none, or would show a name or password.
    """
    if download and not re.fullmatch(
        r"https?://[^\s/@\\<>\"{}|^`]+(/[^\s@\\<>\"{}|^`]*)?", download
    ):
        raise InputError(
            "--download: is no plain address; give it like https://host/model, without a name, a "
            "password or blanks"
        )
    return Publication(supplier=supplier, released=released or "", download=download)


def _items(snapshot: Snapshot, path: Path) -> pa.Table:
    scores = RunFolder(path.parent).scores
    if read_scores(scores).replies_digest != snapshot.statement.replies_digest:
        raise InputError(
            f"{scores}: are scores of other replies than {path.name} rests on; judge the run again"
        )
    return tables.items_table(pq.read_table(scores))


def _merged(snapshot: Snapshot, old: bytes, to: Path) -> bytes:
    try:
        card = old.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{to}: byte {error.start:,} is not UTF-8; save it as UTF-8") from None
    return to_card(snapshot, card, str(to)).encode()


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); name a file that can"
        ) from None
