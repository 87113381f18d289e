"""Selective accuracy, entropy and the least divergence, against plain loops and scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from ullage.stats.confidence import COVERAGE, entropy, selective_accuracy
from ullage.stats.divergence import least_kl
from ullage.stats.metrics import FloatArray, smooth_ece


def plain(values: FloatArray) -> float:
    return float(selective_accuracy(values, np.ones((1, len(values))))[0])


def drawn(items: int, seed: int = 0, digits: int = 9) -> FloatArray:
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.25, 1.0, items).round(digits)
    return np.column_stack([confidence, rng.random(items) < confidence]).astype(float)


def test_selective_accuracy_is_a_plain_loop() -> None:
    values = drawn(200)
    surest = values[np.argsort(-values[:, 0])][: round(COVERAGE * 200), 1]
    assert plain(values) == pytest.approx(surest.mean())
    assert plain(values) > values[:, 1].mean() + 0.05


def test_of_ties_it_is_the_mean_over_their_orders() -> None:
    values = drawn(40, seed=1, digits=1)
    rng = np.random.default_rng(2)
    found = []
    for _ in range(4_000):
        order = rng.permutation(40)
        surest = order[np.argsort(-values[order, 0], kind="stable")][: round(COVERAGE * 40)]
        found.append(values[surest, 1].mean())
    assert plain(values) == pytest.approx(np.mean(found), abs=4 * np.std(found) / math.sqrt(4_000))


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 9]))
def test_a_weight_is_that_many_rows(seed: int, digits: int) -> None:
    values = drawn(30, seed=seed, digits=digits)
    weights = np.random.default_rng(seed).integers(0, 4, 30)
    weights[0] += 1
    weighted = selective_accuracy(values, weights[None].astype(float))[0]
    assert weighted == pytest.approx(plain(np.repeat(values, weights, axis=0)))
    order = np.random.default_rng(seed + 1).permutation(30)
    assert plain(values[order]) == pytest.approx(plain(values))


def test_constant_confidence_selects_nothing() -> None:
    values = drawn(300)
    values[:, 0] = 0.9
    assert plain(values) == pytest.approx(values[:, 1].mean())


@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
def test_entropy_is_scipys(counts: list[int]) -> None:
    assert entropy(counts) == pytest.approx(float(stats.entropy(counts)), abs=1e-12)


def shares(raw: list[float]) -> FloatArray:
    total = np.asarray(raw)
    return np.asarray(total / total.sum(), dtype=np.float64)


def top(distribution: FloatArray, count: int) -> dict[str, float]:
    """The likeliest outcomes."""
    order = np.argsort(-distribution, kind="stable")[:count]
    return {f"t{outcome}": math.log(distribution[outcome]) for outcome in order}


_RAW = st.lists(st.floats(0.001, 1.0), min_size=8, max_size=8)


@given(_RAW, _RAW, st.integers(1, 8), st.integers(1, 8))
def test_no_pair_of_distributions_with_these_tops_is_nearer(
    first: list[float], second: list[float], known: int, others: int
) -> None:
    p, q = shares(first), shares(second)
    theirs, ours = top(p, known), top(q, others)
    found = least_kl(theirs, ours, min(ours.values()))
    assert 0.0 <= found <= float(stats.entropy(p, q)) + 1e-3
    both = [int(name[1:]) for name in sorted(theirs.keys() & ours.keys())]
    rest = [outcome for outcome in range(8) if outcome not in both]
    lumped = stats.entropy([*p[both], p[rest].sum()], [*q[both], q[rest].sum()])
    assert found >= float(lumped) - 1e-3


@given(_RAW, _RAW)
def test_where_all_is_known_it_is_scipys(first: list[float], second: list[float]) -> None:
    p, q = shares(first), shares(second)
    found = least_kl(top(p, 8), top(q, 8), -9.0)
    assert found == pytest.approx(float(stats.entropy(p, q)), abs=1e-3)


def test_outcomes_known_of_one_alone_are_filled_as_an_optimiser_would() -> None:
    p = {"a": math.log(0.5), "b": math.log(0.3), "c": math.log(0.01)}
    q, ceiling = {"z": math.log(0.4), "y": math.log(0.2)}, 0.2

    ours = np.array([0.5, 0.3, 0.01, 0.19])

    def kl(filled: Any) -> float:
        return float((ours * np.log(ours / filled)).sum())

    start: Any = np.array([0.1, 0.1, 0.1, 0.7])
    found = optimize.minimize(
        kl,
        start,
        bounds=[(1e-9, ceiling)] * 3 + [(1e-9, 1.0)],
        constraints=optimize.LinearConstraint(np.ones((1, 4)), 1.0, 1.0),
        options={"ftol": 1e-12},
    )
    assert found.success
    assert least_kl(p, q, math.log(ceiling)) == pytest.approx(found.fun, abs=1e-5)


def test_what_is_left_over_by_rounding_is_nothing() -> None:
    assert least_kl({"a": 0.0}, {"a": 0.0}, 0.0) == 0.0
    assert least_kl({"a": math.log(0.99999)}, {"a": 0.0}, 0.0) < 1e-4


@pytest.mark.parametrize(
    ("seed", "items", "shift", "theirs"),
    [
        (1, 200, 0.0, 0.0551),
        (2, 500, 0.15, 0.16496),
        (3, 1000, -0.1, 0.07718),
        (4, 2000, 0.3, 0.30816),
    ],
)
def test_smooth_ece_is_its_authors(seed: int, items: int, shift: float, theirs: float) -> None:
    """Figures of `smECE` of relplot 1.0.3, which is good to a thousandth, on these very draws.

    The package itself would bring matplotlib, pandas and seaborn along.
    """
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.25, 1.0, items)
    correct = (rng.random(items) < np.clip(confidence - shift, 0.0, 1.0)).astype(float)
    found = smooth_ece(np.column_stack([confidence, correct]), np.ones((1, items)))[0]
    assert found == pytest.approx(theirs, abs=1e-3)
