"""Generation by `HfModel`, against a naive loop: one sequence, full forward pass, no cache."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ullage.config.models import HfOptions  # noqa: E402
from ullage.models.hf import HfModel  # noqa: E402
from ullage.models.types import (  # noqa: E402
    Answer,
    Ask,
    Failure,
    Reply,
    Request,
    Sample,
    Weigh,
    answer_from_json,
    answer_to_json,
    assistant,
    system,
    user,
)

from ..support.tiny import build_tiny_model  # noqa: E402

pytestmark = pytest.mark.local

QUESTIONS = (
    "What is the capital of France?",
    "two plus two",
    "é你好😀 " * 9,
    "Yes. No. " * 60,
    "?",
    "Could you say which year you mean? " * 5,
)


def answers(
    folder: Path, requests: Sequence[Request], options: HfOptions | None = None
) -> list[Answer]:
    """What a fresh `HfModel` answers, in the order of the requests."""

    async def run() -> list[Answer]:
        async with HfModel(str(folder), options or HfOptions(), Path()) as model:
            return await answers_of(model, requests)

    return asyncio.run(run())


async def answers_of(model: HfModel, requests: Sequence[Request]) -> list[Answer]:
    got = {index: answer async for index, answer in model.answer(requests)}
    assert sorted(got) == list(range(len(requests)))
    return [got[index] for index in range(len(requests))]


def reply(answer: Answer) -> Reply:
    assert isinstance(answer, Reply), answer
    return answer


class Naive:
    """The reference: everything the slow and obvious way, in float64."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        auto: Any = AutoModelForCausalLM
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = auto.from_pretrained(folder, dtype=torch.float64).eval()

    def prompt(self, ask: Ask | Weigh) -> list[int]:
        turns = [{"role": m.role, "content": m.content} for m in ask.messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))

    def logprobs(self, ids: list[int]) -> Any:
        """Log-probabilities (token, vocab) after each token."""
        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        return torch.log_softmax(logits, -1)

    def greedy(self, ask: Ask) -> tuple[list[int], list[float], str]:
        return self.go_on(self.prompt(ask), ask.max_tokens)

    def go_on(self, prompt: list[int], most: int) -> tuple[list[int], list[float], str]:
        written: list[int] = []
        values: list[float] = []
        while len(written) < most:
            logprobs = self.logprobs(prompt + written)[-1]
            token = int(logprobs.argmax())
            if token == self.tokenizer.eos_token_id:
                return written, values, "stop"
            written.append(token)
            values.append(float(logprobs[token]))
        return written, values, "length"


@pytest.fixture(scope="module")
def naive(tiny_model_dir: Path) -> Naive:
    return Naive(tiny_model_dir)


def test_greedy_replies_are_those_of_the_naive_loop(tiny_model_dir: Path, naive: Naive) -> None:
    asks = [
        Ask(messages=(user(text),), max_tokens=n, top_logprobs=3)
        for text in QUESTIONS
        for n in (1, 24)
    ]
    for ask, answer in zip(asks, answers(tiny_model_dir, asks), strict=True):
        got = reply(answer)
        written, values, finish = naive.greedy(ask)
        assert got.text == naive.text(written)
        assert got.finish_reason == finish
        assert got.usage.prompt_tokens == len(naive.prompt(ask))
        assert got.usage.completion_tokens == len(written)
        assert got.logprobs is not None
        assert [entry.logprob for entry in got.logprobs] == pytest.approx(values, abs=2e-4)
        for entry in got.logprobs:
            assert len(entry.top) == 3
            assert entry.top[0] == (entry.token, entry.logprob)
            assert [p for _, p in entry.top] == sorted((p for _, p in entry.top), reverse=True)


def test_some_replies_end_by_themselves(tiny_model_dir: Path) -> None:
    asks = [
        Ask(messages=(user(f"{n} plus {n}"),), max_tokens=200, temperature=2.0) for n in range(12)
    ]
    finishes = {reply(answer).finish_reason for answer in answers(tiny_model_dir, asks)}
    assert finishes == {"stop", "length"} or finishes == {"stop"}


def mixed_requests() -> list[Request]:
    requests: list[Request] = []
    for number, text in enumerate(QUESTIONS):
        messages = (user(text),)
        requests += [
            Ask(messages=messages, max_tokens=20 + number),
            Ask(messages=messages, max_tokens=12, top_logprobs=2, stop=("e",)),
            *Sample(messages=messages, n=3, max_tokens=16, top_logprobs=1).asks(),
            Weigh(messages=messages, continuations=("Yes", "No", " plus two is four.", "")),
        ]
    return requests


