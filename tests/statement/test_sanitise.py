from __future__ import annotations

import itertools
import json
import re
import unicodedata
from html.parser import HTMLParser

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.support.statements import HOSTILE, MEGABYTE
from ullage.statement import sanitise

ANY_TEXT = st.text(
    st.characters() | st.sampled_from("`|\\<>&\"'*_[]()!#~\n\r\x1b\u202e\u200b\ud800\u0301")
)


def reads_as(markup: str) -> tuple[str, set[str]]:
    """What a page shows for some HTML, and the elements in it."""
    shown: list[str] = []
    elements: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            elements.add(tag + "".join(f"[{name}={value}]" for name, value in attrs))

        def handle_data(self, data: str) -> None:
            shown.append(data)

        def handle_comment(self, data: str) -> None:
            elements.add("comment")

        def handle_decl(self, decl: str) -> None:
            elements.add("declaration")

    reader = Reader()
    reader.feed(markup)
    reader.close()
    return "".join(shown), elements


@given(ANY_TEXT, st.booleans())
def test_html_shows_the_text_and_nothing_else(text: str, lines: bool) -> None:
    shown, elements = reads_as(sanitise.html(text, lines=lines))
    assert shown == sanitise.visible(text, lines=lines)
    assert elements <= {"bdi", "span[class=esc]"}


@given(ANY_TEXT)
def test_visible_text_has_nothing_that_acts(text: str) -> None:
    shown = sanitise.visible(text)
    assert all(unicodedata.category(char) not in ("Cc", "Cs", "Zl", "Zp") for char in shown)
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"
    )
    assert shown == sanitise.terminal(text).replace("\\x3a", ":")
    assert "\n" not in sanitise.visible(text, lines=False)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=300))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assume("##" not in text)  # may begin a command to who runs a build
    assert sanitise.visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202egnp", "\\u202egnp"),
        ("a\u200bb", "a\\u200bb"),
        ("\U000e0041", "\\U000e0041"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("a\ud800", "a\ufffd"),
        ("e\u0301 ok", "e\u0301 ok"),
        ("Z" + "\u0301" * 100 + "!", "Z" + "\u0301" * 4 + "(+96 combining marks)!"),
        ("Z" + "\u0301" * 5, "Z" + "\u0301" * 4 + "(+1 combining marks)"),
    ],
)
def test_what_hides_is_spelt_out(text: str, shown: str) -> None:
    assert sanitise.visible(text) == shown


def obeyed(line: str) -> bool:
    """Whether who runs a build takes a line of its log for a command.

    As GitHub's runner reads it (`ActionCommand.TryParseV2`, `TryParse`), and Azure's and TeamCity's
    after the same fashion.
    """
    return re.match(r"\s*::[A-Za-z-]+( .*)?::", line) is not None or any(
        mark in line and "]" in line.split(mark)[1] for mark in ("##[", "##vso[", "##teamcity[")
    )


COMMANDS = st.lists(
    st.sampled_from(["##[error]", "##vso[a]", "#", "[", "]", "::", ":", "error", " ", "\n", "\t"]),
    max_size=12,
).map("".join)


@given(COMMANDS, st.integers(1, 12))
def test_no_line_is_a_command_to_who_runs_the_build(text: str, width: int) -> None:
    """However a terminal wraps it; in Markdown, where lines are as they were."""
    shown = sanitise.terminal(text)
    wrapped = [shown[at : at + width] for at in range(0, len(shown), width)]
    lines = [shown, *wrapped, *sanitise.terminal(text, lines=True).splitlines()]
    lines += sanitise.markdown_block(text).splitlines()
    lines += [sanitise.markdown(text), sanitise.markdown_code(text)]
    lines.append(sanitise.json_text(json.dumps(text, ensure_ascii=False)))
    assert not any(map(obeyed, lines))


def test_code_stays_readable() -> None:
    """What begins no line is no command."""
    assert "std::vector<int>::iterator" in sanitise.markdown_block("std::vector<int>::iterator")
    assert sanitise.terminal("std::vector") == "std::vector"


def test_lines_and_tabs_are_kept_where_asked() -> None:
    assert sanitise.visible("a\n\tb\r\x0b", lines=True) == "a\n\tb\\r\\x0b"


def test_long_text_is_cut_with_a_mark() -> None:
    shown = sanitise.visible(MEGABYTE, limit=2_000)
    assert shown == "x" * 2_000 + "… 998,000 more characters"
    assert "… 998,000 more characters" in sanitise.html(MEGABYTE, limit=2_000)
    assert len(sanitise.markdown(MEGABYTE)) < 400


@given(ANY_TEXT)
def test_json_text_means_the_same_and_is_safe_to_print(text: str) -> None:
    safe = sanitise.json_text(json.dumps({"t": text}, ensure_ascii=False))
    assert json.loads(safe) == {"t": sanitise.mend(text)}
    assert (
        re.search("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]", safe) is None
    )


def flat(tokens: list[Token]) -> list[Token]:
    return [t for token in tokens for t in (token, *flat(token.children or []))]


MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
INERT = {"paragraph_open", "paragraph_close", "inline", "text", "code_inline"}


@given(ANY_TEXT)
def test_markdown_text_stays_within_its_line(text: str) -> None:
    tokens = flat(MARKDOWN.parse(f"- **x**: {sanitise.markdown(text)} end"))
    kinds = {token.type for token in tokens} - INERT
    assert kinds <= {
        "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
        "strong_open", "strong_close",
    }  # fmt: skip
    assert sum(token.type == "list_item_open" for token in tokens) == 1
    assert "".join(t.content for t in tokens if t.type == "text").endswith(" end")


@given(ANY_TEXT)
def test_markdown_text_stays_within_its_cell(text: str) -> None:
    cell, code = sanitise.markdown(text), sanitise.markdown_code(text)
    tokens = flat(MARKDOWN.parse(f"| a | b | c |\n| - | - | - |\n| {cell} | {code} | last |\n"))
    cells = [after.content for token, after in itertools.pairwise(tokens)
             if token.type == "td_open"]  # fmt: skip
    assert len(cells) == 3
    assert cells[2] == "last"
    assert not {t.type for t in tokens} & {"link_open", "image", "html_inline", "html_block"}


@given(ANY_TEXT)
def test_a_fenced_block_holds_the_text_whole(text: str) -> None:
    tokens = MARKDOWN.parse(f"before\n\n{sanitise.markdown_block(text)}\n\nafter")
    assert [token.type for token in tokens if token.type == "fence"] == ["fence"]
    fence = next(token for token in tokens if token.type == "fence")
    assert fence.content == sanitise.visible(text, limit=1200, lines=True) + "\n"
    assert tokens[-2].content == "after"


@pytest.mark.parametrize("name", ["link", "image", "script", "entities"])
def test_addresses_are_never_prose(name: str) -> None:
    assert sanitise.markdown(HOSTILE[name]).startswith("`")
