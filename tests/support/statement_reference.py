"""Writes the field reference of docs/statement.md from the docstrings of the document.

Run ``python -m tests.support.statement_reference`` after changing a field; a test says when.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from tests.support.statements import bare
from ullage.config.models import Scenario, Target
from ullage.statement import acceptance, document, jcs
from ullage.statement.store import to_bytes

PAGE = Path(__file__).parents[2] / "docs" / "statement.md"

PARTS: tuple[type[BaseModel], ...] = (
    document.Statement,
    document.Finding,
    document.Estimate,
    document.ArmValue,
    document.Power,
    document.Generalisation,
    document.CurvePoint,
    document.SelfTest,
    document.Example,
    document.Turn,
    document.NotKnown,
    document.Joint,
    document.ArmRecord,
    document.ProbeRecord,
    Scenario,
    Target,
    acceptance.Acceptance,
    acceptance.Withdrawal,
)


def reference() -> str:
    """A section for each part of the document: its meaning, and a table of its fields."""
    return "\n\n".join(_part(model) for model in PARTS)


def example() -> str:
    """The smallest statement, as it is written, and hashes for another program to try itself on."""
    content = to_bytes(bare())
    whole = jcs.digest(json.loads(content)).removeprefix("sha256:")
    finding = acceptance.finding_hash(bare().findings[0])
    return (
        f"```json\n{content.decode()}```\n\n"
        f"[In the form that is hashed](#its-hash-its-signature) its SHA-256 is `{whole}`, and the "
        f"hash of its finding `{finding}`."
    )


def inserted(page: str) -> str:
    """The page with the present reference and example between their marks."""
    for name, text in (("example", example()), ("fields", reference())):
        start, end = f"<!-- {name}: generated -->", f"<!-- /{name} -->"
        before, rest = page.split(start)
        page = f"{before}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}"
    return page


def fields(model: type[BaseModel]) -> str:
    """A table of a model's fields."""
    rows = [
        f"| `{name}` | {_type(field.annotation)} | {_line(field.description or '')} |"
        for name, field in model.model_fields.items()
    ]
    return "\n".join(["| field | type | meaning |", "| --- | --- | --- |", *rows])


def _part(model: type[BaseModel]) -> str:
    head = f"### {model.__name__}\n\n{_line((model.__doc__ or '').split(chr(10) * 2)[0])}"
    return f"{head}\n\n{fields(model)}"


def _line(text: str) -> str:
    """One line, in Markdown's own code marks."""
    return re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())).replace("|", "\\|")


def _type(annotation: Any) -> str:
    """A field's type in plain words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{arg}`" for arg in args)
    if origin in (UnionType, Union):
        return " or ".join("none" if arg is type(None) else _type(arg) for arg in args)
    if origin is tuple:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return "facts" if args[1] is Any else f"{_type(args[1])} by name"
    if origin is not None:
        return _type(args[0])  # Annotated: its bounds are in the JSON Schema
    plain = {str: "text", int: "whole number", float: "number", bool: "yes or no"}
    if annotation in plain:
        return plain[annotation]
    name: str = annotation.__name__
    return f"[{name}](#{name.lower()})" if annotation in PARTS else name.lower()


if __name__ == "__main__":
    PAGE.write_text(inserted(PAGE.read_text("utf-8")), encoding="utf-8")
