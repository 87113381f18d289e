"""A teacher that was asked once: filling its cache, and learning from it without the teacher.

What is asked follows from the rendered rows alone, never from one student's order or split: a
second student with the same rows finds everything there.
"""

# ruff: noqa: N806, N815 - tensors carry their shape as a suffix

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ullage.distill.cache import About, CacheReader, CacheWriter, Compressor, Distributions
from ullage.distill.cache.ahead import Ahead, Awaited
from ullage.distill.cache.manifest import FILE, read_manifest
from ullage.distill.cache.rebuild import as_signal
from ullage.distill.chunked import TeacherAt
from ullage.distill.job import Job
from ullage.distill.learnt import rendered
from ullage.distill.ledger import digest
from ullage.distill.module import Batch, LogitsTeacher, Reading, collate
from ullage.distill.objectives import IGNORED
from ullage.distill.rendering import Example, render
from ullage.distill.result import Progress, Report, Stopped
from ullage.distill.sparse import Background
from ullage.distill.stopping import Stop
from ullage.errors import InputError

_LARGER = 4
"""How many times a student's batch the teacher reads at once: it keeps nothing for a way back."""
_POOL = 16
"""Batches whose rows are sorted by length together."""


def key_of(example: Example) -> str:
    """Name of a row in a cache: what is read and where something is said, 32 hex digits."""
    return hashlib.sha256(repr((example.ids, example.labels)).encode()).hexdigest()[:32]


def about(job: Job, tokenizer: Any, examples: Sequence[Example]) -> About:
    """What a cache for these rows holds.

    Args:
        job: its recipe has a cache.
        tokenizer: of the student; the cache has its ids, whatever heads are padded to.
        examples: all rows that the teacher's words are needed of.
    """
    settings = job.recipe.settings
    assert settings.cache is not None  # noqa: S101 - who calls has looked
    vocabulary = tokenizer.get_vocab()
    return About(
        teacher=job.teacher_identity,
        tokenizer=digest(vocabulary),
        template=digest(tokenizer.chat_template),
        corpus=digest(sorted({key_of(example) for example in examples})),
        vocabulary=max(vocabulary.values()) + 1,
        precision=settings.dtype,
        temperature=job.recipe.cached_temperature,
        compressor=Compressor(
            signal=settings.cache.signal, k=settings.cache.k, step=settings.cache.step
        ),
    )


def is_filled(folder: Path) -> bool:
    """Whether nothing is left to ask."""
    return (folder / FILE).exists() and read_manifest(folder).complete


def has_all(job: Job, tokenizer: Any) -> bool:
    """Whether a finished cache has every row of a job, so that its teacher need not be loaded.

    Args:
        job: whatever its recipe.
        tokenizer: of the student.
    """
    caches = job.recipe.paths.caches
    if caches is None or job.recipe.asks_answers or not any(caches.glob(f"*/{FILE}")):
        # What is still to be answered cannot be there; and without a cache nothing need be read.
        return False
    rows = rendered(job, partial(render, tokenizer))
    asked = [example for part in rows.values() for example in part.examples]
    return is_filled(about(job, tokenizer, asked).folder(caches))


def fill(
    folder: Path,
    what: About,
    teacher: LogitsTeacher,
    examples: Sequence[Example],
    batch_size: int,
    *,
    stop: Stop,
    report: Report | None = None,
) -> None:
    """Ask the teacher what the cache lacks, and finish it.

    Args:
        folder: of the cache.
        what: the cache's.
        teacher: in memory.
        examples: as given to `about`.
        batch_size: of the student.
        stop: looked at before every batch.
        report: called after every batch.

    Raises:
        Stopped: asked to; what is on disk is kept.
        InputError: see `CacheWriter`.
    """
    batches = list(_batches(examples, batch_size * _LARGER))
    began, tokens = time.monotonic(), 0
    with CacheWriter(folder, what) as writer:
        known = done = len(writer)
        rows = sum(map(len, batches))
        for batch in batches:
            missing = {key for key, _ in batch if key not in writer}
            if not missing:
                continue
            if stop.wanted:
                raise Stopped(
                    "stopped while filling the cache; whole shards are kept, run the same command "
                    "to go on"
                )
            # The whole batch, as the first time: what a row is read beside moves its last digits.
            for (key, example), logits in zip(batch, _asked(teacher, batch, what), strict=True):
                tokens += len(example.ids)
                if key in missing:
                    writer.add(key, logits)
            done += len(missing)
            if report is not None:
                seconds = time.monotonic() - began
                left = seconds / (done - known) * (rows - done)
                report(
                    Progress(
                        stage="cache",
                        done=done,
                        total=rows,
                        tokens_per_second=tokens / seconds,
                        seconds_left=left,
                    )
                )


