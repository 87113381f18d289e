"""The protocol as values: any body is a checked reply or malformed, and nothing else."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.models.asking import NAME, question
from ullage.models import openai_wire as wire
from ullage.models.types import Message, Weigh, assistant, system, user


def test_an_endpoint_that_ignores_logprobs_is_not_taken_for_one_that_gives_them() -> None:
    data = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    with pytest.raises(wire.MalformedReplyError, match="no log-probabilities"):
        wire.parse_reply(data, question("?", top_logprobs=1), logprobs=True)
    assert wire.parse_reply(data, question("?"), logprobs=True).text == "hi"


def test_a_refusal_in_its_own_field_is_what_the_model_said() -> None:
    message = {"content": None, "refusal": "I cannot help with that."}
    data = {"choices": [{"message": message, "finish_reason": "stop"}]}
    assert wire.parse_reply(data, question("?"), logprobs=False).text == "I cannot help with that."


@pytest.mark.parametrize(
    ("value", "meaning"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter")]
    + [(odd, "unknown") for odd in ("tool_calls", None, 3, ["stop"])],
)
def test_finish_reasons(value: Any, meaning: str) -> None:
    assert wire.finish_reason(value) == meaning


@pytest.mark.parametrize(
    ("value", "kept"), [(-0.123456, -0.1235), (0, 0.0), (1e-7, 0.0), (-math.inf, -9999.0)]
)
def test_log_probabilities_are_rounded_and_floored(value: float, kept: float) -> None:
    assert wire.logprob(value) == kept
    assert math.copysign(1, wire.logprob(0)) == 1


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400)])
    | st.floats()
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
GOOD_REPLY = {
    "choices": [
        {
            "message": {"content": "a"},
            "finish_reason": "stop",
            "logprobs": {
                "content": [
                    {"token": "a", "logprob": -1, "top_logprobs": [{"token": "b", "logprob": -2}]}
                ]
            },
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    "system_fingerprint": "fp",
}
GOOD_ECHO = {
    "choices": [
        {
            "index": index,
            "text": prompt,
            "logprobs": {
                "tokens": ["User", ": q"] + [" x"] * index,
                "token_logprobs": [None, -1] + [-2] * index,
                "top_logprobs": [None, {"y": -1}] + [{"z": -1}] * index,
            },
        }
        for index, prompt in enumerate(["User: q\n\nAssistant:", "User: q\n\nAssistant: x"])
    ]
}
GOOD_LISTING = {"data": [{"id": NAME, "created": 1, "root": "r", "meta": {"n": {"m": 1}}}]}


def places(value: Any) -> list[tuple[Any, ...]]:
    """The path of every value inside a JSON value."""
    found: list[tuple[Any, ...]] = [()]
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            found += [(key, *place) for place in places(value[key])]
    return found


def replaced(value: Any, place: tuple[Any, ...], other: Any) -> Any:
    """A copy with the value at one place replaced."""
    if not place:
        return other
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = replaced(value[place[0]], place[1:], other)
    return copied


@given(data=st.data(), other=json_values)
def test_no_wrong_value_anywhere_raises_anything_but_malformed(
    data: st.DataObject, other: Any
) -> None:
    ask = question("?", top_logprobs=2)
    weigh = Weigh(messages=(user("q"),), continuations=("x",))
    for good, parse in (
        (GOOD_REPLY, lambda body: wire.parse_reply(body, ask, logprobs=True)),
        (GOOD_ECHO, lambda body: wire.parse_weights(body, weigh)),
        (GOOD_LISTING, lambda body: wire.offered_facts(body, NAME, 0.0)),
    ):
        parse(good)
        place = data.draw(st.sampled_from(places(good)[1:]))
        try:
            parse(replaced(good, place, other))
        except wire.MalformedReplyError as error:
            assert len(str(error)) < 60


@given(payload=st.binary(max_size=40))
def test_no_bytes_whatsoever_raise_anything_but_malformed(payload: bytes) -> None:
    try:
        assert isinstance(wire.decode(payload), dict)
    except wire.MalformedReplyError as error:
        assert str(error) in ("not JSON", "not a JSON object")


def test_weighing_goes_on_from_an_assistant_turn_without_a_space() -> None:
    weigh = Weigh(
        messages=(system("S"), user("U"), assistant("The answer is")), continuations=(" 4", "teen")
    )
    rendered = "System: S\n\nUser: U\n\nAssistant: The answer is"
    assert wire.weigh_prompts(weigh) == [rendered, f"{rendered} 4", f"{rendered}teen"]


def echoed(prompts: list[str], tokenised: list[list[str]]) -> dict[str, Any]:
    """A `/completions` body with these tokens, each with log-probability -1 - its length / 100."""
    return {
        "choices": [
            {
                "index": index,
                "text": prompt,
                "logprobs": {
                    "tokens": tokens,
                    "token_logprobs": [None] + [-1 - len(token) / 100 for token in tokens[1:]],
                },
            }
            for index, (prompt, tokens) in enumerate(zip(prompts, tokenised, strict=True))
        ]
    }


def test_tokens_that_merge_over_the_border_or_do_not_spell_the_text_are_counted_right() -> None:
    weigh = Weigh(messages=(assistant("a b"),), continuations=("cd", "é"))
    prompts = wire.weigh_prompts(weigh)
    # A BOS token without text of its own, "b" + "c" merged, "é" as two byte tokens.
    start = ["<s>", "Assistant", ":", " a"]
    tokens = [[*start, " b"], [*start, " bc", "d"], [*start, " b", "<0xC3>", "<0xA9>"]]
    data = echoed(prompts, tokens)
    # The order of choices is theirs to choose; the index says which is which.
    data["choices"].reverse()
    found = wire.parse_weights(data, weigh)
    assert found.tokens == (2, 2)
    assert found.logprobs == (-2.04, -2.12)
    assert found.greedy == ()


def test_echoes_that_are_none_are_refused() -> None:
    weigh = Weigh(messages=(user("q"),), continuations=("x",))
    prompts = wire.weigh_prompts(weigh)
    good = echoed(prompts, [["User", ": q"], ["User", ": q", " x"]])
    assert wire.parse_weights(good, weigh).tokens == (1,)

    def broken(change: str) -> dict[str, Any]:
        data = echoed(prompts, [["User", ": q"], ["User", ": q", " x"]])
        choice = data["choices"][1]
        if change == "generated on":
            choice["text"] += " and more"
        elif change == "tokens missing":
            choice["logprobs"]["tokens"].pop()
        elif change == "null in the middle":
            choice["logprobs"]["token_logprobs"][2] = None
        elif change == "chat form":
            choice["logprobs"] = {"content": [{"token": " x", "logprob": -1.0}]}
        elif change == "same index":
            choice["index"] = 0
        elif change == "one short":
            data["choices"].pop()
        return data

    for change in (
        "generated on",
        "tokens missing",
        "null in the middle",
        "chat form",
        "same index",
        "one short",
    ):
        with pytest.raises(wire.MalformedReplyError):
            wire.parse_weights(broken(change), weigh)


def test_openai_itself_is_sent_the_newer_name_of_the_limit() -> None:
    body = wire.ask_body(NAME, question("?"), logprobs=False, limit_name="max_completion_tokens")
    assert body["max_completion_tokens"] == 64
    assert "max_tokens" not in body


def test_roles_are_all_known_to_the_rendering() -> None:
    turns = tuple(Message(role, role) for role in ("system", "user", "assistant"))
    assert wire.weigh_prompts(Weigh(messages=turns, continuations=()))[0].count("\n\n") == 2
