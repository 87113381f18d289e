"""The laboratory's base learning from its teacher, online or from a cache, in a plain loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ullage.distill.cache import About, Compressor
from ullage.distill.cached import CachedTeacher, fill
from ullage.distill.divergences import forward_kl
from ullage.distill.module import DistillationModule, LogitsTeacher, Teacher
from ullage.distill.objectives import Objective, cross_entropy_term, divergence_term
from ullage.distill.order import RowOrder
from ullage.distill.rendering import Example, render
from ullage.distill.rows import read_rows
from ullage.distill.stopping import Stop
from ullage.distill.vocabulary import align_vocabularies
from ullage.lab.corpus import write_corpus
from ullage.lab.evaluate import TEACHER
from ullage.lab.organisms.build import BASE

Model: Any = AutoModelForCausalLM
BATCH = 8
TEMPERATURE = 2.0
"""At 1, the laboratory's teacher is so sure that nothing is left for a tail."""


def base() -> Any:
    """The student before it learns."""
    return Model.from_pretrained(BASE, dtype=torch.float32)


def objective(share: float = 0.0) -> Objective:
    """Forward KL, and so much cross-entropy."""
    divergence = divergence_term("forward_kl", forward_kl, 1.0 - share, TEMPERATURE)
    return Objective((divergence, cross_entropy_term(share)))


class Lesson:
    """Teacher, base and rows."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder = folder
        tokenizer = AutoTokenizer.from_pretrained(TEACHER)
        write_corpus(folder / "corpus.jsonl", 0, rows)
        rendered = [
            render(tokenizer, row.messages, 256) for row in read_rows(folder / "corpus.jsonl")[0]
        ]
        examples = [one for one in rendered if one is not None and one.supervised]
        self.held_out = examples[::5]
        self.train = [one for place, one in enumerate(examples) if place % 5]
        self.tokens = tokenizer.get_vocab()
        model = Model.from_pretrained(TEACHER, dtype=torch.float32).eval()
        size = model.config.vocab_size
        vocabulary = align_vocabularies(self.tokens, size, self.tokens, size)
        self.teacher = LogitsTeacher(model, vocabulary)

    @property
    def examples(self) -> list[Example]:
        """All of them."""
        return [*self.train, *self.held_out]

    def cached(self, **compressor: Any) -> CachedTeacher:
        """The teacher's words on disk."""
        what = About(
            teacher="lab",
            tokenizer="lab",
            template="lab",
            corpus="lab",
            vocabulary=max(self.tokens.values()) + 1,
            temperature=TEMPERATURE,
            compressor=Compressor(**compressor),
        )
        folder = what.folder(self.folder)
        fill(folder, what, self.teacher, self.examples, BATCH, stop=Stop())
        rows = self.teacher.model.config.vocab_size
        return CachedTeacher(folder, what, rows, torch.device("cpu"))

    def learn(self, teacher: Teacher, seed: int) -> float:
        """Held-out KL from the teacher itself, of a student that learnt from `teacher`."""
        student = base().train()
        module = DistillationModule(student, objective(), teacher)
        optimiser = torch.optim.AdamW(student.parameters(), 1e-3, weight_decay=0.0)
        order = RowOrder([len(one.ids) for one in self.train], BATCH, seed)
        rows = [self.train[row] for row in order]
        module.expect(rows)
        for start in range(0, len(rows), BATCH):
            optimiser.zero_grad()
            module(**module.collate(rows[start : start + BATCH]))["loss"].backward()
            optimiser.step()
        return self.loss(student)

    @torch.no_grad()
    def loss(self, student: Any) -> float:
        """Nats per supervised token on held-out rows, from the teacher's own logits."""
        module = DistillationModule(student.eval(), objective(), self.teacher)
        terms = [module(**module.collate([one]))["forward_kl"] for one in self.held_out]
        return float(sum(terms)) / sum(one.supervised for one in self.held_out)
