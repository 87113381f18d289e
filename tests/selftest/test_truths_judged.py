"""The second opinion on what a judge sees: against verdicts drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ullage.selftest import truths_judged
from ullage.selftest.damages import BASELINE
from ullage.selftest.pool import JUDGING
from ullage.selftest.truths import Setting

WEAK = BASELINE.model_copy(update={"accuracy": 0.5, "noise": 0.3})
ITEMS = 400_000


def test_what_is_seen_is_as_drawn() -> None:
    rng = np.random.default_rng(1)
    world = rng.random((ITEMS, 1)) < JUDGING.judge
    redrawn = rng.random((ITEMS, 2)) < JUDGING.noise
    right = np.where(redrawn, rng.random((ITEMS, 2)) < JUDGING.judge, world)
    seen = right.all(axis=1).mean() - (~right).all(axis=1).mean()
    assert truths_judged.seen() == pytest.approx(seen, abs=5e-3)


def test_a_worse_reply_takes_off_half_of_what_is_seen() -> None:
    same, twin = (Setting(BASELINE, BASELINE, twin, False, (1,)) for twin in (False, True))
    assert truths_judged.as_good(same) == truths_judged.as_good(twin) == 0.5
    weak = Setting(WEAK, BASELINE, False, False, (1,))
    # Whatever the arms share, they are right 0.8 and 0.5 of the time.
    expected = 0.5 - 0.5 * truths_judged.seen() * (BASELINE.accuracy - WEAK.accuracy)
    assert truths_judged.as_good(weak) == pytest.approx(expected)
