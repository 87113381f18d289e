"""The Statement as bytes: canonical JSON, reading it back, its schema, and writing all three views.

Canonical means that equal statements give equal bytes: keys sorted, two-space indents, UTF-8,
floats in their shortest form that reads back equal, no NaN, one newline at the end.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pydantic
from pydantic_core import ErrorDetails

from ullage.errors import InputError
from ullage.files import write_together
from ullage.statement import jcs, sanitise
from ullage.statement.acceptance import accept, make_acceptance, read_records, withdraw
from ullage.statement.bounds import MOST_VALUES, too_wide
from ullage.statement.consent import consents
from ullage.statement.document import SCHEMA_VERSION, Statement
from ullage.statement.html import to_html
from ullage.statement.keys import Signer
from ullage.statement.markdown import to_markdown
from ullage.statement.words import several

NAMES = ("statement.json", "statement.html", "statement.md")
KIND = "ullage.distillation-loss-statement"
SCHEMA_ID = f"urn:ullage:schema:statement:{SCHEMA_VERSION}"

MAX_BYTES = 256 * 2**20
MAX_DEPTH = 64
"""Of lists and objects within each other: far above what a statement has, far below a crash."""


def to_bytes(statement: Statement) -> bytes:
    r"""The statement as canonical JSON.

    Control, bidirectional and other hidden characters are ``\u`` escapes, so that showing the file
    in a terminal does nothing but show it.

    Raises:
        ValueError: a number is NaN, infinite, or whole and beyond 2**53, or a free-form part
            (`distillation`, an arm's `description`) holds what JSON cannot.
    """
    data = statement.model_dump()  # pydantic's own JSON mode turns a NaN into null in silence
    for place, value in _leaves(data):
        if (isinstance(value, float) and not math.isfinite(value)) or (
            isinstance(value, int) and abs(value) > jcs.LARGEST
        ):
            raise ValueError(f"{place} is {value}, which a statement cannot hold")
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    return (sanitise.json_text(text) + "\n").encode()


def read(path: Path) -> Statement:
    """A statement from its JSON file.

    Raises:
        InputError: one line with the file, the place, what was found and what would do.
    """
    data = _parse(path, _load(path))
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise _refusal(path, "is not a Distillation Loss Statement; give a run's statement.json")
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise _refusal(
            path,
            f"schema_version is {_found(version)}, this Ullage reads {SCHEMA_VERSION!r}; read it "
            "with the version of Ullage that wrote it",
        )
    try:
        statement = Statement.model_validate_json(json.dumps(data), strict=True)
    except pydantic.ValidationError as error:
        first, *others = error.errors(include_url=False)
        more = f" (and {several(len(others), 'more problem')})" if others else ""
        what = f"{_problem(first)}{more}; judge the run again to write it anew"
        raise _refusal(path, what) from None
    if missing := [role for role in ("teacher", "student") if role not in statement.arms]:
        raise _refusal(path, f"arms has no {missing[0]}, which every statement is about")
    counted = Counter(finding.id for finding in statement.findings)
    if twice := [target for target, count in counted.items() if count > 1]:
        # Consent is given by target: that to the milder of two would count for the graver too.
        raise _refusal(path, f"findings has {twice[0]} twice; judge the run again to write it anew")
    return statement


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of `statement.json`, as `ullage schema statement` exports it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "version": SCHEMA_VERSION,
    } | Statement.model_json_schema(mode="serialization")


def write_all(statement: Statement, folder: Path) -> dict[str, Path]:
    """Write statement.json, .html and .md: all of them, or none.

    What people accepted stands beside the statement (`ullage.statement.consent`), and in the views.

    Returns:
        The path of each, by its name.

    Raises:
        InputError: the folder is missing, not writable, or its disk is full.
        InfrastructureError: the disk failed.
    """
    rendered = {NAMES[0]: to_bytes(statement)} | _views(statement, folder)
    write_together(folder, rendered)
    return {name: folder / name for name in NAMES}


def refresh_views(statement: Statement, folder: Path) -> None:
    """Write the views that are in the folder anew, after somebody accepted or withdrew.

    Raises:
        UllageError: as `write_all`.
    """
    views = _views(statement, folder)
    write_together(folder, {name: view for name, view in views.items() if (folder / name).exists()})


def give_consent(
    path: Path,
    target: str,
    *,
    by: str,
    role: str,
    because: str,
    mitigation: str,
    accepted: date,
    until: date,
    signer: Signer,
) -> Path:
    """Accept one finding of the statement in `path`: signed, kept beside it, and in its views.

    Raises:
        UllageError: as `ullage.statement.acceptance.make_acceptance`, or it cannot be written.
    """
    statement = read(path)
    given = make_acceptance(
        statement, target, by=by, role=role, because=because, mitigation=mitigation,
        accepted=accepted, until=until,
    )  # fmt: skip
    written = accept(path.parent, given, signer)
    refresh_views(statement, path.parent)
    return written


def take_consent_back(
    path: Path, target: str, *, by: str, because: str, withdrawn: date, signer: Signer
) -> list[Path]:
    """Withdraw the acceptance of one finding of the statement in `path`, and from its views.

    Raises:
        UllageError: as `ullage.statement.acceptance.withdraw`, or it cannot be written.
    """
    statement = read(path)
    written = withdraw(
        path.parent, statement, target, by=by, because=because, withdrawn=withdrawn, signer=signer
    )
    refresh_views(statement, path.parent)
    return written


def _views(statement: Statement, folder: Path) -> dict[str, bytes]:
    found = consents(statement, read_records(folder))
    views = (to_html(statement, found), to_markdown(statement, found))
    return {name: view.encode() for name, view in zip(NAMES[1:], views, strict=True)}


def _load(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _refusal(path, "there is no such file; give a run's statement.json") from None
    except IsADirectoryError:
        raise _refusal(path, "is a folder; give the statement.json in it") from None
    except OSError as error:
        raise _refusal(
            path, f"cannot be read ({error.strerror}); check that it is a file you may read"
        ) from None
    if len(content) > MAX_BYTES:
        raise _refusal(path, f"is larger than {MAX_BYTES // 2**20} MiB, which no statement is")
    if too_wide(content):
        raise _refusal(path, f"holds over {MOST_VALUES:,} values, which no statement does")
    if not content.strip():
        raise _refusal(path, "is empty; judge the run again to write it anew")
    return content


def _parse(path: Path, content: bytes) -> Any:
    """The JSON of a file, refusing what the canonical form never has."""

    def pairs(entries: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(entries)
        if len(table) < len(entries):
            keys = [key for key, _ in entries]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"key {_found(twice)} is there twice")
        return table

    def whole(text: str) -> int:
        if abs(value := int(text)) > jcs.LARGEST:
            raise ValueError(f"number {text[:40]} is beyond 2**53, where readers differ")
        return value

    def finite(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError(f"number {text[:40]} is not finite")
        return value

    try:
        text = content.decode()
        data = json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=whole,
            parse_float=finite,
            parse_constant=finite,
        )
        depth = _depth(data)
    except UnicodeDecodeError as error:
        raise _refusal(
            path, f"byte {error.start:,} is not UTF-8; give the file as Ullage wrote it"
        ) from None
    except json.JSONDecodeError as error:
        raise _refusal(
            path,
            f"line {error.lineno}, column {error.colno}: is not JSON ({error.msg}); "
            "give the file as Ullage wrote it",
        ) from None
    except RecursionError:
        depth = MAX_DEPTH + 1
    except ValueError as error:
        raise _refusal(path, f"{error}; give the file as Ullage wrote it") from None
    if depth > MAX_DEPTH:
        raise _refusal(path, f"is nested more than {MAX_DEPTH} deep, which no statement is")
    return data


def _depth(data: Any) -> int:
    """Lists and objects within each other, without recursion; stops counting past the limit."""
    depth, layer = 0, [data]
    while layer and depth <= MAX_DEPTH:
        layer = [
            child
            for node in layer
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        depth += 1
    return depth


def _problem(error: ErrorDetails) -> str:
    place = sanitise.terminal(_place(error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"{place} is not known to a statement"
    if error["type"] == "missing":
        return f"{place} is missing"
    message = sanitise.terminal(error["msg"].removeprefix("Value error, "))
    if isinstance(error["input"], dict | list):
        return f"{place}: {message}"
    return f"{place}: {message}, found {_found(error['input'])}"


def _place(loc: tuple[int | str, ...]) -> str:
    """``findings[3].loss.low``."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return "".join(steps).removeprefix(".")


def _found(value: Any) -> str:
    return sanitise.terminal(json.dumps(value, ensure_ascii=False), limit=60)


def _refusal(path: Path, what: str) -> InputError:
    return InputError(f"{sanitise.terminal(str(path))}: {what}")


def _leaves(data: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value of JSON-ready data with its place."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, f"{place}.{key}".removeprefix("."))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _leaves(value, f"{place}[{index}]")
    else:
        yield place, data
