"""What a published file says of where a model or a file lies."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

_REFERENCE = re.compile(r"((?:hf|recorded):)?(.*)", re.DOTALL)


def told(place: str) -> str:
    """A path or model reference as it was written, of an absolute path the last part alone.

    The folders above it are those of one machine, and often name a person. What lies there is told
    by its hash, which stands beside it.

    Args:
        place: a path, a hub id, or either after ``hf:`` or ``recorded:``.
    """
    match = _REFERENCE.fullmatch(place)
    assert match is not None  # noqa: S101 - it matches every text
    scheme, path = match[1] or "", match[2]
    kinds = (PurePosixPath(path), PureWindowsPath(path))
    if path.startswith("~") or any(kind.is_absolute() for kind in kinds):
        path = PureWindowsPath(path).name  # which parts at either slash
    return scheme + path
