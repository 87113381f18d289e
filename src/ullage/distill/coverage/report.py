"""A coverage report as data and as lines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cluster:
    """Questions alike that nothing in the corpus comes near."""

    share: float
    """Of the traffic's mass."""
    questions: int
    words: tuple[str, ...]
    """Terms that weigh most in it."""
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exercise:
    """What the corpus has for one probe of the scenario."""

    probe: str
    dimension: str
    near: int
    """Prompts to learn within the radius of one of its items."""
    behaviours: dict[str, int | None]
    """What its items expect (``answer``, ``abstain``, ``clarify``, ``refuse``) to the replies to
    learn that do so; None where the replies are still to be given by the teacher."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Behaviours that nothing in the corpus shows."""
        return tuple(name for name, count in self.behaviours.items() if count == 0)


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of what is asked lies near what is learnt."""

    traffic: str
    """The file, or ``audit items``."""
    questions: int
    prompts: int
    """To learn from: user turns whose answer is learnt."""
    radius: float
    radius_from: str
    """``given``, or how it was chosen."""
    uncovered: float
    """Share of the traffic's mass farther than the radius from every prompt."""
    clusters: tuple[Cluster, ...]
    exercises: tuple[Exercise, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Probes whose behaviour nothing in the corpus shows, as ``probe: behaviour``."""
        return tuple(f"{one.probe}: {name}" for one in self.exercises for name in one.missing)

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return {**asdict(self), "missing": list(self.missing)}
