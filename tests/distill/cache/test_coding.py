"""Numbers to bits and back, exactly; against no other implementation than arithmetic itself."""

# ruff: noqa: N806

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.distill.cache import hazards, values
from ullage.distill.cache.about import Compressor
from ullage.distill.cache.codec import LANE, Coded, Columns, decode, encode
from ullage.distill.cache.given import Distributions, to_columns, to_distributions
from ullage.distill.cache.hazards import BITS, UNIT, Lengths
from ullage.distill.cache.model import Model, encode_lengths, encode_tail, length_levels
from ullage.distill.cache.rans import TABLE_BITS, Popper, Pusher, Table


def test_the_curve_and_its_inverse_agree_at_every_height() -> None:
    end = hazards._STRIDE_LOW
    height = np.concatenate(
        [
            np.arange(5000),
            np.linspace(0, end - 1, 400_000).astype(np.int64),
            end - 1 - np.arange(5000),
        ]
    )
    distance = hazards._backward(height)
    assert (hazards._forward(distance) <= height).all()
    assert (hazards._forward(distance + 1) > height).all()


def test_the_curve_is_that_of_an_exponential_distribution() -> None:
    nats = np.linspace(0, 8.9, 200)
    share = hazards._forward(np.rint(nats * UNIT).astype(np.int64)) / (1 << BITS)
    # A share of 9 · 2¹⁸ / 2³⁰ is given to keeping every interval open.
    assert np.abs(share - (1 - np.exp(-nats))).max() < 9 * UNIT / (1 << BITS)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_symbols_come_back_from_any_table(data: st.DataObject) -> None:
    contexts, symbols = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 60))
    counts = np.array(
        data.draw(
            st.lists(
                st.lists(st.integers(0, 10**6), min_size=symbols, max_size=symbols),
                min_size=contexts,
                max_size=contexts,
            )
        ),
        np.int64,
    )
    table = Table.from_counts(counts)
    length, lanes = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 9))
    draw = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    said = draw.integers(0, symbols, (length, lanes))
    where = draw.integers(0, contexts, (length, lanes))
    pusher = Pusher(lanes, 8 + length)
    for step in range(length - 1, -1, -1):
        table.push(pusher, said[step], where[step])
    words, lengths = pusher.close()
    popper = Popper(words, np.cumsum(lengths) - lengths)
    heard = [table.pop(popper, where[step]) for step in range(length)]
    assert (np.array(heard) == said).all()


def test_a_table_costs_its_entropy() -> None:
    draw = np.random.default_rng(0)
    odds = np.array([0.7, 0.2, 0.06, 0.03, 0.01])
    said = draw.choice(5, size=(2000, 16), p=odds)
    table = Table.from_counts(np.bincount(said.reshape(-1), minlength=5)[None])
    pusher = Pusher(16, 4000)
    for step in range(1999, -1, -1):
        table.push(pusher, said[step])
    words, _ = pusher.close()
    entropy = -(odds * np.log2(odds)).sum()
    assert len(words) * 32 / said.size == pytest.approx(entropy, rel=0.03)


@settings(max_examples=60, deadline=None)
@given(
    vocabulary=st.integers(1, 400),
    groups=st.integers(1, 3),
    lanes=st.integers(1, 12),
    seed=st.integers(0, 2**32),
    skew=st.floats(0.1, 6),
)
def test_sets_come_back_whatever_their_probabilities(
    vocabulary: int, groups: int, lanes: int, seed: int, skew: float
) -> None:
    draw = np.random.default_rng(seed)
    # From a tenth of a unit to more than a window: strides are taken, too.
    lengths = np.exp(draw.normal(np.log(UNIT) - 4, skew, (groups, vocabulary)))
    table = Lengths.of(np.clip(lengths, 1, 12 * UNIT).astype(np.uint32))
    group = draw.integers(0, groups, lanes)
    counts = draw.integers(0, vocabulary + 1, lanes)
    most = max(int(counts.max()), 1)
    sets = np.full((lanes, most), -1, np.int32)
    for lane, count in enumerate(counts):
        sets[lane, :count] = np.sort(draw.choice(vocabulary, count, replace=False))
    pusher = Pusher(lanes, 8 + 2 * most + table.most_strides)
    table.push_all(pusher, sets, counts, group, slice(None))
    words, lengths_J = pusher.close()
    popper = Popper(words, np.cumsum(lengths_J) - lengths_J)
    found = np.full((most, lanes), -1, np.int32)
    table.pop_all(popper, counts, group, found)
    assert (sets == found.T).all()


