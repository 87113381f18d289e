"""Keys: read from the environment, shown nowhere.

A key that was read is known to `redact` from then on, so that text from outside (a reply, an error
body, a library's debug log) which happens to repeat it can be cleaned before it is kept.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from urllib.parse import quote

from ullage.errors import InputError

REDACTED = "[redacted]"

_SHORTEST = 8
"""Shorter values ("EMPTY", "none": what local servers are given) guard nothing, and cutting them
out of replies would change what is judged."""

_HTTP_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
)

_known: dict[str, None] = {}
"""Every spelling of every key read so far; a dict keeps the order, longest first."""


class Secret:
    """A value that prints as ``[redacted]`` and cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    def __reduce__(self) -> str:
        raise TypeError("a secret is not written anywhere")


def read_secret(variable: str, *, where: str) -> Secret:
    """The key that an environment variable holds.

    Args:
        variable: its name.
        where: what asks for it, to begin the error with.

    Raises:
        InputError: the variable is not set, is empty, or holds what no header can carry.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        raise InputError(
            f"{where}: environment variable {variable} is not set; set it to the endpoint's key"
        )
    if not re.fullmatch(r"[\x21-\x7e]+", value):
        raise InputError(
            f"{where}: environment variable {variable} holds characters that no HTTP header can "
            "carry; set it to the key alone"
        )
    _remember(value)
    return Secret(value)


def redact(text: str) -> str:
    """The text with every known key replaced by ``[redacted]``."""
    for spelling in _known:
        if spelling in text:
            text = text.replace(spelling, REDACTED)
    return text


def redact_pieces(pieces: Sequence[str]) -> list[str]:
    """Tokens with every one that a known key touches replaced, also where it spans several."""
    joined = "".join(pieces)
    spans = [
        match.span() for key in _known for match in re.finditer(re.escape(key), joined) if joined
    ]
    if not spans:
        return list(pieces)
    cleaned, start = [], 0
    for piece in pieces:
        end = start + len(piece)
        touched = any(start < last and first < end for first, last in spans)
        cleaned.append(REDACTED if touched else piece)
        start = end
    return cleaned


def _remember(value: str) -> None:
    if len(value) < _SHORTEST:
        return
    escaped = value.replace("\\", "\\\\")  # As in a repr, which may escape quotes as well.
    spellings = {value, json.dumps(value)[1:-1], quote(value, safe="")}
    spellings |= {escaped, escaped.replace("'", "\\'")}
    everything = sorted({*_known, *spellings}, key=len, reverse=True)
    _known.clear()
    _known.update(dict.fromkeys(everything))
    for name in _HTTP_LOGGERS:
        # A filter added twice is kept once. Debug logs of these show response headers, in which a
        # server may repeat what it was sent.
        logging.getLogger(name).addFilter(_filter)


class _RedactingFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        cleaned = redact(message)
        if cleaned != message:
            record.msg, record.args = cleaned, ()
        return True


_filter = _RedactingFilter()
