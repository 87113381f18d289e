"""A statement crafted by somebody else: hostile text wherever its schema takes text, in every view.

Nothing here names fields. Whatever text a statement can hold is replaced, so that a field added
tomorrow is tried too.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
import pytest
from rich.console import Console
from typer.testing import CliRunner

from tests.statement.test_exports import front, problems, spdx_objects
from tests.statement.test_gate_formats import fits_junit
from tests.statement.test_markdown import PARSER, headings
from tests.statement.test_sanitise import flat, obeyed, reads_as
from tests.support import statements
from tests.support.signed import TODAY, give, write_key
from ullage.cli import app
from ullage.exporting import exported, take
from ullage.statement.acceptance import read_records
from ullage.statement.chain import chain
from ullage.statement.compare import compare
from ullage.statement.compare_terminal import render as render_comparison
from ullage.statement.consent import consents
from ullage.statement.document import CurvePoint, Generalisation, Statement, Verdict
from ullage.statement.exports.card import END, to_card
from ullage.statement.exports.cyclonedx import Publication
from ullage.statement.exports.formats import Format
from ullage.statement.exports.snapshot import Snapshot
from ullage.statement.frontier import frontier
from ullage.statement.frontier_page import to_html as frontier_html
from ullage.statement.gate_formats import to_junit, to_summary, workflow_commands
from ullage.statement.gating import rule
from ullage.statement.html import to_html
from ullage.statement.lineage_terminal import render_chain, render_frontier
from ullage.statement.markdown import to_markdown
from ullage.statement.store import read, to_bytes
from ullage.statement.terminal import render

TARGET = "clarify.clarifies"
CONSTRAINED = {
    "kind", "schema_version", "verdict", "against", "severity", "probe", "metric", "word", "truth",
    "margins_set", "scenario.name",
}  # fmt: skip
"""Fields whose text is one of a few words, or a name in small letters."""
TEXTS = {what: text for what, text in statements.HOSTILE.items() if what != "surrogate"}
"""Half of a surrogate pair is refused with the whole file: no UTF-8 holds it."""
each = pytest.mark.parametrize("what", TEXTS)


def plain() -> Any:
    """A statement with something in every field, as JSON."""
    point = CurvePoint(at=0.5, estimate=-0.1, low=-0.2, high=0.0, items=9)
    named = Generalisation(
        word="cannot tell", why="It is new.", axis="distance", points=(point, point), line=(point,)
    )
    lost = statements.finding(
        TARGET, Verdict.LOST, examples=[statements.example()], changes={"generalisation": named}
    )
    others = [
        statements.finding("confidence.brier", Verdict.DEGRADED, dimension="uncertainty"),
        statements.finding("formats.spread", Verdict.INCONCLUSIVE),
        statements.finding("tone.holds", Verdict.UNMEASURED),
    ]
    scenario = {"falls_back": "Orders go to the teacher."}
    made = statements.statement([lost, *others], scenario=scenario, distillation=statements.LEDGER)
    return json.loads(to_bytes(made))


def harmless() -> Statement:
    return Statement.model_validate_json(json.dumps(plain()))


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a text stands, and where an object could take another key (its place ends in "+")."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from places(value, (*path, key))
        if data:
            yield (*path, "+")
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from places(value, (*path, index))
    elif isinstance(data, str):
        yield path


def put(data: Any, path: tuple[Any, ...], text: str) -> Any:
    """The data with a text at a place."""
    inner = data
    for step in path[:-1]:
        inner = inner[step]
    if path[-1] == "+":
        inner[text] = next(iter(inner.values()))
    else:
        inner[path[-1]] = text
    return data


def fits(data: Any) -> bool:
    try:
        Statement.model_validate_json(json.dumps(data), strict=True)
    except pydantic.ValidationError:
        return False
    return True


@cache
def open_places() -> tuple[tuple[tuple[Any, ...], ...], frozenset[str]]:
    """Places that take any text, and the names of the fields that take none."""
    found, closed, written = [], set(), json.dumps(plain())
    for path in places(json.loads(written)):
        if fits(put(json.loads(written), path, "any text at all")):
            found.append(path)
        elif path[-1] != "+":
            name = path[-1] if isinstance(path[-1], str) else path[-2]
            closed.add("scenario.name" if path == ("scenario", "name") else name)
    return tuple(found), frozenset(closed)


def crafted(folder: Path, text: str) -> tuple[Path, Statement]:
    """The file, with an acceptance whose words are as hostile, and what is read from it."""
    data = plain()
    for place in open_places()[0]:
        put(data, place, text)
    (folder / "run").mkdir()
    path = folder / "run" / "statement.json"
    path.write_text(json.dumps(data))
    statement = read(path)
    give(path.parent, statement, TARGET, write_key(folder), by=text, role=text)
    return path, statement


def test_every_field_that_takes_text_is_spoilt() -> None:
    found, closed = open_places()
    assert closed == CONSTRAINED
    assert len(found) > 120
    assert sum(path[-1] == "+" for path in found) >= 10


@each
def test_the_page_has_our_elements_alone(what: str, tmp_path: Path) -> None:
    path, statement = crafted(tmp_path, TEXTS[what])
    found = consents(statement, read_records(path.parent))
    told = frontier([("A", statement), (TEXTS[what], statement)], None)
    shown = (to_html(harmless()), frontier_html(frontier([("A", harmless())], None)))
    ours = {tag.split("[")[0] for page in shown for tag in reads_as(page)[1]} | {"bdi", "small"}
    for page in (to_html(statement, found), frontier_html(told)):
        tags = reads_as(page)[1]
        assert {tag.split("[")[0] for tag in tags} <= ours
        assert not any(re.search(r"\[(on\w+|style|src|srcset|action|formaction)=", t) for t in tags)
        links = {link for tag in tags for link in re.findall(r"\[href=([^\]]*)\]", tag)}
        assert all(link == "data:," or re.fullmatch(r"#[\w-]+", link) for link in links)


@each
def test_markdown_is_only_text(what: str, tmp_path: Path) -> None:
    path, statement = crafted(tmp_path, TEXTS[what])
    text = to_markdown(statement, consents(statement, read_records(path.parent)))
    assert headings(text) == headings(to_markdown(harmless()))
    for written in (text, to_summary(rule(statement))):
        kinds = {token.type for token in flat(PARSER.parse(written))}
        assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_block", "hr"}
        assert all(char.isprintable() or char == "\n" for char in written.replace("\t", ""))
        assert not any(map(obeyed, written.splitlines()))


@each
def test_a_terminal_and_a_build_show_it_and_obey_nothing(what: str, tmp_path: Path) -> None:
    path, statement = crafted(tmp_path, TEXTS[what])
    found = consents(statement, read_records(path.parent))
    sides = ((TEXTS[what], statement), ("B", statement))
    pipe = io.StringIO()
    console = Console(file=pipe, width=80)
    render(statement, console, found=found)
    render_comparison(compare(statement, statement, labels=(TEXTS[what], "B")), console)
    render_chain(chain(list(sides), [{}]), console)
    render_frontier(frontier(list(sides), None), console)
    report = rule(statement)
    shown = [pipe.getvalue(), "\n".join(report.lines)]
    commands = [("gate",), ("statement", "show"), ("statement", "list")]
    for command in (*commands, ("gate", "--json"), ("statement", "list", "--json")):
        done = CliRunner().invoke(app, [*command, str(path.parent)])
        assert isinstance(done.exception, SystemExit | None), done.exception
        shown.append(done.output)
    for text in shown:
        assert all(char.isprintable() or char == "\n" for char in text)
        assert not any(map(obeyed, text.splitlines()))
    for command_line in workflow_commands(report):
        assert re.fullmatch(r"::(error|warning) title=[^\n\r:,]*::[^\n\r]*", command_line)
        assert command_line.isprintable()
    fits_junit(to_junit(report))


@each
def test_every_export_holds_it_as_text(what: str, tmp_path: Path) -> None:
    path, statement = crafted(tmp_path, TEXTS[what])
    snapshot = take(path, None, TODAY)

    def made(form: Format) -> str:
        return exported(snapshot, path, form, items=False, publication=Publication()).decode()

    assert problems(json.loads(made(Format.CYCLONEDX))) == []
    assert spdx_objects(json.loads(made(Format.SPDX)))
    rows = list(csv.DictReader(io.StringIO(made(Format.CSV), newline="")))
    assert len(rows) >= len(statement.findings)
    for row in rows:
        assert None not in row
        assert not any(re.match(r"\s*[=+@＝＋－＠]|\s*-[^\d]", cell) for cell in row.values())
    _holds_as_card(snapshot)


def _holds_as_card(snapshot: Snapshot) -> None:
    card = to_card(snapshot)
    assert to_card(snapshot, card) == card
    assert set(front(card)) == {"model-index"}
    assert card.splitlines().count(END) == 1
    kinds = {token.type for token in flat(PARSER.parse(card.split("\n---\n", 1)[1]))}
    assert not kinds & {"link_open", "image", "html_inline"}
