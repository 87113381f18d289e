"""A teacher of a few hundred tokens, and a cache of it written in this process or another.

    python -m tests.distill.cache.teaching FOLDER [--pause SECONDS]

prints the key of each sequence as it is handed over.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from ullage.distill.cache import About, CacheWriter, Compressor

VOCABULARY = 300
EXCLUDED = 290
"""Tokens from here on have −inf: padding."""
SEQUENCES = 60
SHARD, SAMPLE = 400, 700


def logits(seed: int, positions: int, vocabulary: int = VOCABULARY) -> torch.Tensor:
    """A low-rank teacher, as real ones are, (positions, vocabulary)."""
    draw = torch.Generator().manual_seed(7)
    head = torch.randn(12, vocabulary, generator=draw) * 1.5
    common = torch.linspace(2, -2, vocabulary)
    hidden = torch.randn(positions, 12, generator=torch.Generator().manual_seed(seed))
    made = hidden @ head + common
    made[:, EXCLUDED:] = -torch.inf
    return made


def row(index: int) -> torch.Tensor:
    """Logits of a sequence; some are empty, some of one position."""
    return logits(index, (0, 1, 37, 64)[index % 4])


def about(vocabulary: int = VOCABULARY, temperature: float = 1.0, **compressor: object) -> About:
    """Of a cache of this teacher."""
    return About(
        teacher="sha256:teacher",
        tokenizer="sha256:tokenizer",
        template="sha256:template",
        corpus="sha256:corpus",
        vocabulary=vocabulary,
        temperature=temperature,
        compressor=Compressor(**{"k": 16, **compressor}),  # type: ignore[arg-type]
    )


def write(
    folder: Path, what: About | None = None, *, pause: float = 0.0, tell: bool = False
) -> None:
    """Write the cache, or go on writing it."""
    with CacheWriter(folder, what or about(), shard_positions=SHARD, sample=SAMPLE) as writer:
        for index in range(SEQUENCES):
            key = f"row-{index}"
            if key in writer:
                continue
            if tell:
                print(key, flush=True)
            writer.add(key, row(index))
            time.sleep(pause)


def main() -> None:
    """Write as a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pause", type=float, default=0.0)
    arguments = parser.parse_args()
    write(arguments.folder, pause=arguments.pause, tell=True)


if __name__ == "__main__":
    main()
