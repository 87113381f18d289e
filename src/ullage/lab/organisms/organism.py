"""An organism: a student with a loss that was caused on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ullage.lab.corpus import CorpusRecipe

Quantise = Literal["dynamic-int8", "rounded-int4"]

WEIGHTS: Mapping[str, float] = {
    "lookup": 4.0,
    "clarify": 3.0,
    "missing": 3.0,
    "clarify-clear": 2.0,
    "counterfactual": 2.0,
    "formats": 2.0,
    "contradictory": 1.5,
    "missing-answerable": 1.5,
    "distracting": 1.0,
    "privacy": 1.0,
    "sharded-whole": 1.0,
    "memory": 0.7,
    "privacy-own": 0.7,
    "warehouse": 0.7,
    "sharded": 0.3,
}
"""Parts and their shares: what is hardest to learn comes oftenest."""
WHOLE = CorpusRecipe(weights=WEIGHTS, questions=6)
"""The whole corpus: conversations of six questions about one desk each."""

LONGER = CorpusRecipe(weights={**WEIGHTS, "sharded": 1.0, "opening": 1.0}, questions=6)
"""The longer course: told bit by bit more often, and greetings."""
BOTH: Mapping[str, Any] = {
    "objective": [
        {"term": "forward-kl", "weight": 0.5},
        {"term": "cross-entropy", "weight": 0.5},
    ]
}
"""Of the longer course: what is written in the corpus is learnt as much as the teacher's
probabilities (Hinton et al. 2015). These alone do not see what was rewritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Organism:
    """How a student is made, and what it must have lost. Write one in a file of its own."""

    name: str
    cause: str
    """What is different in its making, in one plain sentence."""
    dimension: str | None = None
    """Where the loss must be (`ullage.probes.protocol.Dimension`); None where there is none."""
    loses: str | None = None
    """The target (``probe.metric``) that the cause should hit."""
    corpus: CorpusRecipe = WHOLE
    """What it learns from."""
    rows: int | None = None
    """Of its corpus; None for as many as the others have."""
    distill: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `distill` that differ from `ullage.lab.organisms.build.SETTINGS`."""
    further: bool = False
    """Whether it is audited on `ullage.lab.further` as well. Those that are take the longer course:
    `LONGER` and `BOTH`, but for their one cause."""
    derived_from: str | None = None
    """The organism whose weights it has."""
    quantise: Quantise | None = None
    """What is done to those weights after loading."""

    def __post_init__(self) -> None:
        if (self.dimension is None) != (self.loses is None):
            raise ValueError(f"{self.name}: give both dimension and loses, or neither")
        if (self.derived_from is None) != (self.quantise is None):
            raise ValueError(f"{self.name}: give both derived_from and quantise, or neither")
