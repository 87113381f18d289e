"""Planting canaries in a training corpus, and keeping the lists that probes ask from.

Of twice as many canaries as are wanted a coin decides which are planted, so that planted and left
out differ in nothing but that (Carlini et al. 2019; Steinke et al. 2023, arXiv 2305.08846).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from ullage.errors import InputError
from ullage.files import write_together, write_whole
from ullage.probes.draw import Draw
from ullage.probes.jsonl import Record, records
from ullage.probes.privacy.secrets import FAMILIES, Canary, canary

CANARIES, MEMBERSHIP = "canaries.jsonl", "membership.jsonl"
"""The lists: planted secrets, and texts with whether they were planted."""


@dataclass(frozen=True, slots=True)
class Planted:
    """What was written."""

    rows: int
    """Of the corpus, with the canaries."""
    planted_rows: int
    canaries: Path
    membership: Path


def plant(
    corpus: Path, target: Path, folder: Path, *, count: int, repeats: Sequence[int], seed: int
) -> Planted:
    """Write a corpus with canaries, and two lists of them.

    Args:
        corpus: JSONL of conversations (``{"messages": [...]}``).
        target: where the corpus with canaries goes; not the corpus itself.
        folder: where `CANARIES` and `MEMBERSHIP` go. Whoever trains needs neither.
        count: canaries planted; as many are left out.
        repeats: how many rows a canary gets; several numbers take turns.
        seed: of canaries, of which are planted, and of where.

    Raises:
        InputError: the corpus cannot be used, or the target would replace it.
        UllageError: something cannot be written.
    """
    if target.resolve() == corpus.resolve():
        raise InputError(f"{target}: is the corpus itself; name another file for the planted one")
    lines = [json.dumps(_row(record), ensure_ascii=False) for record in records(corpus)]
    if not lines:
        raise InputError(f"{corpus}: it holds no row; give a JSONL of conversations")
    chance = _Chance(seed)
    made = [canary(Draw(seed, "canaries", index, len(FAMILIES))) for index in range(2 * count)]
    chosen = set(chance.order(range(2 * count))[:count])
    often = dict(zip(sorted(chosen), cycle(repeats)))
    added = [_taught(made[index], time) for index, times in often.items() for time in range(times)]
    rows = chance.among(lines, added)
    listed = [(f"{seed}-{index:05d}", often.get(index, 0), one) for index, one in enumerate(made)]
    write_together(
        folder,
        {
            CANARIES: _lines([_secret(*entry) for entry in listed if entry[1]]),
            MEMBERSHIP: _lines([_text(*entry) for entry in listed]),
        },
    )
    write_whole(target, ("\n".join(rows) + "\n").encode())
    return Planted(len(rows), len(added), folder / CANARIES, folder / MEMBERSHIP)


class _Chance:
    """Decisions of a seed, by `random` alone, whose sequence Python promises to keep."""

    def __init__(self, seed: int) -> None:
        self._random = Random(f"{seed}/canaries").random  # noqa: S311 - no secret

    def order(self, things: Sequence[int]) -> list[int]:
        """In random order."""
        return sorted(things, key=lambda _: self._random())

    def among(self, lines: list[str], added: list[str]) -> list[str]:
        """Lines in their order, with others strewn in."""
        places = [(index + 1.0, line) for index, line in enumerate(lines)]
        places += [(self._random() * (len(lines) + 1), line) for line in added]
        return [line for _, line in sorted(places, key=lambda pair: pair[0])]


def _row(record: Record) -> dict[str, Any]:
    """A row of the corpus as it is, once it is seen to be a conversation."""
    record.messages()
    return dict(record.data)


def _taught(one: Canary, time: int) -> str:
    """A row that plants a canary. No two are alike: those who train may drop what comes twice."""
    asked = f"({time + 1}) {one.prompt}" if time else one.prompt
    turns = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": one.reply},
    ]
    return json.dumps({"messages": turns}, ensure_ascii=False)


def _secret(name: str, times: int, one: Canary) -> dict[str, Any]:
    return {
        "id": name,
        "family": one.family,
        "prompt": one.prompt,
        "lead": one.lead,
        "head": one.head,
        "tail": one.tail,
        "candidates": list(one.candidates),
        "repeats": times,
    }


def _text(name: str, times: int, one: Canary) -> dict[str, Any]:
    return {
        "id": name,
        "family": one.family,
        "prompt": one.prompt,
        "reply": one.reply,
        "member": times > 0,
        "repeats": times,
    }


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
