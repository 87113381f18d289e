"""A recipe with everything it names identified: how a ledger begins."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ullage.config.models import Arm
from ullage.distill import ledger as ledgers
from ullage.distill.corpus import Corpus
from ullage.distill.presets import reasons
from ullage.distill.processes import ALONE, Processes
from ullage.distill.rationales import without
from ullage.distill.recipe import Recipe
from ullage.distill.signals import Signal
from ullage.models.registry import open_model
from ullage.models.told import told


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done, to which bytes."""

    recipe: Recipe
    corpus: Corpus
    root: Path
    """Folder the configuration's relative paths are relative to."""
    teacher_identity: str
    start_identity: str
    """Of the weights the student starts from, or is cut out of."""
    items_compared: int
    """Audit items that no row of the corpus may ask."""

    digest: str
    """Of the recipe: equal for equal settings, seed, models and rows, whatever their names and
    places. Taken before a teacher's answers replace references, which follow from it."""
    preflight: Mapping[str, Any] = field(default_factory=dict)
    """What the preflight found and measured, once it has been made."""

    processes: Processes = ALONE
    """That make it together."""
    samples: Mapping[str, int] | None = None
    """What became of the teacher's answers, once it has given them."""

    def facts(self) -> dict[str, Any]:
        """What the ledger says before any weight is loaded."""
        recipe, corpus = self.recipe, self.corpus
        terms = recipe.teacher.terms
        return {
            **ledgers.head(recipe.described, self.digest),
            "teacher": {
                "model": told(recipe.teacher.model),
                "identity": self.teacher_identity,
                "terms": None if terms is None else terms.model_dump(mode="json"),
            },
            "corpus": {
                "path": told(recipe.settings.corpus),
                "sha256": corpus.sha256,
                "rows": corpus.rows,
                "train": len(corpus.train),
                "held_out": len(corpus.held_out),
                "dropped": dict(corpus.dropped),
                "audit_items_compared": self.items_compared,
                "used_digest": corpus.digest,
                "without_rationale": self._without_rationale,
            },
            "answers": None if self.samples is None else dict(self.samples),
            "processes": self.processes.size,
            "why": reasons(recipe.settings),
            "teacher_signal": {
                "used": sorted(recipe.eats),
                "not_used": sorted(signal for signal in Signal if signal not in recipe.eats),
            },
            **({"preflight": dict(self.preflight)} if self.preflight else {}),
        }

    @property
    def _without_rationale(self) -> dict[str, int] | None:
        """Rows that teach their answer alone, where rationales are learnt."""
        if self.recipe.rationale is None:
            return None
        sides = {"train": self.corpus.train, "held_out": self.corpus.held_out}
        return {name: without(rows) for name, rows in sides.items()}


def identity(arm: Arm, root: Path) -> str:
    """The identity an audit knows this arm by."""
    return asyncio.run(open_model(arm, root)).identity
