"""Putting compositions into a training corpus, and keeping lists of those that are held out.

Whether a student has the principle can be told only if it was taught some of its instances and not
others. What goes into the corpus is in the family and operates on other things than any probe asks
about; what is out of the family goes nowhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from ullage.probes.base import PackagedProbe
from ullage.probes.capacity.compositions import (
    CORPUS,
    FORMS,
    PAIRS,
    TRIPLES,
    Question,
    question,
    usable,
)
from ullage.probes.capacity.distance import CorpusDistance
from ullage.probes.capacity.operations import KINDS
from ullage.probes.capacity.pairs import HeldOutPairs
from ullage.probes.corpus import conversation, corpus_lines, strewn, write_corpus

PAIRS_LIST, DISTANCES_LIST = "held-out-pairs.jsonl", "corpus-distance.jsonl"


@dataclass(frozen=True, slots=True)
class Composed:
    """What was written."""

    rows: int
    """Of the corpus, with the compositions."""
    pairs: Path
    distances: Path


def compose(
    corpus: Path, target: Path, folder: Path, *, count: int, listed: int, answers: bool, seed: int
) -> Composed:
    """Write a corpus with compositions in the family, and two lists of items to ask about.

    Args:
        corpus: JSONL of conversations (``{"messages": [...]}``).
        target: where the corpus with compositions goes; not the corpus itself.
        folder: where `PAIRS_LIST` and `DISTANCES_LIST` go.
        count: compositions that are put into the corpus.
        listed: items of each list.
        answers: whether rows hold the right answer; without it the teacher answers them.
        seed: of what is put where, and of the lists.

    Raises:
        InputError: the corpus cannot be used, or the target would replace it.
        UllageError: something cannot be written.
    """
    rows = corpus_lines(corpus, target)
    added = (
        conversation(one.prompt, one.answer) if answers else conversation(one.prompt)
        for one in islice(taught(seed), count)
    )
    chance = Random(f"{seed}/compositions").random  # noqa: S311 - no secret
    lines = strewn(rows, added, chance)
    lists = {
        PAIRS_LIST: _list(HeldOutPairs(), ("held_out", "held_out_reference"), seed, listed),
        DISTANCES_LIST: _list(CorpusDistance(), ("distance",), seed, listed),
    }
    write_corpus(target, lines, folder, lists)
    return Composed(len(lines), folder / PAIRS_LIST, folder / DISTANCES_LIST)


def taught(seed: int) -> Iterator[Question]:
    """Compositions in the family, every one of two and of three operations in its turn, endlessly.

    None is there twice before all are.
    """
    every = [
        (place, composition) for composition in (*PAIRS, *TRIPLES) for place in range(len(KINDS))
    ]
    chance = Random(f"{seed}/taught").random  # noqa: S311 - no secret
    every.sort(key=lambda _: chance())
    for turn, (place, composition) in enumerate(cycle(every)):
        cases = usable(place, composition, CORPUS)
        again, at = divmod(turn // len(every), len(cases))
        yield question(KINDS[place], composition, cases[at], (at + again) % FORMS)


def _list(
    probe: PackagedProbe, keys: tuple[str, ...], seed: int, count: int
) -> list[dict[str, Any]]:
    """The probe's first items, in the form in which it reads them."""
    rows = []
    for item in islice(probe.items(seed), count):
        row = {
            "id": item.id.removeprefix(f"{probe.name}/"),
            "family": item.family.removeprefix(f"{probe.name}:"),
            "prompt": item.messages[0].content,
            "reference": item.answer,
            **{key: item.data[key] for key in keys},
        }
        row |= {"wrong": item.wrong} if item.wrong else {}
        row |= {"choices": list(item.choices)} if item.choices else {}
        rows.append(row)
    return rows
