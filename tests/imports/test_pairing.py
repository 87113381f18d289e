"""What two logs have in common, what they do not, and that nothing is guessed about the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.imports.making import (
    HOMES,
    LM_EVAL,
    audited,
    by_id,
    changed_inspect,
    changed_lm_eval,
    statement_of,
)
from ullage.errors import InputError
from ullage.imports import Options, run_import
from ullage.imports.folder import Margins
from ullage.statement.document import Verdict

SUMS = "small-sums-strict-match.exact-match"
HOME = "homes-includes.accuracy"
LISTS = ("opposites", "plurals", "past", "young", "colours", "homes")


def other_prompt(row: Any) -> None:
    if row["doc_id"] < 3:
        row["arguments"]["gen_args_0"]["arg_0"] += " (thinking)"


def test_samples_asked_in_other_words_are_left_out_and_counted(tmp_path: Path) -> None:
    student = changed_lm_eval("student", tmp_path, small_sums=other_prompt)
    places = {"teacher": LM_EVAL["teacher"], "student": student}
    statement = statement_of(places, tmp_path / "made")
    assert statement.probes["small-sums-strict-match"].items == 21
    (note,) = [n for n in statement.notes if n.startswith("small_sums strict-match: 3 of 24")]
    assert "3 ask another question under the same id, 0 are in one log only" in note


def test_documents_pair_where_one_says_so(tmp_path: Path) -> None:
    student = changed_lm_eval("student", tmp_path, small_sums=other_prompt)
    places = {"teacher": LM_EVAL["teacher"], "student": student}
    made = run_import(places, tmp_path / "made", options=Options(by_document=True))
    assert not any("no pair" in note for note in made.notes)


def test_missing_samples_are_counted(tmp_path: Path) -> None:
    def drop(row: Any) -> None:
        if row["doc_id"] >= 20:
            row.clear()

    student = changed_lm_eval("student", tmp_path, small_sums=drop, results=shorter)
    made = run_import({"teacher": LM_EVAL["teacher"], "student": student}, tmp_path / "made")
    assert any("4 of 24 samples are no pair" in n and "4 are in one log" in n for n in made.notes)


def shorter(results: Any) -> None:
    """The figures of the student's first twenty sums: it got none of them, or of any, right."""
    assert results["results"]["small_sums"]["exact_match,strict-match"] == 0.0


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no eval in common"):
        run_import({"teacher": LM_EVAL["teacher"], "student": HOMES["student"]}, tmp_path / "made")


def test_an_eval_of_one_log_only_is_unmeasured(tmp_path: Path) -> None:
    student = changed_lm_eval("student", tmp_path)
    next(student.glob("samples_small_sums_*")).unlink()
    statement = statement_of({"teacher": LM_EVAL["teacher"], "student": student}, tmp_path / "made")
    finding = by_id(statement)[SUMS]
    assert finding.verdict == Verdict.UNMEASURED
    assert finding.why == "only the teacher's logs have it"
    assert finding.values == {}


def test_other_versions_are_other_evals(tmp_path: Path) -> None:
    def version(results: Any) -> None:
        results["versions"]["small_sums"] = 3.0

    student = changed_lm_eval("student", tmp_path, results=version)
    made = run_import({"teacher": LM_EVAL["teacher"], "student": student}, tmp_path / "made")
    assert made.unmeasured[SUMS] == "the teacher's is version 2.0 and the student's 3.0"


def test_a_figure_that_samples_do_not_come_to_is_unmeasured(tmp_path: Path) -> None:
    def raise_it(results: Any) -> None:
        results["results"]["small_sums"]["exact_match,strict-match"] += 1e-6

    teacher = changed_lm_eval("teacher", tmp_path, results=raise_it)
    made = run_import({"teacher": teacher, "student": LM_EVAL["student"]}, tmp_path / "made")
    assert "does not follow from its samples as mean" in made.unmeasured[SUMS]
    assert audited(made).findings


def test_a_direction_that_no_log_tells_is_not_guessed(tmp_path: Path) -> None:
    def silence(results: Any) -> None:
        results["higher_is_better"]["small_sums"] = {}

    places = {
        arm: changed_lm_eval(arm, tmp_path, results=silence) for arm in ("teacher", "student")
    }
    made = run_import(places, tmp_path / "a")
    assert "do not tell which way is better" in made.unmeasured[SUMS]
    for option, sign in (("higher", 1), ("lower", -1)):
        told: Any = {option: [SUMS]}
        loss = by_id(statement_of(places, tmp_path / option, **told))[SUMS].loss
        assert loss is not None and loss.estimate * sign == pytest.approx(4 / 24)


