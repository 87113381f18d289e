"""Planting canaries in a training corpus, and keeping the lists that probes ask from.

Of twice as many canaries as are wanted a coin decides which are planted, so that planted and left
out differ in nothing but that (Carlini et al. 2019; Steinke et al. 2023, arXiv 2305.08846).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from ullage.probes.corpus import conversation, corpus_lines, strewn, write_corpus
from ullage.probes.draw import Draw
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
    lines = corpus_lines(corpus, target)
    # `random` alone: its sequence Python promises to keep.
    chance = Random(f"{seed}/canaries").random  # noqa: S311 - no secret
    made = [canary(Draw(seed, "canaries", index, len(FAMILIES))) for index in range(2 * count)]
    chosen = set(sorted(range(2 * count), key=lambda _: chance())[:count])
    often = dict(zip(sorted(chosen), cycle(repeats)))
    added = [_taught(made[index], time) for index, times in often.items() for time in range(times)]
    rows = strewn(lines, added, chance)
    listed = [(f"{seed}-{index:05d}", often.get(index, 0), one) for index, one in enumerate(made)]
    lists = {
        CANARIES: [_secret(*entry) for entry in listed if entry[1]],
        MEMBERSHIP: [_text(*entry) for entry in listed],
    }
    write_corpus(target, rows, folder, lists)
    return Planted(len(rows), len(added), folder / CANARIES, folder / MEMBERSHIP)


def _taught(one: Canary, time: int) -> str:
    """A row that plants a canary. No two are alike: those who train may drop what comes twice."""
    asked = f"({time + 1}) {one.prompt}" if time else one.prompt
    return conversation(asked, one.reply)


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
