"""Profiles: what they set, what overrides them, and that more of one is more of the audit."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from ullage.audit_cli import ProfileName
from ullage.config import Loaded, load
from ullage.config.models import Planning
from ullage.config.profiles import PROFILES, Profile, as_overrides
from ullage.errors import InputError
from ullage.state import items_rule

ARMS = 'arms: {teacher: {model: "simulated:t"}, student: {model: "simulated:s"}}\n'


def loaded(folder: Path, text: str, *overrides: str) -> Loaded:
    (folder / "ullage.yaml").write_text(ARMS + text)
    return load(folder / "ullage.yaml", overrides)


def test_every_place_knows_the_same_profiles() -> None:
    assert tuple(PROFILES) == get_args(Profile) == tuple(ProfileName)
    assert Planning() == Planning(profile="standard")
    assert Planning() == Planning.model_construct(), "defaults are those of `standard`"


def test_each_profile_asks_more_than_the_one_before() -> None:
    for less, more in (("quick", "standard"), ("standard", "thorough")):
        few, many = PROFILES[less], PROFILES[more]  # type: ignore[index]
        assert all(few[key] <= many[key] for key in few)
        assert few["power"] < many["power"]


def test_a_profile_says_what_is_left_out_and_no_more(tmp_path: Path) -> None:
    planning = loaded(tmp_path, "planning: {profile: quick, max_items: 70}\n").config.planning
    assert (planning.power, planning.min_items, planning.max_items) == (0.5, 40, 70)
    assert "Profile quick, with another max_items:" in items_rule(planning)
    assert "power of 50%" in items_rule(planning)


def test_the_flag_takes_the_place_of_what_the_file_says(tmp_path: Path) -> None:
    text = "planning: {power: 0.9, max_items: 70, items: 12, flip_rate: 0.3}\n"
    planning = loaded(tmp_path, text, *as_overrides("thorough")).config.planning
    assert planning == Planning(profile="thorough", flip_rate=0.3)
    own = loaded(tmp_path, text, *as_overrides("thorough"), "planning.power=0.6").config.planning
    assert own.power == 0.6


@pytest.mark.parametrize("found", ["fast", "3", "[quick]", "{quick: 1}"])
def test_another_word_is_refused_in_one_line(tmp_path: Path, found: str) -> None:
    with pytest.raises(InputError, match=r"planning\.profile: expected 'quick'") as refused:
        loaded(tmp_path, f"planning: {{profile: {found}}}\n")
    assert "\n" not in str(refused.value)