def test_a_reply_does_not_depend_on_its_batch(tiny_model_dir: Path) -> None:
    requests = mixed_requests()

    async def run() -> None:
        async with HfModel(str(tiny_model_dir), HfOptions(), Path()) as model:
            together = await answers_of(model, requests)
            for request, expected in zip(requests, together, strict=True):
                assert await answers_of(model, [request]) == [expected]
            for batch_tokens in (64, 300, 1000, 20_000):
                model.options = HfOptions(batch_tokens=batch_tokens)
                order = random.Random(batch_tokens).sample(range(len(requests)), len(requests))
                got = await answers_of(model, [requests[place] for place in order])
                assert got == [together[place] for place in order]

    asyncio.run(run())


def test_sampling_follows_the_distribution(tiny_model_dir: Path, naive: Naive) -> None:
    """First tokens of 1500 samples against the model's own probabilities (chi-squared)."""
    from scipy.stats import chisquare

    heat = 0.8
    asks = Sample(messages=(user("two"),), n=1500, max_tokens=1, temperature=heat).asks()
    told = [Ask(**{**{f: getattr(a, f) for f in a.__slots__}, "top_logprobs": 1}) for a in asks]
    got = answers(tiny_model_dir, told)
    logprobs = naive.logprobs(naive.prompt(asks[0]))[-1]
    expected = torch.softmax(logprobs / heat, -1) * len(asks)
    counts: dict[str, int] = {}
    for answer in got:
        shown = reply(answer).logprobs
        key = f"{shown[0].logprob:.3f}" if shown else "end"
        counts[key] = counts.get(key, 0) + 1
    common = [
        token
        for token in expected.argsort(descending=True).tolist()
        if expected[token] > 15 and token != naive.tokenizer.eos_token_id
    ]
    assert len(common) >= 5
    observed = [
        next((n for k, n in counts.items() if k != "end" and abs(float(k) - lp) < 1.1e-3), 0)
        for lp in (float(logprobs[token]) for token in common)
    ]
    wanted = [float(expected[token]) for token in common]
    rest = len(asks) - sum(observed)
    test = chisquare([*observed, rest], [*wanted, len(asks) - sum(wanted)])
    assert test.pvalue > 1e-3


def test_samples_differ_by_replicate_and_repeat_exactly(tiny_model_dir: Path) -> None:
    asks = Sample(messages=(user("two"),), n=8, max_tokens=12).asks()
    first, second = answers(tiny_model_dir, asks), answers(tiny_model_dir, asks)
    assert first == second
    assert len({reply(answer).text for answer in first}) >= 7


def test_stop_strings_cut_the_reply(tiny_model_dir: Path) -> None:
    full = Ask(messages=(user("What is it?"),), max_tokens=40, top_logprobs=1)
    (whole,) = map(reply, answers(tiny_model_dir, [full]))
    for begin in range(3, len(whole.text) - 2, 4):
        stop = whole.text[begin : begin + 2]
        if "�" in stop:
            continue
        ask = Ask(messages=full.messages, max_tokens=40, top_logprobs=1, stop=("never", stop))
        (got,) = map(reply, answers(tiny_model_dir, [ask]))
        assert got.text == whole.text[: whole.text.index(stop)]
        assert got.finish_reason == "stop"
        assert got.logprobs is not None and whole.logprobs is not None
        assert got.logprobs == whole.logprobs[: len(got.logprobs)]
        said = "".join(entry.token for entry in got.logprobs)
        assert len(said) >= len(got.text)


def test_replies_survive_json(tiny_model_dir: Path) -> None:
    requests = mixed_requests()[:6]
    for answer in answers(tiny_model_dir, requests):
        assert not isinstance(answer, Failure)
        assert answer_from_json(answer_to_json(answer)) == answer


def test_what_does_not_fit_fails_alone(tiny_model_dir: Path) -> None:
    long = (user("Yes. " * 2000),)
    got = answers(
        tiny_model_dir,
        [
            Ask(messages=long),
            Ask(messages=(user("hi"),), max_tokens=5),
            Weigh(messages=long, continuations=("Yes",)),
            Ask(messages=()),
        ],
    )
    for place in (0, 2):
        answer = got[place]
        assert isinstance(answer, Failure) and "context of 1024" in answer.reason
    assert isinstance(got[1], Reply)
    assert isinstance(got[3], Failure)


