"""How `ullage distill` makes a student."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from ullage.config.base import Share, Strict
from ullage.config.objective import TermSettings


class OnPolicy(Strict):
    """Rows whose answer the student writes itself and the teacher scores (arXiv 2306.13649)."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """λ: of all rows; the others keep their text."""
    refresh: PositiveInt = 20
    """Steps between new answers: fewer keep closer to the student as it is, and cost more time."""
    max_tokens: PositiveInt = 64
    """Of an answer."""
    temperature: Annotated[float, Field(ge=0.0)] = 1.0
    """0 is greedy, which shows the teacher less of what the student might say."""


class TeacherCache(Strict):
    """Ask the teacher once, keep what it says on disk, and let every student learn from there."""

    folder: str
    """Where caches lie, relative to this file; each in a subfolder named by what it holds."""
    signal: Literal["top", "sampled"] = "top"
    """`top`: the k likeliest tokens and a model of the rest. `sampled`: k draws, unbiased and
    noisier; for forward KL."""
    k: Annotated[int, Field(ge=1, le=4096)] = 64
    """Tokens kept of each position."""
    step: Annotated[float, Field(ge=0.005, le=0.5)] = 0.07
    """How finely log-probabilities are kept: x nats below 0, within about step/2 of 1 + x."""


class Rationale(Strict):
    """How the student learns the steps to an answer (arXiv 2305.02301)."""

    learnt: Literal["task", "prefix"] = "task"
    """`task`: a second question, so that an answer costs no more to give; `prefix`: the first words
    of every answer, so that the student thinks aloud."""
    prompt: Annotated[str, Field(min_length=1)] = "Explain step by step: "
    """For `task`: what stands before the last question when its rationale is asked for."""
    joint: Annotated[str, Field(min_length=1)] = "\n"
    """For `prefix`: what stands between rationale and answer."""
    ask: str = "\n\nThink step by step. Then write 'Answer:' and after it the answer alone."
    """For `text: answers`: added to the last question, so that the teacher shows its steps."""
    marker: Annotated[str, Field(min_length=1)] = "Answer:"
    """For `text: answers`: what the teacher writes before it is the rationale, after it the
    answer."""

    @model_validator(mode="after")
    def _marker_is_asked_for(self) -> Self:
        if self.marker not in self.ask:
            raise ValueError(
                f"marker {self.marker!r} is not in ask, so that no teacher would write it; put it "
                "there"
            )
        return self


class Lora(Strict):
    """Low-rank additions to the student's weights (arXiv 2106.09685)."""

    rank: PositiveInt = 16
    """Of each addition."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """An addition counts alpha / rank times."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of its inputs that an addition does not see in a step."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Linear layers by the end of their names, as `q_proj`; left out, all but the head."""


class Distill(Strict):
    """How the student is made (`ullage distill`)."""

    method: Literal[
        "logits",
        "black-box",
        "rationale",
        "features",
        "relations",
        "cross-tokenizer",
        "on-policy",
        "specialise",
        "control",
    ] = "logits"
    """What is left out below is this preset's (`docs/methods/`): `logits` learns the teacher's
    whole distribution and needs its weights; `black-box` learns its answers, `rationale` the steps
    to an answer as well; `features` learns its hidden states as well, `relations` how it holds
    texts to lie to each other; `cross-tokenizer` is `logits` for a student whose tokenizer is its
    own; `on-policy` has the teacher score the student's own words; `specialise` teaches a copy of
    the teacher the corpus; `control` learns the references without a teacher."""
    objective: Annotated[tuple[TermSettings, ...], Field(min_length=1)] | None = None
    """What is minimised, instead of the preset's terms."""
    text: Literal["references", "answers"] | None = None
    """Whose words the student reads and learns: the corpus's references, or what the teacher
    answers to its prompts. Left out, the preset's."""
    on_policy: OnPolicy | None = None
    """Have the student answer a share of the prompts itself; left out, the preset's: only method
    `on-policy` does."""
    rationale: Rationale | None = None
    """Learn how each answer is come by, from the corpus's `rationale` or, with `text: answers`,
    from the teacher. Left out, the preset's: only method `rationale` does."""
    teacher: str | None = None
    """Left out: `arms.teacher.model`."""
    student: str | None = None
    """Checkpoint to start from; left out: chosen layers of the teacher (for `specialise`, all)."""
    layers: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | PositiveInt | None = None
    """Teacher layers the student keeps: their indices, or how many, evenly spaced."""
    lora: Lora | None = None
    """Train low-rank additions to the student's weights, and fold them into these at the end; left
    out, all weights are trained. Needs `ullage[lora]`."""
    cache: TeacherCache | None = None
    """Learn from what the teacher said once, not from the teacher."""
    corpus: str
    """Prompts (``{"messages": …}``) relative to this file: JSONL, Parquet, or a folder that
    `datasets` saved."""
    near_duplicates: Annotated[float, Field(gt=0.0, le=1.0)] | None = 0.9
    """Rows with the same answer and numbers whose word triples overlap by this share (Jaccard) are
    learnt once; null learns all. Web pages are usually compared at 0.8: rows are shorter, and at
    0.8 the one word that two questions differ in is lost in a template's sentence."""
    output: str
    """Folder of the finished student."""
    held_out: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of the corpus kept for measuring the loss."""
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    """Of the distillation loss (scaled by its square, Hinton et al. 2015)."""
    alignment: Literal["tokens", "bytes"] | None = None
    """How teacher and student are compared: `tokens` needs one vocabulary and one chat template;
    with `bytes` each model reads its own. Left out, the preset's: only method `cross-tokenizer`
    compares on bytes."""
    cross_entropy: Share | None = None
    """Weight of the cross-entropy in a preset that mixes it with a divergence, which gets the rest;
    left out, the preset's."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the corpus."""
    max_steps: PositiveInt | None = None
    """Optimiser steps; overrides `epochs`."""
    batch_size: PositiveInt = 8
    """Examples in one forward pass."""
    packing: bool = False
    """Draw batches without regard to length and read several short rows as one long one, none of
    which sees another. Left out, rows of like length share a batch, which leaves as little
    padding and a less random order."""
    gradient_accumulation: PositiveInt = 1
    """Forward passes in one optimiser step."""
    gradient_checkpointing: bool = False
    """Work layers out again on the way back instead of keeping what they did: the same student, in
    less memory and more time."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """`muon` moves hidden matrices along an orthogonalised momentum (Jordan et al. 2024) and leaves
    the rest to AdamW: fewer steps for a small student that starts far from its teacher."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Its peak."""
    warmup_share: Share = 0.05
    """Share of the steps in which the learning rate rises."""
    max_length: PositiveInt = 512
    """Tokens of one example; longer ones are truncated and counted."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the teacher and of training."""
    save_steps: PositiveInt = 100
    """Steps between checkpoints, from which an interrupted run goes on."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = ()
    """Trackers that are told every step's loss terms; `tensorboard` writes to `<output>-logs`."""
    evaluate_steps: PositiveInt | None = None
    """Steps between measurements of the held-out rows, which make a curve in `distillation.json`;
    left out, they are measured before the first step and after the last."""
    generate_max_tokens: PositiveInt = 128
    """For `text: answers`: length of the teacher's answers."""
    generate_temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """For `text: answers`: 0 is greedy."""
    generate_samples: PositiveInt = 1
    """For `text: answers`: answers to each prompt, of which `selection` chooses one."""
    selection: str = "majority"
    """`majority`: the answer given most often; `self-consistency`: one that comes to the number
    that most of them come to (arXiv 2203.11171); or `module:function`, a scorer of yours."""

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.objective is None:
            return self
        names = [term.called for term in self.objective]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"objective has two terms called {min(twice)}; name one of them")
        if self.cross_entropy is not None:
            raise ValueError(
                "cross_entropy mixes a preset's terms, and objective replaces them; "
                "write its weight there, as {term: cross-entropy, weight: "
                f"{self.cross_entropy:g}}}"
            )
        return self
