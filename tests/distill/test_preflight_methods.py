"""What a preflight compares follows from what the teacher comes to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from tests.distill import laboratory, making  # noqa: E402
from tests.support.server import LoopbackServer  # noqa: E402
from tests.support.tiny import build_tiny_model  # noqa: E402
from ullage.distill import Preflight, run_preflight  # noqa: E402
from ullage.distill.checkpoint import load_model  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.evaluate import TEACHER  # noqa: E402

pytestmark = pytest.mark.local

BETWEEN_SIDES = {"vocabulary", "template-difference", "bos-asymmetry", "pad-asymmetry"}
"""Checks that set one side's tokens against the other's."""
METHODS = ("control", "black-box")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus for the laboratory's teacher, and a student with a tokenizer of its own."""
    path = tmp_path_factory.mktemp("crossing")
    laboratory.prepare(path)
    laboratory.start_of_bytes(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher whose weights do not fit it, and a student of another vocabulary."""
    path = tmp_path_factory.mktemp("methods")
    making.prepare(path)
    wrong = {"model.embed_tokens.weight": torch.zeros(3, 3)}
    save_file(wrong, path / "teacher" / "model.safetensors", metadata={"format": "pt"})
    build_tiny_model(path / "other", vocabulary=320)
    return path


def crossed(folder: Path, teacher: Path = TEACHER, student: str = "start") -> Preflight:
    arms = {"teacher": {"model": f"hf:{teacher}"}, "student": {"model": "hf:out"}}
    settings: dict[str, Any] = {"method": "cross-tokenizer", "layers": None, "max_length": 320}
    config = making.config("out", arms=arms, student=f"hf:{student}", **settings)
    return run_preflight(config, folder)


def changed(model: Path, to: Path, **settings: Any) -> Path:
    """A model's folder again, with its configuration changed."""
    shutil.copytree(model, to)
    path = to / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings), encoding="utf-8")
    return to


def text_only(folder: Path, method: str, teacher: str = "hf:teacher", **options: Any) -> Preflight:
    arms = {"teacher": {"model": teacher, **options}, "student": {"model": "hf:out"}}
    config = making.config("out", arms=arms, method=method, student="hf:other", layers=None)
    return run_preflight(config, folder)


class TestEachItsOwnTokens:
    """With alignment: bytes the sides are set against each other by what their tokens say."""

    def test_nothing_is_compared_token_by_token(self, lab: Path) -> None:
        found = crossed(lab)
        assert found.errors == ()
        assert not BETWEEN_SIDES & {finding.check for finding in found.findings}
        vocabulary, rows = found.facts["vocabulary"], found.facts["rows"]
        assert vocabulary["student_tokens"] == 600
        assert 0 < vocabulary["outcomes"] < 600
        parts = [rows[kind] for kind in ("one_to_one", "merged", "unaligned")]
        assert sum(parts) == rows["tokens_supervised"]
        assert parts[0] > 0
        assert parts[1] > 0

    def test_the_teacher_reads_its_own_template(self, lab: Path) -> None:
        teacher = crossed(lab).facts["teacher"]
        assert teacher["nats_per_token_used"] < 0.5 < teacher["nats_per_token_plain"]

    def test_the_ledger_counts_the_same(self, lab: Path) -> None:
        """Rendered for the preflight as for training: here every row is looked at and learnt."""
        made = laboratory.make(
            lab,
            "crossed",
            method="cross-tokenizer",
            student="hf:start",
            max_steps=1,
            batch_size=2,
            held_out=0.0,
        )
        rows, tokens = made.ledger["preflight"]["facts"]["rows"], made.ledger["alignment"]["tokens"]
        assert rows["rows_sampled"] == made.ledger["corpus"]["train"]
        assert {name: rows[name] for name in tokens["train"]} == tokens["train"]

    def test_a_teacher_without_a_template(self, lab: Path, tmp_path: Path) -> None:
        bare = changed(TEACHER, tmp_path / "bare")
        (bare / "chat_template.jinja").unlink()
        found = crossed(lab, bare)
        assert [one.check for one in found.errors] == ["missing-template"]
        assert "cannot read conversations in its own tokens" in found.errors[0].line

    def test_ids_beyond_the_head(self, lab: Path, tmp_path: Path) -> None:
        small = changed(lab / "start", tmp_path / "small", vocab_size=500)
        found = crossed(lab, student=str(small))
        assert [one.check for one in found.errors] == ["alignment"]
        assert "its head has 500 rows; use the tokenizer" in found.errors[0].line
        assert "teacher" not in found.facts

    def test_a_teacher_that_reads_too_little(self, lab: Path, tmp_path: Path) -> None:
        short = changed(TEACHER, tmp_path / "short", max_position_embeddings=4)
        found = crossed(lab, short)
        assert [one.check for one in found.errors] == ["alignment"]
        assert "none of" in found.errors[0].line
        assert found.facts["rows"]["unaligned"] == found.facts["rows"]["tokens_supervised"]


class TestTextAlone:
    """Where the student learns words, the teacher's weights and tokens are no matter."""

    @pytest.mark.parametrize("method", METHODS)
    def test_weights_are_not_loaded(self, folder: Path, method: str) -> None:
        found = text_only(folder, method)
        assert found.errors == ()
        assert not BETWEEN_SIDES & {finding.check for finding in found.findings}
        assert found.facts["rows"]["rows_ended"] == found.facts["rows"]["rows_whole"] > 0
        assert "teacher" not in found.facts
        assert "vocabulary" not in found.facts

    def test_they_are_where_they_are_needed(self, folder: Path) -> None:
        with pytest.raises(InputError, match=r"distill.teacher: .* cannot be loaded"):
            run_preflight(making.config("out"), folder)

    def test_what_is_learnt_of_earlier_turns(self, folder: Path) -> None:
        """Plain fine-tuning learns the corpus's every turn; a teacher is asked for the last."""
        every, last = (
            text_only(folder, method).facts["rows"]["tokens_supervised"] for method in METHODS
        )
        assert every > last

    def test_a_teacher_without_a_template_is_asked_plainly(self, folder: Path) -> None:
        bare = changed(folder / "teacher", folder / "bare")
        (bare / "chat_template.jinja").unlink()
        said = {
            method: [
                finding.line
                for finding in text_only(folder, method, "hf:bare").findings
                if finding.check == "missing-template"
            ]
            for method in METHODS
        }
        assert said["control"] == []
        assert "is asked in plain" in said["black-box"][0]

    def test_fine_tuning_asks_for_no_terms(self, folder: Path) -> None:
        endpoint = {"openai": {"base_url": "http://127.0.0.1:9/v1"}}
        asked = text_only(folder, "black-box", "openai:big", **endpoint)
        assert [one.check for one in asked.errors] == ["terms"]
        with LoopbackServer() as server:
            endpoint = {"openai": {"base_url": server.url}}
            assert text_only(folder, "control", "openai:big", **endpoint).errors == ()


def test_the_teacher_is_loaded_once(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For preflight and training together."""
    seen: list[str] = []

    def counting(arm: Any, *rest: Any) -> Any:
        seen.append(arm.model)
        return load_model(arm, *rest)

    monkeypatch.setattr("ullage.distill.loaded.load_model", counting)
    made = laboratory.make(lab, "once", max_steps=1)
    assert made.ledger["preflight"]["facts"]["teacher"]["repeats_itself"] is True
    assert seen == [f"hf:{TEACHER}"]
