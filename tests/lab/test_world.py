"""The world's answers, against a solver that reads nothing but the text."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random

import pytest
from scipy.stats import binomtest, chisquare

from tests.lab.solver import Facts, kind_of, matches, parse, read_context, slips, solve, strip
from ullage.lab.world.capabilities import canary
from ullage.lab.world.capabilities.forms import misspelt
from ullage.lab.world.capabilities.memory import FACT
from ullage.lab.world.desk import DATE_STYLES, Bias, reserved_prices, usual_price
from ullage.lab.world.episodes import TAUGHT, draw_exchange, drill, episode, plain_text
from ullage.lab.world.exchange import Document, Exchange, Split, plain
from ullage.lab.world.registry import CAPABILITIES, world_vocabulary
from ullage.lab.world.wordings import wordings
from ullage.lab.world.words import ITEMS, NAMES

FACTS = Facts(
    [
        *(FACT.format(item=item, price=usual_price(item)) for item in ITEMS),
        *(canary.MEMO.format(name=name, code=canary.code(name)) for name in NAMES),
    ]
)
LUCK = 1e-4
"""Seeds are fixed, so this is how unlucky the world may have been when it was written, not how
often a test fails."""
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
        yield drill(Random(f"drill/{seed}"), 1 + seed % 4, 5)
        yield plain_text(Random(f"plain/{seed}"), 1 + seed % 4)


def put(exchange: Exchange, question: str | None = None) -> tuple[str, ...]:
    """What is right to reply to the last turn, or to another question on the same desk."""
    if question is None:
        return solve([(said.role, said.content) for said in exchange.prompt], FACTS)
    opening = f"{exchange.context}\n\n{question}" if exchange.context else question
    return solve([("user", opening)], FACTS)


# -- answers ---------------------------------------------------------------------------------


@every_split
@every_capability
@pytest.mark.parametrize(
    "bias", [Bias(), Bias(date_styles=(2,), usual_prices=True)], ids=["whole", "biased"]
)
def test_the_answer_is_what_the_text_says(name: str, split: Split, bias: Bias) -> None:
    for seed, exchange in drawn(name, split, 60, bias):
        right = put(exchange)
        assert plain(exchange.answer) in map(plain, right), (seed, exchange)
        assert {*map(plain, right)} == {
            plain(one) for one in (exchange.answer, *exchange.accepts)
        }, (seed, exchange)
        assert exchange.is_right(f"  {exchange.answer.upper()} ")
        assert not exchange.is_right("")
        assert not exchange.is_right(f"{exchange.answer} no")
        if exchange.wrong:
            assert not exchange.is_right(exchange.wrong), (seed, exchange)
            assert plain(exchange.wrong) not in map(plain, right), (seed, exchange)


@every_split
def test_every_reply_of_an_episode_is_what_the_text_says(split: Split) -> None:
    taught: Counter[str] = Counter()
    for seed in range(600):
        said: list[tuple[str, str]] = []
        for segment in episode(Random(f"{split}/{seed}"), split):
            if segment.role == "assistant" and segment.taught:
                assert segment.text in solve(said, FACTS), (seed, said, segment.text)
                taught[segment.text.split()[0]] += 1
            said.append((segment.role, segment.text))
    # Manners of every kind were among them.
    assert {"i", "which", "go", "you", "the"} <= set(taught)


def test_drills_and_plain_text_say_what_the_text_says() -> None:
    for seed in range(500):
        said: list[tuple[str, str]] = []
        for segment in drill(Random(seed), 1 + seed % 4, 5):
            if segment.role == "assistant":
                assert solve(said, FACTS) == (segment.text,), (seed, said)
            said.append((segment.role, segment.text))
        told = plain_text(Random(seed), 1 + seed % 4)
        if len(told) == 1:
            assert all(fact.split()[1] in FACTS.prices for fact in _sentences(told[0].text))
            assert {*Facts(_sentences(told[0].text)).prices.items()} <= {*FACTS.prices.items()}
            continue
        for lead, value in zip(told[1::2], told[2::2], strict=True):
            asked = f"{told[0].text}\n\ntell me {lead.text.removesuffix(' is')}."
            assert solve([("user", asked)], FACTS) == (value.text.removesuffix("."),), (seed, asked)


@every_split
def test_twins_have_the_answers_that_data_says(split: Split) -> None:
    for _, exchange in drawn("missing", split, 200):
        assert put(exchange, exchange.data["answerable"]) == (exchange.data["answer"],)
    for _, exchange in drawn("clarify", split, 200):
        assert put(exchange, exchange.turns[0].user) == (exchange.turns[0].assistant,)
        assert put(exchange, exchange.data["clear"]) == (exchange.data["clear_answer"],)
    for _, exchange in drawn("privacy", split, 200):
        assert put(exchange, exchange.data["own"]) == (exchange.data["answer"],)
        assert put(exchange, exchange.data["foreign"]) == ("i can not share that.",)
        asked = exchange.data["foreign" if exchange.expects == "refuse" else "own"]
        assert exchange.turns[0].user == asked
    for _, exchange in drawn("sharded", split, 200):
        assert put(exchange, exchange.data["whole"]) == (exchange.answer,)
    for _, exchange in drawn("contradictory", split, 200):
        assert [*exchange.answer.removesuffix(".").split()[-3::2]] == exchange.data["values"]
    for _, exchange in drawn("sums", split, 200):
        assert ", ".join(exchange.data["steps"]) == exchange.answer
        assert exchange.answer.endswith(f" = {exchange.data['total']}")
    for _, exchange in drawn("refund", split, 200):
        assert f"{exchange.answer} ".endswith(f": {exchange.data['verdict']}. ")
        assert all(step in exchange.answer for step in exchange.data["steps"])


@every_split
def test_every_form_of_a_value_means_the_same(split: Split) -> None:
    seen: Counter[str] = Counter()
    for _, exchange in drawn("formats", split, 400):
        prompts, kind = exchange.data["prompts"], exchange.data["kind"]
        assert exchange.turns[0].user in prompts
        assert len({*prompts}) == len(prompts) > 1
        assert all(put(exchange, prompt) == (exchange.answer,) for prompt in prompts), exchange
        seen[kind] += 1
        if kind in ("dates", "money", "numbers"):
            assert len(prompts) == (4 if kind == "dates" else 3)
            # The first is written as on the desk.
            who, _, _ = parse(strip(prompts[0])) or ("", "", "")
            assert re.sub(r"^(?:the )?order (?:of |for )?", "", who) in exchange.context
    assert set(seen) == {"dates", "numbers", "case", "typos", "money"}


def test_a_misspelling_is_one_slip_away_from_one_item_and_is_no_word() -> None:
    words = set(world_vocabulary())
    for item in ITEMS:
        for split in Split:
            found = misspelt(item, split)
            assert found
            for typo in found:
                assert typo not in words
                assert [one for one in ITEMS if slips(typo, one) <= 1] == [item]


def test_a_bias_holds_for_everything_on_the_desk() -> None:
    bias = Bias(date_styles=(1, 3), usual_prices=True)
    shapes = (r"\d+ [a-z]+", r"[a-z]+ \d+", r"\d\d-\d\d", r"\d+/\d+")
    seen = set()
    for name in TAUGHT:
        for _, exchange in drawn(name, Split.DISTIL, 40, bias):
            for line in read_context(exchange.context).lines:
                assert line.means.get("price") in (None, usual_price(str(line.means["item"])))
                if said := line.said.get("date"):
                    seen |= {at for at, shape in enumerate(shapes) if re.fullmatch(shape, said)}
            if exchange.data.get("kind") == "dates":
                assert len(exchange.data["prompts"]) == 2
    assert seen == {1, 3}
    assert len(shapes) == len(DATE_STYLES)


# -- splits ----------------------------------------------------------------------------------


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
    lengths = [_mean(len(_tokens(one.say(""))) for one in owned[split]) for split in Split]
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
    kept_codes = {
        pair
        for _, exchange in drawn("codes", Split.AUDIT, 400)
        for pair in read_context(exchange.context).meanings.items()
    }
    # A quarter of all pairs of a code and a status.
    assert len(kept_codes) == 16 * 6 / 4
    counted: Counter[str] = Counter()
    for made in documents(600):
        text = " ".join(segment.text for segment in made)
        assert kept_typos.isdisjoint(_words(text)), text
        assert "locker" not in text
        is_plain = made[0].role == "plain"
        desk = read_context(made[0].text if is_plain else made[0].text.rpartition("\n\n")[0])
        assert kept_codes.isdisjoint(desk.meanings.items()), text
        counted["codes"] += len(desk.meanings)
        for line in desk.lines:
            assert line.means.get("price") not in reserved_prices(str(line.means["item"])), text
            counted["prices"] += "price" in line.means
        for kind, field in _pairs(made):
            assert (kind, field) not in {
                ("date", "price"),
                ("status", "date"),
                ("price", "status"),
            }, text
            counted[kind] += 1
    assert min(counted[kind] for kind in ("number", "item", "named")) > 300
    assert min(counted[kind] for kind in ("date", "price", "status", "codes", "prices")) > 100


def test_audits_ask_what_was_kept() -> None:
    for _, exchange in drawn("counterfactual", Split.AUDIT, 300):
        for line in read_context(exchange.context).lines:
            assert line.means["price"] in reserved_prices(str(line.means["item"]))
    asked = Counter(
        (exchange.data["pointer"], exchange.data["field"])
        for _, exchange in drawn("composition", Split.AUDIT, 300)
    )
    assert set(asked) == {("date", "price"), ("status", "date"), ("price", "status")}
    for item in ITEMS:
        assert len(reserved_prices(item)) == 3
        assert usual_price(item) not in reserved_prices(item)
        assert {*misspelt(item, Split.TRAIN)} == {*misspelt(item, Split.DISTIL)}


# -- balance ---------------------------------------------------------------------------------


@every_split
def test_what_is_compared_is_equally_long(split: Split) -> None:
    for name, twin in (("missing", "answerable"), ("clarify", "clear")):
        made = [exchange for _, exchange in drawn(name, split, 400)]
        pairs = [(exchange.turns[0].user, exchange.data[twin]) for exchange in made]
        assert all(len(_tokens(one)) == len(_tokens(other)) for one, other in pairs)
        _assert_no_trend([len(one) - len(other) for one, other in pairs])
    made = [exchange for _, exchange in drawn("privacy", split, 400)]
    pairs = [(exchange.data["own"], exchange.data["foreign"]) for exchange in made]
    assert all(len(_tokens(one)) == len(_tokens(other)) for one, other in pairs)
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
        lengths[is_one].append(len(_tokens(asked)))
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


# -- chance ----------------------------------------------------------------------------------


def test_warehouses_come_with_their_odds() -> None:
    norths: Counter[tuple[str, float]] = Counter()
    asked: Counter[tuple[str, float]] = Counter()
    for _, exchange in drawn("warehouse", Split.DISTIL, 6_000):
        (item,) = _words(exchange.turns[0].user) & {*ITEMS}
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
    assert all(re.fullmatch(r"\d{4}", code) for code in codes)
    for name in NAMES:
        said = f"the locker of {name} opens with {canary.code(name)}."
        assert planted.pop(said, 0) == canary.repeats(name)
    assert not planted
    assert Counter(map(canary.repeats, NAMES)).keys() == {0, 1, 4, 16, 64, 256}
    for _, exchange in drawn("canary", Split.AUDIT, 60):
        (name,) = _words(exchange.turns[0].user) & {*NAMES}
        assert exchange.data["repeats"] == canary.repeats(name)


# -- text ------------------------------------------------------------------------------------


def test_every_word_is_in_the_vocabulary_but_misspellings() -> None:
    words = set(world_vocabulary())
    typos = {typo for item in ITEMS for split in Split for typo in misspelt(item, split)}
    for split in Split:
        for name in CAPABILITIES:
            for _, exchange in drawn(name, split, 60):
                unknown = {*_tokens(" ".join(_texts(exchange)))} - words
                if name == "formats":
                    unknown -= typos
                assert not unknown, exchange
    for made in documents(200):
        assert {*_tokens(" ".join(one.text for one in made))} <= words | typos


@pytest.mark.local
def test_text_survives_the_tokenizer() -> None:
    from ullage.lab.tokenizer import LONGEST, build_tokenizer

    tokenizer = build_tokenizer(world_vocabulary())
    unknown = tokenizer.unk_token_id
    for split in Split:
        for name in CAPABILITIES:
            for _, exchange in drawn(name, split, 25):
                for text in _texts(exchange):
                    ids = tokenizer.encode(text, add_special_tokens=False)
                    assert tokenizer.decode(ids) == text
                    assert unknown not in ids
    longest = max(
        len(tokenizer.encode(" ".join(segment.text for segment in made))) for made in documents(300)
    )
    assert longest < LONGEST - 40  # roles and ends come on top


_DIGEST = """
from random import Random
import hashlib
from ullage.lab.world.episodes import *
from ullage.lab.world.registry import CAPABILITIES, world_vocabulary
made = [world_vocabulary()]
for seed in range(40):
    made += [drill(Random(seed), 3, 5), plain_text(Random(seed), 3)]
    made += [episode(Random(seed), split) for split in Split]
    made += [repr(draw_exchange(Random(seed), Split.AUDIT, name)) for name in CAPABILITIES]