def test_a_direction_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--higher sums.acc: no such figure; there are small-"):
        run_import(LM_EVAL, tmp_path / "made", higher=["sums.acc"])


def test_subtasks_are_a_groups_families_or_stand_alone(tmp_path: Path) -> None:
    whole = run_import(LM_EVAL, tmp_path / "a")
    rows = (whole.config.parent / "items" / "small-words.jsonl").read_text().splitlines()
    families = {json.loads(row)["family"] for row in rows}
    assert families == {f"small_{n}" for n in LISTS}
    apart = run_import(LM_EVAL, tmp_path / "b", options=Options(subtasks=True))
    assert apart.targets == whole.targets - 1 + 12


def test_a_group_whose_figure_is_none_of_its_samples_stays_apart(tmp_path: Path) -> None:
    def weigh(results: Any) -> None:
        results["groups"]["small_words"]["acc,none"] = 0.5

    teacher = changed_lm_eval("teacher", tmp_path, results=weigh)
    made = run_import({"teacher": teacher, "student": teacher}, tmp_path / "made")
    assert made.targets == 5 + 12


def test_families_come_from_the_document(tmp_path: Path) -> None:
    made = run_import(LM_EVAL, tmp_path / "made", options=Options(family="way"))
    statement = audited(made)
    assert statement.probes["small-sums-strict-match"].families == 4
    assert by_id(statement)[SUMS].verdict == Verdict.UNMEASURED


def test_failed_samples_are_errors_and_no_scores(tmp_path: Path) -> None:
    def fail(log: Any) -> None:
        log["samples"][0] |= {"error": {"message": "timeout"}, "scores": {}}
        score = log["results"]["scores"][0]
        values = [s["scores"]["includes"]["value"] == "C" for s in log["samples"][1:]]
        score["metrics"]["accuracy"]["value"] = sum(values) / 5

    student = changed_inspect("student", tmp_path, fail)
    places = {"teacher": HOMES["teacher"], "student": student}
    statement = statement_of(places, tmp_path / "made")
    assert statement.probes["homes-includes"].errors == {"teacher": 0, "student": 1}
    assert by_id(statement)[HOME].infrastructure


def test_an_unfinished_eval_is_refused(tmp_path: Path) -> None:
    def stop(log: Any) -> None:
        log["status"] = "cancelled"

    student = changed_inspect("student", tmp_path, stop)
    with pytest.raises(InputError, match="status is 'cancelled'; end it with"):
        run_import({"teacher": HOMES["teacher"], "student": student}, tmp_path / "made")


def test_two_models_or_two_runs_in_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="logs of several models"):
        run_import({"teacher": LM_EVAL["base"].parent, "student": LM_EVAL["base"]}, tmp_path / "m")
    for number in (1, 2):
        (tmp_path / "twice").mkdir(exist_ok=True)
        (tmp_path / "twice" / f"{number}.json").write_bytes(HOMES["teacher"].read_bytes())
    with pytest.raises(InputError, match="two runs of homes includes"):
        run_import({"teacher": tmp_path / "twice", "student": HOMES["student"]}, tmp_path / "m")


def test_results_without_samples_say_what_to_run(tmp_path: Path) -> None:
    student = changed_lm_eval("student", tmp_path)
    for path in student.glob("samples_*"):
        path.unlink()
    with pytest.raises(InputError, match="run lm-eval again with --log_samples"):
        run_import({"teacher": LM_EVAL["teacher"], "student": student}, tmp_path / "made")


def test_margins_are_shares_or_figures(tmp_path: Path) -> None:
    given = ["0.02", f"{SUMS}=0.1"]
    run = run_import(LM_EVAL, tmp_path / "made", margins=given)
    margins = {f.id: f.target.margin for f in audited(run).findings}
    assert margins[SUMS] == 0.1
    assert margins["small-words.acc"] == 0.02
    # Of a figure that is no share, the teacher's own is the measure.
    assert margins["small-sentences.bits-per-byte"] == pytest.approx(0.02 * 1.739, rel=0.01)


@pytest.mark.parametrize("given", ["", "x", "0", "-1", "nan", "inf", "=0.1", "sums="])
def test_margins_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(InputError, match="--margin"):
        Margins([given])


def test_a_margin_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--margin .sums\.acc.: no such figure"):
        run_import(LM_EVAL, tmp_path / "made", margins=["sums.acc=0.1"])
    assert not (tmp_path / "made").exists()
