"""Every fault of a real endpoint: mended by a retry where it passes, a `Failure` where it stays."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.models.asking import NAME, answers, ask_server, question, questions, text_of
from tests.support.server import Fault, LoopbackServer
from ullage.config.models import OpenAIOptions
from ullage.errors import InfrastructureError, InputError
from ullage.models.openai import OpenAIModel
from ullage.models.types import Failure, Reply, Weigh, user

REASONS = {
    "http_429": "http 429",
    "http_500": "http 500",
    "http_503": "http 503",
    "http_408": "http 408",
    "redirect": "http 307",
    "hang": "timeout",
    "trickle": "timeout",
    "reset": "connection cut off",
    "cut_connection": "connection cut off",
    "cut_json": "malformed reply: not JSON",
    "not_json": "malformed reply: not JSON",
    "deep_json": "malformed reply: not JSON",
    "not_object": "malformed reply: not a JSON object",
    "empty_choices": "malformed reply: no choices",
    "choices_dict": "malformed reply: choices is no list",
    "no_message": "malformed reply: no message",
    "content_number": "malformed reply: content is no text",
    "content_null": "malformed reply: content is null",
    "nan_logprobs": "malformed reply: a log-probability is positive or NaN",
    "huge_body": "malformed reply: over 16 MB",
    "echo_error": "http 500",
}


@pytest.mark.parametrize("kind", sorted(REASONS))
def test_a_passing_fault_is_retried(kind: str) -> None:
    asked = questions(3, top_logprobs=2)
    with LoopbackServer() as server:
        expected = ask_server(server, asked, logprobs=True)
    with LoopbackServer(faults=[Fault(kind, times=1)]) as server:
        found = ask_server(server, asked, logprobs=True)
        stats = server.stats()
    assert found == expected
    assert stats["received"] == 6
    assert stats["answered"] == 3


@pytest.mark.parametrize("kind", sorted(REASONS))
def test_a_lasting_fault_is_a_failure_and_the_others_are_answered(kind: str) -> None:
    asked = questions(8, top_logprobs=1)
    with LoopbackServer(faults=[Fault(kind, contains="question 3.")]) as server:
        # Short where nothing else ends it: a busy machine may take longer over any other reply.
        timeout = 0.3 if REASONS[kind] == "timeout" else 30.0
        found = ask_server(server, asked, logprobs=True, max_attempts=2, timeout_s=timeout)
        stats = server.stats()
    assert found[3] == Failure(reason=REASONS[kind])
    assert all(isinstance(answer, Reply) for i, answer in enumerate(found) if i != 3)
    assert stats["by_fault"] == {kind: 2}


def test_a_storm_of_everything_is_survived_and_nothing_answered_is_asked_twice() -> None:
    kinds = [kind for kind in REASONS if kind not in ("hang", "trickle", "huge_body")]
    faults = [Fault(kind, share=0.08, seed=5, times=1) for kind in kinds]
    asked = questions(150, top_logprobs=1)
    with LoopbackServer(faults=faults) as server:
        found = ask_server(server, asked, logprobs=True, max_attempts=8)
        stats = server.stats()
    assert all(isinstance(answer, Reply) for answer in found)
    assert len(stats["by_fault"]) >= 15
    assert stats["answered"] == 150
    assert stats["answered_twice"] == []


def test_a_wrong_request_is_not_repeated_and_names_the_parameter_at_most() -> None:
    with LoopbackServer(faults=[Fault("http_400", code="unsupported_parameter")]) as server:
        (found,) = ask_server(server, questions(1))
        assert server.stats()["received"] == 1
    assert found == Failure(reason="http 400 (unsupported_parameter)")
    with LoopbackServer(faults=[Fault("http_422", code="Your prompt was: tell me")]) as server:
        assert ask_server(server, questions(1)) == [Failure(reason="http 422")]


def test_lone_surrogates_become_what_a_file_can_hold() -> None:
    with LoopbackServer(faults=[Fault("lone_surrogate")]) as server:
        (found,) = ask_server(server, questions(1))
    assert text_of(found) == "a\ufffdb"
    text_of(found).encode("utf-8")


@pytest.mark.parametrize(
    ("status", "code", "error", "words"),
    [
        (401, "", InfrastructureError, "refuses the key (http 401); name the environment variable"),
        (403, "", InfrastructureError, "refuses the key (http 403)"),
        (402, "", InfrastructureError, "no credit left"),
        (429, "insufficient_quota", InfrastructureError, "no credit left"),
        (404, "", InputError, "nothing at /chat/completions (http 404); correct openai.base_url"),
    ],
)
def test_what_no_retry_mends_ends_the_run(
    status: int, code: str, error: type[Exception], words: str
) -> None:
    with (
        LoopbackServer(faults=[Fault(f"http_{status}", code=code)]) as server,
        pytest.raises(error) as caught,
    ):
        ask_server(server, questions(20), max_concurrency=1)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.stats()["received"] == 1


def test_an_endpoint_that_is_not_there_is_found_before_anything_is_asked() -> None:
    with LoopbackServer() as server:
        url = server.url
    with pytest.raises(InfrastructureError, match=r"does not answer \(no connection\)"):
        asyncio.run(
            OpenAIModel.open(NAME, OpenAIOptions(base_url=url, max_attempts=2), backoff_s=0.01)
        )


def test_an_endpoint_that_goes_away_ends_the_run_instead_of_failing_every_item() -> None:
    async def run() -> None:
        with LoopbackServer() as server:
            options = OpenAIOptions(base_url=server.url, max_attempts=2)
            model = await OpenAIModel.open(NAME, options, backoff_s=0.01)
        await answers(model, questions(50))

    with pytest.raises(InfrastructureError, match="no connection for 3 requests in a row"):
        asyncio.run(run())


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_respected(form: str) -> None:
    fault = Fault("http_429", times=1, retry_after=1.0, retry_after_form=form)
    with LoopbackServer(faults=[fault]) as server:
        started = time.monotonic()
        (found,) = ask_server(server, [question("hello")])
        waited = time.monotonic() - started
    assert isinstance(found, Reply)
    # An HTTP-date has whole seconds: "in one second" may be any moment of the second before.
    least = 0.95 if form == "seconds" else 0.0
    assert least <= waited < 2.5


def test_retry_after_as_a_date_waits_until_then() -> None:
    fault = Fault("http_503", times=1, retry_after=2.0, retry_after_form="date")
    with LoopbackServer(faults=[fault]) as server:
        started = time.monotonic()
        (found,) = ask_server(server, [question("hello")])
    assert isinstance(found, Reply)
    assert 0.9 <= time.monotonic() - started < 3.5


def test_retry_after_holds_every_request_back() -> None:
    fault = Fault("http_429", arrivals=(0,), retry_after=0.6)
    with LoopbackServer(faults=[fault]) as server:
        found = ask_server(server, questions(6), max_concurrency=1)
        requests = server.stats()["requests"]
    assert all(isinstance(answer, Reply) for answer in found)
    refused = requests[0]["ended"]
    assert all(request["started"] - refused >= 0.55 for request in requests[1:])


def test_a_retry_after_beyond_the_cap_is_a_failure_at_once() -> None:
    fault = Fault("http_429", contains="question 0.", retry_after=3600)
    with LoopbackServer(faults=[fault]) as server:
        started = time.monotonic()
        found = ask_server(server, questions(3), max_retry_after_s=0.5)
    assert time.monotonic() - started < 2
    assert found[0] == Failure(reason="retry-after is too long")
    assert all(isinstance(answer, Reply) for answer in found[1:])


def test_weighing_suffers_faults_the_same_way() -> None:
    request = Weigh(messages=(user("hi"),), continuations=("yes", "no"))
    with LoopbackServer() as server:
        expected = ask_server(server, [request], completions=True)
    faults = [Fault("cut_json", times=1), Fault("empty_choices", times=1)]
    with LoopbackServer(faults=faults) as server:
        assert ask_server(server, [request], completions=True) == expected
    with LoopbackServer(faults=[Fault("empty_choices")]) as server:
        assert ask_server(server, [request], completions=True, max_attempts=2) == [
            Failure(reason="malformed reply: no choices")
        ]