def _batches(examples: Sequence[Example], size: int) -> Iterator[list[tuple[str, Example]]]:
    """Each row once, in the order of their hashes, rows of similar length together."""
    rows = sorted({key_of(example): example for example in examples}.items())
    for start in range(0, len(rows), size * _POOL):
        pool = sorted(rows[start : start + size * _POOL], key=lambda row: len(row[1].ids))
        for first in range(0, len(pool), size):
            yield pool[first : first + size]


@dataclass(frozen=True, slots=True)
class _Logits:
    """A row's logits, a few positions at a time."""

    teacher: LogitsTeacher
    hidden_NH: torch.Tensor
    vocabulary: int

    def __len__(self) -> int:
        return len(self.hidden_NH)

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return self.teacher.logits(self.hidden_NH[rows])[:, : self.vocabulary]


def _asked(
    teacher: LogitsTeacher, batch: Sequence[tuple[str, Example]], what: About
) -> list[_Logits]:
    examples = [example for _, example in batch]
    tensors = collate(examples)
    device = teacher.model.device
    mask_BT = (tensors["labels"] != IGNORED).to(device)
    hidden_NH = teacher.hidden(tensors["input_ids"].to(device), mask_BT)
    parts = torch.split(hidden_NH, [example.supervised for example in examples])
    return [_Logits(teacher, part_nH, what.vocabulary) for part_nH in parts]


class CachedTeacher:
    """Says what a cache has kept; no teacher is in memory."""

    model = None

    def __init__(self, folder: Path, what: About, rows: int, device: torch.device) -> None:
        """Open a cache.

        Args:
            folder: of the cache, finished.
            what: it must hold.
            rows: of the student's head, padding included.
            device: of the student.

        Raises:
            InputError: see `CacheReader`; or the head has fewer rows than there are tokens.
        """
        if rows < what.vocabulary:
            raise InputError(
                f"distill.student: its tokenizer has ids up to {what.vocabulary - 1} but its head "
                f"has {rows} rows; use the tokenizer the model was trained with"
            )
        self._about, self._device = what, device
        self._reader = CacheReader(folder, about=what)
        weights_GV = torch.from_numpy(self._reader.backgrounds)
        weights_GV = F.pad(weights_GV, (0, rows - what.vocabulary)).to(device)
        self._background = Background.of(weights_GV)
        self._ahead = Ahead(self._reader)

    def expect(self, examples: Sequence[Example]) -> None:
        """Begin to decode."""
        self._ahead.expect(_keys(examples))

    def beside(self, examples: Sequence[Example]) -> Batch:
        """What was said of these rows, as soon as it is decoded."""
        return {"said": self._ahead.ask(_keys(examples))}

    def says(self, reading: Reading) -> TeacherAt:
        """A top with its background, or draws."""
        said: list[Awaited] = reading.batch["said"]
        given = Distributions.joined(
            [decoded.result()[place] for decoded, place in said], self._about.compressor.k
        )
        signal = as_signal(given, self._about, self._background, self._device)
        return lambda here: signal[here]

    def facts(self) -> dict[str, Any]:
        """For the ledger: which cache, how small, and what it lost of its teacher."""
        found = self._reader.manifest
        size = int(self._reader.sizes.sum())
        return {
            "identity": self._about.identity,
            "signal": self._about.compressor.signal,
            "k": self._about.compressor.k,
            "vocabulary": self._about.vocabulary,
            "positions": found.positions,
            "bytes_per_token": round(size / max(found.positions, 1), 2),
            "lost": found.reconstruction,
        }


def _keys(examples: Sequence[Example]) -> list[str]:
    """Of the rows that something was said of: what fills up a step has nothing to learn."""
    return [key_of(example) for example in examples if example.supervised]
