"""The teacher cache: bytes a token against how well the teacher is rebuilt, beside DistillKit's.

    python bench/cache.py [--tokens 16384] [--text FILE] [--model FOLDER]

The teacher is SmolLM2-135M-Instruct (fetched once), the text by default the language reference that
comes with Python. Tables are learnt from the first five eighths of the sequences; bytes and KL are
of the others, KL at every eighth position. One core, two to four minutes.

DistillKit's layout (arcee-ai/DistillKit, distillkit/compression, read in 2025) is worked out as its
source and README give it: ids packed at ceil(log2 V) bits each; log-probabilities in falling order,
the first `exact_k` in bfloat16, the others a least-squares fit of terms of their rank with float32
coefficients; what is missing spread evenly (`symmetric_uniform`; its default, `zero`, has infinite
KL). `recommended` and `budget` are its README's settings for k = 128 and k = 50, in proportion.
"""

from __future__ import annotations

import argparse
import math
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ullage.distill.cache import About, CacheReader, CacheWriter, Compressor, stats
from ullage.distill.cache.rebuild import as_signal
from ullage.distill.sparse import Background, TopK
from ullage.models.hf.smollm2 import ensure_smollm2

KS = (8, 16, 32, 64, 128)
LENGTH = 256
EVERY = 8
TAILS = ("uniform", "groups")
TERMS = {"recommended": (0, 1, 2, 3, 4, 0.5), "budget": (0, 1, 0.5)}


@dataclass(frozen=True)
class Point:
    """A way to keep a teacher."""

    name: str
    k: int
    size: float
    """Bytes a token."""
    mean: float
    p99: float
    """KL(teacher to rebuilt), nats."""


