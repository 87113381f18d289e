"""From an arm of the configuration to the model behind it. Adapters are imported when needed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ullage.config.models import Arm
from ullage.errors import InputError
from ullage.models.types import Model

_HUB_SECONDS = 5.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "*.gguf")
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "*.gguf")
_LOCAL_PACKAGES = ("torch", "transformers")


async def open_model(arm: Arm, root: Path) -> Model:
    """The model of an arm, its identity known, nothing loaded yet.

    Args:
        arm: what the configuration says.
        root: folder that paths in the configuration are relative to.

    Raises:
        InputError: the model cannot be had as configured.
        InfrastructureError: an endpoint does not answer.
    """
    if arm.scheme == "hf":
        for package in _missing_packages():
            raise InputError(_needs_local_extra(arm, package))
        from ullage.models.hf import HfModel

        return await asyncio.to_thread(HfModel, arm.locator, arm.hf, root)
    if arm.scheme == "openai":
        from ullage.models.openai import OpenAIModel

        return await OpenAIModel.open(arm.locator, arm.openai)
    if arm.scheme == "recorded":
        from ullage.models.recorded import RecordedModel

        return await asyncio.to_thread(RecordedModel, resolve(arm.locator, root), arm.recorded)
    from ullage.models.simulated import SimulatedModel

    return SimulatedModel(arm.locator, arm.simulated)


def check_model(arm: Arm, root: Path) -> list[str]:
    """What can be found wrong with an arm's model without asking or loading it.

    Args:
        arm: what the configuration says.
        root: folder that paths in the configuration are relative to.

    Returns:
        One line per problem: where, what was found, what would do.
    """
    if arm.scheme == "hf":
        return list(_hf_problems(arm, root))
    try:
        if arm.scheme == "openai":
            from ullage.models.openai import OpenAIModel

            OpenAIModel(arm.locator, arm.openai)
        elif arm.scheme == "recorded":
            from ullage.models.recorded import RecordedModel

            RecordedModel(resolve(arm.locator, root), arm.recorded)
        else:
            from ullage.models.simulated import SimulatedModel

            SimulatedModel(arm.locator, arm.simulated)
    except InputError as error:
        return [str(error)]
    return []


def resolve(locator: str, root: Path) -> Path:
    """A path of the configuration: relative to its folder, ``~`` is the user's home."""
    return root / Path(locator).expanduser()


def _missing_packages() -> list[str]:
    return [name for name in _LOCAL_PACKAGES if find_spec(name) is None]


def _needs_local_extra(arm: Arm, package: str) -> str:
    return (
        f"{arm.model}: needs the local extra ({package} is not installed); "
        "pip install 'ullage[local]'"
    )


def _hf_problems(arm: Arm, root: Path) -> Iterator[str]:
    for package in _missing_packages()[:1]:
        yield _needs_local_extra(arm, package)
    template = arm.hf.chat_template
    if template is not None and not resolve(template, root).is_file():
        yield f"{arm.model}: chat_template {template}: no such file; correct the path"
    path = resolve(arm.locator, root)
    if path.is_dir():
        yield from _folder_problems(arm, path)
    elif path.is_file():
        yield from _file_problems(arm, path)
    elif not _HUB_ID.fullmatch(arm.locator) or path.suffix == ".gguf":
        yield f"{arm.model}: {path} does not exist; correct the path after 'hf:'"
    elif not _on_hub(arm.locator, arm.hf.revision):
        yield (
            f"{arm.model}: {path} does not exist, and no hub that can be reached has a model of "
            "that name; correct the path after 'hf:'"
        )


def _on_hub(name: str, revision: str | None) -> bool:
    """Whether the hub's cache or, failing that, the hub itself knows a model."""
    from huggingface_hub import HfApi, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        return True
    try:
        HfApi().model_info(name, revision=revision, timeout=_HUB_SECONDS)
    except Exception:  # the library raises whatever its transport does; all of it means no
        return False
    return True


def _folder_problems(arm: Arm, folder: Path) -> Iterator[str]:
    def lacks(patterns: tuple[str, ...]) -> bool:
        return not any(True for pattern in patterns for _ in folder.glob(pattern))

    if lacks(("config.json", "*.gguf")):
        yield f"{arm.model}: no config.json in {folder}; name the folder save_pretrained wrote"
    if lacks(_WEIGHTS):
        yield f"{arm.model}: no weights in {folder} ({', '.join(_WEIGHTS)}); save the model there"
    if lacks(_TOKENIZERS):
        yield f"{arm.model}: no tokenizer in {folder}; save the tokenizer there too"


def _file_problems(arm: Arm, path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        yield f"{arm.model}: {path} cannot be read ({error.strerror}); make it readable"
        return
    if magic != b"GGUF":
        yield f"{arm.model}: {path} is no GGUF file; name a .gguf file or a model's folder"