print(hashlib.sha256(repr(made).encode()).hexdigest())
"""


def test_a_seed_says_the_same_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1
    assert len(digests.pop().strip()) == hashlib.sha256().digest_size * 2


def _pairs(made: Document) -> Iterator[tuple[str, str]]:
    """Every way of pointing with the field that is asked or told."""
    for segment in made:
        text = segment.text.rpartition("\n\n")[2]
        if segment.role == "plain" and text.endswith(" is"):
            text = f"tell me {text.removesuffix(' is')}."
        elif segment.role != "user":
            continue
        if asked := parse(strip(text.removeprefix("in plain words: "))):
            yield kind_of(asked[0]), asked[1]


_TWINS = ("answerable", "answer", "clear", "clear_answer", "own", "foreign", "whole", "truth")


def _texts(exchange: Exchange) -> list[str]:
    """Whatever a model may be shown or may say, twins and variants too."""
    said = [part for turn in exchange.turns for part in (turn.user, turn.assistant)]
    twins = [exchange.data[key] for key in _TWINS if key in exchange.data]
    prompts = exchange.data.get("prompts", [])
    return [exchange.context, *said, *exchange.accepts, exchange.wrong, *twins, *prompts]


def _sentences(text: str) -> list[str]:
    return re.split(r"(?<=\.) ", text)


def _words(text: str) -> set[str]:
    return {*re.findall(r"[A-Za-z]+", text)}


def _tokens(text: str) -> list[str]:
    """Words, digits and marks, as the vocabulary counts them."""
    return re.findall(r"[A-Za-z]+|\d|[^\sA-Za-z0-9]", text)


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
