"""What the endpoint adapter sends, what it makes of good replies, and who it says it asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from tests.models.asking import NAME, answers, ask_server, question, questions, text_of
from tests.support.server import Fault, LoopbackServer, hashed_words
from ullage.config.models import OpenAIOptions
from ullage.errors import InfrastructureError, InputError
from ullage.models.openai import OpenAIModel
from ullage.models.types import (
    Access,
    Ask,
    Failure,
    Reply,
    UnsupportedRequestError,
    Weigh,
    Weights,
    answer_from_json,
    answer_to_json,
    assistant,
    system,
    user,
)


def open_model(server: LoopbackServer, name: str = NAME, **options: Any) -> OpenAIModel:
    settings = OpenAIOptions(base_url=server.url, **{"max_attempts": 2, **options})
    return asyncio.run(OpenAIModel.open(name, settings, backoff_s=0.01))


def test_what_is_sent_is_what_was_asked() -> None:
    ask = Ask(
        messages=(system("Be brief."), user("Häagen?\n")),
        max_tokens=7,
        temperature=0.5,
        stop=("\n", "END"),
        top_logprobs=3,
        seed=11,
    )
    with LoopbackServer() as server:
        ask_server(server, [ask], logprobs=True, extra_body={"top_p": 0.9})
        assert server.bodies() == [
            {
                "model": NAME,
                "messages": [
                    {"role": "system", "content": "Be brief."},
                    {"role": "user", "content": "Häagen?\n"},
                ],
                "max_tokens": 7,
                "temperature": 0.5,
                "stop": ["\n", "END"],
                "seed": 11,
                "logprobs": True,
                "top_logprobs": 3,
                "top_p": 0.9,
            }
        ]


def test_a_plain_greedy_question_sends_nothing_an_endpoint_might_refuse() -> None:
    with LoopbackServer() as server:
        (found,) = ask_server(server, [question("hi", seed=5, top_logprobs=4)])
        assert set(server.bodies()[0]) == {"model", "messages", "max_tokens", "temperature"}
    assert isinstance(found, Reply)
    assert found.logprobs is None


def test_replicates_reach_the_endpoint_as_different_questions() -> None:
    asked = [question("hi", temperature=t, replicate=r) for t in (0.0, 1.0) for r in (0, 1, 10**6)]
    with LoopbackServer() as server:
        ask_server(server, asked)
        assert server.stats()["answered_distinct"] == 6


def test_a_conversation_that_ends_with_the_assistant_is_continued() -> None:
    with LoopbackServer() as server:
        ask_server(server, [Ask(messages=(user("Count."), assistant("One, two,")))])
        body = server.bodies()[0]
    assert body["continue_final_message"] is True
    assert body["add_generation_prompt"] is False
    assert body["messages"][-1] == {"role": "assistant", "content": "One, two,"}


def test_the_reply_is_read_whole() -> None:
    with LoopbackServer(responder=lambda body: "one two three four") as server:
        (found,) = ask_server(server, [question("hi", max_tokens=3, top_logprobs=2)], logprobs=True)
    assert isinstance(found, Reply)
    assert (found.text, found.finish_reason) == ("one two three", "length")
    assert found.fingerprint == "fp-test"
    assert found.usage.completion_tokens == 3
    assert found.logprobs is not None
    assert [entry.token for entry in found.logprobs] == ["one", " two", " three"]
    for entry in found.logprobs:
        assert entry.top[0] == (entry.token, entry.logprob)
        assert len(entry.top) == 2
        assert round(entry.logprob, 4) == entry.logprob < 0
    assert answer_from_json(answer_to_json(found)) == found


# ------------------------------------------------------------------------------------ weighing


def test_weighing_adds_up_the_tokens_after_the_prompt() -> None:
    """The server's log-probabilities are a function of prefix and token, so they can be redone."""
    from tests.support.misbehaviour import token_logprob

    request = Weigh(messages=(user("Capital of France?"),), continuations=("Paris", "Lyon or Nice"))
    with LoopbackServer() as server:
        (found,) = ask_server(server, [request], completions=True)
        body = server.bodies()[0]
    prompt = "User: Capital of France?\n\nAssistant:"
    assert body["prompt"] == [prompt, f"{prompt} Paris", f"{prompt} Lyon or Nice"]
    assert (body["echo"], body["max_tokens"], body["logprobs"]) == (True, 0, 1)
    assert isinstance(found, Weights)
    paris = token_logprob(prompt, " Paris")
    steps = [(prompt, " Lyon"), (f"{prompt} Lyon", " or"), (f"{prompt} Lyon or", " Nice")]
    assert found.logprobs == (paris, round(sum(token_logprob(*step) for step in steps), 4))
    assert found.tokens == (1, 3)
    assert found.greedy == (True, False)  # " or" has odd length: the server gives it a rival.


def test_weighing_without_the_access_is_a_programming_error() -> None:
    with LoopbackServer() as server, pytest.raises(UnsupportedRequestError):
        ask_server(server, [Weigh(messages=(user("q"),), continuations=("x",))])


# ------------------------------------------------------------------------- who was it that answered


def test_access_is_what_the_options_say() -> None:
    assert OpenAIModel(NAME, OpenAIOptions()).access == {Access.TEXT}
    options = OpenAIOptions(logprobs=True, completions=True)
    assert OpenAIModel(NAME, options).access == {Access.TEXT, Access.LOGPROBS, Access.WEIGH}


