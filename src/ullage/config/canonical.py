"""Configuration as canonical text: what a run folder keeps, and its digest."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import yaml

from ullage.config.models import Config, Scenario
from ullage.config.source import Dumper

_SCHEMES = ("hf", "openai", "recorded", "simulated")
_SPENDING = ("requests", "tokens", "money")


def dump(document: Config | Scenario) -> str:
    """The whole document, defaults included, as YAML that loads back equal.

    The same document always gives the same text. A price that was not given is left out: it is
    unknown, and not nothing.
    """
    data = _plain(document)
    for role, arm in data.get("arms", {}).items():
        if isinstance(arm, dict) and "price" not in _given(document, role):
            arm.pop("price", None)
    return yaml.dump(
        data,
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=100,
    )


def _given(document: Config | Scenario, role: str) -> set[str]:
    """Keys of an arm that were written, and are not defaults."""
    arms = getattr(document, "arms", None)
    return set(getattr(getattr(arms, role), "model_fields_set", ()))


def digest(config: Config, scenario: Scenario) -> str:
    """SHA-256, as ``sha256:<hex>``, of everything that decides what is asked and how it is judged.

    Left out: where runs are kept, and how much may be spent (a resumed run may raise it).

    Args:
        config: the configuration.
        scenario: with the configuration's targets merged in.
    """
    plain = _plain(config)
    del plain["runs"]
    plain["budget"] = {k: v for k, v in plain["budget"].items() if k not in _SPENDING}
    body = json.dumps([plain, _plain(scenario)], sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(body.encode()).hexdigest()


def _plain(document: Config | Scenario) -> dict[str, Any]:
    data: dict[str, Any] = document.model_dump(mode="json")
    for arm in data.get("arms", {}).values():
        if isinstance(arm, dict) and "model" in arm:
            # An arm may carry options of its own scheme only.
            scheme = arm["model"].partition(":")[0]
            for other in _SCHEMES:
                if other != scheme:
                    del arm[other]
    return data
