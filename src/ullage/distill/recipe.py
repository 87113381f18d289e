"""A configuration's `distill` section made definite: who teaches, who starts, where things go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullage.config.models import Arm, Budget, Config, Distill, OnPolicy, Rationale
from ullage.config.objective import (
    Crossed,
    Divergence,
    InnerSettings,
    Jensen,
    Outer,
    Relation,
    Skewed,
    TermSettings,
)
from ullage.distill import history, presets
from ullage.distill.installed import require_installed
from ullage.distill.selection import Selection, selection
from ullage.distill.signals import Signal, require_signals
from ullage.errors import InputError
from ullage.models.told import told

_ELSEWHERE = {
    "output",
    "save_steps",
    "evaluate_steps",
    "report_to",
    "gradient_checkpointing",
    "corpus",
    "near_duplicates",
    "teacher",
    "student",
}
"""Settings of which the student knows nothing, as where it is written, and what a digest stands
for."""
_WRITTEN_OUT = {
    "method",
    "objective",
    "text",
    "temperature",
    "cross_entropy",
    "alignment",
    "on_policy",
    "rationale",
}
"""Settings that come to the terms: two ways to write the same terms are one recipe."""
_WHITE_BOX = frozenset({Signal.LOGITS, Signal.HIDDEN, Signal.ATTENTION})
"""Signals that take the teacher's weights, in memory while the student trains."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a distillation reads and writes."""

    corpus: Path
    output: Path
    caches: Path | None = None
    """Folder of teacher caches, where one is to be used."""

    @property
    def base(self) -> Path:
        """The student before distillation, ``<output>-base``."""
        return self.output.with_name(self.output.name + "-base")

    @property
    def work(self) -> Path:
        """Checkpoints and answers on the way, ``<output>.work``.

        Beside the output, so that finished folders are moved into place and not copied.
        """
        return self.output.with_name(self.output.name + ".work")

    @property
    def logs(self) -> Path:
        """What TensorBoard shows, ``<output>-logs``; kept."""
        return self.output.with_name(self.output.name + "-logs")

    @property
    def checkpoints(self) -> Path:
        """The Trainer's folder."""
        return self.work / "checkpoints"

    @property
    def before(self) -> Path:
        """Loss of the base, measured before the first step."""
        return self.work / "before.json"

    @property
    def preflight(self) -> Path:
        """What the preflight found: looked for once, whatever interrupts the rest."""
        return self.work / "preflight.json"

    @property
    def history(self) -> Path:
        """What the training says of itself, until the student is made."""
        return self.work / history.FILE

    @property
    def answers(self) -> Path:
        """Journal of the teacher's answers (black-box); kept when all is done."""
        return self.work / "answers.jsonl"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is to be done, checked as far as it can be without loading anything."""

    settings: Distill
    seed: int
    teacher: Arm
    start: str
    """Model reference the student's first weights come from."""
    paths: Paths
    terms: tuple[TermSettings, ...]
    """What is minimised, everything written out."""
    eats: frozenset[Signal]
    """What it takes from the teacher."""
    selection: Selection
    """Which of the teacher's answers is learnt."""
    budget: Budget
    """What its answers may cost."""

    @property
    def needs_weights(self) -> bool:
        """Whether the teacher's weights are needed while training."""
        return bool(self.eats & _WHITE_BOX)

    @property
    def asks_answers(self) -> bool:
        """Whether the teacher answers every prompt, and its words take the references' place."""
        return Signal.TEXT in self.eats

    @property
    def alignment(self) -> presets.Alignment:
        """How teacher and student are compared."""
        return presets.alignment(self.settings)

    @property
    def on_policy(self) -> OnPolicy | None:
        """How the student answers some prompts itself, if it does."""
        return presets.on_policy(self.settings)

    @property
    def rationale(self) -> Rationale | None:
        """How the student learns the steps to an answer, if it does."""
        return presets.rationale(self.settings)

    @property
    def cached_temperature(self) -> float:
        """Of the probabilities in a cache: the one that every divergence is at."""
        return next(
            term.temperature
            for term in self.terms
            if isinstance(term, Divergence | Jensen | Skewed) and term.temperature is not None
        )

    @property
    def described(self) -> dict[str, Any]:
        """The settings as the ledger keeps them."""
        settings = self.settings.model_dump(mode="json", exclude={"output"})
        for holder, key in (
            (settings, "teacher"),
            (settings, "student"),
            (settings, "corpus"),
            (settings["cache"] or {}, "folder"),
        ):
            if holder.get(key) is not None:
                holder[key] = told(holder[key])
        return {
            **settings,
            "objective": self._written_out,
            "text": presets.text(self.settings),
            "alignment": self.alignment,
            "on_policy": None if self.on_policy is None else self.on_policy.model_dump(),
            "rationale": None if self.rationale is None else self.rationale.model_dump(),
            "scorer": self.selection.digest,
            "seed": self.seed,
        }

    @property
    def _written_out(self) -> list[dict[str, Any]]:
        return [{**term.model_dump(mode="json"), "name": term.called} for term in self.terms]

    def identified(self, *, teacher: str, start: str, corpus: str) -> dict[str, Any]:
        """What the recipe's digest is taken of: settings, and hashes in place of names.

        Args:
            teacher: identity of the teacher.
            start: identity of the weights the student starts from.
            corpus: digest of the rows used and held out.
        """
        settings = self.settings.model_dump(mode="json", exclude=_ELSEWHERE | _WRITTEN_OUT)
        if self.settings.cache is not None:
            # What is in it, not where it is.
            settings["cache"].pop("folder")
        return {
            **settings,
            "objective": self._written_out,
            "text": presets.text(self.settings),
            "alignment": self.alignment,
            "on_policy": None if self.on_policy is None else self.on_policy.model_dump(),
            "rationale": None if self.rationale is None else self.rationale.model_dump(),
            "scorer": self.selection.digest,
            "seed": self.seed,
            "teacher": teacher,
            "start": start,
            "corpus": corpus,
        }


