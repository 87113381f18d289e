"""Several distillations at once, each in a process and on threads of its own.

Small students do not keep several cores busy: what one waits for is too short to be shared out.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import Empty
from typing import Any

from ullage.config import load
from ullage.distill.result import Progress, Stopped
from ullage.distill.run import run_distill
from ullage.errors import UllageError

_LOOK_SECONDS = 0.5
"""How often to see whether a process has died without a word."""


def run_beside(configs: Mapping[str, Path], report: Callable[[str, Progress], None]) -> None:
    """`run_distill` of every configuration, all at once; those that are made already cost nothing.

    Args:
        configs: name to configuration file.
        report: told of every step, with the name.

    Raises:
        UllageError: what the first to fail says; the others are stopped and keep what they have.
        Stopped: Ctrl-C; everything done is kept.
    """
    context = multiprocessing.get_context("spawn")
    said = context.Queue()
    threads = max(1, _cores() // len(configs))
    processes = {
        name: context.Process(target=_distil, args=(name, path, threads, said), daemon=True)
        for name, path in configs.items()
    }
    try:
        for process in processes.values():
            process.start()
        _listen(said, processes, report)
    except BaseException as error:
        for process in processes.values():
            if process.is_alive():
                process.terminate()
        if isinstance(error, KeyboardInterrupt):
            raise Stopped("stopped; what is done is kept, the same command goes on") from None
        raise
    finally:
        for process in processes.values():
            if process.pid is not None:
                process.join()


def _listen(
    said: Any, processes: Mapping[str, SpawnProcess], report: Callable[[str, Progress], None]
) -> None:
    """Until all have said that they are done."""
    going = set(processes)
    while going:
        try:
            name, event = said.get(timeout=_LOOK_SECONDS)
        except Empty:
            dead = next((name for name in going if not processes[name].is_alive()), None)
            if dead is not None and said.empty():
                code = processes[dead].exitcode
                raise RuntimeError(f"{dead}: its process ended with {code}") from None
            continue
        if isinstance(event, Exception):
            raise event
        if event is None:
            going.discard(name)
        else:
            report(name, event)


def _distil(name: str, path: Path, threads: int, said: Any) -> None:
    """What a process does: `run_distill`, telling the one that started it."""
    # In a group of its own, so that Ctrl-C reaches the parent alone, which asks to stop but once.
    if hasattr(os, "setsid"):
        os.setsid()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Read when torch is loaded.
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    parent = multiprocessing.parent_process()

    def report(progress: Progress) -> None:
        if parent is not None and not parent.is_alive():
            raise KeyboardInterrupt
        said.put((name, progress))

    try:
        loaded = load(path)
        run_distill(loaded.config, loaded.root, progress=report)
        said.put((name, None))
    except UllageError as error:
        said.put((name, error))
    except KeyboardInterrupt:
        said.put((name, Stopped(f"{name}: stopped")))


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
