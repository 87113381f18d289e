"""Done-when 4: figures of a statement made of real logs are those of the tools, and so are grades.

The tools' own figures are read here apart from the importer: from lm-eval's JSON, and from what
Inspect's logs say under ``results``.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.imports.making import HOMES, INSPECT, LM_EVAL, LOGS, by_id, results_of, statement_of
from ullage.imports import Options, read_log
from ullage.imports.inspect_log import to_float
from ullage.imports.safely import Archive
from ullage.statement.document import Statement, Verdict
from ullage.statement.html import to_html
from ullage.statement.markdown import to_markdown

CLOSE = pytest.approx


@pytest.fixture(scope="module")
def from_lm_eval(tmp_path_factory: pytest.TempPathFactory) -> Statement:
    return statement_of(LM_EVAL, tmp_path_factory.mktemp("lm") / "made")


@pytest.fixture(scope="module")
def from_inspect(tmp_path_factory: pytest.TempPathFactory) -> Statement:
    told = ("words-length.mean", "words-shouts.mean")
    return statement_of(INSPECT, tmp_path_factory.mktemp("in") / "made", lower=told)


@pytest.mark.parametrize("arm", ["teacher", "student", "base"])
@pytest.mark.parametrize(
    ("target", "task", "key"),
    [
        ("small-words.acc", "small_words", "acc,none"),
        ("small-sums-strict-match.exact-match", "small_sums", "exact_match,strict-match"),
        ("small-sums-flexible-extract.exact-match", "small_sums", "exact_match,flexible-extract"),
        ("small-sentences.word-perplexity", "small_sentences", "word_perplexity,none"),
        ("small-sentences.byte-perplexity", "small_sentences", "byte_perplexity,none"),
        ("small-sentences.bits-per-byte", "small_sentences", "bits_per_byte,none"),
    ],
)
def test_lm_evals_figures_are_the_statements(
    from_lm_eval: Statement, arm: str, target: str, task: str, key: str
) -> None:
    results = results_of(LM_EVAL[arm])
    theirs = {**results["results"], **results["groups"]}[task][key]
    value = by_id(from_lm_eval)[target].values.get(arm)
    if value is None:
        # A base this bad would leave no interval for the student: told in a note, not judged.
        told = f"{task}: base's {key.partition(',')[0]} is beyond comparing"
        assert arm == "base" and any(note.startswith(told) for note in from_lm_eval.notes)
        return
    assert value.value == CLOSE(theirs, rel=1e-12)


@pytest.mark.parametrize("view", [to_markdown, to_html])
def test_margins_set_afterwards_are_told_so(
    from_lm_eval: Statement, view: Callable[[Statement], str]
) -> None:
    asked = from_lm_eval.model_copy(update={"margins_set": "before asking"})
    assert "set when the replies were there already" in view(from_lm_eval)
    assert "set when the replies were there already" not in view(asked)
    assert "written down before anything was asked" in view(asked)


def test_every_figure_of_lm_eval_is_there_or_told_of(from_lm_eval: Statement) -> None:
    assert len(from_lm_eval.findings) == 6
    assert all(finding.verdict != Verdict.UNMEASURED for finding in from_lm_eval.findings)
    assert any("acc_norm of its 6 subtasks" in note for note in from_lm_eval.notes)


def test_lower_is_better_where_lm_eval_says_so(from_lm_eval: Statement) -> None:
    finding = by_id(from_lm_eval)["small-sentences.bits-per-byte"]
    assert not finding.higher_is_better and finding.loss is not None
    values = finding.values
    assert finding.loss.estimate == CLOSE(values["student"].value - values["teacher"].value)
    assert finding.loss.estimate > 0


def _header(arm: str, task: str) -> Any:
    path = next(INSPECT[arm].glob(f"*_{task}_*"))
    if path.suffix == ".json":
        return json.loads(path.read_bytes())
    with Archive(path) as archive:
        return archive.read("header.json")


@pytest.mark.parametrize("arm", ["teacher", "student"])
@pytest.mark.parametrize("task", ["sums", "capitals", "words", "homes"])
def test_inspects_figures_are_the_statements(from_inspect: Statement, arm: str, task: str) -> None:
    for score in _header(arm, task)["results"]["scores"]:
        for name, metric in score["metrics"].items():
            if name != "stderr":
                ours = by_id(from_inspect)[f"{task}-{score['name']}.{name}"].values[arm]
                assert ours.value == CLOSE(metric["value"], rel=1e-12)


def test_inspect_finds_as_many_targets_as_figures(from_inspect: Statement) -> None:
    assert len(from_inspect.findings) == 6
    length = by_id(from_inspect)["words-length.mean"]
    assert length.loss is not None and not length.higher_is_better
    assert max(one.value for one in length.values.values()) > 1


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("C", 1.0),
        ("P", 0.5),
        ("I", 0.0),
        ("N", 0.0),
        (True, 1.0),
        (False, 0.0),
        (0.25, 0.25),
        (3, 3.0),
        ("Yes", 1.0),
        ("true", 1.0),
        ("NO", 0.0),
        ("false", 0.0),
        ("0.75", 0.75),
        ("c", None),
        ("nan", None),
        (math.nan, None),
        (math.inf, None),
        (None, None),
        ({"a": 1}, None),
        ([1], None),
    ],
)
def test_grades_count_as_inspect_counts_them(value: object, counts: float | None) -> None:
    assert to_float(value) == counts


def test_real_logs_hold_every_grade_of_an_answer() -> None:
    seen: set[str] = set()
    for path in sorted((LOGS / "inspect").rglob("*.eval")):
        with Archive(path) as archive:
            for name in archive.names:
                if name.startswith("samples/"):
                    scores = archive.read(name)["scores"].values()
                    seen |= {score["value"] for score in scores if isinstance(score["value"], str)}
    assert seen == {"C", "P", "I"}


@pytest.mark.parametrize("arm", ["teacher", "student"])
def test_epochs_come_to_what_inspect_reduced_them_to(arm: str) -> None:
    path = next(INSPECT[arm].glob("*_capitals_*"))
    with Archive(path) as archive:
        (reduction,) = archive.read("reductions.json")
    theirs = {sample["sample_id"]: sample["value"] for sample in reduction["samples"]}
    samples = read_log(path, Options()).evals["capitals includes"].samples
    ours = {id_: sample.scores["accuracy"][0] for id_, sample in samples.items()}
    assert ours == CLOSE(theirs)
    assert any(value not in (0.0, 1.0) for value in ours.values())
    assert all("[epoch 3]" in sample.text for sample in samples.values())


def test_another_reducers_values_are_read_and_not_worked_out(tmp_path: Path) -> None:
    from tests.imports.making import changed_inspect

    def reduce(log: Any) -> None:
        (score,) = log["results"]["scores"]
        score["reducer"] = "pass_at_2"
        (reduction,) = log["reductions"]
        reduction["reducer"] = "pass_at_2"
        for place, sample in enumerate(reduction["samples"]):
            sample["value"] = place / 10
        score["metrics"]["accuracy"]["value"] = statistics.mean(n / 10 for n in range(6))

    log = read_log(changed_inspect("teacher", tmp_path, reduce), Options())
    (title,) = log.evals
    assert title == "homes includes pass_at_2"
    values = [sample.scores["accuracy"][0] for sample in log.evals[title].samples.values()]
    assert sorted(values) == [n / 10 for n in range(6)]


def test_the_statement_says_who_answered_and_what_was_run(from_inspect: Statement) -> None:
    about = from_inspect.arms["student"].description
    assert about["model"] == "hf/smollm2-student"
    assert about["tool"] == "Inspect 0.3.285"
    assert from_inspect.probes["sums-match"].source.startswith(
        "Inspect 0.3.285, sums match, version "
    )
    assert "The margins were set when the logs were there already" in " ".join(from_inspect.notes)
    assert HOMES["teacher"].suffix == ".json"
