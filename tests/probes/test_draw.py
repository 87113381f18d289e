"""Numbers that stand for an ordered choice."""

from __future__ import annotations

import math

import pytest

from ullage.probes.draw import arranged, paired

THINGS = "abcde"


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_number_is_another_arrangement(size: int) -> None:
    count = math.perm(len(THINGS), size)
    found = [tuple(arranged(code, THINGS, size)) for code in range(count)]
    assert len(set(found)) == count
    assert all(len(set(one)) == size for one in found)


def test_every_number_is_another_pair_and_what_is_left_of_it() -> None:
    pairs = math.perm(len(THINGS), 2)
    found = [paired(code, THINGS) for code in range(3 * pairs)]
    assert len(set(found)) == 3 * pairs
    assert all(first != second for first, second, _ in found)
    assert [left for *_, left in found] == [code // pairs for code in range(3 * pairs)]
