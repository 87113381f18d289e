"""Real logs to import, and copies of them with something changed."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.imports import Made, run_import
from ullage.statement.document import Finding, Statement

LOGS = Path(__file__).parent / "logs"
LM_EVAL = {arm: LOGS / "lm-eval" / arm for arm in ("teacher", "student", "base")}
INSPECT = {arm: LOGS / "inspect" / arm for arm in ("teacher", "student")}
HOMES = {arm: next(folder.glob("*homes*.json")) for arm, folder in INSPECT.items()}
"""The logs in JSON."""

Change = Callable[[Any], object]


def audited(made: Made) -> Statement:
    return asyncio.run(run_audit(set_up(load(made.config))))


def statement_of(places: Mapping[str, Path], folder: Path, **more: Any) -> Statement:
    return audited(run_import(places, folder, **more))


def by_id(statement: Statement) -> dict[str, Finding]:
    return {finding.id: finding for finding in statement.findings}


def results_of(folder: Path) -> Any:
    """lm-eval's own figures."""
    return json.loads(next(folder.glob("results_*.json")).read_bytes())


def changed_lm_eval(
    arm: str, to: Path, *, results: Change | None = None, **samples: Change
) -> Path:
    """A copy of an arm's logs with its results, or every sample of a task, changed in place."""
    folder = to / arm
    shutil.copytree(LM_EVAL[arm], folder)
    if results is not None:
        path = next(folder.glob("results_*.json"))
        data = json.loads(path.read_bytes())
        results(data)
        path.write_text(json.dumps(data))
    for task, change in samples.items():
        path = next(folder.glob(f"samples_{task}_*.jsonl"))
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        for row in rows:
            change(row)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if row))
    return folder


def changed_inspect(arm: str, to: Path, change: Change) -> Path:
    """A copy of an arm's JSON log, changed in place."""
    log = json.loads(HOMES[arm].read_bytes())
    change(log)
    path = to / f"{arm}.json"
    path.write_text(json.dumps(log))
    return path


def zipped(path: Path, entries: Mapping[str, bytes], *, claims: int | None = None) -> Path:
    """A zip as Inspect writes it, packed with zstd, which `zipfile` cannot write yet.

    With `claims` every entry says that it is of that size.
    """
    directory, body = b"", b""
    for name, data in entries.items():
        packed = pa.compress(data, codec="zstd", asbytes=True)
        size = len(data) if claims is None else claims
        raw = name.encode()
        crc = zlib.crc32(data)
        about = struct.pack("<HHHHIIIHH", 0, 93, 0, 33, crc, len(packed), size, len(raw), 0)
        place = len(body)
        body += b"PK\x03\x04" + struct.pack("<H", 20) + about + raw + packed
        directory += b"PK\x01\x02" + struct.pack("<HH", 20, 20) + about
        directory += struct.pack("<HHHII", 0, 0, 0, 0, place) + raw
    end = struct.pack(
        "<4sHHHHIIH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0
    )
    path.write_bytes(body + directory + end)
    return path
