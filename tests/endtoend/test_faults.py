"""Done-when 3, 4 and 10: a misbehaving endpoint, two models behind one name, and keys.

Whole audits against a real loopback server.
"""

import asyncio
import json
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.command import Ullage
from tests.support.misbehaviour import Fault
from tests.support.server import LoopbackServer
from ullage.audit import run_audit, set_up
from ullage.config import load
from ullage.statement.document import Statement, Verdict

KEY = "sk-test-6f1c0a7e5b9d48e2"
OPTIONS = (
    "base_url: '{url}', api_key_env: ULLAGE_TEST_KEY, max_attempts: 3, timeout_s: 0.6, "
    "max_concurrency: 8"
)
SCENARIO = """
name: faults
title: Faults
use: Showing that trouble is never a score.
targets:
  - {probe: words, metric: score, margin: 0.05, severity: must, reason: A reply is not a guess.}
"""
ITEMS = 120


def write_audit(folder: Path, url: str, extra: str = "") -> Path:
    rows = [
        {"id": f"q{n}", "messages": [{"role": "user", "content": f"q{n}?"}], "reference": "amber"}
        for n in range(ITEMS)
    ]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "scenario.yaml").write_text(SCENARIO)
    options = OPTIONS.format(url=url)
    (folder / "ullage.yaml").write_text(
        f"""
name: faults
scenario: scenario.yaml
arms:
  teacher: {{model: "openai:teacher", openai: {{{options}}}}}
  student: {{model: "openai:student", openai: {{{options}}}}}
  teacher_again: {{enabled: false}}
tasks: [{{name: words, file: items.jsonl, rule: {{kind: contains}}}}]
planning: {{items: {ITEMS}}}
{extra}
"""
    )
    return folder / "ullage.yaml"


def amber(body: dict[str, object]) -> str:
    return "amber, plainly"


def run(config: Path) -> Statement:
    return asyncio.run(run_audit(set_up(load(config))))


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ULLAGE_TEST_KEY", KEY)


TRANSIENT = [
    Fault("http_429", times=1, share=0.2, seed=1, retry_after=0.05),
    Fault("http_500", times=1, share=0.2, seed=2),
    Fault("hang", times=1, share=0.03, seed=3),
    Fault("cut_json", times=1, share=0.1, seed=4),
    Fault("empty_choices", times=1, share=0.1, seed=5),
    Fault("content_number", times=1, share=0.1, seed=6),
    Fault("choices_dict", times=1, share=0.1, seed=7),
]


def test_transient_trouble_changes_nothing(tmp_path: Path) -> None:
    with LoopbackServer(responder=amber, faults=TRANSIENT, key=KEY) as server:
        config = write_audit(tmp_path, server.url)
        # An unlucky request suffers every kind in turn.
        config.write_text(config.read_text().replace("max_attempts: 3", "max_attempts: 9"))
        statement = run(config)
        stats = server.stats()
    assert sum(stats["by_fault"].values()) > 60, "hardly anything went wrong"
    assert stats["answered"] == 2 * ITEMS
    assert statement.findings[0].verdict is Verdict.PRESERVED
    assert statement.exit_code == 0
    assert statement.probes["words"].errors == {"teacher": 0, "student": 0}


KINDS = ["http_500", "cut_json", "empty_choices", "content_number", "choices_dict", "content_null"]


def test_permanent_trouble_is_an_error_and_never_a_score(tmp_path: Path) -> None:
    """Two items a fault kind fail for good: within a generous budget the rest is judged."""
    faults = [Fault(kind, contains=f'"q{n}?"') for n, kind in enumerate(KINDS)]
    with LoopbackServer(responder=amber, faults=faults, key=KEY) as server:
        statement = run(write_audit(tmp_path, server.url, "budget: {errors: 0.1}"))
    finding = statement.findings[0]
    assert statement.probes["words"].errors == {"teacher": len(KINDS), "student": len(KINDS)}
    assert finding.loss is not None
    assert finding.loss.items == ITEMS - len(KINDS)
    assert finding.values["student"].value == 1.0, "an error was scored as a wrong answer"
    assert finding.verdict is Verdict.PRESERVED
    table = pq.read_table(tmp_path / "runs" / "faults" / "scores.parquet").to_pylist()
    failed = {row["item"]: row for row in table if row["status"] != "ok"}
    assert len(failed) == len(KINDS)
    assert all(row["value"] is None for row in failed.values())


