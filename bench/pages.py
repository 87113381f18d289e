"""How long `ullage serve` takes over a page of 100,000 items: filtered, searched, and turned to.

``python bench/pages.py [--items N]``. Real pages from a real server on loopback; a time is the
whole round trip, the median of nine, and beside it what of that the processor worked (browser's end
and server's together: where others use the machine as well, the rest is waiting for them), and the
same of a page that reads one small file.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from urllib.parse import quote

import httpx
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import statements
from tests.support.pages import CONFIG, LOST, POLICY, Served, serving
from tests.support.signed import write_key

from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.serve.index import Ranked, Show, Writer
from ullage.statement.document import Turn

WORDS = ("train", "hotel", "invoice", "order", "refund", "parcel", "platform", "ticket", "voucher")
ROUNDS = 9


def fill(served: Served, count: int) -> float:
    """Write an index of so many items where the server looks for it; returns seconds."""
    run = served.site.runs.every()[0]
    plan = run.plan()
    if plan is None:
        raise RuntimeError("the run has no plan")
    generator = np.random.default_rng(7)
    picks = generator.integers(0, len(WORDS), (count, 30))
    families = [f"family-{n % 400:03d}" for n in range(count)]
    began = time.perf_counter()
    with Writer(served.site.indexes.path_of(run, plan)) as writer:
        for n in range(count):
            said = " ".join(WORDS[word] for word in picks[n])
            prompt = (Turn(role="user", content=f"{said} number {n}"),)
            writer.add(
                n, "clarification", statements.example(f"i/{n}", family=families[n], prompt=prompt)
            )
        teacher, student = (generator.integers(0, 2, count).astype(float) for _ in range(2))
        writer.rank(Ranked(LOST, np.arange(count), families, teacher, student, teacher - student))
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    count = parser.parse_args().items
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ullage.yaml").write_text(CONFIG.format(name="scrubbed", clarify=0.1))
        asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
        write_key(folder)
        (folder / "gate.yaml").write_text(POLICY)
        with serving(folder, folder / "cache") as served:
            print(f"index of {count:,} items written in {fill(served, count):.1f} s")
            report(served, count)


def report(served: Served, count: int) -> None:
    """Print a line for each kind of page."""
    last = (count // 2 - 1) // 50
    asked: dict[str, dict[str, object]] = {
        "first page of losses": {"show": Show.LOST},
        "page far back": {"show": Show.EVERY, "page": last},
        "one family": {"show": Show.LOST, "family": "family-123"},
        "a word in every item": {"show": Show.LOST, "q": "number"},
        "two words": {"show": Show.EVERY, "q": "voucher parcel"},
        "a word, far back": {"show": Show.EVERY, "q": "number", "page": last},
        "a word, a family": {"show": Show.LOST, "q": "refund", "family": "family-001"},
        "one item in one": {"show": Show.EVERY, "q": "99"},
    }
    run = served.run("scrubbed")
    with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", timeout=60) as client:
        client.get(f"/?token={served.site.access.token}")
        plain = timed(client, f"{run}/accept?target={LOST}")
        print(f"{'a page of one target':<24} {plain[0]:7.1f} ms {plain[1]:7.1f} ms worked")
        for name, query in asked.items():
            told = "&".join(f"{key}={quote(str(value))}" for key, value in query.items())
            took, worked = timed(client, f"{run}/items?target={LOST}&{told}")
            times = f"{worked / plain[1]:5.1f} times that"
            print(f"{name:<24} {took:7.1f} ms {worked:7.1f} ms worked {times}")


def timed(client: httpx.Client, path: str) -> tuple[float, float]:
    """Milliseconds that passed and milliseconds of work, the medians of some rounds."""
    taken, worked = [], []
    for _ in range(ROUNDS):
        began, work = time.perf_counter(), time.process_time()
        response = client.get(path)
        taken.append(1e3 * (time.perf_counter() - began))
        worked.append(1e3 * (time.process_time() - work))
        if response.status_code != 200:
            raise RuntimeError(f"{path}: {response.status_code}")
    return median(taken), median(worked)


if __name__ == "__main__":
    main()
