"""Draws from the world, as several tests want them, and what the solver may know."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

import pytest

from tests.lab.solver import Facts, solve
from ullage.lab.world.capabilities import canary
from ullage.lab.world.capabilities.memory import FACT
from ullage.lab.world.desk import Bias, usual_price
from ullage.lab.world.episodes import draw_exchange, episode
from ullage.lab.world.exchange import Document, Exchange, Split
from ullage.lab.world.practice import arithmetic, counting, plain_text, recital, tally
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.words import ITEMS, NAMES

FACTS = Facts(
    [
        *(FACT.format(item=item, price=usual_price(item)) for item in ITEMS),
        *(canary.MEMO.format(name=name, code=canary.code(name)) for name in NAMES),
    ]
)
LEARNT = (Split.TRAIN, Split.DISTIL)

every_capability = pytest.mark.parametrize("name", CAPABILITIES)
every_split = pytest.mark.parametrize("split", list(Split))


def drawn(
    name: str, split: Split, count: int, bias: Bias | None = None
) -> Iterator[tuple[int, Exchange]]:
    """Exchanges of a capability, each from a seed of its own."""
    for seed in range(count):
        draw = Random(f"{split}/{name}/{seed}")
        yield seed, draw_exchange(draw, split, name, bias or Bias())


def documents(count: int) -> Iterator[Document]:
    """Whatever teachers, bases and students may read."""
    for seed in range(count):
        for split in LEARNT:
            yield episode(Random(f"{split}/{seed}"), split)
        yield recital(Random(f"recital/{seed}"), 1 + seed % 4, 8)
        yield counting(Random(f"counting/{seed}"), 2 + seed % 3, 6)
        yield tally(Random(f"tally/{seed}"))
        yield arithmetic(Random(f"arithmetic/{seed}"), 12)
        yield plain_text(Random(f"plain/{seed}"), 1 + seed % 4)


def put(exchange: Exchange, question: str | None = None) -> tuple[str, ...]:
    """What is right to reply to the last turn, or to another question on the same desk."""
    if question is None:
        return solve([(said.role, said.content) for said in exchange.prompt], FACTS)
    opening = f"{exchange.context}\n\n{question}" if exchange.context else question
    return solve([("user", opening)], FACTS)


def words_of(text: str) -> set[str]:
    return {*re.findall(r"[A-Za-z]+", text)}


def tokens_of(text: str) -> list[str]:
    """Words, digits and marks, as the vocabulary counts them."""
    return re.findall(r"[A-Za-z]+|\d|[^\sA-Za-z0-9]", text)
