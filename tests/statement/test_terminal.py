from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from tests.support import statements
from ullage.statement.document import Statement
from ullage.statement.outcome import outcome_sentence
from ullage.statement.terminal import render
from ullage.statement.words import VERDICTS


class Pipe(io.StringIO):
    """A pipe whose encoding rich can see."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def shown(
    statement: Statement, *, width: int = 80, encoding: str = "utf-8", **options: bool
) -> str:
    pipe = Pipe(encoding)
    render(statement, Console(file=pipe, width=width, **options), folder=Path("runs/audit"))  # type: ignore[arg-type]
    return pipe.getvalue()


@pytest.mark.parametrize("width", [80, 120])
def test_every_target_verdict_and_unknown_is_there_within_the_width(width: int) -> None:
    statement = statements.every_verdict()
    text = shown(statement, width=width)
    assert max(map(len, text.splitlines())) <= width
    flat = " ".join(text.split())
    for finding in statement.findings:
        assert finding.id in text
    for word in VERDICTS.values():
        assert f"{word.symbol} {word.label}" in text
    for entry in statement.not_known:
        assert " ".join(entry.what.split()) in flat
        assert " ".join(entry.why.split()) in flat
    assert outcome_sentence(statement) in flat
    assert "runs/audit/statement.html" in text


def test_bars_stand_in_line_across_dimensions() -> None:
    lines = shown(statements.every_verdict(), width=120).splitlines()
    deltas = {line.index("δ 0.0") for line in lines if "δ 0.0" in line}
    assert len(deltas) == 1


def test_without_colour_nothing_but_text_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in shown(statements.every_verdict())
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(statements.every_verdict(), force_terminal=True)
    colours = re.findall(r"\x1b\[(?:\d+;)*(?:3|4|9|10)[0-7](?:;\d+)*m", text)
    assert colours == []


def test_colour_is_used_where_there_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[1;31m✖ lost" in shown(statements.every_verdict(), force_terminal=True)


def test_a_terminal_without_unicode_gets_ascii() -> None:
    text = shown(statements.every_verdict(), encoding="ascii")
    assert text.isascii()
    assert "X lost" in text
    assert "?" not in re.sub(r"\? inconclusive|[a-z, ]+\?|-\?-|\+\?-", "", text)


@pytest.mark.parametrize("name", statements.HOSTILE)
def test_hostile_text_does_nothing_to_a_terminal(name: str) -> None:
    text = shown(statements.hostile(statements.HOSTILE[name]))
    assert all(char.isprintable() or char == "\n" for char in text)


def test_small_and_large_statements_are_shown() -> None:
    assert "not measured" in shown(statements.bare())
    assert shown(statements.many()).count("δ 0.050") == 60
    assert "kept all 3" in shown(statements.all_kept())
