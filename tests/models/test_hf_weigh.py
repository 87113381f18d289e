"""Weighing by `HfModel`, against one unbatched full forward pass per continuation."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from ullage.config.models import HfOptions  # noqa: E402
from ullage.models.types import (  # noqa: E402
    Weigh,
    Weights,
    answer_from_json,
    answer_to_json,
    assistant,
    request_key,
    user,
)

from ..support.tiny import build_tiny_model  # noqa: E402
from .test_hf_generate import Naive, answers  # noqa: E402

pytestmark = pytest.mark.local

CHOICES = ("A", "B", "Yes", "No", " two plus two is four.", "Paris, and", "你好", "", "A")


def reference(naive: Naive, prompt: str, continuation: str) -> tuple[float, int, bool]:
    """Sum of log-probabilities, number of tokens, greedy or not."""
    before = list(naive.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    joint = list(naive.tokenizer(prompt + continuation, add_special_tokens=False)["input_ids"])
    assert joint[: len(before)] == before
    logprobs = naive.logprobs(joint)[len(before) - 1 : -1]
    tokens = joint[len(before) :]
    values = [float(row[token]) for row, token in zip(logprobs, tokens, strict=True)]
    greedy = all(int(row.argmax()) == token for row, token in zip(logprobs, tokens, strict=True))
    return sum(values), len(tokens), greedy


def chat(text: str) -> str:
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize("batch_tokens", [32, 400, 4096])
def test_weights_are_those_of_full_forward_passes(tiny_model_dir: Path, batch_tokens: int) -> None:
    naive = Naive(tiny_model_dir)
    texts = ["two plus two", "?", "What is it? " * 30, "two plus two"]
    requests = [Weigh(messages=(user(text),), continuations=CHOICES) for text in texts]
    requests.append(Weigh(messages=(user("x"),), continuations=("four. " * 150, "Yes")))
    got = answers(tiny_model_dir, requests, HfOptions(batch_tokens=batch_tokens))
    for request, weights in zip(requests, got, strict=True):
        assert isinstance(weights, Weights)
        prompt = chat(request.messages[0].content)
        expected = [reference(naive, prompt, choice) for choice in request.continuations]
        assert list(weights.logprobs) == pytest.approx([e[0] for e in expected], abs=3e-3)
        assert list(weights.tokens) == [e[1] for e in expected]
        assert list(weights.greedy) == [e[2] for e in expected]


def test_the_greedy_reply_is_weighed_as_greedy(tiny_model_dir: Path) -> None:
    naive = Naive(tiny_model_dir)
    request = Weigh(messages=(user("two"),), continuations=("A",))
    for length in (1, 2, 3, 9):
        written, values, _ = naive.go_on(naive.prompt(request), length)
        text = naive.text(written)
        if "�" in text:
            continue
        (weights,) = answers(
            tiny_model_dir, [Weigh(messages=request.messages, continuations=(text, text + "A"))]
        )
        assert isinstance(weights, Weights)
        if weights.tokens[0] == length:
            assert weights.greedy[0]
            assert weights.logprobs[0] == pytest.approx(sum(values), abs=1e-3)


def test_standings_are_read_off_the_whole_distribution(tiny_model_dir: Path) -> None:
    naive = Naive(tiny_model_dir)
    texts = (" two plus two is four.", "", "Paris, and")
    plain, asked = (
        Weigh(messages=(user("two"),), continuations=texts, standing=standing)
        for standing in (False, True)
    )
    without, weights = answers(tiny_model_dir, [plain, asked])
    assert isinstance(without, Weights)
    assert isinstance(weights, Weights)
    assert without.standings == ()
    assert (weights.logprobs, weights.greedy) == (without.logprobs, without.greedy)
    for text, standings in zip(texts, weights.standings, strict=True):
        before = naive.prompt(asked)
        tokens = list(naive.tokenizer(text, add_special_tokens=False)["input_ids"])
        expected = []
        for place, token in enumerate(tokens):
            row = naive.logprobs(before + tokens[:place])[-1]
            mean = (row.exp() * row).sum()
            deviation = ((row.exp() * row**2).sum() - mean**2).sqrt()
            expected.append(float((row[token] - mean) / deviation))
        assert list(standings) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("batch_tokens", [32, 4096])
def test_places_are_read_off_the_whole_distribution(
    tiny_model_dir: Path, batch_tokens: int
) -> None:
    naive = Naive(tiny_model_dir)
    texts = (" two plus two is four.", "", "Paris, and", "four. " * 60)
    asked = Weigh(messages=(user("two"),), continuations=texts, top=3)
    plain = Weigh(messages=(user("two"),), continuations=texts)
    without, weights = answers(tiny_model_dir, [plain, asked], HfOptions(batch_tokens=batch_tokens))
    assert isinstance(without, Weights)
    assert isinstance(weights, Weights)
    assert without.places == ()
    assert (weights.logprobs, weights.greedy) == (without.logprobs, without.greedy)
    assert answer_from_json(json.loads(json.dumps(answer_to_json(weights)))) == weights
    before = naive.prompt(asked)
    for text, places in zip(texts, weights.places, strict=True):
        tokens = list(naive.tokenizer(text, add_special_tokens=False)["input_ids"])
        assert "".join(place.token for place in places) == text
        rows = naive.logprobs(before + tokens)[len(before) - 1 : -1]
        for place, token, row in zip(places, tokens, rows, strict=True):
            assert place.logprob == pytest.approx(float(row[token]), abs=2e-3)
            values = row.topk(3).values.tolist()
            assert [logprob for _, logprob in place.top] == pytest.approx(values, abs=2e-3)
            likeliest = naive.tokenizer.decode([int(row.argmax())])
            assert place.top[0][0] == likeliest


def test_asking_for_places_changes_no_other_key() -> None:
    plain = Weigh(messages=(user("two"),), continuations=("A",))
    assert request_key("m", plain) == "824ad32178b31e216a93edf4ccfe8416"
    assert request_key("m", replace(plain, top=3)) != request_key("m", plain)


def test_an_order_of_choices_changes_nothing(tiny_model_dir: Path) -> None:
    shuffled = list(CHOICES)
    random.Random(1).shuffle(shuffled)
    one, other = answers(
        tiny_model_dir,
        [
            Weigh(messages=(user("which?"),), continuations=CHOICES),
            Weigh(messages=(user("which?"),), continuations=tuple(shuffled)),
        ],
    )
    assert isinstance(one, Weights) and isinstance(other, Weights)
    found = dict(zip(CHOICES, zip(one.logprobs, one.tokens, one.greedy, strict=True), strict=True))
    for choice, *entry in zip(shuffled, other.logprobs, other.tokens, other.greedy, strict=True):
        assert found[choice] == tuple(entry)


def test_an_assistant_prefix_is_weighed_on_from(tiny_model_dir: Path) -> None:
    naive = Naive(tiny_model_dir)
    request = Weigh(
        messages=(user("two plus two"), assistant("It is")), continuations=(" four", " no")
    )
    (weights,) = answers(tiny_model_dir, [request])
    assert isinstance(weights, Weights)
    prompt = chat("two plus two") + "It is"
    expected = [reference(naive, prompt, choice)[0] for choice in request.continuations]
    assert list(weights.logprobs) == pytest.approx(expected, abs=1e-3)


def test_plain_rendering_minds_the_leading_space(tmp_path: Path) -> None:
    folder = build_tiny_model(tmp_path, chat_template=None)
    naive = Naive(folder)
    (weights,) = answers(folder, [Weigh(messages=(user("two?"),), continuations=("Yes", " Yes"))])
    assert isinstance(weights, Weights)
    prompt = "User: two?\nAssistant:"
    bos = naive.tokenizer(prompt)["input_ids"][:1] == [naive.tokenizer.bos_token_id]
    assert not bos  # this tokenizer puts none
    expected, _, _ = reference(naive, prompt, " Yes")
    assert weights.logprobs == pytest.approx([expected, expected], abs=1e-3)


def test_no_continuations_is_an_empty_answer(tiny_model_dir: Path) -> None:
    (weights,) = answers(tiny_model_dir, [Weigh(messages=(user("x"),), continuations=())])
    assert isinstance(weights, Weights)
    assert weights.logprobs == weights.tokens == weights.greedy == ()
