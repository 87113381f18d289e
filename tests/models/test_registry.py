"""From an arm to its model, and what can be found wrong without asking anything."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.asking import answers, question, text_of
from tests.support.server import LoopbackServer
from ullage.config.models import Arm, HfOptions, OpenAIOptions, RecordedOptions
from ullage.errors import InputError
from ullage.models import registry
from ullage.models.registry import check_model, open_model


def recording(folder: Path) -> Path:
    path = folder / "replies.jsonl"
    path.write_text(json.dumps({"prompt": "?", "text": "yes"}) + "\n", "utf-8")
    return path


def test_a_recording_is_found_beside_the_configuration(tmp_path: Path) -> None:
    recording(tmp_path)
    arm = Arm(model="recorded:replies.jsonl")
    model = asyncio.run(open_model(arm, tmp_path))
    assert text_of(asyncio.run(answers(model, [question("?")]))[0]) == "yes"
    absolute = Arm(model=f"recorded:{tmp_path / 'replies.jsonl'}")
    assert asyncio.run(open_model(absolute, Path("/"))).identity == model.identity
    assert check_model(arm, tmp_path) == []


def test_a_recording_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    recording(tmp_path)
    assert check_model(Arm(model="recorded:~/replies.jsonl"), Path("/elsewhere")) == []


def test_an_endpoint_is_opened_and_knows_what_it_is_offered(tmp_path: Path) -> None:
    with LoopbackServer() as server:
        arm = Arm(model="openai:test-model", openai=OpenAIOptions(base_url=server.url))
        model = asyncio.run(open_model(arm, tmp_path))
        assert model.description["offered"] == {"owned_by": "tests"}
        assert text_of(asyncio.run(answers(model, [question("?")]))[0])


def test_checking_asks_nothing() -> None:
    with LoopbackServer() as server:
        arm = Arm(model="openai:test-model", openai=OpenAIOptions(base_url=server.url))
        assert check_model(arm, Path()) == []
        stats = server.stats()
    assert (stats["received"], stats["listings"], stats["connections"]) == (0, 0, 0)


def test_a_simulated_model_is_opened(tmp_path: Path) -> None:
    arm = Arm(model="simulated:steady")
    assert asyncio.run(open_model(arm, tmp_path)).identity.startswith("simulated:")
    assert check_model(arm, tmp_path) == []


def hf_folder(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_text("{}", "utf-8")
    return folder


def test_problems_are_one_line_each_with_a_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.setattr(registry, "_missing_packages", list)
    hf_folder(tmp_path / "bare")
    hf_folder(tmp_path / "no-weights", "config.json", "tokenizer.json")
    hf_folder(tmp_path / "good", "config.json", "tokenizer.json", "model.safetensors")
    (tmp_path / "text.gguf").write_text("not one")
    (tmp_path / "real.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    template = HfOptions(chat_template="missing.jinja")
    cases = {
        "openai:m": (OpenAIOptions(api_key_env="NO_SUCH_KEY"), ["NO_SUCH_KEY is not set"]),
        "recorded:missing.jsonl": (RecordedOptions(), ["no such file"]),
        "hf:bare": (HfOptions(), ["no config.json", "no weights", "no tokenizer"]),
        "hf:no-weights": (HfOptions(), ["no weights"]),
        "hf:good": (HfOptions(), []),
        "hf:./good": (template, ["missing.jinja: no such file"]),
        "hf:text.gguf": (HfOptions(), ["is no GGUF file"]),
        "hf:real.gguf": (HfOptions(), []),
        "hf:other.gguf": (HfOptions(), ["does not exist"]),
        "hf:./other": (HfOptions(), ["does not exist"]),
        "hf:a/b/c": (HfOptions(), ["does not exist"]),
        "hf:nobody/nothing-of-the-kind": (HfOptions(), ["no hub that can be reached"]),
    }
    for reference, (options, expected) in cases.items():
        arm = Arm.model_validate({"model": reference, reference.partition(":")[0]: options})
        found = check_model(arm, tmp_path)
        assert len(found) == len(expected), (reference, found)
        for problem, words in zip(found, expected, strict=True):
            assert words in problem
            assert ";" in problem
            assert "\n" not in problem


def test_without_torch_a_local_model_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hf_folder(tmp_path / "m", "config.json", "tokenizer.json", "model.safetensors")
    # A finder that finds no torch is what a base install has.
    monkeypatch.setattr(registry, "find_spec", lambda name: None if name == "torch" else object())
    arm = Arm(model="hf:m")
    words = "hf:m: needs the local extra (torch is not installed); pip install 'ullage[local]'"
    with pytest.raises(InputError) as caught:
        asyncio.run(open_model(arm, tmp_path))
    assert str(caught.value) == words
    assert check_model(arm, tmp_path) == [words]


def test_endpoints_and_recordings_need_no_torch() -> None:
    code = (
        "import sys; import ullage.models.registry, ullage.models.openai, ullage.models.recorded;"
        "sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
