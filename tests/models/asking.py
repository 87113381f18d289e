"""Asking a model in a test, without ceremony."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.support.server import LoopbackServer
from ullage.config.models import OpenAIOptions
from ullage.models.openai import OpenAIModel
from ullage.models.types import Answer, Ask, Model, Reply, Request, user

NAME = "test-model"


def question(text: str, **fields: Any) -> Ask:
    """An `Ask` of one user turn."""
    return Ask(messages=(user(text),), **fields)


def questions(count: int, **fields: Any) -> list[Ask]:
    """So many different `Ask`s."""
    return [question(f"question {number}.", **fields) for number in range(count)]


async def answers(model: Model, requests: Sequence[Request]) -> list[Answer]:
    """The answers in the order of the requests; every request is answered once."""
    async with model:
        found = [pair async for pair in model.answer(requests)]
    assert sorted(index for index, _ in found) == list(range(len(requests)))
    return [answer for _, answer in sorted(found, key=lambda pair: pair[0])]


def ask_server(server: LoopbackServer, requests: Sequence[Request], **options: Any) -> list[Answer]:
    """What the server's model answers through the real adapter, with short waits."""

    async def run() -> list[Answer]:
        settings = OpenAIOptions(base_url=server.url, **{"timeout_s": 0.5, **options})
        model = await OpenAIModel.open(NAME, settings, backoff_s=0.01)
        return await answers(model, requests)

    return asyncio.run(run())


def text_of(answer: Answer) -> str:
    """The text of an answer that must be a reply."""
    assert isinstance(answer, Reply), answer
    return answer.text
