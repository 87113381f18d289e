"""Stopping cleanly: Ctrl-C is a wish, which the end of a step grants."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stop:
    """A wish to stop, asked for by Ctrl-C or a terminating signal."""

    wanted = False


@contextmanager
def stop_on_signal() -> Iterator[Stop]:
    """Turn the first SIGINT or SIGTERM into a wish, so that a step ends and is saved.

    A second one does what it always did. Outside the main thread signals are left alone.
    """
    stop = Stop()
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(_number: int, _frame: FrameType | None) -> None:
        stop.wanted = True
        restore()

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    except ValueError:
        previous.clear()
    try:
        yield stop
    finally:
        restore()
