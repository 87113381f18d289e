"""What a user writes, as frozen pydantic models; `ullage schema config` exports their JSON Schema.

The whole file is `Config`; its larger parts have modules of their own, and all are imported from
here. Attribute docstrings become the descriptions an editor shows. Unknown keys are refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from ullage.config.arms import (
    Arm,
    Arms,
    Behaviour,
    HfOptions,
    ModelRef,
    OpenAIOptions,
    Price,
    RecordedOptions,
    SimulatedOptions,
    TeacherAgain,
    Terms,
)
from ullage.config.base import DimensionName, Seed, Share, Slug, Strict, unique
from ullage.config.distill import Distill, Lora, OnPolicy, Rationale, TeacherCache
from ullage.config.imported import Imported
from ullage.config.profiles import PROFILES, Profile
from ullage.config.targets import Scenario, Severity, Target

__all__ = [
    "Arm",
    "Arms",
    "Behaviour",
    "Budget",
    "Config",
    "Decoding",
    "Distill",
    "HfOptions",
    "Lora",
    "ModelRef",
    "OnPolicy",
    "OpenAIOptions",
    "Planning",
    "Price",
    "Rationale",
    "RecordedOptions",
    "Rule",
    "Scenario",
    "Severity",
    "SimulatedOptions",
    "Target",
    "Task",
    "TeacherAgain",
    "TeacherCache",
    "Terms",
]


class Rule(Strict):
    """How a reply is compared with its reference. No user code is run."""

    kind: Literal["exact", "contains", "numeric", "regex", "choice", "f1"] = "exact"
    """`exact`: equal; `contains`: the reference occurs in the reply; `numeric`: the last number is
    equal; `regex`: see `pattern`; `choice`: the letter or text of one option; `f1`: overlap of
    words."""
    pattern: str | None = None
    """For `regex`: group 1 (or the match) is what is compared with the reference; with no
    reference, a match is a pass."""
    tolerance: NonNegativeFloat = 0.0
    """For `numeric`: absolute difference allowed."""
    ignore_case: bool = True
    """Whether `A` equals `a`."""
    ignore_punctuation: bool = True
    """Whether `yes.` equals `yes`."""

    @model_validator(mode="after")
    def _regex_compiles(self) -> Self:
        if self.kind == "regex" and not self.pattern:
            raise ValueError("kind 'regex' needs a pattern")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is no regular expression ({error})") from None
        return self


class Task(Strict):
    """The user's own questions: a JSONL of ``{"messages": …, "reference": …}`` lines."""

    name: Slug
    """What a target's `probe` refers to."""
    file: str
    """Relative to this configuration file."""
    dimension: DimensionName = "fidelity"
    """Under which the statement lists it."""
    rule: Rule = Rule()
    """How replies are scored."""
    max_tokens: PositiveInt = 128
    """Longest reply."""


class Decoding(Strict):
    """How every arm is decoded unless a probe needs otherwise."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Replaces greedy decoding where a probe asks for it: set it to what the product serves at."""


class Budget(Strict):
    """What an audit may spend, and before it a teacher that `ullage distill` has answer.

    Reaching a limit stops cleanly; a resumed run may raise it.
    """

    requests: PositiveInt | None = None
    """Most requests, over all arms."""
    tokens: PositiveInt | None = None
    """Most tokens, prompts and replies together."""
    money: Annotated[float, Field(gt=0)] | None = None
    """Most money, by the arms' prices."""
    currency: str = "USD"
    """Of `money` and of every price."""
    errors: Share = 0.02
    """Largest share of a target's items that may be `error` before it is inconclusive."""


class Planning(Strict):
    """What decides how many items are asked."""

    profile: Profile = "standard"
    """How much is asked, in one word: what `power`, `min_items` and `max_items` are where they are
    left out. `quick`: 0.5, 40, 200; `standard`: 0.8, 40, 2000; `thorough`: 0.95, 100, 10000."""
    power: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """Chance of showing a target `preserved` if nothing was lost."""
    flip_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """Guessed share of items on which teacher and student differ; a pilot replaces it."""
    intraclass_correlation: Share = 0.02
    """Guessed correlation of differences within a family."""
    items: PositiveInt | None = None
    """Fixed number of items per probe, instead of planning."""
    max_items: PositiveInt = 2000
    """Most items per probe, whatever power would want."""
    min_items: PositiveInt = 40
    """Fewest items per probe, even where power would want less."""
    stop_early: bool = False
    """Ask in rounds, and stop asking with a probe once the verdicts of all its targets are in.
    Plans for up to a tenth more items; `docs/how-to/stop-early.md` says when it pays."""

    @model_validator(mode="before")
    @classmethod
    def _profile_says_what_is_left_out(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("profile") in tuple(PROFILES):
            return {**PROFILES[data["profile"]], **data}
        return data

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min_items > self.max_items:
            raise ValueError(
                f"min_items {self.min_items} is more than max_items {self.max_items}; swap them"
            )
        return self


class Config(Strict):
    """`ullage.yaml`."""

    name: Slug = "audit"
    """Also the name of the run folder."""
    scenario: str = "support-assistant"
    """A packaged scenario, or the path of your own (relative to this file)."""
    arms: Arms
    """Who is compared with whom."""
    targets: tuple[Target, ...] = ()
    """Added to the scenario's; one with the same probe and metric replaces it."""
    tasks: tuple[Task, ...] = ()
    """Your own questions."""
    items: dict[Slug, str] = {}
    """Your own items for a packaged probe: probe name to JSONL file (relative to this file). They
    replace the generated ones; `docs/items.md` gives each probe's form."""
    imported: Imported | None = None
    """Evals of another tool that `ullage import` brought in (`docs/how-to/import.md`)."""
    decoding: Decoding = Decoding()
    """How replies are generated."""
    planning: Planning = Planning()
    """How many items are asked."""
    budget: Budget = Budget()
    """What may be spent."""
    distill: Distill | None = None
    """How `ullage distill` makes the student."""
    seed: Seed = 0
    """Of generated items and of every resampling: the same seed gives the same statement."""
    runs: str = "runs"
    """Folder that holds the run folders, relative to this file."""

    @model_validator(mode="after")
    def _names_areunique(self) -> Self:
        unique("target", (target.id for target in self.targets))
        evals = self.imported.evals if self.imported else ()
        unique("task", [*(task.name for task in self.tasks), *(one.name for one in evals)])
        return self