class Teacher:
    """Logits of pieces of a text."""

    def __init__(self, folder: Path, text: str, sequences: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        auto: Any = AutoModelForCausalLM
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        tokenizer.model_max_length = 1 << 40
        self._model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        ids = tokenizer(text)["input_ids"]
        if len(ids) < sequences * LENGTH:
            raise SystemExit(f"the text has {len(ids):,} tokens; name a longer one with --text")
        # Spread over the text, so that what is learnt and what is measured are of a kind.
        starts = np.linspace(0, len(ids) - LENGTH, sequences).astype(int)
        starts = np.random.default_rng(0).permutation(starts)
        self._pieces = [ids[start : start + LENGTH] for start in starts]
        self.vocabulary: int = self._model.config.vocab_size
        self.seconds = 0.0

    @torch.no_grad()
    def logits(self, index: int) -> torch.Tensor:
        """Of one piece, (LENGTH, V)."""
        begin = time.perf_counter()
        logits: torch.Tensor = self._model(torch.tensor([self._pieces[index]])).logits[0]
        self.seconds += time.perf_counter() - begin
        return logits


def write(teacher: Teacher, sequences: int, learnt: int, root: Path) -> torch.Tensor:
    """Write a cache for every k; returns the true log-probabilities that are measured against."""
    writers, truth = [], []
    for k in KS:
        about = About(
            teacher="smollm2",
            tokenizer="smollm2",
            template="none",
            corpus="text",
            vocabulary=teacher.vocabulary,
            compressor=Compressor(k=k),
        )
        writers.append(CacheWriter(root / str(k), about, sample=learnt * LENGTH))
    for index in range(sequences):
        logits = teacher.logits(index)
        for writer in writers:
            writer.add(str(index), logits)
        if index >= learnt:
            truth.append(torch.log_softmax(logits[::EVERY], dim=-1))
    for writer in writers:
        writer.close()
    return torch.cat(truth)


def divergence(truth: torch.Tensor, rebuilt: torch.Tensor) -> torch.Tensor:
    """KL(truth to rebuilt) of each position."""
    return (truth.exp() * (truth - rebuilt)).sum(dim=-1)


def ours(reader: CacheReader, learnt: int, truth: torch.Tensor) -> list[Point]:
    """Bytes and KL of sequences that tables were not learnt from, by way of filling the tail."""
    rest = range(learnt, len(reader))
    size = float(reader.sizes[learnt:].sum() / reader.positions[learnt:].sum())
    learned = Background.of(torch.from_numpy(reader.backgrounds))
    uniform = Background.of(torch.ones(truth.shape[1]))
    gaps: dict[str, list[torch.Tensor]] = {name: [] for name in TAILS}
    for place, one in enumerate(reader.read(rest)):
        here = slice(place * LENGTH // EVERY, (place + 1) * LENGTH // EVERY)
        top = as_signal(one[slice(None, None, EVERY)], reader.about, learned)
        assert isinstance(top, TopK)
        for name, made in (
            ("groups", top),
            ("uniform", replace(top, background=uniform, group_N=None)),
        ):
            gaps[name].append(divergence(truth[here], made.dense()))
    k = reader.about.compressor.k
    return [point(name, k, size, torch.cat(found)) for name, found in gaps.items()]


def point(name: str, k: int, size: float, gaps: torch.Tensor) -> Point:
    return Point(name, k, size, float(gaps.mean()), float(gaps.quantile(0.99)))


def distillkit(name: str, k: int, exact: int, truth: torch.Tensor) -> Point:
    """DistillKit's storage of the same positions."""
    vocabulary = truth.shape[1]
    terms = TERMS[name]
    size = math.ceil(k * math.ceil(math.log2(vocabulary)) / 8) + 2 * exact + 4 * len(terms)
    gaps = []
    for some in torch.split(truth, 64):
        best = some.topk(k, dim=-1)
        first = best.values[:, :exact].bfloat16().float()
        fitted = fit(best.values[:, exact:], terms)
        kept = torch.cat([first, fitted], dim=1)
        missing = 1 - kept.logsumexp(dim=-1).exp()
        fill = (missing / (vocabulary - k)).clamp(min=1e-8).log()
        rebuilt = fill[:, None].repeat(1, vocabulary).scatter(1, best.indices, kept)
        gaps.append(divergence(some, rebuilt.log_softmax(dim=-1)))
    return point(name, k, size, torch.cat(gaps))


def fit(values: torch.Tensor, terms: Sequence[float]) -> torch.Tensor:
    """Least squares of values on powers of their rank, small singular values left out."""
    rank = torch.arange(values.shape[1], dtype=torch.float32)
    powers = torch.stack([rank**term for term in terms], dim=1)
    left, scale, right = torch.linalg.svd(powers, full_matrices=False)
    inverse = torch.where(scale > 1e-5, 1 / scale, torch.zeros(()))
    coefficients = (values @ left) * inverse @ right
    return torch.matmul(coefficients, powers.T)


def size_at(mean: float, points: Sequence[Point]) -> float:
    """Bytes at which ours has that mean KL, between the k that were tried."""
    order = sorted(points, key=lambda one: one.mean)
    heights = [math.log(one.mean) for one in order]
    return float(np.interp(math.log(mean), heights, [one.size for one in order]))


def report(mine: dict[str, list[Point]], theirs: dict[str, list[Point]]) -> bool:
    """Print the tables; whether ours takes half the bytes at every KL."""
    print("\nours: KL with the tail")
    print("  k   B/token     uniform         groups      (mean, p99)")
    for row in zip(*mine.values(), strict=True):
        cells = "  ".join(f"{one.mean:6.3f} {one.p99:6.3f}" for one in row)
        print(f"{row[0].k:4}  {row[0].size:7.1f}  {cells}")
    best = mine["groups"]
    good = True
    for name, points in theirs.items():
        print(f"\nDistillKit, {name}")
        print("  k   B/token    mean    p99   ours at that mean   ratio")
        for one in points:
            size = size_at(one.mean, best)
            below = "<=" if one.mean > max(mine_.mean for mine_ in best) else "  "
            good &= size <= one.size / 2
            print(
                f"{one.k:4}  {one.size:7.1f}  {one.mean:6.3f} {one.p99:6.3f}   "
                f"{below}{size:10.1f} B/token   {size / one.size:5.2f}"
            )
    return good


def decoding(reader: CacheReader) -> tuple[float, float]:
    """Positions a second: all at once, and four sequences at a time."""
    speeds = []
    for at_once in (len(reader), 4):
        begin = time.perf_counter()
        for start in range(0, len(reader), at_once):
            reader.read(range(start, min(start + at_once, len(reader))))
        speeds.append(float(reader.positions.sum()) / (time.perf_counter() - begin))
    return speeds[0], speeds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--text", type=Path, help="a UTF-8 file")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    from pydoc_data.topics import topics

    text = options.text.read_text("utf-8") if options.text else "\n\n".join(topics.values())
    sequences = max(options.tokens // LENGTH, 8)
    learnt = sequences * 5 // 8
    teacher = Teacher(options.model or ensure_smollm2(), text, sequences)
    print(f"{platform.machine()} {platform.system()}, one core, Python {platform.python_version()}")
    mine: dict[str, list[Point]] = {name: [] for name in TAILS}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        begin = time.perf_counter()
        truth = write(teacher, sequences, learnt, root)
        writing = time.perf_counter() - begin - teacher.seconds
        print(
            f"{sequences * LENGTH:,} tokens, vocabulary {teacher.vocabulary:,}; tables of the "
            f"first {learnt * LENGTH:,}; KL at {len(truth):,} others"
        )
        for k in KS:
            for one in ours(CacheReader(root / str(k)), learnt, truth):
                mine[one.name].append(one)
        reader = CacheReader(root / "64")
        fast, few = decoding(reader)
        found = stats(root / "64")
    theirs = {
        "recommended": [distillkit("recommended", k, max(k // 8, 1), truth) for k in KS],
        "budget": [distillkit("budget", k, 1, truth) for k in (*KS[:3], 50, *KS[3:])],
    }
    good = report(mine, theirs)
    assert found.reconstruction is not None
    asked = sequences * LENGTH / teacher.seconds
    print(
        f"\nk = 64: tables {found.table_bytes / 1e6:.2f} MB once; of the KL, kept numbers cost "
        f"{found.reconstruction['kept']['mean']:.4f}"
    )
    print(
        f"teacher {asked:,.0f} tokens/s; {len(KS)} caches written beside it in {writing:.0f} s more"
    )
    print(f"decoding at k = 64: {fast:,.0f} tokens/s, four sequences at a time {few:,.0f}")
    if not good:
        raise SystemExit("more than half of DistillKit's bytes at equal KL")


if __name__ == "__main__":
    main()
