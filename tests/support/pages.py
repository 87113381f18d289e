"""Real pages: a folder of runs that were audited, and a real server of them on loopback."""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from tests.support import statements
from tests.support.signed import write_key, write_statement
from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.distill.history import FILE as HISTORY
from ullage.distill.history import Line
from ullage.serve.indexing import Indexes
from ullage.serve.server import listen, make_access, make_server, make_site
from ullage.serve.site import Site

CONFIG = """
name: {name}
scenario: support-assistant
arms:
  teacher:
    model: "simulated:t"
    simulated: {{seed: 1, default: {{accuracy: 0.95, noise: 0.02}}}}
  student:
    model: "simulated:s{name}"
    simulated: {{seed: 2, default: {{accuracy: 0.95, noise: 0.02, clarify: {clarify}}}}}
  base: {{model: "simulated:b", simulated: {{seed: 3, default: {{accuracy: 0.2, clarify: 0.1}}}}}}
planning: {{items: 80}}
"""
POLICY = """
must: {lost: consent, degraded: consent, inconclusive: pass, unmeasured: pass}
should: {lost: consent}
acceptors: [{key: ada.key.pub}]
"""
LOST = "clarification.contrast"
"""Lost by the student of the run `scrubbed`."""


def make_world(folder: Path) -> None:
    """Two audited runs, one half done, two trainings, a hostile statement, a key and a policy."""
    for name, clarify in (("scrubbed", 0.1), ("whole", 0.98)):
        config = folder / "ullage.yaml"
        config.write_text(CONFIG.format(name=name, clarify=clarify))
        asyncio.run(run_audit(set_up(load(config))))
    runs = folder / "runs"
    half = runs / "half"
    half.mkdir()
    for name in ("plan.json", "config.yaml"):
        shutil.copy(runs / "scrubbed" / name, half)
    journal = (runs / "scrubbed" / "replies.jsonl").read_bytes()
    (half / "replies.jsonl").write_bytes(journal[: len(journal) // 2])
    write_training(runs / "student.work", 120, 400)
    write_training(runs / "tutor", 60, 60)
    write_statement(runs / "hostile", statements.hostile())
    write_statement(runs / "every", statements.every_verdict())
    write_statement(runs / "reach", statements.reaching(statements.REACH))
    write_key(folder)
    (folder / "gate.yaml").write_text(POLICY)


def write_training(
    folder: Path, steps: int, total: int, *, every: int = 10, at: float | None = None
) -> None:
    """What a training says of itself that came so far, as `ullage distill` leaves it.

    Args:
        folder: of the student, with ``.work`` until it is made.
        steps: that were made.
        total: that are planned.
        every: so many steps the held-out rows are measured.
        at: when the last line was written; left out, now.
    """
    folder.mkdir(parents=True)
    held_out = {step: _loss(step, 0.1) for step in range(0, steps + 1, every)}
    said = [Line(at=0, stage="base", done=40, total=40, held_out=_loss(0, 0.1))]
    said += [
        Line(
            at=0, stage="train", done=step, total=total, held_out=held_out.get(step, {}),
            loss=_loss(step)["loss"], terms={"forward_kl": _loss(step)["forward_kl"]},
            tokens_per_second=1234.5, seconds_left=0.5 * (total - step),
        )
        for step in range(1, steps + 1)
    ]  # fmt: skip
    now = time.time() if at is None else at
    written = [one.model_copy(update={"at": now}).model_dump_json() for one in said]
    (folder / HISTORY).write_text("".join(f"{line}\n" for line in written))


def _loss(step: int, more: float = 0.0) -> dict[str, float]:
    loss = 0.4 + 3.0 / (1.0 + step / 12) + 0.12 * ((7 * step) % 5 - 2) * (more == 0) + more
    return {"loss": loss, "forward_kl": 0.9 * loss}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass(frozen=True)
class Served:
    """A server that runs."""

    site: Site
    port: int

    @property
    def address(self) -> str:
        """With the token."""
        return f"http://127.0.0.1:{self.port}/?token={self.site.access.token}"

    @property
    def cookie(self) -> str:
        """That opens it."""
        return f"{self.site.access.cookie_name}={self.site.access.session}"

    def run(self, name: str) -> str:
        """The address of a run."""
        found = next(run for run in self.site.runs.every() if run.folder.path.name == name)
        return f"/runs/{found.id}"

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """One request exactly as given: no path is tidied. A header that is None is left out."""
        sent: dict[str, str | None] = {
            "Host": f"127.0.0.1:{self.port}",
            "Cookie": self.cookie,
            "Connection": "close",
        }
        body = None
        if form is not None:
            method, body = "POST", urlencode(form).encode()
            sent |= {
                "Origin": f"http://127.0.0.1:{self.port}",
                "Content-Type": "application/x-www-form-urlencoded",
                "Content-Length": str(len(body)),
            }
        sent |= headers or {}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        text = response.read().decode("utf-8", "replace")
        connection.close()
        return Answer(response.status, found, text)

    def acceptance(self, **changes: str) -> dict[str, str]:
        """A form that would be let pass."""
        return {
            "csrf": self.site.access.csrf,
            "target": LOST,
            "by": "Ada Lovelace",
            "role": "product owner",
            "because": "One question in two hundred.",
            "mitigation": "The router sends them to the teacher.",
            "until": "2999-12-31",
        } | changes


@contextmanager
def serving(folder: Path, cache: Path, *, key: bool = True) -> Iterator[Served]:
    """Pages over ``folder/runs``, signed with ``folder/ada.key``."""
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    site = make_site(
        folder / "runs",
        make_access("127.0.0.1", port, env={}),
        policy=folder / "gate.yaml",
        key=str(folder / "ada.key") if key else None,
    )
    site = dataclasses.replace(site, indexes=Indexes(cache=cache))
    server = make_server(site)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Served(site, port)
    finally:
        server.should_exit = True
        thread.join()
