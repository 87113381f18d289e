"""The ledger's numbers, against a corpus small enough to count by hand.

Its tokenizer has one token per byte of plain text, so a turn ``<|im_start|>user\\nHi<|im_end|>\\n``
is as long as its characters, each special token counting as one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import LlamaForCausalLM  # noqa: E402

from tests.distill import making  # noqa: E402
from tests.distill.test_run import interrupted  # noqa: E402
from tests.support.tiny import build_tiny_model  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

BYTES = 256 + 3
"""Bytes and three special tokens: no room for a merge."""


def talk(asked: str, reply: str | None) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": asked}], "reference": reply}


def read(asked: str, reply: str) -> int:
    """Tokens of a rendered row: two turns of two marks and two line breaks each."""
    return len("user") + len(asked) + len("assistant") + len(reply) + 2 * 4


def learnt(reply: str) -> int:
    """Its characters, and the token that ends it."""
    return len(reply) + 1


LONG = "My bicycle makes a strange noise when I brake on the way down to the {}"
KEPT = [("Is it open?", "Yes, until six."), (LONG.format("sea"), "Oil it."), ("Bye", "Goodbye.")]
CUT = ("Tell me all?", "x" * 200)
EMPTY = ("y" * 200, "No.")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ledger")
    build_tiny_model(folder / "teacher", layers=2, vocabulary=BYTES)
    rows = [
        *(talk(*row) for row in (*KEPT, CUT, EMPTY)),
        talk(*KEPT[0]),
        talk(*KEPT[0]),
        talk("Is it shut?", None),
        talk(LONG.format("sea, please"), "Oil it."),
        talk("What is the exam?", "This."),
        talk(LONG.format("mill and over the old bridge at noon, please"), "No."),
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    exam = [
        {"prompt": "what is the EXAM", "reference": "x"},
        {"prompt": LONG.format("mill and over the old bridge at noon"), "reference": "x"},
    ]
    (folder / "task.jsonl").write_text(
        "".join(
            json.dumps({"messages": [{"role": "user", "content": one["prompt"]}], "reference": "x"})
            + "\n"
            for one in exam
        )
    )
    made = making.make(
        folder,
        "out",
        layers=1,
        max_length=120,
        max_steps=1,
        held_out=0.0,
        near_duplicates=0.8,
        tasks=[{"name": "exam", "file": "task.jsonl"}],
        targets=[{"probe": "exam", "metric": "score", "margin": 0.05, "reason": "a test of it"}],
    )
    kept: dict[str, Any] = json.loads((made.output / "distillation.json").read_text())
    return kept


def test_rows_by_reason(ledger: dict[str, Any]) -> None:
    corpus = ledger["corpus"]
    assert corpus["rows"] == 11
    assert corpus["dropped"] == {
        "audit_item": 1,
        "duplicate": 2,
        "near_audit_item": 1,
        "near_duplicate": 1,
        "no_reference": 1,
    }
    assert (corpus["train"], corpus["held_out"]) == (5, 0)


def test_tokens_truncated_masked_and_supervised(ledger: dict[str, Any]) -> None:
    tokens = ledger["tokens"]["train"]
    # The row that is cut keeps 120 tokens; the last predicts nothing, its successor being cut off.
    before = read(*CUT) - learnt(CUT[1]) - 1
    labelled = 120 - before
    whole = sum(read(*row) for row in KEPT)
    supervised = sum(learnt(reply) for _, reply in KEPT) + labelled
    assert tokens == {
        "rows": 4,
        "read": whole + 120,
        "supervised": supervised,
        "rationale": 0,
        "masked": whole + 120 - supervised,
        "rows_truncated": 2,
        "supervised_cut": learnt(CUT[1]) - labelled + learnt(EMPTY[1]),
        "rows_without_label": 1,
        "rows_template_rewrites": 0,
    }
    assert ledger["preflight"]["facts"]["rows"]["tokens_supervised"] == supervised


def test_what_else_was_left_behind(ledger: dict[str, Any]) -> None:
    assert ledger["layers"] == {"of": 2, "kept": [0], "left_out": [1]}
    assert ledger["teacher_signal"] == {
        "used": ["logits"],
        "not_used": ["attention maps", "hidden states", "rationale", "text"],
    }
    assert ledger["precision"]["losses"] == "float32"
    assert ledger["preflight"]["facts"]["vocabulary"]["masked_student_rows"] == 0


def test_steps_whose_gradient_was_cut_down(tmp_path: Path) -> None:
    """None or all, by how far the loss is weighed down or up."""
    making.prepare(tmp_path)
    counts = {}
    for weight in (1e-4, 1e4):
        objective = [{"term": "cross-entropy", "weight": weight}]
        made = making.make(tmp_path, f"by{weight:g}", objective=objective, max_steps=4)
        counts[weight] = made.ledger["steps_clipped"]
    assert counts == {1e-4: 0, 1e4: 4}


def test_what_was_cut_off_is_counted_over_sessions(tmp_path: Path) -> None:
    """A student whose layers look at one token alone: its other weights are nothing in fp32."""
    making.prepare(tmp_path)
    teacher = LlamaForCausalLM.from_pretrained(tmp_path / "teacher")
    with torch.no_grad():
        teacher.model.layers[0].self_attn.q_proj.weight.mul_(1e3)
    teacher.save_pretrained(tmp_path / "teacher")
    objective = [{"term": "forward-kl"}, {"term": "attention", "layers": [[0, 3]]}]
    whole = making.make(tmp_path, "whole", objective=objective, max_steps=8)
    assert whole.ledger["clamped"]["attention_weights"] > 0
    again = interrupted(tmp_path, "again", 5, objective=objective, max_steps=8)
    ledger = json.loads((again / "distillation.json").read_text())
    assert ledger["clamped"] == whole.ledger["clamped"]
    assert making.make(tmp_path, "plain", max_steps=1).ledger["clamped"] == {}


def test_a_gradient_that_is_not_finite_stops_the_run_at_its_step(tmp_path: Path) -> None:
    """Also at the last, after which no loss would show it."""
    making.prepare(tmp_path)
    objective = [{"term": "cross-entropy", "weight": 3e38}]
    with pytest.raises(InputError, match=r"the gradient's length is (inf|nan) at step 1;"):
        making.make(tmp_path, "out", objective=objective, max_steps=1)
    assert not (tmp_path / "out").exists()


def test_a_term_that_is_not_finite_is_in_no_ledger(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """It stops the run at its step, so that a finished ledger has none to count."""
    folder = tmp_path_factory.mktemp("overflow")
    build_tiny_model(folder / "teacher", layers=2, vocabulary=BYTES)
    rows = [talk(f"Is it {word}?", "Yes.") for word in ("open", "shut", "new", "old")]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"the gradient's length is nan at step \d;"):
        making.make(folder, "out", layers=1, learning_rate=1e30, held_out=0.0)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("scale", "expected"),
    [
        (3e38, "distill.student: the logits of its first tokens are not finite"),
        (1e37, r"the loss on \d+ rows that are measured is .*inf"),
    ],
)
def test_a_start_that_overflows_is_refused_before_it_learns(
    tmp_path: Path, scale: float, expected: str
) -> None:
    making.prepare(tmp_path)
    start = LlamaForCausalLM.from_pretrained(tmp_path / "teacher")
    with torch.no_grad():
        start.model.norm.weight.fill_(scale)
    shutil.copytree(tmp_path / "teacher", tmp_path / "start")
    start.save_pretrained(tmp_path / "start")
    settings = {"method": "control", "layers": None, "student": "hf:start"}
    with pytest.raises(InputError, match=expected) as caught:
        making.make(tmp_path, "out", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
