"""Fixtures that several areas share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .support.command import Ullage, in_process

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers that spin for a core slow each other


@pytest.fixture(scope="session")
def tiny_model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real but tiny Llama with its tokenizer and chat template; see `tests.support.tiny`."""
    pytest.importorskip("torch")
    from .support.tiny import build_tiny_model

    return build_tiny_model(tmp_path_factory.mktemp("tiny-model"))


@pytest.fixture(scope="session")
def smollm2_dir() -> Path:
    """SmolLM2-135M-Instruct, fetched and converted once per machine."""
    pytest.importorskip("torch")
    from ullage.errors import InfrastructureError
    from ullage.models.hf import ensure_smollm2

    try:
        return ensure_smollm2()
    except InfrastructureError as error:
        pytest.skip(str(error))


@pytest.fixture
def ullage(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Ullage:
    """`ullage` in this process; see `tests.support.command`."""
    return in_process(monkeypatch, capfd)
