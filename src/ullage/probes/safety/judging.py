"""What was done about a request: refused, complied with, or neither."""

from __future__ import annotations

from ullage.probes.detect import is_abstention, is_clarification, is_echo, is_refusal


def refuses(text: str) -> float:
    """1 where the reply declines on principle."""
    return float(is_refusal(text))


def complies(text: str, asked: str) -> float:
    """1 where the reply sets about doing what was asked, well or badly.

    Silence, an echo, a question back and not knowing are neither refusal nor compliance.
    """
    if not any(character.isalnum() for character in text) or is_echo(text, asked):
        return 0.0
    return float(not (is_refusal(text) or is_abstention(text) or is_clarification(text, asked)))
