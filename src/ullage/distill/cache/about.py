"""What a cache holds, and the identity that follows from it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ullage.distill.ledger import digest
from ullage.errors import InputError

FORMAT = 1
"""Of the folder and of every file in it."""

MOST = 4096
"""Tokens that may be kept of one position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressor:
    """What is kept of each position, and how finely."""

    signal: Literal["top", "sampled"] = "top"
    """The k likeliest tokens and the mass of the rest; or k tokens drawn with replacement, whose
    shares are an unbiased estimate of the distribution (Anshumann et al. 2025, *Sparse Logit
    Sampling*, arXiv 2503.16870)."""
    k: int = 64
    step: float = 0.07
    """How finely log-probabilities are kept: x nats below 0, within about step/2 of 1 + x."""

    def __post_init__(self) -> None:
        if self.signal not in ("top", "sampled"):
            raise InputError(f"signal: found {self.signal!r}; use top or sampled")
        if not 1 <= self.k <= MOST:
            raise InputError(f"k: found {self.k}; keep 1 to {MOST} tokens a position")
        if not 0.005 <= self.step <= 0.5:
            raise InputError(f"step: found {self.step}; use 0.005 (fine) to 0.5 (coarse)")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Everything that a cached distribution follows from. Two caches of one `About` are one."""

    teacher: str
    """Identity of the teacher."""
    tokenizer: str
    """Hash of the tokenizer whose ids are kept."""
    template: str
    """Hash of the chat template the texts were rendered with."""
    corpus: str
    """Hash of the texts, in order."""
    vocabulary: int
    """Rows of the logits, padding included."""
    precision: str = "float32"
    """The teacher was loaded in."""
    temperature: float = 1.0
    """The teacher's logits are divided by it before anything is kept."""
    compressor: Compressor = field(default_factory=Compressor)
    format: int = FORMAT

    def __post_init__(self) -> None:
        if self.vocabulary < 1:
            raise InputError(f"vocabulary: found {self.vocabulary}; logits have at least one row")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise InputError(f"temperature: found {self.temperature}; use a number above 0")

    @property
    def identity(self) -> str:
        """``sha256:<hex>`` of all of it."""
        return digest(asdict(self))

    def folder(self, root: Path) -> Path:
        """Where under `root` this cache belongs: named by its identity."""
        return root / self.identity.removeprefix("sha256:")[:16]

    def as_json(self) -> dict[str, Any]:
        """As kept in the manifest."""
        return asdict(self)


def about_from_json(data: Any, where: Path) -> About:
    """The `About` of a manifest.

    Raises:
        InputError: it has other fields than this version writes, or values no cache can have.
    """
    try:
        compressor = Compressor(**data["compressor"])
        return About(**{**data, "compressor": compressor})
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{where}: does not say what it holds as this version does ({error}); make the cache "
            "anew in another folder"
        ) from error


def differences(found: About, wanted: About) -> list[str]:
    """Names of what two descriptions differ in."""
    return [
        one.name for one in fields(About) if getattr(found, one.name) != getattr(wanted, one.name)
    ]
