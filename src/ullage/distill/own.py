"""The student's own words as text to learn on: on-policy distillation.

GKD, Agarwal et al. 2024, arXiv 2306.13649, algorithm 1: a share of the rows keep their prompt and
get an answer of the student's, on which the teacher says what it would have said at every token. No
token of such an answer is right or wrong in itself, so terms on labels pass over it.

Everything here is a function of seed, step and weights: a run that goes on from a checkpoint
writes, or finds there, what an uninterrupted one wrote.
"""

# ruff: noqa: N806 - tensors carry their shape as a suffix

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from ullage.config.models import OnPolicy
from ullage.distill.objectives import IGNORED, OWN
from ullage.distill.rendering import Example

FILE = "own-words.json"
"""In a checkpoint: the answers of its window."""


@dataclass(frozen=True, slots=True)
class Writer:
    """How a student answers."""

    settings: OnPolicy
    ends: frozenset[int]
    """Tokens that end an answer."""
    max_length: int
    """Tokens of prompt and answer."""
    batch_size: int
    seed: int

    @torch.no_grad()
    def answered(self, student: Any, examples: Sequence[Example], occasion: str) -> list[Example]:
        """The examples with the student's own last answers.

        One whose prompt leaves no room stays as it is.

        Args:
            student: a causal language model of transformers; left in the mode it is in.
            examples: with a supervised last turn each.
            occasion: names the randomness, with the seed.
        """
        prompts = [prompt_of(example) for example in examples]
        order = sorted(range(len(prompts)), key=lambda row: (-len(prompts[row]), prompts[row]))
        order = [row for row in order if len(prompts[row]) < self.max_length]
        answered = list(examples)
        training = student.training
        student.eval()
        with torch.random.fork_rng():
            torch.manual_seed(number(f"{self.seed}:{occasion}") >> 1)
            for start in range(0, len(order), self.batch_size):
                rows = order[start : start + self.batch_size]
                written = self._write(student, [prompts[row] for row in rows])
                for row, own in zip(rows, written, strict=True):
                    answered[row] = own_example(
                        prompts[row], own[: self.max_length - len(prompts[row])]
                    )
        student.train(training)
        return answered

    def _write(self, student: Any, prompts: list[tuple[int, ...]]) -> list[list[int]]:
        """An answer to each prompt, with the token that ends it."""
        longest = max(map(len, prompts))
        ids_BT = torch.zeros((len(prompts), longest), dtype=torch.long)
        mask_BT = torch.zeros_like(ids_BT)
        for row, prompt in enumerate(prompts):
            ids_BT[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask_BT[row, longest - len(prompt) :] = 1
        warm = self.settings.temperature > 0
        config: Any = GenerationConfig
        how = config(
            max_new_tokens=self.settings.max_tokens,
            do_sample=warm,
            **(
                {"temperature": self.settings.temperature, "top_k": 0, "top_p": 1.0} if warm else {}
            ),
            eos_token_id=sorted(self.ends) or None,
            pad_token_id=0,
        )
        with torch.autocast(student.device.type, enabled=False):
            out_BT = student.generate(
                input_ids=ids_BT.to(student.device),
                attention_mask=mask_BT.to(student.device),
                generation_config=how,
            )
        return [self._ended(row) for row in out_BT[:, longest:].tolist()]

    def _ended(self, tokens: list[int]) -> list[int]:
        for place, token in enumerate(tokens):
            if token in self.ends:
                return tokens[: place + 1]
        return tokens


@dataclass(slots=True)
class OwnWords:
    """Which rows are answered by the student now, and what it said."""

    writer: Writer
    examples: Sequence[Example]
    window: int = -1
    """The stretch of `refresh` steps the answers are of."""
    answers: dict[int, Example] = field(default_factory=dict)
    """By row."""
    written: dict[str, int] = field(default_factory=lambda: {"answers": 0, "tokens": 0})
    """Since the first step, over all sessions."""

    def refresh(self, step: int, rows_of: Callable[[int], Sequence[int]], student: Any) -> None:
        """Write new answers where a stretch of steps begins.

        Args:
            step: about to be taken.
            rows_of: rows that a step reads.
            student: as it is before the step.
        """
        settings = self.writer.settings
        window = step // settings.refresh
        if window == self.window:
            return
        steps = range(window * settings.refresh, (window + 1) * settings.refresh)
        read = sorted({row for one in steps for row in rows_of(one)})
        own = [row for row in read if self._is_own(window, row)]
        examples = [self.examples[row] for row in own]
        answered = self.writer.answered(student, examples, f"window {window}")
        self.window, self.answers = window, dict(zip(own, answered, strict=True))
        self.written["answers"] += len(own)
        self.written["tokens"] += sum(example.supervised for example in answered)

    def read(self, row: int) -> Example:
        """What is read in place of a row."""
        return self.answers.get(row, self.examples[row])

    def save(self, folder: Path) -> None:
        """Put what a checkpoint needs beside it."""
        state = {
            "window": self.window,
            "written": self.written,
            "answers": {row: [one.ids, one.labels] for row, one in self.answers.items()},
        }
        (folder / FILE).write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take up what `save` put there."""
        state = json.loads((folder / FILE).read_text(encoding="utf-8"))
        self.window, self.written = state["window"], state["written"]
        self.answers = {
            int(row): Example(tuple(ids), tuple(labels))
            for row, (ids, labels) in state["answers"].items()
        }

    def _is_own(self, window: int, row: int) -> bool:
        point = number(f"{self.writer.seed}:{window}:{row}") / 2**64
        return point < self.writer.settings.share


def prompt_of(example: Example) -> tuple[int, ...]:
    """What stands before the last supervised turn."""
    last = max(place for place, label in enumerate(example.labels) if label != IGNORED)
    while last > 0 and example.labels[last - 1] != IGNORED:
        last -= 1
    return example.ids[: last + 1]


def own_example(prompt: tuple[int, ...], own: Sequence[int]) -> Example:
    """A prompt and the student's own answer, every token of it supervised and none of it right."""
    labels = [IGNORED] * (len(prompt) - 1) + [OWN] * len(own) + [IGNORED]
    return Example((*prompt, *own), tuple(labels))


def turn_ends(examples: Sequence[Example], special: frozenset[int]) -> frozenset[int]:
    """Special tokens that end a supervised turn of some example."""
    last = {
        next((label for label in reversed(example.labels) if label != IGNORED), IGNORED)
        for example in examples
        if not example.truncated
    }
    return frozenset(last) & special


def number(text: str) -> int:
    """64 bits that depend on a text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
