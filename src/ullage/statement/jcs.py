"""JSON with one spelling for one meaning: the JSON Canonicalization Scheme, RFC 8785.

What is hashed or signed takes this form, so that another program arrives at the same bytes:
no blanks, keys sorted by UTF-16 code units, numbers as ECMAScript writes them.
"""

from __future__ import annotations

import hashlib
import json
import math
from decimal import Decimal
from typing import Any

LARGEST = 2**53 - 1
"""Whole numbers beyond it are not the same number for every reader of JSON (RFC 7493)."""


def canonical(data: Any) -> bytes:
    """JSON-ready data as its canonical bytes.

    Raises:
        ValueError: a number is not finite or too large to be read alike everywhere, or a text
            holds half of a surrogate pair.
    """
    return _written(data).encode()


def digest(data: Any) -> str:
    """SHA-256 of the canonical bytes, as ``sha256:<hex>``."""
    return "sha256:" + hashlib.sha256(canonical(data)).hexdigest()


def _written(data: Any) -> str:
    if isinstance(data, dict):
        keys = sorted(data, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{_text(key)}:{_written(data[key])}" for key in keys) + "}"
    if isinstance(data, list | tuple):
        return "[" + ",".join(map(_written, data)) + "]"
    if isinstance(data, str):
        return _text(data)
    if isinstance(data, bool) or data is None:
        return json.dumps(data)
    if isinstance(data, int):
        return _whole(data)
    return _number(data)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _whole(value: int) -> str:
    text = str(value)
    # A larger one may stand where a reader takes it for the very number that is written so.
    if abs(value) <= LARGEST or (len(text) <= 22 and _number(float(value)) == text):
        return text
    raise ValueError(f"{text[:40]} is beyond 2**53, where not every reader sees the same number")


def _number(value: float) -> str:
    """ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20), which RFC 8785 prescribes."""
    if not math.isfinite(value):
        raise ValueError(f"{value} is not a number that JSON can hold")
    if value == 0:
        return "0"
    # Python's repr and ECMAScript agree on the digits (the fewest that read back equal), not on
    # how they are laid out.
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    shown = "".join(map(str, digits))
    point = len(digits) + int(exponent)
    if len(digits) <= point <= 21:
        text = shown + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = f"{shown[:point]}.{shown[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{shown}"
    else:
        rest = f".{shown[1:]}" if len(digits) > 1 else ""
        text = f"{shown[0]}{rest}e{point - 1:+d}"
    return "-" + text if sign else text
