"""The errors a person sees: one line that says what, where, what was found and what would do.

Every expected failure is an `UllageError`; the command line prints its message and exits with its
code. Anything else that escapes is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class UllageError(Exception):
    """An expected failure with an exit code of DESIGN §8.

    The message is one line: *where: what was found; what would do*.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(UllageError):
    """Bad usage or bad input (exit 2): the user can mend it."""

    exit_code = 2


class InfrastructureError(UllageError):
    """Something the audit depends on failed (exit 4): an endpoint, a disk, a lock, a budget."""

    exit_code = 4
