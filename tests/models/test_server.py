"""The loopback server counts right: other tests and benches rely on it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.support.server import Fault, LoopbackServer

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


CLIENT = httpx.Client(verify=False)  # Certificates take 0.1 s to load, and none are needed.


def post(server: LoopbackServer, body: object = BODY, timeout: float = 5.0) -> httpx.Response:
    return CLIENT.post(f"{server.url}/chat/completions", json=body, timeout=timeout)


def test_answers_are_counted_by_request_and_repeats_are_seen() -> None:
    with LoopbackServer() as server:
        first = post(server).json()
        assert server.stats()["answered_twice"] == []
        assert post(server, dict(reversed(BODY.items()))).json() == first
        post(server, {**BODY, "seed": 1})
        stats = server.stats()
        assert CLIENT.get(server.url.removesuffix("/v1") + "/stats").json()["answered"] == 3
    assert (stats["received"], stats["answered"], stats["answered_distinct"]) == (3, 3, 2)
    assert len(stats["answered_twice"]) == 1
    assert all(entry["started"] <= entry["ended"] for entry in stats["requests"])


def test_an_answer_nobody_waited_for_is_not_counted() -> None:
    with LoopbackServer(latency=0.3) as server:
        with pytest.raises(httpx.ReadTimeout):
            post(server, timeout=0.05)
        until = time.monotonic() + 5
        while server.stats()["in_flight"] and time.monotonic() < until:
            time.sleep(0.01)
        stats = server.stats()
    assert (stats["received"], stats["answered"]) == (1, 0)


def test_faults_by_content_by_share_by_schedule_and_by_count() -> None:
    bodies = [{**BODY, "n": number} for number in range(200)]
    with LoopbackServer(faults=[Fault("http_500", share=0.25, seed=3)]) as server:
        first = [post(server, body).status_code for body in bodies]
        assert [post(server, body).status_code for body in bodies] == first
    assert 30 <= first.count(500) <= 70  # 50 expected, 3 standard deviations are 18
    with LoopbackServer(faults=[Fault("http_503", arrivals=(1, 2))]) as server:
        assert [post(server).status_code for _ in range(4)] == [200, 503, 503, 200]
    with LoopbackServer(faults=[Fault("http_500", contains='"n":7', times=2)]) as server:
        assert [post(server, {**BODY, "n": 7}).status_code for _ in range(3)] == [500, 500, 200]
        assert post(server, {**BODY, "n": 8}).status_code == 200


def test_it_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    faults, log = tmp_path / "faults.json", tmp_path / "log.jsonl"
    faults.write_text(json.dumps([{"kind": "http_429", "retry_after": 1, "times": 1}]))
    command = [sys.executable, "-m", "tests.support.server", "--faults", str(faults)]
    with subprocess.Popen(
        [*command, "--log", str(log), "--responder", "tests.support.server:hashed_words"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    ) as process:
        try:
            assert process.stdout is not None
            url = json.loads(process.stdout.readline())["url"]
            refused = CLIENT.post(f"{url}/chat/completions", json=BODY)
            answered = CLIENT.post(f"{url}/chat/completions", json=BODY)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert answered.status_code == 200
            stats = CLIENT.get(url.removesuffix("/v1") + "/stats").json()
        finally:
            process.kill()
    assert stats["by_fault"] == {"http_429": 1}
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["answered"] for entry in entries] == [False, True]
    assert entries == stats["requests"]
