"""What a recipe will load, and about how much memory, time and teacher tokens it will take.

Counted, not tried: models are built without weights, tokens are counted in a sample of the rows,
and operations are divided by the speed of one matrix product on this machine. A real step also
moves memory, so that the time is a lower bound; the memory leaves out what libraries keep for
themselves.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ullage.config.models import Lora
from ullage.distill.cached import has_all
from ullage.distill.checkpoint import load_config, load_tokenizer
from ullage.distill.chunked import CHUNK, CHUNK_ELSEWHERE
from ullage.distill.job import Job
from ullage.distill.layers import chosen_layers
from ullage.distill.lora import adapt, trained_parameters
from ullage.distill.rationales import Lesson, lessons, planned
from ullage.distill.recipe import planned_steps
from ullage.distill.rendering import render
from ullage.distill.students import start_arm, start_tokenizer
from ullage.models.hf.load import pick_device

SAMPLE = 200
"""Rows whose tokens are counted."""
_FP32 = 4
_KEPT_PER_TOKEN = 20
"""Numbers of a layer's width that a token leaves for the backward pass: norms, projections, MLP
(Korthikanti et al. 2022, arXiv 2205.05198, §4, without dropout and scores)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model by its numbers."""

    parameters: int
    trained: int
    """Of them, or of what is added to them."""
    layers: int
    width: int
    heads: int
    vocabulary: int

    def forward(self, tokens: float, length: float, supervised: float) -> float:
        """Operations of reading so many tokens: two a weight, attention, the head where needed."""
        body = self.parameters - self.vocabulary * self.width
        attention = 4.0 * self.layers * length * self.width
        return tokens * (2.0 * body + attention) + 2.0 * supervised * self.vocabulary * self.width


def forecast(job: Job) -> dict[str, Any]:
    """What `ullage distill` of this job would load and take.

    Raises:
        InputError: a model or tokenizer cannot be found.
    """
    recipe, settings = job.recipe, job.recipe.settings
    tokenizer = start_tokenizer(recipe, job.root)
    student, teacher = _shapes(job)
    if has_all(job, tokenizer):
        teacher = None
    taught = list(lessons(job.corpus.train, recipe.rationale))
    read, supervised = _tokens(job, taught, tokenizer)
    teacher_reads = teacher_supervised = 0.0
    if teacher is not None:
        teacher_reads, teacher_supervised = read, supervised
        if recipe.alignment == "bytes":
            its_own = load_tokenizer(recipe.teacher, job.root, "distill.teacher")
            teacher_reads, teacher_supervised = _tokens(job, taught, its_own)
    in_all = planned(job.corpus.train, recipe.rationale, answers=recipe.asks_answers)
    # In the process that asks: each of several has a share of the rows, as many steps long.
    steps = planned_steps(settings, in_all, job.processes.size)
    rows = steps * settings.batch_size * settings.gradient_accumulation
    prompts = len(job.corpus.train) + len(job.corpus.held_out)
    # For a cache it reads every row once.
    asked = rows if recipe.paths.caches is None else prompts
    # Forward once more for what is not kept; back through the layers, and to trained weights.
    passes = 2.0 + settings.gradient_checkpointing + (settings.lora is None)
    work = passes * student.forward(rows * read, read, rows * supervised)
    if teacher is not None:
        work += teacher.forward(asked * teacher_reads, teacher_reads, asked * teacher_supervised)
    if recipe.on_policy is not None:
        own = rows * recipe.on_policy.share
        work += own * student.forward(read + recipe.on_policy.max_tokens, read, 1.0)
    speed = _speed(student, round(read * settings.batch_size), settings.dtype == "bfloat16")
    return {
        "loads": {
            "student": {"parameters": student.parameters, "trained": student.trained},
            "teacher": None if teacher is None else {"parameters": teacher.parameters},
        },
        "memory_bytes": _memory(job, student, teacher, read),
        "time": {
            "seconds_at_least": work / speed,
            "operations": round(work),
            "operations_per_second": round(speed),
            "how": "counted operations at the speed of a matrix product timed just now",
        },
        "tokens": {
            "per_row": round(read, 1),
            "supervised_per_row": round(supervised, 1),
            "rows_counted": min(SAMPLE, in_all),
            "teacher_reads": round(asked * teacher_reads),
            "teacher_writes_at_most": prompts
            * settings.generate_samples
            * settings.generate_max_tokens
            if recipe.asks_answers
            else 0,
        },
    }


def _shapes(job: Job) -> tuple[Shape, Shape | None]:
    recipe = job.recipe
    config = load_config(start_arm(recipe), job.root, "distill.student")
    if recipe.settings.layers is not None:
        layers = chosen_layers(recipe.settings.layers, config.num_hidden_layers)
        for name, value in list(vars(config).items()):
            if isinstance(value, list) and len(value) == config.num_hidden_layers:
                setattr(config, name, [value[index] for index in layers])
        config.num_hidden_layers = len(layers)
    if not recipe.needs_weights:
        return _shape(config, recipe.settings.lora), None
    return _shape(config, recipe.settings.lora), _shape(
        load_config(recipe.teacher, job.root, "distill.teacher")
    )


def _shape(config: Any, lora: Lora | None = None) -> Shape:
    auto: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(config)
        parameters = sum(weight.numel() for weight in model.parameters())
        if lora is not None:
            adapt(model, lora, seed=0)
    return Shape(
        parameters=parameters,
        trained=trained_parameters(model),
        layers=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        vocabulary=model.get_output_embeddings().weight.shape[0],
    )


def _tokens(job: Job, rows: Sequence[Lesson], tokenizer: Any) -> tuple[float, float]:
    """Tokens and supervised tokens of a lesson, on average over a sample spread over the corpus."""
    sample = rows[:: max(len(rows) // SAMPLE, 1)][:SAMPLE]
    read = supervised = 0
    for row in sample:
        example = render(
            tokenizer, row.messages, job.recipe.settings.max_length, final_only=row.repeated
        )
        read += 0 if example is None else len(example.ids)
        supervised += 0 if example is None else example.supervised
    return read / len(sample), supervised / len(sample)


def _memory(job: Job, student: Shape, teacher: Shape | None, read: float) -> dict[str, int]:
    """Bytes of what is held at once, part by part."""
    settings = job.recipe.settings
    half = 2 if settings.dtype == "bfloat16" else _FP32
    tokens = settings.batch_size * read
    scores = settings.batch_size * student.heads * read**2 * 2
    of_layer = tokens * student.width * _KEPT_PER_TOKEN + scores
    kept = student.layers * of_layer
    if settings.gradient_checkpointing:
        kept = student.layers * tokens * student.width + of_layer
    chunk = CHUNK.get(pick_device("auto").type, CHUNK_ELSEWHERE)
    parts = {
        "student_weights_and_gradients": _FP32 * (student.parameters + student.trained),
        # Muon keeps one number for a matrix where AdamW keeps two: this is the most.
        "optimiser": 2 * _FP32 * student.trained,
        "teacher": half * teacher.parameters if teacher is not None else 0,
        "activations": round(half * kept),
        "logits": 3 * _FP32 * chunk * student.vocabulary,
    }
    return {**parts, "total": sum(parts.values())}


def _speed(shape: Shape, tokens: int, half: bool) -> float:
    """Operations a second of a product as large as those of a layer."""
    device = pick_device("auto")
    dtype = torch.bfloat16 if half else torch.float32
    left = torch.randn((max(tokens, 1), shape.width), device=device, dtype=dtype)
    right = torch.randn((shape.width, 4 * shape.width), device=device, dtype=dtype)
    # The first makes what the others find made.
    float((left @ right)[0, 0])
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.2:
        # Reading a number waits for a device that works ahead.
        float((left @ right)[0, 0])
        done += 1
    taken = time.perf_counter() - started
    return 2.0 * left.shape[0] * right.numel() * done / taken
