"""Truths of twins, places and memory, against draws from the latents they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from ullage.config.models import Behaviour
from ullage.selftest import truths_at_edges
from ullage.selftest.damages import BASELINE, DAMAGES
from ullage.selftest.truths import Setting

_DRAWS = 200_000


@pytest.mark.parametrize("damage", ["accuracy", "drift"])
def test_what_noise_alone_tells_apart_is_as_drawn(damage: str) -> None:
    own = DAMAGES[damage].behaviour(BASELINE)
    rng = np.random.default_rng(1)
    world = rng.random(_DRAWS) < own.accuracy
    redrawn = rng.random((_DRAWS, 3)) < own.noise
    right = np.where(redrawn, rng.random((_DRAWS, 3)) < own.accuracy, world[:, None])
    setting = _setting(own)
    broken = (right[:, 0] & ~right[:, 1]).mean()
    lost = (right[:, 0] & ~right[:, 1] & right[:, 2]).mean()
    assert truths_at_edges.breaks(setting) == pytest.approx(broken, abs=5e-3)
    assert truths_at_edges.lost_in_middle(setting) == pytest.approx(lost, abs=5e-3)


def test_following_and_remembering_are_all_there_is() -> None:
    setting = _setting(DAMAGES["accuracy"].behaviour(BASELINE))
    followed, remembered = (
        truths_at_edges.where_known(kind(setting))
        for kind in (truths_at_edges.followed, truths_at_edges.remembered)
    )
    assert followed == pytest.approx(0.35)
    assert followed + remembered == pytest.approx(1.0)


def test_where_two_kinds_of_items_are_mixed_the_known_ones_count() -> None:
    """An arm that knows little there weighs little there."""
    intact, damaged = _setting(BASELINE), _setting(DAMAGES["accuracy"].behaviour(BASELINE))
    mixed = truths_at_edges.followed(intact).mixed(truths_at_edges.followed(damaged), 0.5)
    expected = (0.8 * 0.8 + 0.35 * 0.35) / (0.8 + 0.35)
    assert truths_at_edges.where_known(mixed) == pytest.approx(expected)


def test_a_wrong_report_has_a_third_of_the_facts() -> None:
    assert truths_at_edges.told(_setting(BASELINE)) == pytest.approx(0.8 + 0.2 / 3)


def _setting(own: Behaviour) -> Setting:
    return Setting(own, BASELINE, False, False, (1,))
