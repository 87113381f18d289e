"""`ullage probes` and `ullage probe`: what can be measured, read by a person before it is asked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ullage.cli import app
from ullage.errors import UllageError
from ullage.probes.registry import PACKAGED
from ullage.scores import read_scores

CONFIG = """
name: look
scenario: one.yaml
seed: 4
arms:
  teacher: {model: "simulated:t", simulated: {seed: 1}}
  student: {model: "simulated:s", simulated: {seed: 2, default: {clarify: 0.5}}}
tasks: [{name: mine, file: mine.jsonl}]
planning: {items: 40}
"""
SCENARIO = """
name: one
title: One
use: Whatever it is.
targets:
  - {probe: clarification, metric: contrast, margin: 0.15, reason: For this test alone.}
"""
HOSTILE = "Leeds\x1b[2J\u202e\u0007 \U000e0041[bold]no[/bold]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "ullage.yaml").write_text(CONFIG)
    (tmp_path / "one.yaml").write_text(SCENARIO)
    (tmp_path / "mine.jsonl").write_text('{"prompt": "Which city?", "reference": "Leeds"}\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ullage(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def said(*words: str) -> Any:
    run = ullage(*words, "--json")
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def listed() -> list[dict[str, Any]]:
    return said("probes")  # type: ignore[no-any-return]


def test_every_probe_is_listed_with_what_it_takes(listed: list[dict[str, Any]]) -> None:
    assert [one["probe"] for one in listed] == list(PACKAGED)
    for one in listed:
        probe = PACKAGED[one["probe"]]
        assert one["dimension"] == probe.dimension
        assert set(one["access"]) == probe.access
        assert one["about"].endswith("."), one
        assert set(one["metrics"]) == {metric.name for metric in probe.metrics}
        assert one["standard_items"] >= 40
    prompts = {one["probe"]: one["prompts_per_item"] for one in listed}
    known = {"agreement": 2, "likelihood-gap": 2, "vote-confidence": 5, "clarification": 3}
    assert {name: prompts[name] for name in known} == known
    needs = {one["probe"] for one in listed if one["needs"]}
    assert "canary-exposure" in needs
    assert "confidences" not in needs


def test_a_person_reads_the_same(listed: list[dict[str, Any]]) -> None:
    page = ullage("probes").stdout
    for one in listed:
        cost = one["prompts_per_item"] * one["standard_items"]
        assert re.search(rf"  {one['probe']}  needs .*about {cost:,.0f} in a standard", page)
    assert "no canaries were planted" in page


def test_items_alone_need_no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    some = said("probe", "sharded", "--show", "4")
    assert len(some["items"]) == 4
    assert some["items"] == said("probe", "sharded", "--show", "5", "--seed", "0")["items"][:4]
    assert some["items"][0] != said("probe", "sharded", "--seed", "1")["items"][0]
    assert "turns" not in some["items"][0]
    page = " ".join(ullage("probe", "sharded", "--show", "1").stdout.split())
    first = some["items"][0]
    assert first["messages"][0][1] in page.replace("\n", " ")
    assert f"expects answer {first['answer']}" in page
    assert "an audit does not ask them" in ullage("probe", "canary-choice").stdout
    assert list(tmp_path.iterdir()) == []


def test_what_an_arm_said_is_kept_for_the_audit_and_scores_as_there(folder: Path) -> None:
    looked = said("probe", "clarification", "--arm", "student", "--show", "6")
    assert looked["seed"] == 4, "the configuration's: these are the items that the audit asks"
    run = folder / "runs" / "look"
    kept = (run / "replies.jsonl").read_bytes()
    assert ullage("audit").exception is not None  # however it ends: the exit code
    replies = (run / "replies.jsonl").read_bytes()
    assert replies.startswith(kept)
    keys = [json.loads(line)["key"] for line in replies.splitlines()]
    assert len(keys) == len(set(keys)), "nothing was asked again"
    table = read_scores(run / "scores.parquet").probes["clarification"]
    for one in looked["items"]:
        place = table.items.index(one["id"])
        for column, value in one["scores"].items():
            assert table.values["student", column][place] == value
        assert any(role == "assistant" for role, _ in one["turns"])


def test_a_task_and_a_hostile_reply_are_shown_and_not_obeyed(folder: Path) -> None:
    (folder / "said.jsonl").write_text(json.dumps({"id": "mine/1", "text": HOSTILE}) + "\n")
    recorded = 'student: {model: "recorded:said.jsonl", recorded: {match: id}}'
    (folder / "ullage.yaml").write_text(re.sub(r"student: .*", recorded, CONFIG))
    page = ullage("probe", "mine", "--arm", "student")
    assert page.exit_code == 0
    assert r"Leeds\x1b[2J\u202e\x07 \U000e0041[bold]no[/bold]" in page.stdout
    machine = ullage("probe", "mine", "--arm", "student", "--json").stdout
    for output in (page.stdout, machine):
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e\U000e0041]", output)
    (item,) = json.loads(machine)["items"]
    assert item["turns"] == [["assistant", HOSTILE]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("probe", "sharted"), "did you mean 'sharded'"),
        (("probe", "mine"), "no probe 'mine'"),
        (("probe", "min", "--config", "ullage.yaml"), "did you mean 'mine'"),
        (("probe", "sharded", "--arm", "base"), "no arm 'base'; it has teacher, teacher_again, st"),
        (("probe", "sharded", "--arm", "student", "--config", "no.yaml"), "no.yaml: "),
        (("probe", "confidence", "--arm", "student", "--config", "text.yaml"), "access 'weigh'"),
        (("probe", "membership", "--arm", "student"), "no arm 'base'"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(
    folder: Path, words: tuple[str, ...], told: str
) -> None:
    (folder / "said.jsonl").write_text(json.dumps({"id": "mine/1", "text": "Leeds"}) + "\n")
    recorded = 'student: {model: "recorded:said.jsonl", recorded: {match: id}}'
    (folder / "text.yaml").write_text(re.sub(r"student: .*", recorded, CONFIG))
    run = ullage(*words)
    assert isinstance(run.exception, UllageError)
    assert told in str(run.exception)
    assert "\n" not in str(run.exception)
