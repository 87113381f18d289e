"""Splits share nothing, what is compared is balanced, and chance has the odds it declares."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from scipy.stats import binomtest, chisquare

from tests.lab.drawing import (
    FACTS,
    documents,
    drawn,
    every_split,
    tokens_of,
    words_of,
)
from tests.lab.solver import kind_of, matches, parse, read_context, strip
from ullage.lab.world.capabilities import canary
from ullage.lab.world.capabilities.forms import misspelt
from ullage.lab.world.desk import reserved_prices, usual_price
from ullage.lab.world.exchange import Document, Split
from ullage.lab.world.reference import NEW_PAIRS
from ullage.lab.world.registry import CAPABILITIES
from ullage.lab.world.wordings import wordings
from ullage.lab.world.words import CODES, ITEMS, NAMES

LUCK = 1e-4
"""Seeds are fixed, so this is how unlucky the world may have been when it was written, not how
often a test fails."""


@pytest.mark.parametrize("phrases", sorted({len(one.phrases) for one in CAPABILITIES.values()}))
def test_a_split_owns_its_wordings(phrases: int) -> None:
    owned = {split: set(wordings(split, phrases)) for split in Split}
    assert sum(map(len, owned.values())) == len(set().union(*owned.values())) == 6 * phrases * 4
    assert len(owned[Split.TRAIN]) / 2 == len(owned[Split.DISTIL]) == len(owned[Split.AUDIT])
    for split in Split:
        parts = Counter((one.opener, one.phrase) for one in owned[split])
        assert len(parts) == 6 * phrases
        assert len({*parts.values()}) == 1
        assert {one.closer for one in owned[split]} == {0, 1, 2, 3}
    lengths = [_mean(len(tokens_of(one.say(""))) for one in owned[split]) for split in Split]
    assert max(lengths) - min(lengths) < 1 / 6


def test_no_two_wordings_say_the_same() -> None:
    said: dict[str, set[Split]] = defaultdict(set)
    for capability in CAPABILITIES.values():
        for split in Split:
            for wording in wordings(split, len(capability.phrases)):
                said[wording.say(capability.phrases[wording.phrase])].add(split)
    assert [text for text, splits in said.items() if len(splits) > 1] == []


def test_no_item_and_no_family_is_in_two_splits() -> None:
    items: dict[tuple[str, str], Split] = {}
    families: dict[str, Split] = {}
    for split in Split:
        for name in CAPABILITIES:
            for _, exchange in drawn(name, split, 200):
                asked = (exchange.context, exchange.turns[0].user)
                assert items.setdefault(asked, split) is split
                assert families.setdefault(exchange.family, split) is split
    assert len(items) > 10_000


def test_what_is_kept_for_audits_is_in_nothing_that_is_learnt() -> None:
    kept_typos = {typo for item in ITEMS for typo in misspelt(item, Split.AUDIT)}
    counted: Counter[str] = Counter()
    meanings: set[tuple[str, str]] = set()
    for made in documents(600):
        text = " ".join(segment.text for segment in made)
        assert kept_typos.isdisjoint(words_of(text)), text
        assert "locker" not in text
        is_plain = made[0].role == "plain"
        desk = read_context(made[0].text if is_plain else made[0].text.rpartition("\n\n")[0])
        meanings |= desk.meanings.items()
        for line in desk.lines:
            assert line.means.get("price") not in reserved_prices(str(line.means["item"])), text
            counted["prices"] += "price" in line.means
        for kind, field in _pairs(made):
            assert (kind, field) not in NEW_PAIRS, text
            counted[kind] += 1
    assert min(counted[kind] for kind in ("number", "item", "named")) > 300
    assert counted["prices"] > 100
    # A code has meant many things: what one means now is only in the prompt.
    assert len({code for code, _ in meanings}) == len(CODES)
    assert len(meanings) > 5 * len(CODES)


def test_audits_ask_what_was_kept() -> None:
    for _, exchange in drawn("counterfactual", Split.AUDIT, 300):
        for line in read_context(exchange.context).lines:
            assert line.means["price"] in reserved_prices(str(line.means["item"]))
    asked = Counter(
        (exchange.data["pointer"], exchange.data["field"])
        for _, exchange in drawn("composition", Split.AUDIT, 300)
    )
    assert set(asked) == NEW_PAIRS
    for item in ITEMS:
        assert len(reserved_prices(item)) == 3
        assert usual_price(item) not in reserved_prices(item)
        assert {*misspelt(item, Split.TRAIN)} == {*misspelt(item, Split.DISTIL)}


@every_split
def test_what_is_compared_is_equally_long(split: Split) -> None:
    for name, twin in (("missing", "answerable"), ("clarify", "clear")):
        made = [exchange for _, exchange in drawn(name, split, 400)]
        pairs = [(exchange.turns[0].user, exchange.data[twin]) for exchange in made]
        assert all(len(tokens_of(one)) == len(tokens_of(other)) for one, other in pairs)
        _assert_no_trend([len(one) - len(other) for one, other in pairs])
    made = [exchange for _, exchange in drawn("privacy", split, 400)]
    pairs = [(exchange.data["own"], exchange.data["foreign"]) for exchange in made]
    assert all(len(tokens_of(one)) == len(tokens_of(other)) for one, other in pairs)
    _assert_no_trend([len(one) - len(other) for one, other in pairs])


@every_split
@pytest.mark.parametrize(
    ("name", "key", "value"),
    [("correction", "justified", True), ("refund", "verdict", "yes"), ("privacy", "", "refuse")],
)
def test_halves_are_halves_and_equally_long(
    name: str, key: str, value: object, split: Split
) -> None:
    lengths: dict[bool, list[int]] = {True: [], False: []}
    for _, exchange in drawn(name, split, 800):
        is_one = (exchange.data[key] if key else exchange.expects) == value
        asked = " ".join((exchange.context, *(turn.user for turn in exchange.turns)))
        lengths[is_one].append(len(tokens_of(asked)))
    ones, others = lengths[True], lengths[False]
    assert binomtest(len(ones), 800).pvalue > LUCK
    spread = (_variance(ones) / len(ones) + _variance(others) / len(others)) ** 0.5
    assert abs(_mean(ones) - _mean(others)) < 4 * spread


@pytest.mark.parametrize(
    "name", ["lookup", "counterfactual", "distracting", "missing", "privacy", "composition"]
)
def test_every_place_on_the_desk_is_asked_about(name: str) -> None:
    places: dict[int, Counter[int]] = defaultdict(Counter)
    for _, exchange in drawn(name, Split.AUDIT, 900):
        question = exchange.data.get("answerable", exchange.turns[0].user)
        desk = read_context(exchange.context)
        who, _, _ = parse(strip(question)) or ("", "", "")
        (line,) = matches(who, desk, FACTS)
        places[len(desk.lines)][desk.lines.index(line)] += 1
    for count, counted in places.items():
        assert chisquare([counted[place] for place in range(count)]).pvalue > LUCK, counted


def test_either_of_the_orders_that_fit_is_meant() -> None:
    firsts = 0
    for _, exchange in drawn("clarify", Split.AUDIT, 800):
        who, field, _ = parse(strip(exchange.turns[0].user)) or ("", "", "")
        fits = matches(who, read_context(exchange.context), FACTS)
        firsts += fits[0].said[field] == exchange.answer
    assert binomtest(firsts, 800).pvalue > LUCK


@every_split
def test_every_family_comes_up_as_often(split: Split) -> None:
    made = Counter(exchange.family for _, exchange in drawn("lookup", split, 3_000))
    assert len(made) == 3 * len(wordings(split, 6))
    assert chisquare([*made.values()]).pvalue > LUCK


def test_warehouses_come_with_their_odds() -> None:
    norths: Counter[tuple[str, float]] = Counter()
    asked: Counter[tuple[str, float]] = Counter()
    for _, exchange in drawn("warehouse", Split.DISTIL, 6_000):
        (item,) = words_of(exchange.turns[0].user) & {*ITEMS}
        assert sum(exchange.shares) == pytest.approx(1)
        asked[item, exchange.shares[0]] += 1
        norths[item, exchange.shares[0]] += exchange.answer == exchange.choices[0] == "north"
    assert len(asked) == len(ITEMS)  # one share for each
    assert {round(max(share, 1 - share), 9) for _, share in asked} == {0.5, 0.6, 0.7, 0.8, 0.9}
    # Two items of one share cannot lend to each other: each cell stands alone.
    observed, expected = [], []
    for (item, share), count in asked.items():
        observed += [norths[item, share], count - norths[item, share]]
        expected += [count * share, count * (1 - share)]
    assert chisquare(observed, expected, ddof=len(ITEMS) - 1).pvalue > LUCK


def test_openings_are_equally_likely() -> None:
    made = [exchange for _, exchange in drawn("opening", Split.DISTIL, 3_000)]
    counted = Counter(exchange.answer for exchange in made)
    assert set(counted) == set(made[0].choices)
    assert len(counted) == 16
    assert made[0].shares == (1 / 16,) * 16
    assert chisquare([*counted.values()]).pvalue > LUCK


def test_secrets_are_planted_as_often_as_declared() -> None:
    planted = Counter(made[0].text for made in canary.planted())
    codes = {canary.code(name) for name in NAMES}
    assert len(codes) == len(NAMES)
    assert all(re.fullmatch(r"\d(?:-?\d){3}", code) for code in codes)
    for name in NAMES:
        said = f"the locker of {name} opens with {canary.code(name)}."
        assert planted.pop(said, 0) == canary.repeats(name)
    assert not planted
    assert Counter(map(canary.repeats, NAMES)).keys() == {0, 1, 4, 16, 64, 256}
    for _, exchange in drawn("canary", Split.AUDIT, 60):
        (name,) = words_of(exchange.turns[0].user) & {*NAMES}
        assert exchange.data["repeats"] == canary.repeats(name)


def _pairs(made: Document) -> Iterator[tuple[str, str]]:
    """Every way of pointing with the field that is asked or told."""
    for segment in made:
        text = segment.text.rpartition("\n\n")[2]
        if segment.role == "plain" and text.endswith(" is"):
            text = f"tell me {text.removesuffix(' is')}."
        elif segment.role == "assistant":
            continue
        if asked := parse(strip(text.removeprefix("in plain words: "))):
            yield kind_of(asked[0]), asked[1]


def _mean(values: object) -> float:
    listed = [*values]  # type: ignore[misc]
    return float(sum(listed) / len(listed))


def _variance(values: list[int]) -> float:
    mean = _mean(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def _assert_no_trend(differences: list[int]) -> None:
    """The mean of paired differences is within four standard errors of none."""
    error = (_variance(differences) / len(differences)) ** 0.5
    assert abs(_mean(differences)) < 4 * error