def test_one_name_at_two_endpoints_is_two_models() -> None:
    with LoopbackServer() as one, LoopbackServer() as other:
        identities = {open_model(one).identity, open_model(other).identity}
        again = open_model(one).identity
    assert len(identities) == 2
    assert again in identities


def test_another_model_behind_the_same_name_and_address_is_another_model() -> None:
    seen = []
    with LoopbackServer() as server:
        for root in ("/models/first", "/models/second", "/models/first"):
            server.models = ({"id": NAME, "owned_by": "vllm", "root": root},)
            seen.append(open_model(server).identity)
    assert seen[0] != seen[1]
    assert seen[0] == seen[2]


def test_what_changes_a_reply_changes_the_identity_and_what_does_not_does_not() -> None:
    with LoopbackServer() as server:
        plain = open_model(server).identity
        assert plain.startswith("openai:")
        assert open_model(server, max_concurrency=2, timeout_s=9.0, completions=True).identity == (
            plain
        )
        others = {
            open_model(server, "other").identity,
            open_model(server, extra_body={"top_k": 1}).identity,
            open_model(server, logprobs=True).identity,
        }
    assert len(others | {plain}) == 4


def test_a_listing_stamped_with_the_time_of_asking_does_not_change_the_identity() -> None:
    """vLLM and llama.cpp give the time of each answer as ``created``; Ollama when it was made."""
    with LoopbackServer() as server:

        def identity(created: int) -> str:
            server.models = ({"id": NAME, "created": created},)
            return open_model(server).identity

        now = int(time.time())
        assert identity(now) == identity(now + 1)
        assert identity(now - 90_000) != identity(now - 80_000)
        assert identity(now - 90_000) == identity(now - 90_000)


@pytest.mark.parametrize("models", [None, (), ({"id": "another"},)])
def test_an_endpoint_without_a_listing_offers_no_facts(models: Any) -> None:
    with LoopbackServer(models=models) as server:
        assert open_model(server).description["offered"] == {}


def test_hostile_listings_are_kept_short_and_plain() -> None:
    entry = {
        "id": NAME,
        "owned_by": "x" * 10_000,
        "root": ["<script>"],
        "max_model_len": float("nan"),
        "meta": {f"k{n}": {"deep": [n]} for n in range(100)} | {"n_params": 7},
    }
    with LoopbackServer(models=(entry,)) as server:
        offered = open_model(server).description["offered"]
    assert len(str(offered)) < 3000
    assert set(offered) == {"owned_by", "meta"}


def test_one_listing_is_all_that_opening_asks() -> None:
    with (
        LoopbackServer(key="k" * 12) as server,
        pytest.raises(InfrastructureError, match="refuses"),
    ):
        open_model(server)
    with LoopbackServer() as server:
        open_model(server)
        assert server.stats()["received"] == 0
        assert server.stats()["listings"] == 1


def test_fingerprints_that_change_are_kept_per_reply() -> None:
    with LoopbackServer() as server:
        model = open_model(server, max_concurrency=1)

        async def run() -> list[str | None]:
            seen = []
            async with model:
                async for index, answer in model.answer(questions(4)):
                    assert isinstance(answer, Reply)
                    seen.append(answer.fingerprint)
                    server.fingerprint = f"fp-{index + 1}" if index < 2 else None
            return seen

        seen = asyncio.run(run())
    assert set(seen) > {"fp-test"}


@pytest.mark.parametrize("field", ["model", "messages", "n", "stream", "temperature"])
def test_extra_body_may_not_override_what_is_asked(field: str) -> None:
    with pytest.raises(InputError, match=f"extra_body sets '{field}'.*remove it"):
        OpenAIModel(NAME, OpenAIOptions(extra_body={field: 1}))


def test_the_description_says_where_and_how_but_not_what_may_be_private() -> None:
    with LoopbackServer() as server:
        model = open_model(server, completions=True, extra_body={"user": "someone@example.org"})
    facts = model.description
    assert facts["base_url"] == server.url
    assert facts["extra_body"] == ["user"]
    assert "example.org" not in repr(facts)
    assert "plain text" in facts["weighs"]
    assert model.deterministic is False
    assert model.keyed_by_item is False


def test_many_requests_are_answered_with_their_own_replies() -> None:
    asked = questions(200)
    with LoopbackServer() as server:
        found = ask_server(server, asked)
    for ask, answer in zip(asked, found, strict=True):
        body = {
            "model": NAME,
            "messages": [{"role": "user", "content": ask.messages[0].content}],
            "max_tokens": 64,
            "temperature": 0.0,
        }
        assert text_of(answer) == hashed_words(body)


def test_asking_outside_the_context_is_a_programming_error() -> None:
    async def run() -> None:
        model = OpenAIModel(NAME, OpenAIOptions(base_url="http://127.0.0.1:9"))
        [_ async for _ in model.answer(questions(1))]

    with pytest.raises(RuntimeError, match="outside"):
        asyncio.run(run())


def test_a_model_can_be_entered_again() -> None:
    with LoopbackServer(faults=[Fault("http_500", contains="question 1.")]) as server:
        model = open_model(server)
        first = asyncio.run(answers(model, questions(3)))
        second = asyncio.run(answers(model, questions(3)))
    assert first == second
    assert first[1] == Failure(reason="http 500")
