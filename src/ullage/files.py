"""Writing files so that they are whole or not there."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ullage.errors import InfrastructureError


def write_whole(path: Path, data: bytes) -> None:
    """Write `path` in one step: a reader sees the old file or the new one, never half of one.

    Raises:
        InfrastructureError: the folder is read-only, the disk is full, or the like; the old file,
            if there was one, is untouched.
    """
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise InfrastructureError(
            f"{path}: cannot be written ({error.strerror}); make room or check the folder's "
            "permissions, then run the same command again"
        ) from error