def test_past_the_error_budget_the_target_is_inconclusive(tmp_path: Path, ullage: Ullage) -> None:
    faults = [Fault("http_500", contains='"student"', share=0.2)]
    with LoopbackServer(responder=amber, faults=faults, key=KEY) as server:
        config = write_audit(tmp_path, server.url)
        done = ullage("audit", str(config), "--json")
        assert done.returncode == 4, done.stderr
    statement = json.loads(done.stdout)
    finding = statement["findings"][0]
    assert finding["verdict"] == "inconclusive"
    assert finding["infrastructure"] is True
    assert "http 500" in finding["why"]
    # The endpoint recovers: only what failed is asked again, and the audit comes to an end.
    with LoopbackServer(responder=amber, key=KEY) as server:
        moved = write_audit(tmp_path, server.url)
        assert ullage("audit", str(moved)).returncode == 2, "another endpoint is another model"


def test_an_endpoint_that_recovers_is_asked_only_what_failed(tmp_path: Path) -> None:
    with LoopbackServer(responder=amber, key=KEY) as server:
        server.faults = [Fault("http_500", contains='"student"', share=0.2)]
        config = write_audit(tmp_path, server.url)
        assert run(config).exit_code == 4
        answered = server.stats()["answered"]
        server.faults = []
        statement = run(config)
        assert statement.exit_code == 0
        assert server.stats()["answered"] == 2 * ITEMS
        assert server.stats()["answered_twice"] == []
        assert answered < 2 * ITEMS


def test_two_endpoints_with_one_model_name_never_share_a_reply(tmp_path: Path) -> None:
    with (
        LoopbackServer(responder=amber, key=KEY) as good,
        LoopbackServer(responder=lambda _: "no idea", key=KEY) as bad,
    ):
        config = write_audit(tmp_path, good.url)
        text = config.read_text()
        place = text.index("student:")
        text = text[:place] + text[place:].replace(good.url, bad.url, 1)
        config.write_text(
            text.replace("openai:student", "openai:same").replace("openai:teacher", "openai:same")
        )
        statement = run(config)
    values = statement.findings[0].values
    assert (values["teacher"].value, values["student"].value) == (1.0, 0.0)
    assert statement.arms["teacher"].identity != statement.arms["student"].identity


ECHOES = [
    Fault("echo_error", contains='"q1?"'),
    Fault("echo_content", contains='"q2?"'),
    Fault("echo_fingerprint", contains='"q3?"'),
    Fault("http_401", contains='"q119?"'),
]


@pytest.mark.parametrize("faults", [ECHOES[:3], ECHOES], ids=["echoed", "refused"])
def test_no_key_is_written_anywhere(tmp_path: Path, faults: list[Fault], ullage: Ullage) -> None:
    with LoopbackServer(responder=amber, faults=faults, key=KEY) as server:
        config = write_audit(tmp_path, server.url, "budget: {errors: 0.1}")
        outputs = [
            ullage(command, str(config), *more)
            for command, more in (
                ("validate", ()),
                ("plan", ("--json",)),
                ("audit", ("--json",)),
                ("audit", ()),
            )
        ]
        outputs.append(ullage("gate", str(tmp_path / "runs" / "faults")))
    echoed = server.stats()["by_fault"]
    assert echoed.get("echo_error", 0) > 0
    assert echoed.get("echo_content", 0) > 0
    for output in outputs:
        assert KEY not in output.stdout + output.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "replies.jsonl" for path in files)
    for path in files:
        assert KEY.encode() not in path.read_bytes(), path
        assert KEY[:12].encode() not in path.read_bytes(), path
    assert os.environ["ULLAGE_TEST_KEY"] == KEY


def test_an_overwritten_recording_is_another_model(tmp_path: Path, ullage: Ullage) -> None:
    config = write_audit(tmp_path, "http://127.0.0.1:9/v1")
    for arm, text in (("teacher", "amber"), ("student", "amber")):
        rows = [
            {"messages": [{"role": "user", "content": f"q{n}?"}], "text": text}
            for n in range(ITEMS)
        ]
        (tmp_path / f"{arm}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config.write_text(
        re.sub(
            r"(teacher|student): \{model.*", r'\1: {model: "recorded:\1.jsonl"}', config.read_text()
        )
    )
    assert run(config).exit_code == 0
    before = (tmp_path / "student.jsonl").stat()
    changed = (tmp_path / "student.jsonl").read_text().replace("amber", "lapis")
    (tmp_path / "student.jsonl").write_text(changed)
    os.utime(tmp_path / "student.jsonl", ns=(before.st_atime_ns, before.st_mtime_ns))
    done = ullage("audit", str(config))
    assert done.returncode == 2
    assert "arm student is another model than when this run began" in done.stderr
    done = ullage("audit", str(config), "--run", "second")
    assert done.returncode == 1, done.stderr
