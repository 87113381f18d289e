"""What every probe asks, read as a person reads it: no item twice, and no broken sentence.

All of them are here, whatever is registered: a new probe is read with the others, and what is odd
on purpose has to be said so below.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import islice

import pytest

from tests.probes.conversing import converse, flat, perfect
from ullage.models.types import Ask, Weigh, Weights
from ullage.probes.base import PackagedProbe
from ullage.probes.protocol import Dimension, Item
from ullage.probes.registry import PACKAGED, get_probe

SEEDS = range(5)
READ = 0
"""The seed whose conversations are read, one of each family."""

FAULTS = {
    "two spaces": r"(?<=\S)  +(?=\S)",
    "a before a vowel": r"\b[Aa] (?!one\b|uni|use|euro)[aeiou]\w+",
    "an before a consonant": r"\b[Aa]n (?!hour|honest)[b-df-hj-np-tv-z]\w+",
    "a before many": r"\b[Aa]n? (?:pliers|trousers)\b",
    "a word twice": r"(?i)(?<!-)\b([a-z]+) \1\b",
    "a space before a mark": r" [.,;:?!](?!\w)",
    "two marks": r"[.,;:?!][.,;:]|[.?!]{2}",
    "a gap left open": r"[{}]|\bNone\b|\bnan\b",
    "a sentence in small letters": r"[.?!] [a-z]",
    "one of many": r"\b1 (?:places|days|steps|times|points)\b",
}
_CANARY = {"a word twice": "a phrase of four words drawn one by one"}
_SPOILT = "written oddly on purpose"
ON_PURPOSE: dict[str, dict[str, str]] = {
    "formats": {"a sentence in small letters": "casing is what is varied"},
    "invariance": {"a sentence in small letters": "casing is what is varied"},
    "odd-writing": dict.fromkeys(FAULTS, _SPOILT),
    "empty-input": dict.fromkeys(FAULTS, "what stands where a question should be"),
    "long-input": dict.fromkeys(FAULTS, "one sentence over and over, blank lines, logs"),
    "next-tokens": dict.fromkeys(FAULTS, "the touchstone that tells vocabularies apart"),
    "other-languages": {
        "a before a vowel": "French: has",
        "a space before a mark": "French",
    },
    **{name: _CANARY for name in PACKAGED if name.startswith(("canary", "membership"))},
}
PAIRS = (("(", ")"), ("[", "]"), ("“", "”"))
FIRST = re.compile(r"[A-Z0-9\"¿(]")
ENDS = re.compile(r"[.?!:\"')=]$|[A-Za-z0-9+/]{40,}$|\n- [^\n]+$")
"""A full stop or its like, a line of a list, or base64."""


def items(name: str, seed: int, each: int = 1) -> Iterator[Item]:
    """So many of each family."""
    probe = get_probe(name)
    assert isinstance(probe, PackagedProbe)
    return islice(probe.items(seed), each * len(probe.families))


def asked(item: Item) -> set[str]:
    """What an item puts to a model, as the user or as the house."""
    return {message.content for message in item.messages if message.role != "assistant"}


@cache
def read(name: str) -> tuple[str, ...]:
    """What items of each family ask, and all that is put to a model about one of each."""
    probe = get_probe(name)
    read = {text for seed in SEEDS for item in items(name, seed, each=4) for text in asked(item)}
    for item in items(name, READ):
        said = set[str]()

        def listen(request: Ask, item: Item, said: set[str] = said) -> str:
            said |= {one.content for one in request.messages if one.role != "assistant"}
            return perfect(request, item)

        def weigh(request: Weigh, item: Item = item, said: set[str] = said) -> Weights:
            said |= {one.content for one in request.messages if one.role != "assistant"}
            return flat(request, item)

        converse(probe, item, listen, weigh)
        read |= said
    return tuple(sorted(read))


@pytest.mark.parametrize("name", PACKAGED)
def test_no_item_comes_twice_in_a_seed_and_few_in_another(name: str) -> None:
    seen: dict[str, set[int]] = defaultdict(set)
    for seed in SEEDS:
        for item in items(name, seed, each=8):
            whole = [[one.content for one in item.messages], item.choices, dict(item.data)]
            key = json.dumps(whole, sort_keys=True)
            assert seed not in seen[key], f"twice in seed {seed}: {item.messages[-1].content}"
            seen[key].add(seed)
    made = sum(map(len, seen.values()))
    assert len(seen) > 0.9 * made, "another seed should ask something else"


@pytest.mark.parametrize("name", PACKAGED)
def test_sentences_are_whole(name: str) -> None:
    allowed = ON_PURPOSE.get(name, {})
    for text in read(name):
        for fault, pattern in FAULTS.items():
            found = re.search(pattern, text)
            assert fault in allowed or found is None, f"{fault}: {found and found[0]}\n{text}"
        if len(allowed) == len(FAULTS):
            continue
        assert text.count('"') % 2 == 0, text
        assert all(text.count(one) == text.count(two) for one, two in PAIRS), text
        assert ENDS.search(text.rstrip()), text
        assert FIRST.match(text) or "a sentence in small letters" in allowed, text


@pytest.mark.parametrize("name", PACKAGED)
def test_an_answer_is_told_from_a_wrong_one(name: str) -> None:
    for item in items(name, READ, each=8):
        for text in (item.answer, item.wrong, *item.ways, *item.choices):
            assert text == text.strip()
            assert "{" not in text
        assert not item.answer or item.answer != item.wrong
        assert len(set(item.choices)) == len(item.choices)
        assert item.wrong not in item.ways


@pytest.mark.parametrize("dimension", Dimension)
def test_a_dimension_has_two_probes_of_four_families(dimension: Dimension) -> None:
    probes = [get_probe(name) for name in PACKAGED if PACKAGED[name].dimension == dimension]
    assert len(probes) >= 2
    for probe in probes:
        assert isinstance(probe, PackagedProbe)
        families = {f"{probe.name}:{family}" for family in probe.families}
        assert {item.family for item in items(probe.name, READ)} == families
        assert len(families) == len(probe.families) >= 4
