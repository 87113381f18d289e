"""What every test of a model needs."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loopback servers are asked directly, whatever the environment says."""
    monkeypatch.setenv("NO_PROXY", "*")