def test_a_nearly_full_context_is_used_to_its_end(tiny_model_dir: Path, naive: Naive) -> None:
    text = "a " * 460
    while len(naive.prompt(Ask(messages=(user(text),)))) < 1015:
        text += "a "
    ask = Ask(messages=(user(text),), max_tokens=400)
    (got,) = map(reply, answers(tiny_model_dir, [ask]))
    total = got.usage.prompt_tokens + got.usage.completion_tokens
    assert (got.finish_reason, total) == ("length", 1024)


def test_a_template_that_refuses_fails_alone(tiny_model_dir: Path, tmp_path: Path) -> None:
    template = tmp_path / "strict.jinja"
    template.write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
        "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"
    )
    got = answers(
        tiny_model_dir,
        [Ask(messages=(system("x"), user("hi"))), Ask(messages=(user("hi"),), max_tokens=3)],
        HfOptions(chat_template=str(template)),
    )
    assert isinstance(got[0], Failure) and "no system turn" in got[0].reason
    assert reply(got[1]).usage.prompt_tokens < 5


@pytest.mark.parametrize("begun", ["two plus", "I do not know ", "Yes.\n"])
def test_an_assistant_turn_is_gone_on_from(tiny_model_dir: Path, naive: Naive, begun: str) -> None:
    ask = Ask(messages=(user("two plus two"), assistant(begun)), max_tokens=12)
    (got,) = map(reply, answers(tiny_model_dir, [ask]))
    text = f"<|im_start|>user\ntwo plus two<|im_end|>\n<|im_start|>assistant\n{begun}"
    prompt = list(naive.tokenizer(text, add_special_tokens=False)["input_ids"])
    written, _, _ = naive.go_on(prompt, 12)
    assert got.usage.prompt_tokens == len(prompt)
    assert got.text == naive.text(written)


def test_stopping_half_way_leaves_the_model_usable(tiny_model_dir: Path) -> None:
    asks = [Ask(messages=(user(f"{n}"),), max_tokens=5 + 5 * n) for n in range(30)]

    async def run() -> None:
        async with HfModel(str(tiny_model_dir), HfOptions(batch_tokens=200), Path()) as model:
            stream = model.answer(asks)
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]
            assert len(await answers_of(model, asks)) == 30

    asyncio.run(run())


def test_out_of_memory_halves_the_batch_and_changes_nothing(tiny_model_dir: Path) -> None:
    """The real network, made to run out of memory above six rows, as a small GPU would."""
    requests = mixed_requests()

    class Small:
        def __init__(self, network: Any) -> None:
            self.network, self.refused = network, 0
            self.together = True

        def prefill(self, prompts: Any) -> Any:
            return self.network.prefill(prompts)

        def gather(self, parts: Any, capacity: int) -> Any:
            if sum(len(chosen) for _, chosen in parts) > 6:
                self.refused += 1
                raise torch.cuda.OutOfMemoryError("too many rows")
            return self.network.gather(parts, capacity)

        def feed(self, *args: Any) -> Any:
            return self.network.feed(*args)

    async def run() -> None:
        import dataclasses

        options = HfOptions(batch_tokens=10_000)
        async with HfModel(str(tiny_model_dir), options, Path()) as model:
            expected = await answers_of(model, requests)
            assert model._loaded is not None
            small = Small(model._loaded.network)
            model._loaded = dataclasses.replace(model._loaded, network=small)
            assert await answers_of(model, requests) == expected
            assert small.refused > 1

    asyncio.run(run())


def test_without_a_template_the_rendering_is_plain(tmp_path: Path) -> None:
    folder = build_tiny_model(tmp_path, chat_template=None)
    naive = Naive(folder)
    ask = Ask(messages=(system("Be brief."), user("two plus two")), max_tokens=12)
    (got,) = map(reply, answers(folder, [ask]))
    text = "Be brief.\n\nUser: two plus two\nAssistant:"
    ids = list(naive.tokenizer(text)["input_ids"])
    assert got.usage.prompt_tokens == len(ids)
    written, _, _ = naive.go_on(ids, 12)
    assert got.text == naive.text(written).lstrip(" ")
