"""Done-when 2: kill -9 at random moments, resume, and nothing answered is asked again.

The audit that is killed runs as a process of its own against a counting loopback server; the
statement of every killed and resumed run equals the uninterrupted one byte for byte.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support.server import LoopbackServer
from ullage.audit import run_audit, set_up
from ullage.config import load

KILLS = 20
CONCURRENCY = 4

CONFIG = """
name: killed
scenario: scenario.yaml
arms:
  teacher: {{model: "openai:teacher", openai: {{base_url: "{url}", max_concurrency: {c}}}}}
  student: {{model: "openai:student", openai: {{base_url: "{url}", max_concurrency: {c}}}}}
  base: {{model: "openai:base", openai: {{base_url: "{url}", max_concurrency: {c}}}}}
tasks:
  - {{name: words, file: items.jsonl, rule: {{kind: contains}}}}
planning: {{items: 30}}
runs: {runs}
"""
SCENARIO = """
name: killed
title: Killed
use: Showing that a killed audit loses nothing.
targets:
  - {probe: words, metric: score, margin: 0.05, severity: must, reason: A reply is paid for once.}
  - {probe: clarification, metric: contrast, margin: 0.1, reason: It takes several turns a time.}
"""


def write_inputs(folder: Path) -> None:
    rows = [
        {"id": f"q{n}", "messages": [{"role": "user", "content": f"q{n}?"}], "reference": "amber"}
        for n in range(30)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scenario.yaml").write_text(SCENARIO)


def start(folder: Path, url: str, runs: str) -> subprocess.Popen[bytes]:
    config = folder / f"{runs}.yaml"
    config.write_text(CONFIG.format(url=url, runs=runs, c=CONCURRENCY))
    return subprocess.Popen(
        [sys.executable, "-m", "ullage.cli", "audit", str(config), "--json"],
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"{runs}.log").open("ab"),
    )


def finish(process: subprocess.Popen[bytes], folder: Path, runs: str) -> bytes:
    code = process.wait(120)
    assert code in (0, 1, 3), (folder / f"{runs}.log").read_text()[-2000:]
    return (folder / runs / "killed" / "statement.json").read_bytes()


def questions_on_disk(journal: Path) -> Counter[str]:
    """What whole records of the journal asked, as (model identity, conversation, replicate)."""
    found: Counter[str] = Counter()
    if journal.exists():
        for line in journal.read_bytes().split(b"\n")[:-1]:
            record = json.loads(line)
            request = record["request"]
            found[json.dumps([request["messages"], request["replicate"] > 0])] += 1
    return found


def test_killed_twenty_times_and_resumed(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    chance = random.Random(20261122)
    with LoopbackServer(latency=0.004, models=None) as server:
        whole = finish(start(tmp_path, server.url, "whole"), tmp_path, "whole")
        once = server.stats()
        assert once["answered_twice"] == [], "teacher_again must be told apart by its seed"
        asked_once = once["answered"]

        hit_while_asking = 0
        for number in range(KILLS):
            runs = f"run{number}"
            before = server.stats()["answered"]
            process = start(tmp_path, server.url, runs)
            # Three in four while it asks, one in four while it scores, judges and writes.
            until = chance.randrange(asked_once) if number % 4 else asked_once
            while server.stats()["answered"] - before < until:
                assert process.poll() is None
                time.sleep(0.01)
            time.sleep(chance.uniform(0.0, 0.02 if number % 4 else 1.0))
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(0.05)
            on_disk = sum(questions_on_disk(tmp_path / runs / "killed" / "replies.jsonl").values())
            answered = server.stats()["answered"] - before
            hit_while_asking += 0 < on_disk < asked_once
            # What was answered and not on disk was on the wire, or in the one batch being written.
            assert answered - on_disk <= CONCURRENCY

            # In this process: that a second one can go on is what the chain of kills shows.
            asyncio.run(run_audit(set_up(load(tmp_path / f"{runs}.yaml"))))
            resumed = (tmp_path / runs / "killed" / "statement.json").read_bytes()
            again = server.stats()["answered"] - before - answered
            assert again == asked_once - on_disk, "a journaled reply was asked for again"
            assert resumed == whole
        assert hit_while_asking >= KILLS // 2, "most kills missed the asking"


def test_a_chain_of_kills_makes_progress_and_ends_the_same(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    chance = random.Random(7)
    with LoopbackServer(latency=0.004, models=None) as server:
        whole = finish(start(tmp_path, server.url, "whole"), tmp_path, "whole")
        for _ in range(5):
            process = start(tmp_path, server.url, "chain")
            time.sleep(chance.uniform(0.8, 1.8))
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert finish(start(tmp_path, server.url, "chain"), tmp_path, "chain") == whole


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    with LoopbackServer(latency=0.05, models=None) as server:
        process = start(tmp_path, server.url, "stopped")
        journal = tmp_path / "stopped" / "killed" / "replies.jsonl"
        while not (journal.exists() and journal.stat().st_size > 2000):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        said = (tmp_path / "stopped.log").read_text().splitlines()[-1]
        assert said == (
            "ullage: stopped; nothing answered is lost, run the same command again to go on"
        )
        assert "Traceback" not in (tmp_path / "stopped.log").read_text()
        kept = sum(questions_on_disk(journal).values())
        answered = server.stats()["answered"]
        finish(start(tmp_path, server.url, "stopped"), tmp_path, "stopped")
        assert server.stats()["answered"] - answered > 0
        assert kept >= answered - CONCURRENCY


def test_two_audits_cannot_share_a_run_folder(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    with LoopbackServer(latency=0.2, models=None) as server:
        first = start(tmp_path, server.url, "shared")
        while not (tmp_path / "shared" / "killed" / "replies.jsonl").exists():
            assert first.poll() is None
            time.sleep(0.02)
        second = start(tmp_path, server.url, "shared")
        assert second.wait(30) == 2
        assert "another ullage is at work" in (tmp_path / "shared.log").read_text()
        first.kill()
        first.wait()


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert os.environ["OMP_NUM_THREADS"] == "1"