def resolve_recipe(config: Config, root: Path) -> Recipe:
    """The recipe of a configuration.

    Raises:
        InputError: there is none, it does not say where the student comes from, or it asks for
            what its teacher cannot give.
    """
    settings = config.distill
    if settings is None:
        raise InputError(
            "distill: the configuration has no such section; add one with a corpus and an output"
        )
    teacher = config.arms.teacher
    if settings.teacher is not None and settings.teacher != teacher.model:
        teacher = Arm(model=settings.teacher)
    terms = presets.terms(settings)
    require_installed(settings)
    answers = presets.text(settings) == "answers"
    eats = require_signals(terms, teacher.model, answers=answers)
    if eats & _WHITE_BOX and teacher.hf.quantise is not None:
        raise InputError(
            f"arms.teacher: hf.quantise {teacher.hf.quantise} is for asking; method "
            f"{settings.method} learns from the weights as they are: leave quantise out, or use "
            "method black-box"
        )
    if presets.on_policy(settings) is not None and not eats & _WHITE_BOX:
        raise InputError(
            "distill.on_policy: the student's own words have no right answer to learn, and no term "
            "of the objective asks the teacher; add a divergence, as {term: generalised-jsd}"
        )
    if answers and settings.generate_samples > 1 and settings.generate_temperature == 0:
        raise InputError(
            f"distill.generate_samples: {settings.generate_samples} greedy answers are one answer; "
            "set distill.generate_temperature above 0, as 0.7"
        )
    _require_alignment(settings, terms, eats)
    if settings.lora is not None and settings.optimiser == "muon":
        raise InputError(
            "distill.optimiser: muon moves whole matrices, and lora trains two narrow ones in "
            "their place; use adamw"
        )
    _require_company(terms, settings.batch_size)
    _require_cacheable(settings, terms, eats)
    _require_packable(settings, terms)
    _require_rationales(terms, settings)
    copies = presets.PRESETS[settings.method].copies_teacher
    if (settings.student is None) == (settings.layers is None) and not (
        copies and settings.student is None
    ):
        found = "neither" if settings.student is None else "both"
        raise InputError(
            f"distill: {found} of student (a checkpoint to start from) and layers (teacher layers "
            "to keep) given; give one"
        )
    start = settings.student if settings.student is not None else teacher.model
    if ":" not in start:
        start = f"hf:{start}"
    if not start.startswith("hf:"):
        key = "student" if settings.student is not None else "layers"
        raise InputError(
            f"distill.{key}: '{start}' has no weights to start from; name an hf: model under "
            "distill.student"
        )
    paths = Paths(
        _under(root, settings.corpus),
        _under(root, settings.output),
        None if settings.cache is None else _under(root, settings.cache.folder),
    )
    chosen_by = selection(settings.selection, root)
    return Recipe(
        settings, config.seed, teacher, start, paths, terms, eats, chosen_by, config.budget
    )


def _require_alignment(
    settings: Distill, terms: tuple[TermSettings, ...], eats: frozenset[Signal]
) -> None:
    """Refuse what one way of comparing has and the other has not."""
    if presets.alignment(settings) == "tokens":
        for term in terms:
            if isinstance(term, Crossed):
                raise InputError(
                    f"distill.objective: '{term.term}' is about words that two tokenizers cut "
                    "differently; add alignment: bytes, or leave the term out"
                )
        return
    for term in terms:
        if isinstance(term, InnerSettings):
            raise InputError(
                f"distill.objective: '{term.term}' looks inside both models at the same tokens, "
                "and with alignment: bytes they have none in common; leave the term out"
            )
    if not eats & _WHITE_BOX:
        raise InputError(
            "distill.alignment: bytes aligns probabilities, and the objective learns text alone, "
            "which any tokenizer can read; say alignment: tokens, or add a divergence, as {term: "
            "forward-kl}"
        )
    if presets.on_policy(settings) is not None:
        raise InputError(
            "distill.on_policy: with alignment: bytes the teacher reads the corpus's answers, and "
            "not what the student writes; use method: cross-tokenizer, without on_policy"
        )


