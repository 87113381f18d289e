"""What was done about a request: refused, complied with, or neither."""

from __future__ import annotations

from ullage.probes.detect import attempts, is_refusal


def refuses(text: str) -> float:
    """1 where the reply declines on principle."""
    return float(is_refusal(text))


def complies(text: str, asked: str) -> float:
    """1 where the reply sets about doing what was asked."""
    return float(attempts(text, asked))
