"""The log: nothing that was seen is lost, and what was laid down does not change."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.trials import act, holding, lines_of, log_of, send, write_trial
from ullage.errors import UllageError
from ullage.trial.log import Answered, Asked, Begun, Joined, Log, read_log

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)
PROTOCOL = {"seed": 1, "margins": {"reached": 0.1, "help": 0.2}}


def begun(path: Path) -> Log:
    log = Log(path, PROTOCOL, NOW)
    log.append(Joined(at=NOW, person=1, name="ann"))
    log.append(Begun(at=NOW, person=1, task="t", family="f", arm="student"))
    log.append(Asked(at=NOW, person=1, task="t", text="Where?\n\u2028\r"))
    return log


def test_what_is_read_again_is_what_was(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = begun(path)
    assert read_log(path) == log.state
    assert log.state.of(1, "t").open
    log.append(Answered(at=NOW, person=1, task="t", text="There.", seconds=0.5))
    log.close()
    again = Log(path, PROTOCOL, NOW)
    assert again.state == log.state and not again.state.of(1, "t").open
    again.close()


def test_cut_anywhere_it_holds_every_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    begun(path).close()
    whole = path.read_bytes()
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        log = Log(path, PROTOCOL, NOW)
        kept = whole[: whole[:end].rfind(b"\n") + 1]
        assert path.read_bytes().startswith(kept)
        log.append(Joined(at=NOW, person=2, name="bob"))
        assert read_log(path) == log.state and log.state.people["bob"] == 2
        log.close()


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"\xff",
        b'{"kind":"joined"}',
        b'{"kind":"opened","at":"2027-01-31T12:00:00Z","protocol":{}}',
        b'{"kind":"answered","at":"2027-01-31T12:00:00Z","person":9,"task":"t","text":"","seconds":1}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log.jsonl"
    begun(path).close()
    with path.open("ab") as file:
        file.write(line + b"\n")
    for reader in (read_log, lambda at: Log(at, PROTOCOL, NOW)):
        with pytest.raises(UllageError, match=r"log\.jsonl:5: the line is damaged"):
            reader(path)


def test_what_was_laid_down_does_not_change(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    begun(path).close()
    changed = PROTOCOL | {"margins": {"reached": 0.3, "help": 0.2}}
    with pytest.raises(UllageError, match="began with another margins"):
        Log(path, changed, NOW)


def test_a_full_disk_leaves_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    log = begun(path)
    before, state = path.read_bytes(), read_log(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
    try:
        with pytest.raises(UllageError, match="cannot be written"):
            log.append(Joined(at=NOW, person=2, name="b" * 60))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_bytes() == before and log.state == state
    log.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_trial_goes_on_after_the_server_was_stopped(tmp_path: Path, how: signal.Signals) -> None:
    file = write_trial(tmp_path)
    command = [sys.executable, "-m", "ullage.cli", "serve", str(tmp_path / "runs"), "--port", "0"]
    with subprocess.Popen(
        [*command, "--trial", str(file)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        address = ""
        while "token" not in address:
            address = process.stdout.readline()
            assert address, "it ended before it told its address"
        found = re.search(r"http://([^/]+)/trial\?token=(\S+)", address)
        assert found is not None
        cookie = _work_by_hand(*found.groups())
        assert cookie
        process.send_signal(how)
        assert process.wait() != 0
    with holding(file) as served:
        assert send(served, "/trial", name="ann").headers["location"] == "/trial/1"
        page = served.ask("/trial/1").text
        assert "Where is it?" in page and "It is in the drawer." in page
        act(served, 1, "end", outcome="yes", own="0")
    assert [line["turns"] for line in lines_of(file, "ended")] == [1]
    assert len(log_of(file).read_bytes().splitlines()) == 6


def _work_by_hand(host: str, token: str) -> str:
    """Join and say something, as a browser does; returns the cookie."""
    import http.client
    from urllib.parse import urlencode

    connection = http.client.HTTPConnection(host, timeout=60)
    connection.request("GET", f"/trial?token={token}")
    answer = connection.getresponse()
    answer.read()
    cookie = answer.headers["set-cookie"].partition(";")[0]
    connection.request("GET", "/trial", headers={"Cookie": cookie})
    page = connection.getresponse().read().decode()
    csrf = re.findall(r'name="csrf" value="(\w+)"', page)[0]
    headers = {
        "Cookie": cookie,
        "Origin": f"http://{host}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    for path, form in (
        ("/trial", {"name": "ann"}),
        ("/trial/1", {"do": "say", "place": "1", "turn": "0", "text": "Where is it?"}),
    ):
        connection.request("POST", path, urlencode({"csrf": csrf, **form}), headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 303
    connection.close()
    return cookie
