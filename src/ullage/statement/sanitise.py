r"""Hostile text made safe to show: as HTML, as Markdown and in a terminal.

What a model said, and any name or text a user supplied, may hold markup, links, terminal escape
sequences, characters that reorder or hide the text around them, and megabytes of it. It is shown,
never obeyed: what would act on a reader's screen is spelt out as an escape such as ``\u202e``.

The ranges are written out, not asked of the Unicode database, so that what Ullage writes does not
depend on the Python it runs on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from markupsafe import Markup, escape

_HIDDEN = (
    "\x7f-\x9f"  # DEL and C1 controls (8-bit terminal sequences)
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, line separators, bidi controls
    "\u2800\u3164\uffa0"  # blank letters
    "\ufe00-\ufe0d\ufeff\ufff0-\ufffb\ufffe\uffff"  # variation selectors, BOM, annotation
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # invisible format controls
    "\U000e0000-\U000e0fff"  # tags and more selectors: text a person cannot see
)
_RUNNER = r"#(?=#(?:vso|teamcity)?\[)"
"""What begins a command to who runs a build (``##[set-output name=x]``), wherever in a line it
stands: GitHub's ActionCommand.TryParse, Azure's and TeamCity's logging commands."""
_RUNNER_LINE = r":(?=:[A-Za-z-]+[^\n]*::)"
"""The same in GitHub's newer spelling (``::set-output name=x::``), which begins a line."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNSEEN_IN_LINES = re.compile(f"([\x00-\x08\x0b-\x1f{_HIDDEN}]+|{_RUNNER})")
_UNSEEN = re.compile(f"([\x00-\x1f{_HIDDEN}]+|{_RUNNER})")
_JSON_UNSAFE = re.compile(f"[{_HIDDEN}]|{_RUNNER}")

_CALM = re.compile("[ -~\u00a0-\u024f\u0391-\u03c9‐-‧‰′″≤≥−→←×·]*")
"""Text that can neither reorder its surroundings nor be reordered by them."""

_MARKS_KEPT = 4
"""Combining marks in a row that living scripts need; more is decoration over other lines."""


def mend(text: str) -> str:
    """The text with lone surrogates, which no file can hold, replaced by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def json_text(text: str) -> str:
    r"""Serialised JSON with what a terminal or an editor would act on as ``\u`` escapes.

    Only strings can hold such characters in JSON, so the document's meaning is unchanged.
    """

    def spell(match: re.Match[str]) -> str:
        units = match.group().encode("utf-16-be")
        return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))

    return _JSON_UNSAFE.sub(spell, mend(text))


def visible(text: str, *, limit: int = 400, lines: bool = False) -> str:
    """The text as a person may safely see it, every hidden character spelt out.

    Args:
        text: anything.
        limit: characters shown; a mark says how many were left out.
        lines: keep line breaks and tabs rather than spell them out.
    """
    return "".join(piece for piece, _ in _pieces(text, limit, lines))


def html(text: str, *, limit: int = 400, lines: bool = False) -> Markup:
    """The text for an HTML element (never for an attribute).

    Escapes stand in ``<span class="esc">``. One-line text that could disturb the direction of what
    is around it stands in ``<bdi>``; for `lines` that is the containing block's business.
    """
    body = Markup("").join(
        Markup('<span class="esc">{}</span>').format(piece) if spelt else escape(piece)
        for piece, spelt in _pieces(text, limit, lines)
    )
    if lines or _CALM.fullmatch(text):
        return body
    return Markup("<bdi>{}</bdi>").format(body)


def html_cut(text: str, limit: int) -> Markup:
    """The mark `html` ends with where it cuts: how much of the text is missing, if any is."""
    if len(text) <= limit:
        return Markup("")
    return Markup('<span class="esc">{}</span>').format(_more(text, limit))


def terminal(text: str, *, limit: int = 400, lines: bool = False) -> str:
    """The text for a terminal, as plain characters: print it, or put it in a `rich.text.Text`.

    A terminal may wrap it anywhere, so nothing in it may begin a line that a build would obey.
    """
    return re.sub(_RUNNER_LINE, _spelt, visible(text, limit=limit, lines=lines))


def markdown(text: str, *, limit: int = 300) -> str:
    """The text within a line or a table cell of Markdown: prose if harmless, else a code span."""
    shown = visible(text, limit=limit)
    if (
        shown != text
        or _MARKDOWN_ACTS.search(shown)
        or not (shown[:1].isalnum() or shown[:1] == "[")
    ):
        return markdown_code(text, limit=limit)
    return re.sub(r"([\[\]<>*_])", r"\\\1", shown)


def markdown_code(text: str, *, limit: int = 300) -> str:
    """The text as a Markdown code span no text can break out of, in a table cell too.

    A pipe is spelt out: renderers disagree on what escapes it within a code span of a table.
    """
    shown = visible(text, limit=limit).replace("|", "\\x7c")
    if not shown.strip(" "):
        return "(blank)" if text else "(empty)"
    ticks = "`" * (_longest_run(shown) + 1)
    pad = " " if shown[0] in " `" or shown[-1] in " `" else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def markdown_block(text: str, *, limit: int = 1200) -> str:
    """The text as a fenced Markdown block, its fence longer than any run of backticks inside."""
    shown = visible(text, limit=limit, lines=True)
    shown = re.sub(rf"(?m)(?:^|(?<=\s)){_RUNNER_LINE}", _spelt, shown)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}text\n{shown}\n{fence}"


_MARKDOWN_ACTS = re.compile(
    r"""[`|\\&~$@#{}]        # code, table cells, entities, strike-through, maths, mentions
    |://|www\.               # addresses that some renderers link by themselves
    |:\w+:                   # emoji names
    |\b[0-9a-f]{7,}\b        # commit ids
    |^\d+[.)]                # list items
    |^\s|\s$                 # what a line's ends would lose
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _spelt(match: re.Match[str]) -> str:
    return "".join(map(_spell, match.group()))


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)


def _pieces(text: str, limit: int, lines: bool) -> Iterator[tuple[str, bool]]:
    """Cut the text into (piece, whether it is spelt out rather than shown as it is)."""
    kept = mend(text[:limit])
    unseen = _UNSEEN_IN_LINES if lines else _UNSEEN
    for index, piece in enumerate(unseen.split(kept)):
        if index % 2:
            yield "".join(map(_spell, piece)), True
        elif piece:
            yield from _without_floods(piece)
    if len(text) > limit:
        yield _more(text, limit), True


def _more(text: str, limit: int) -> str:
    return f"… {len(text) - limit:,} more characters"


def _spell(char: str) -> str:
    code = ord(char)
    if named := {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(char):
        return named
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _without_floods(text: str) -> Iterator[tuple[str, bool]]:
    """Cut out combining marks beyond `_MARKS_KEPT` in a row, saying how many there were."""
    if text.isascii():
        yield text, False
        return
    start, run = 0, 0
    for index, char in enumerate(text + " "):
        if unicodedata.category(char) in ("Mn", "Me"):
            run += 1
            continue
        if run > _MARKS_KEPT:
            yield text[start : index - run + _MARKS_KEPT], False
            yield f"(+{run - _MARKS_KEPT:,} combining marks)", True
            start = index
        run = 0
    if text[start:]:
        yield text[start:], False
