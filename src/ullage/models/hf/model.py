"""The ``hf:`` adapter. Nothing here imports torch before a model is entered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ullage.config.models import HfOptions
from ullage.errors import InputError
from ullage.models.identity import file_identity, folder_identity, weight_bytes
from ullage.models.told import told
from ullage.models.types import Access, Answer, Ask, Request, Weigh

if TYPE_CHECKING:
    from ullage.models.hf.load import Loaded

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")
_NEEDS_LOCAL = "needs torch and transformers; pip install 'ullage[local]'"
_COMPUTING = 1
"""Part of every identity: raised when the way replies are computed changes what they say."""
_QUANTISING = 1
"""The same for quantised models: raised when `ullage.models.hf.quantise` computes otherwise."""


class HfModel:
    """A local checkpoint: a folder, a ``.gguf`` file, or a hub id through the hub's own cache.

    Args:
        locator: what follows ``hf:``; a path is relative to `root`.
        options: precision, device, batch size, template.
        root: the folder of the configuration file.
    """

    access = frozenset(Access)
    deterministic = True
    keyed_by_item = False
    window = 256

    def __init__(self, locator: str, options: HfOptions, root: Path) -> None:
        self.locator, self.options, self.root = locator, options, root
        self._loaded: Loaded | None = None
        self._worker: ThreadPoolExecutor | None = None

    @cached_property
    def path(self) -> Path:
        """Where the checkpoint lies; a hub model is fetched into the hub's cache first.

        Raises:
            InputError: it is neither a folder or file nor to be had from the hub.
        """
        path = self.root / Path(self.locator).expanduser()
        if path.is_dir() or (path.is_file() and path.suffix == ".gguf"):
            return path.resolve()
        if path.exists():
            raise InputError(
                f"hf:{self.locator}: {path} is a file; give a model folder or a .gguf file"
            )
        return self._from_hub(path)

    @cached_property
    def identity(self) -> str:
        """Hash of weights, tokenizer, template, defaults and what options change; reads them all.

        Raises:
            InputError: see `path` and `ullage.models.identity.folder_identity`.
        """
        extra: dict[str, Any] = {
            "computing": _COMPUTING,
            "dtype": self.options.dtype,
            "chat_template": self._chat_template,
        }
        if self.options.quantise is not None:
            extra["quantise"] = {"how": self.options.quantise, "computing": _QUANTISING}
        identify = folder_identity if self.path.is_dir() else file_identity
        return identify(self.path, extra=extra)

    @property
    def description(self) -> Mapping[str, Any]:
        """Adapter, name, precision, size, and whether replies are independent of their batch."""
        facts: dict[str, Any] = {
            "adapter": "hf",
            "model": told(self.locator),
            "dtype": self.options.dtype,
            "batch_invariant": self.options.dtype == "float32",
            "weight_bytes": weight_bytes(self.path),
        }
        if self.options.quantise is not None:
            facts["quantise"] = self.options.quantise
        return facts

    async def __aenter__(self) -> HfModel:
        """Load the model in a thread of its own, which all its work is done in.

        Raises:
            InputError: it cannot be loaded.
        """
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ullage-hf")
        self._loaded = await asyncio.get_running_loop().run_in_executor(self._worker, self._load)
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Give the model's memory back."""
        self._loaded = None
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)
            self._worker = None

    async def answer(self, requests: Sequence[Request]) -> AsyncIterator[tuple[int, Answer]]:
        """Answer every request, yielding as rows finish; see `ullage.models.types.Model`."""
        if self._loaded is None or self._worker is None:
            raise RuntimeError("enter the model before asking it")
        loop = asyncio.get_running_loop()
        steps = self._answers(self._loaded, requests)
        while (done := await loop.run_in_executor(self._worker, next, steps, None)) is not None:
            for index, answer in done:
                yield index, answer

    def _answers(
        self, loaded: Loaded, requests: Sequence[Request]
    ) -> Iterator[Sequence[tuple[int, Answer]]]:
        from ullage.models.hf.generate import generate
        from ullage.models.hf.weigh import weigh

        weighs = [(i, request) for i, request in enumerate(requests) if isinstance(request, Weigh)]
        asks = [(i, request) for i, request in enumerate(requests) if isinstance(request, Ask)]
        batch_tokens = self.options.batch_tokens if loaded.network.together else 1
        if weighs:
            yield from weigh(loaded, weighs, batch_tokens)
        if asks:
            yield from generate(loaded, asks, batch_tokens)

    @cached_property
    def _chat_template(self) -> str | None:
        """The source of the overriding template."""
        if self.options.chat_template is None:
            return None
        path = self.root / Path(self.options.chat_template).expanduser()
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: the chat template of hf:{self.locator} cannot be read ({error}); "
                "give the path of a Jinja file in UTF-8"
            ) from error

    def _load(self) -> Loaded:
        try:
            from ullage.models.hf.load import load
        except ImportError as error:
            raise InputError(f"hf:{self.locator}: {_NEEDS_LOCAL} ({error})") from error
        return load(
            self.path,
            dtype=self.options.dtype,
            device=self.options.device,
            chat_template=self._chat_template,
            quantise=self.options.quantise,
        )

    def _from_hub(self, path: Path) -> Path:
        if not _HUB_ID.fullmatch(self.locator):
            raise InputError(f"hf:{self.locator}: there is no folder {path}; check the path")
        try:
            from huggingface_hub import snapshot_download
        except ImportError as error:
            raise InputError(
                f"hf:{self.locator}: there is no folder {path}, and the hub {_NEEDS_LOCAL}"
            ) from error
        try:
            folder = snapshot_download(
                self.locator,
                revision=self.options.revision,
                allow_patterns=list(_HUB_FILES),
                etag_timeout=10,
            )
        except Exception as error:  # the hub's client raises many kinds, httpx's own among them
            raise InputError(
                f"hf:{self.locator}: is neither a folder ({path}) nor to be had from the hub "
                f"({type(error).__name__}); check the name, the network, and access to it"
            ) from error
        return Path(folder)
