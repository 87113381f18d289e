"""What JSON that anybody may have made would cost to read, told before it is read."""

from __future__ import annotations

MOST_VALUES = 4_000_000
"""In one document; a value costs Python some 60 bytes even where it costs the file two."""


def too_wide(data: bytes) -> bool:
    """Whether a JSON document may hold more values than any of ours, or any log, does."""
    return data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_VALUES