def test_a_set_costs_what_independent_draws_cost() -> None:
    draw = np.random.default_rng(1)
    odds = np.clip(draw.zipf(1.3, 3000) ** -1.0 * 0.02, 1e-5, 0.5)
    odds[:20] = 0.8
    code = encode_lengths(odds[None])
    table = Lengths.of(length_levels()[code])
    inside = draw.random((4000, 3000)) < odds
    counts = inside.sum(axis=1)
    sets = np.full((4000, counts.max()), -1, np.int32)
    for lane in range(4000):
        sets[lane, : counts[lane]] = np.flatnonzero(inside[lane])
    pusher = Pusher(4000, 8 + sets.shape[1] + table.most_strides)
    table.push_all(pusher, sets, counts, np.zeros(4000, np.int64), slice(None))
    words, _ = pusher.close()
    bits = len(words) * 32 / 4000 - 48  # a lane's state
    entropy = -(odds * np.log2(odds) + (1 - odds) * np.log2(1 - odds)).sum()
    assert bits == pytest.approx(entropy, rel=0.04)


def model(vocabulary: int, groups: int, k: int, step: float, seed: int) -> Model:
    """Tables of no particular teacher."""
    draw = np.random.default_rng(seed)
    whole = encode_lengths(draw.uniform(0, 0.4, vocabulary))
    some = encode_lengths(draw.uniform(0, 0.9, (groups, vocabulary)))
    tail = encode_tail(draw.uniform(0.1, 1, vocabulary))
    levels = max(values.depth_levels(step), k)
    shapes = {
        "group": (1, groups),
        "count": (1, k + 1),
        "tail": (1, values.TAIL_LEVELS),
        "floor": (15, levels),
        "scale": (16, values.SCALES),
        "level": (values.SCALES, levels),
    }
    tables = {
        name: Table.from_counts(draw.integers(0, 50, shape)) for name, shape in shapes.items()
    }
    return Model(length_levels(), whole, some, tail, np.tile(tail, (groups, 1)), tables)


def kept(draw: np.random.Generator, positions: int, vocabulary: int, k: int) -> Distributions:
    """The top of random distributions, some of them sharp, some with little left."""
    sharp = draw.choice([0.1, 1.0, 6.0, 30.0], positions)[:, None]
    scores = draw.normal(size=(positions, vocabulary)) * sharp
    scores[:, 1:][draw.random((positions, vocabulary - 1)) < 0.3] = -np.inf
    logprobs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    order = np.argsort(-logprobs, axis=1)[:, :k]
    best = np.take_along_axis(logprobs, order, axis=1)
    ids = np.where(np.isfinite(best), order, -1)
    missing = ((0, 0), (0, k - ids.shape[1]))
    ids = np.pad(ids, missing, constant_values=-1).astype(np.int32)
    best = np.pad(best, missing, constant_values=-np.inf)
    left = np.clip(1 - np.exp(best).sum(axis=1), 0, 1)
    left = np.where(np.isfinite(best[:, -1]), left, 0.0)
    rest = np.log(left, where=left > 0, out=np.full(positions, -np.inf))
    none = np.zeros(positions, np.int32)
    return Distributions(ids, best.astype(np.float32), rest.astype(np.float32), none)


@settings(max_examples=60, deadline=None)
@given(
    positions=st.lists(st.integers(0, 3 * LANE), min_size=0, max_size=6),
    vocabulary=st.integers(1, 120),
    k=st.integers(1, 40),
    groups=st.integers(1, 4),
    step=st.sampled_from([0.02, 0.07, 0.3]),
    seed=st.integers(0, 2**32),
)
def test_positions_come_back_exactly_and_values_within_their_bound(
    positions: list[int], vocabulary: int, k: int, groups: int, step: float, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    compressor = Compressor(k=k, step=step)
    tables = model(vocabulary, groups, k, step, seed)
    truth = kept(draw, sum(positions), vocabulary, k)
    columns = to_columns(truth, compressor, tables)
    coded = encode(columns, np.array(positions, np.int64), tables)
    back = decode(coded, tables, compressor)
    for name in ("group_N", "tail_N", "floor_N", "count_N", "tokens_NK", "levels_NK"):
        assert np.array_equal(getattr(back, name), getattr(columns, name)), name
    given = to_distributions(back, compressor, tables)
    for row in range(sum(positions)):
        check_position(truth, given, row, step)


def check_position(truth: Distributions, given: Distributions, row: int, step: float) -> None:
    """Same tokens; probabilities that sum to 1, each moved by the same from its level's."""
    used, known = given.ids_NK[row] >= 0, truth.ids_NK[row] >= 0
    found = dict(zip(given.ids_NK[row][used], given.logprobs_NK[row][used], strict=True))
    wanted = dict(zip(truth.ids_NK[row][known], truth.logprobs_NK[row][known], strict=True))
    assert found.keys() == wanted.keys()
    assert (given.logprobs_NK[row][~used] == -np.inf).all()
    sum_ = sum(math.exp(value) for value in found.values()) + math.exp(given.rest_N[row])
    assert sum_ == pytest.approx(1, abs=1e-5)
    ids = list(found)
    exact = np.array([wanted[token] for token in ids], np.float64)
    level = values.from_levels(values.to_levels(exact, step), step)
    moved = np.array([found[token] for token in ids], np.float64) - level
    assert np.ptp(moved) < 1e-3


@settings(max_examples=200, deadline=None)
@given(
    logprobs=st.lists(st.floats(-values.DEEPEST, 0), min_size=1, max_size=50),
    step=st.floats(0.005, 0.5),
)
def test_a_level_is_within_its_bound(logprobs: list[float], step: float) -> None:
    exact = np.array(logprobs)
    levels = values.to_levels(exact, step)
    off = np.abs(values.from_levels(levels, step) - exact)
    assert (off <= math.expm1(step / 2) * (1 - exact) + 1e-9).all()
    assert levels.max() < values.depth_levels(step)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), step=st.sampled_from([0.02, 0.05, 0.07]))
