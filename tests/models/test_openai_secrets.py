"""A key is in the header of a request and nowhere else, whatever the endpoint does with it."""

from __future__ import annotations

import asyncio
import base64
import logging
import pickle
import traceback
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.asking import NAME, answers, questions, text_of
from tests.support.server import Fault, LoopbackServer
from ullage.config.models import OpenAIOptions
from ullage.errors import InfrastructureError, InputError
from ullage.models.openai import OpenAIModel
from ullage.models.secrets import REDACTED, Secret, read_secret, redact, redact_pieces
from ullage.models.types import Answer, Failure, Reply, answer_to_json

KEY = 'sk-ullage\\quoted"/Zq7XwT93kfLm'
VARIABLE = "ULLAGE_TEST_KEY"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)


def shown(*things: object) -> str:
    """Everything a log, a page or a debugger would print of these."""
    return "\n".join(f"{thing!r}\n{thing!s}" for thing in things)


def ask(server: LoopbackServer, **options: object) -> tuple[OpenAIModel, list[Answer]]:
    async def run() -> tuple[OpenAIModel, list[Answer]]:
        settings = OpenAIOptions.model_validate(
            {"base_url": server.url, "api_key_env": VARIABLE, "max_attempts": 2, **options}
        )
        model = await OpenAIModel.open(NAME, settings, backoff_s=0.01)
        return model, await answers(model, questions(4, top_logprobs=2))

    return asyncio.run(run())


def test_the_key_is_sent() -> None:
    with LoopbackServer(key=KEY) as server:
        _, found = ask(server)
    assert all(isinstance(answer, Reply) for answer in found)


@pytest.mark.parametrize("kind", ["echo_error", "echo_content", "echo_fingerprint", "redirect"])
def test_an_endpoint_that_repeats_the_key_does_not_get_it_kept(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with LoopbackServer(key=KEY, faults=[Fault(kind)]) as server:
        model, found = ask(server, logprobs=True)
    kept = [answer if isinstance(answer, Failure) else answer_to_json(answer) for answer in found]
    everything = shown(model, model.description, model.identity, vars(model), *found, *kept)
    logged = caplog.text + shown(*(vars(record) for record in caplog.records))
    assert "httpcore" in logged
    for text in (everything, logged):
        assert KEY not in text
        assert KEY.replace("\\", "\\\\") not in text
        assert "Zq7XwT93kfLm" not in text
    if kind == "echo_content":
        assert f"Bearer {REDACTED}" in text_of(found[0])
        assert isinstance(found[0], Reply)
        said = "".join(entry.token for entry in found[0].logprobs or ())
        assert REDACTED in said
        assert "User-Agent" in said
    if kind == "echo_error":
        assert set(found) == {Failure(reason="http 500")}


def test_a_refused_key_is_not_in_the_error_nor_its_traceback() -> None:
    with LoopbackServer(key="another") as server, pytest.raises(InfrastructureError) as caught:
        ask(server)
    printed = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )
    assert f"set {VARIABLE} to a key that may use this model" in str(caught.value)
    assert "Zq7XwT93kfLm" not in printed + shown(caught.value, caught.value.__context__)


def test_a_missing_or_unusable_key_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    options = OpenAIOptions(api_key_env=VARIABLE)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(InputError, match=f"environment variable {VARIABLE} is not set; set it"):
        OpenAIModel(NAME, options)
    monkeypatch.setenv(VARIABLE, "  ")
    with pytest.raises(InputError, match="is not set"):
        OpenAIModel(NAME, options)
    monkeypatch.setenv(VARIABLE, "one two\nthree")
    with pytest.raises(InputError, match="no HTTP header can carry") as caught:
        OpenAIModel(NAME, options)
    assert "two" not in str(caught.value)


def test_a_secret_prints_as_nothing_and_is_not_pickled() -> None:
    secret = read_secret(VARIABLE, where="here")
    assert shown(secret, [secret], {"key": secret}).count(REDACTED) == 6
    assert "Zq7" not in shown(secret, [secret])
    assert secret.reveal() == KEY
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        pickle.dumps(Secret("other"))


def test_placeholder_keys_of_local_servers_change_no_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT_TEST_KEY", "EMPTY")
    assert read_secret("SHORT_TEST_KEY", where="here").reveal() == "EMPTY"
    assert redact("The glass is EMPTY.") == "The glass is EMPTY."


@given(before=st.text(), after=st.text(), cuts=st.lists(st.integers(0, 80), max_size=12))
def test_no_way_of_cutting_text_into_tokens_lets_a_key_through(
    before: str, after: str, cuts: list[int]
) -> None:
    secret = base64.b64encode(b"a key of some length").decode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIECES_TEST_KEY", secret)
        read_secret("PIECES_TEST_KEY", where="here")
    text = before + secret + after
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[a:b] for a, b in pairwise(places)]
    cleaned = redact_pieces(pieces)
    assert len(cleaned) == len(pieces)
    assert secret not in "".join(cleaned)
    assert secret not in redact(text)
    assert redact_pieces([before, after]) == [before, after]
