"""The laboratory's teacher, who reads words, teaches a student that reads byte-level BPE."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from tests.distill import laboratory  # noqa: E402
from tests.distill.making import config  # noqa: E402
from ullage.config.models import Config  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.corpus import write_corpus  # noqa: E402
from ullage.lab.evaluate import TEACHER  # noqa: E402

pytestmark = pytest.mark.local

ROWS, STEPS = 240, 60
WEIGHTS = {"forward-kl": 0.5, "cross-entropy": 0.5, "merged-spans": 1.0, "ranked-rest": 0.1}
Model: Any = AutoModelForCausalLM
Tokenizer: Any = AutoTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crossing")
    write_corpus(path / "corpus.jsonl", seed=0, size=ROWS)
    laboratory.start_of_bytes(path)
    return path


def recipe(output: str, **settings: Any) -> Config:
    chosen: dict[str, Any] = {
        "arms": {
            "teacher": {"model": f"hf:{TEACHER}"},
            "student": {"model": f"hf:{output}"},
        },
        "method": "cross-tokenizer",
        "layers": None,
        "student": "hf:start",
        "max_steps": STEPS,
        "batch_size": 8,
        "gradient_accumulation": 1,
        "learning_rate": 5e-3,
        "max_length": 320,
        **settings,
    }
    return config(output, **chosen)


def make(folder: Path, output: str, **settings: Any) -> DistillResult:
    return run_distill(recipe(output, **settings), folder)


@pytest.fixture(scope="module")
def made(folder: Path) -> DistillResult:
    return make(folder, "crossed")


def test_every_part_of_the_loss_is_lower_than_the_bases(made: DistillResult) -> None:
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert set(after) == {"loss", "forward_kl", "cross_entropy", "merged_spans", "ranked_rest"}
    assert after["loss"] < 0.7 * before["loss"]
    for name in ("forward_kl", "cross_entropy", "merged_spans", "ranked_rest"):
        assert after[name] < before[name], name


def test_the_student_loads_plainly_with_a_tokenizer_of_its_own(made: DistillResult) -> None:
    student, tokenizer = Model.from_pretrained(made.output), Tokenizer.from_pretrained(made.output)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "when do you open?"}],
        add_generation_prompt=True,
        return_tensors="pt",
    )
    assert student.generate(**prompt, max_new_tokens=3).shape[1] > 3
    assert len(tokenizer) == 600


def test_probabilities_are_not_called_nats(made: DistillResult) -> None:
    printed = {
        line.split()[1].rstrip(":"): "nats" in line
        for line in made.summary().splitlines()
        if line.startswith("held-out ")
    }
    card = (Path(made.output) / "README.md").read_text(encoding="utf-8")
    assert printed == {
        "loss": False,
        "forward_kl": True,
        "cross_entropy": True,
        "merged_spans": True,
        "ranked_rest": False,
    }
    for name, nats in printed.items():
        assert f"| {name}, {'nats ' if nats else ''}per supervised token |" in card


@pytest.mark.parametrize("term", ["reverse-kl", "generalised-jsd", "total-variation", "skewed-kl"])
def test_any_divergence_compares_outcomes(folder: Path, term: str) -> None:
    terms = [{"term": term, "temperature": 2.0}]
    made = make(folder, term, objective=terms, max_steps=15)
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert after["loss"] < before["loss"]


def test_a_plan_counts_the_teachers_tokens(folder: Path) -> None:
    """Of as many of the first rows as a plan looks at, where none is held out."""
    planned = run_distill(recipe("planned", held_out=0.0), folder, plan_only=True)
    found = planned.ledger["forecast"]["tokens"]
    tokenizer = Tokenizer.from_pretrained(TEACHER)
    rows = map(json.loads, (folder / "corpus.jsonl").read_text().splitlines())
    texts = [
        tokenizer.apply_chat_template(
            [*row["messages"], {"role": "assistant", "content": row["reference"]}], tokenize=False
        )
        for row in islice(rows, found["rows_counted"])
    ]
    read = sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)
    assert found["teacher_reads"] == pytest.approx(STEPS * 8 * read / len(texts), abs=1)
    assert found["per_row"] > 1.2 * read / len(texts)


def test_the_ledger_counts_every_token(made: DistillResult) -> None:
    ledger = made.ledger
    for name in ("train", "held_out"):
        counts, tokens = ledger["alignment"]["tokens"][name], ledger["tokens"][name]
        kinds = sum(counts[kind] for kind in ("one_to_one", "merged", "unaligned"))
        assert kinds == tokens["supervised"]
        assert counts["spans"] == (
            counts["spans_contradicted"] + counts["teacher_distributions_compared"]
        )
        share = ledger["alignment"]["teacher_mass"][name]
        assert share["one_to_one"] + share["merged"] + share["ranked"] == pytest.approx(1)
    held_out = ledger["alignment"]["teacher_mass"]["held_out"]
    compared = ledger["alignment"]["tokens"]["held_out"]["teacher_distributions_compared"]
    assert held_out["positions"] == compared
    json.dumps(ledger)


def test_what_does_not_fit_in_is_unaligned(folder: Path) -> None:
    made = make(folder, "short", max_length=60, max_steps=1)
    counts, tokens = made.ledger["alignment"]["tokens"]["train"], made.ledger["tokens"]["train"]
    assert tokens["supervised_cut"] > 0
    kinds = sum(counts[kind] for kind in ("one_to_one", "merged", "unaligned"))
    assert kinds == tokens["supervised"]


def test_bf16(folder: Path) -> None:
    made = make(folder, "half", dtype="bfloat16", max_steps=20)
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert after["loss"] < before["loss"]


def test_it_is_the_same_recipe_only_with_the_same_weights(
    folder: Path, made: DistillResult
) -> None:
    assert make(folder, "crossed").status == "reused"
    # The preset written out is the preset.
    terms = [{"term": term, "weight": weight} for term, weight in WEIGHTS.items()]
    written = {"method": "logits", "alignment": "bytes"}
    assert make(folder, "crossed", **written, objective=terms).status == "reused"
    terms[-1]["weight"] = 0.2
    with pytest.raises(InputError, match="holds a student of recipe"):
        make(folder, "crossed", **written, objective=terms)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"method": "logits"}, "distill.student: the vocabularies differ.*method: cross-tokenizer"),
        ({"alignment": "tokens"}, "'merged-spans' is about words.*add alignment: bytes"),
        (
            {"method": "black-box", "alignment": "bytes"},
            "distill.alignment: bytes aligns probabilities.*add a divergence",
        ),
        ({"method": "on-policy", "alignment": "bytes"}, "distill.on_policy: with alignment: bytes"),
        ({"on_policy": {}}, "distill.on_policy: with alignment: bytes.*not what the student"),
        ({"method": "features", "alignment": "bytes"}, "'hidden' looks inside.*leave the term out"),
        (
            {"objective": [{"term": "forward-kl"}, {"term": "attention"}]},
            "'attention' looks inside both models at the same tokens",
        ),
        ({"objective": [{"term": "distances"}]}, "'distances' looks inside"),
    ],
)
def test_problems_are_one_line(folder: Path, settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        make(folder, "refused", **settings)
    assert "\n" not in str(caught.value)


def test_both_ways(folder: Path, made: DistillResult) -> None:
    """A teacher of bytes and a student of words: neither family is special."""
    from ullage.lab.organisms.build import BASE

    back = make(
        folder, "back", teacher="hf:crossed", student=f"hf:{BASE}", max_steps=20, learning_rate=1e-3
    )
    before, after = back.ledger["loss"]["base_held_out"], back.ledger["loss"]["held_out"]
    assert after["loss"] < before["loss"]
    assert after["forward_kl"] < before["forward_kl"]