def test_quantisation_costs_less_than_five_thousandths_of_a_nat(seed: int, step: float) -> None:
    truth = kept(np.random.default_rng(seed), 200, 120, 40)
    tables, compressor = model(120, 2, 40, step, 0), Compressor(k=40, step=step)
    given = to_distributions(to_columns(truth, compressor, tables), compressor, tables)
    wanted, found = by_id(truth), by_id(given)
    some = np.isfinite(wanted)
    gap = np.subtract(wanted, found, where=some, out=np.zeros_like(wanted))
    tail = np.isfinite(truth.rest_N)
    off = np.subtract(truth.rest_N, given.rest_N, where=tail, out=np.zeros(200, np.float32))
    rest = np.exp(truth.rest_N) * off
    assert ((np.exp(wanted) * gap).sum(axis=1) + rest).mean() <= 0.005


def by_id(some: Distributions) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Log-probabilities in the order of ids."""
    order = np.argsort(np.where(some.ids_NK < 0, 1 << 30, some.ids_NK), axis=1)
    return np.take_along_axis(some.logprobs_NK, order, axis=1).astype(np.float64)


def test_lanes_do_not_depend_on_what_is_coded_beside_them() -> None:
    draw = np.random.default_rng(3)
    tables = model(80, 2, 10, 0.07, 3)
    lengths = np.array([13, 0, 1, 40])
    columns = to_columns(kept(draw, int(lengths.sum()), 80, 10), Compressor(k=10), tables)
    together = encode(columns, lengths, tables)
    alone = []
    for length, end in zip(lengths, np.cumsum(lengths), strict=True):
        alone.append(encode(columns[slice(end - length, end)], np.array([length]), tables))
    assert np.array_equal(together.words_W, np.concatenate([one.words_W for one in alone]))
    assert np.array_equal(together.lanes_J, np.concatenate([one.lanes_J for one in alone]))
    assert together.words_of_sequences().tolist() == [len(one.words_W) for one in alone]
    last = decode(alone[3], tables, Compressor(k=10))
    assert np.array_equal(last.tokens_NK, columns.tokens_NK[-40:])


def test_nothing_at_all_is_coded_as_nothing() -> None:
    tables = model(5, 1, 3, 0.07, 0)
    one, tokens, levels = np.zeros(0, np.int64), np.zeros((0, 3), np.int32), np.zeros((0, 3), int)
    none = Columns(one, one, one, one, tokens, levels)
    coded = encode(none, np.zeros(2, np.int64), tables)
    assert len(coded.words_W) == len(coded.lanes_J) == 0
    assert (
        len(decode(Coded(coded.positions_S, coded.lanes_J, coded.words_W), tables, Compressor(k=3)))
        == 0
    )


def test_tails_are_kept_to_a_sixteenth_of_a_nat_of_odds() -> None:
    odds = np.linspace(-13.9, 13.9, 1001)
    mass = 1 / (1 + np.exp(-odds))
    tail, rest = values.tail_from_level(values.tail_to_level(mass))
    assert np.abs((tail - rest) - odds).max() <= 1 / 16 + 1e-9
    assert np.allclose(np.exp(tail) + np.exp(rest), 1)
    none, whole = values.tail_from_level(values.tail_to_level(np.zeros(1)))
    assert none[0] == -np.inf
    assert whole[0] == 0
    assert math.log2(values.TAIL_LEVELS) < TABLE_BITS
