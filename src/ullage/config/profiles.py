"""Profiles: how much an audit asks, in one word.

One rule holds for all: each target gets as many items as show it `preserved` with the profile's
power if nothing was lost, never fewer than its least and never more than its most.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Profile = Literal["quick", "standard", "thorough"]

PROFILES: Mapping[Profile, Mapping[str, float]] = MappingProxyType(
    {
        # About half of what standard asks: of what was kept every other target is shown to be.
        "quick": MappingProxyType({"power": 0.5, "min_items": 40, "max_items": 200}),
        "standard": MappingProxyType({"power": 0.8, "min_items": 40, "max_items": 2000}),
        # About one and two thirds of standard; twenty targets at 95 % are jointly shown 36 % of
        # the time, where at 80 % it is 1 %.
        "thorough": MappingProxyType({"power": 0.95, "min_items": 100, "max_items": 10_000}),
    }
)
"""What each profile sets: keys of `planning`."""


def as_overrides(profile: Profile) -> tuple[str, ...]:
    """The profile as ``key=value`` overrides, which take the place of what a file says."""
    values = {"profile": profile, "items": "null", **PROFILES[profile]}
    return tuple(f"planning.{key}={value}" for key, value in values.items())
