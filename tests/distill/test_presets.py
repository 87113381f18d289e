"""Methods as lists of terms: what they come to, what overrides them, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest

torch = pytest.importorskip("torch")

from tests.distill import making  # noqa: E402
from tests.distill.recipes import objective, settings  # noqa: E402
from ullage.config import load  # noqa: E402
from ullage.distill import presets  # noqa: E402
from ullage.distill.presets import PRESETS  # noqa: E402
from ullage.distill.recipe import resolve_recipe  # noqa: E402
from ullage.distill.signals import Signal, eaten  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local


@pytest.mark.parametrize("method", PRESETS)
def test_a_preset_is_terms_with_reasons(method: str) -> None:
    recipe, preset = settings(method), PRESETS[method]
    names = [term.called for term in presets.terms(recipe)]
    assert list(presets.reasons(recipe)) == names == list(objective(method).weights)
    assert all(len(one.why) > 20 for one in preset.objective)


@pytest.mark.parametrize("method", PRESETS)
def test_what_a_term_says_it_eats_is_what_its_arithmetic_eats(method: str) -> None:
    recipe = settings(method)
    answers = presets.text(recipe) == "answers"
    said = {eaten(term, answers=answers) for term in presets.terms(recipe)} - {None}
    assert said == objective(method).eats


def test_old_settings_still_say_what_they_said() -> None:
    plain = objective("logits", temperature=2.0, cross_entropy=0.25)
    assert plain.weights == {"forward_kl": 0.75, "cross_entropy": 0.25}
    assert getattr(presets.terms(settings(temperature=2.0))[0], "temperature", None) == 2.0
    assert objective("logits").weights == {"forward_kl": 0.9, "cross_entropy": 0.1}
    assert objective("black-box").weights == {"cross_entropy": 1.0}
    assert objective("black-box").eats == {Signal.TEXT}
    assert objective("control").eats == frozenset()


def test_a_term_keeps_its_own_temperature_and_name() -> None:
    terms = [
        {"term": "reverse-kl", "temperature": 3.0},
        {"term": "reverse-kl", "name": "warm"},
        {"term": "generalised-jsd", "beta": 0.2, "weight": {"start": 1, "end": 0}},
    ]
    written = presets.terms(settings(objective=terms, temperature=2.0))
    assert [getattr(term, "temperature", None) for term in written] == [3.0, 2.0, 2.0]
    made = objective(objective=terms)
    assert made.at(0.75).weights == {"reverse_kl": 1.0, "warm": 1.0, "generalised_jsd": 0.25}


def recipe(tmp_path: Path, **changes: Any) -> Any:
    return resolve_recipe(making.config("out", **changes), tmp_path)


def digested(tmp_path: Path, **changes: Any) -> Any:
    return recipe(tmp_path, **changes).identified(teacher="t", start="s", corpus="c")


def test_two_ways_to_write_the_same_terms_are_one_recipe(tmp_path: Path) -> None:
    written = [
        {"term": "forward-kl", "weight": 0.75, "temperature": 2.0},
        {"term": "cross-entropy", "weight": 0.25, "name": "cross_entropy"},
    ]
    short = digested(tmp_path, temperature=2.0, cross_entropy=0.25)
    assert digested(tmp_path, objective=written) == short
    assert digested(tmp_path, objective=written, text="answers") != short


def test_text_and_terms_are_chosen_apart(tmp_path: Path) -> None:
    """The teacher's distribution on the teacher's own answers: supervised distillation of GKD."""
    both = recipe(tmp_path, text="answers")
    assert both.eats == {Signal.LOGITS, Signal.TEXT}
    assert both.needs_weights
    assert both.asks_answers
    plain = recipe(tmp_path, method="black-box", text="references")
    assert plain.eats == frozenset()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"objective": [{"term": "reverse-kl"}], "cross_entropy": 0.5}, "weight: 0.5}"),
        ({"objective": [{"term": "reverse-kl"}] * 2}, "two terms called reverse_kl; name one"),
        ({"objective": []}, "at least 1"),
        ({"objective": [{"term": "reverse-kl", "weight": -1}]}, "greater than or equal to 0"),
        ({"objective": [{"term": "generalised-jsd", "beta": 1.0}]}, "less than 1"),
    ],
)
def test_terms_that_do_not_fit_are_refused(changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(pydantic.ValidationError, match=expected):
        settings(**changes)


@pytest.mark.parametrize("method", ["black-box", "control"])
def test_nothing_to_mix_is_said(tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError, match=f"method {method} does not mix cross-entropy"):
        recipe(tmp_path, method=method, cross_entropy=0.5)


TOP = """\
arms:
  teacher: {model: "hf:t"}
  student: {model: "hf:s"}
distill:
  corpus: c.jsonl
  output: s
  layers: 2
"""


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("method: logit", "expected 'logits', 'black-box'"),
        ("objective: [{term: foward-kl}]", "'foward-kl'; did you mean 'forward-kl'?"),
        ("objective: [{weight: 1}]", "objective.0: no 'term'"),
        (
            "objective: [{term: forward-kl, beta: 0.5}]",
            "unknown key; known: name, weight, tokens, term",
        ),
        ("objective: [{term: forward-kl, weight: x}]", "objective.0.weight"),
        (
            "objective: [{term: forward-kl, weight: {start: 0, end: 1, over: [0.5, 0.5]}}]",
            "no stretch",
        ),
    ],
)
def test_a_file_is_refused_in_one_line(tmp_path: Path, lines: str, expected: str) -> None:
    path = tmp_path / "ullage.yaml"
    path.write_text(f"{TOP}  {lines}\n")
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert expected in message
    assert "ullage.yaml:8" in message
    assert "\n" not in message
    assert len(message) < 400


def test_only_information_is_in_nats() -> None:
    terms = ["forward-kl", "cross-entropy", "merged-spans", "total-variation", "ranked-rest"]
    made = objective(objective=[{"term": term} for term in terms], alignment="bytes")
    in_nats = {name for name, unit in made.units.items() if unit.startswith("nats")}
    assert in_nats == {"forward_kl", "cross_entropy", "merged_spans"}
    assert objective("logits").units["loss"] == "nats per supervised token"
    assert objective("features").units["loss"] == "per supervised token"
    assert objective("features").units["hidden"] == "per supervised token"


def test_only_cross_tokenizer_aligns_on_bytes_by_itself() -> None:
    on_bytes = {name for name in PRESETS if presets.alignment(settings(name)) == "bytes"}
    assert on_bytes == {"cross-tokenizer"}
    assert presets.alignment(settings("logits", alignment="bytes")) == "bytes"
