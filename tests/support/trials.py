"""A real trial: its files, and a real server that holds it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from tests.support.pages import Answer, Served
from ullage.config.trial import load_trial
from ullage.serve.server import listen, make_access, make_server, make_site
from ullage.serve.site import Site
from ullage.trial.room import LOG, opened

TRIAL = """
tasks: tasks.jsonl
margins: {reached: 0.15, help: 0.2}
reason: A clerk who is left alone calls a colleague.
seed: 7
turns: 3
"""
_ARM = """
    model: "simulated:{name}"
    simulated: {{default: {{accuracy: 1.0, over_abstain: 0, over_clarify: 0, over_refuse: 0}}}}"""
CONFIG = """
name: desk
scenario: support-assistant
arms:
  teacher: {teacher}
  student: {student}
"""
NAMES = ("BIGMODEL", "tinypupil")
"""Of the arms; no page may show them."""
ARMS = tuple(_ARM.format(name=name) for name in NAMES)


def write_trial(
    folder: Path,
    answer: str = "It is in the drawer.",
    *,
    tasks: int = 2,
    families: int = 2,
    **arms: str,
) -> Path:
    """The files of a trial whose arms both always say `answer`; returns its own."""
    (folder / "runs").mkdir()
    given = {"teacher": ARMS[0], "student": ARMS[1]} | arms
    (folder / "ullage.yaml").write_text(CONFIG.format(**given))
    lines: list[dict[str, Any]] = [
        {"id": f"t{n}", "family": f"f{n % families}", "text": f"Find thing {n}.", "answer": answer}
        for n in range(tasks)
    ]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "trial.yaml").write_text(TRIAL)
    return folder / "trial.yaml"


def log_of(file: Path) -> Path:
    """Where the trial of that file is logged."""
    return load_trial(file).folder / LOG


def lines_of(file: Path, kind: str) -> list[dict[str, Any]]:
    """What was logged of one kind."""
    lines = [json.loads(line) for line in log_of(file).read_bytes().splitlines()]
    return [line for line in lines if line["kind"] == kind]


@contextmanager
def holding(file: Path) -> Iterator[Served]:
    """A server that holds the trial of that file."""
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    site = make_site(file.parent / "runs", make_access("127.0.0.1", port, env={}))
    running: list[tuple[Site, uvicorn.Server]] = []

    async def hold() -> None:
        async with opened(load_trial(file)) as room:
            held = dataclasses.replace(site, room=room)
            running.append((held, make_server(held)))
            await running[0][1].serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(hold()), daemon=True)
    thread.start()
    while thread.is_alive() and not (running and running[0][1].started):
        time.sleep(0.01)
    try:
        yield Served(running[0][0], port)
    finally:
        running[0][1].should_exit = True
        thread.join()


def send(served: Served, path: str, **form: str) -> Answer:
    """One of our own forms."""
    return served.ask(path, form={"csrf": served.site.access.csrf, **form})


def act(served: Served, person: int, do: str, **form: str) -> Answer:
    """A form of a person's page as it is now, sent."""
    page = served.ask(f"/trial/{person}").text
    fields = {name: re.findall(rf'name="{name}" value="(\d+)"', page) for name in ("place", "turn")}
    sent = {name: found[0] if found else "0" for name, found in fields.items()}
    return send(served, f"/trial/{person}", do=do, **(sent | form))