def _require_company(terms: tuple[TermSettings, ...], batch_size: int) -> None:
    """Relations are between the rows of one forward pass."""
    for term in terms:
        if isinstance(term, Relation) and batch_size < (least := 3 if term.term == "angles" else 2):
            raise InputError(
                f"distill.batch_size: {batch_size}, and '{term.term}' relates rows of one batch; "
                f"make it {least} or more"
            )


def _require_cacheable(
    settings: Distill, terms: tuple[TermSettings, ...], eats: frozenset[Signal]
) -> None:
    """Refuse a cache that could not give what the terms eat."""
    if settings.cache is None:
        return
    if presets.alignment(settings) == "bytes":
        raise InputError(
            "distill.cache: keeps probabilities of the tokens that the student reads, and with "
            "alignment: bytes the teacher reads its own; leave one of them out"
        )
    more = sorted(eats & _WHITE_BOX - {Signal.LOGITS})
    if more:
        raise InputError(
            f"distill.cache: keeps probabilities, and the objective learns {more[0]}, too; leave "
            "cache out, or that term"
        )
    if Signal.LOGITS not in eats:
        raise InputError(
            "distill.cache: keeps probabilities, and no term of the objective learns them; leave "
            "cache out, or add a divergence, as {term: forward-kl}"
        )
    if presets.on_policy(settings) is not None:
        raise InputError(
            "distill.cache: the teacher is asked beforehand, and on_policy has it score what the "
            "student says while it learns; leave one of them out"
        )
    asked = [term for term in terms if isinstance(term, Divergence | Jensen | Skewed)]
    warm = sorted({term.temperature or settings.temperature for term in asked})
    if len(warm) > 1:
        raise InputError(
            f"distill.cache: keeps probabilities at one temperature, and the objective has terms "
            f"at {' and '.join(f'{one:g}' for one in warm)}; make them agree, or leave cache out"
        )
    other = next((term.term for term in asked if term.term != "forward-kl"), None)
    if settings.cache.signal == "sampled" and other is not None:
        raise InputError(
            "distill.cache.signal: draws estimate forward-kl alone, and the objective has "
            f"{other}; use signal: top"
        )


def _require_packable(settings: Distill, terms: tuple[TermSettings, ...]) -> None:
    """Refuse packs where something is read row by row."""
    if not settings.packing:
        return
    if presets.alignment(settings) == "bytes":
        raise InputError(
            "distill.packing: puts rows of the same tokens together, and with alignment: bytes the "
            "teacher reads its own; leave one of them out"
        )
    inner = next((term.term for term in terms if isinstance(term, InnerSettings)), None)
    if inner is not None:
        raise InputError(
            f"distill.packing: '{inner}' compares what goes on inside row by row; leave packing "
            "out, or that term"
        )


def _require_rationales(terms: tuple[TermSettings, ...], settings: Distill) -> None:
    """A term on rationales wants some."""
    if presets.rationale(settings) is not None:
        return
    for term in terms:
        if isinstance(term, Outer) and term.tokens != "all":
            raise InputError(
                f"distill.objective: '{term.called}' is on the tokens of the {term.tokens}, and no "
                "rationale is learnt; add distill.rationale: {learnt: task}, or use tokens: all"
            )


def require_one_process(recipe: Recipe, processes: int) -> None:
    """Refuse to share out among processes what only one can do.

    Raises:
        InputError: naming it.
    """
    if processes == 1:
        return
    reason = None
    if recipe.on_policy is not None:
        reason = "on_policy: the student's answers are written in one process"
    elif any(isinstance(term, Relation) for term in recipe.terms):
        reason = "objective: relations are between the rows of one forward pass"
    if reason is not None:
        raise InputError(f"distill.{reason}, and this run has {processes}; run it in one")


def planned_steps(settings: Distill, rows: int, processes: int = 1) -> int:
    """Optimiser steps for so many rows, each process with a batch of its own."""
    if settings.max_steps is not None:
        return settings.max_steps
    in_step = settings.batch_size * settings.gradient_accumulation * processes
    per_epoch = math.ceil(rows / in_step)
    return max(1, math.ceil(settings.epochs * per_epoch))


def _under(root: Path, reference: str) -> Path:
    return (root / Path(reference).expanduser()).absolute()
