"""The Distillation Loss Statement as data: `statement.json` is this model, in canonical JSON.

`ullage schema statement` exports its JSON Schema. It holds no clock time: the statement is a pure
function of configuration, replies and version, so judging the same run again gives the same bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ullage.config.models import Scenario, Severity, Target

SCHEMA_VERSION: Literal["1.0"] = "1.0"


class Verdict(StrEnum):
    """What was shown about a target (DESIGN §6)."""

    PRESERVED = "preserved"
    LOST = "lost"
    DEGRADED = "degraded"
    INCONCLUSIVE = "inconclusive"
    NEVER_HAD = "never_had"
    UNMEASURED = "unmeasured"


class Part(BaseModel):
    """Base of every part of the document."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Estimate(Part):
    """A number with its 95 % interval."""

    estimate: float
    """The loss itself, in the metric's own unit."""
    low: float
    """L, the lower end."""
    high: float
    """U, the upper end."""
    method: str
    """How the interval was made."""
    items: int
    """Items that both arms compared answered."""
    families: int
    """Independent units the interval rests on."""


class ArmValue(Part):
    """One arm's own value of a metric, over its valid items."""

    value: float
    """In the metric's own unit, not turned round where lower is better."""
    items: int
    """Items with a valid score."""
    errors: int
    """Items that could not be scored."""


class Power(Part):
    """What this many items could have shown, assuming the student lost nothing."""

    planned_items: int
    """Items the plan asked for."""
    planned_power: float
    """Probability of showing `preserved` at the planned n, from the planning assumptions."""
    achieved_items: int
    """Items that both arms compared answered."""
    items_needed: int | None = None
    """For an inconclusive target: items that would show it preserved with 80 % power, if the true
    loss is the one seen (or zero, where less was seen) and differences vary as they did here. None
    where the loss seen is not below the margin: more items would as likely show a loss."""


class Turn(Part):
    """One message of an example. The content is hostile text."""

    role: str
    """`system`, `user` or `assistant`."""
    content: str
    """As it was said."""


class Example(Part):
    """One item side by side: what was asked, and what each arm said."""

    item: str
    """The item's id within its probe."""
    family: str
    """The family it belongs to."""
    expects: str
    """The ideal behaviour: `answer`, `abstain`, `clarify` or `refuse`."""
    reference: str
    """A reply that scores full marks; empty where there is none."""
    prompt: tuple[Turn, ...]
    """What every arm was asked."""
    replies: dict[str, tuple[Turn, ...]]
    """Per arm: everything after the prompt, in order, long texts shortened with a mark."""
    scores: dict[str, float]
    """What each arm's reply scored, by `arm.column`."""


class SelfTest(Part):
    """How often this auditor finds a loss of a known size in a metric (`ullage selftest`)."""

    ullage_version: str
    """Of the auditor that was tried."""
    margin: float
    """δ of the trials, in the metric's own unit."""
    items: int
    """Items of each trial, as planned for that δ."""
    audits: int
    """Trials of each size."""
    found_half: float | None
    """Share of trials with a true loss of δ/2 in which one was reported (`lost` or `degraded`);
    none where no simulated student can lose that much."""
    found_once: float | None
    """The same for a true loss of δ."""
    found_twice: float | None
    """The same for a true loss of 2δ."""
    lost_twice: float | None
    """Share of trials with a true loss of 2δ judged `lost`."""
    false_alarms: float | None
    """Share of trials with no loss in which one was reported."""
    kept_once: float | None
    """Share of trials with a true loss of δ judged `preserved`: what must not happen."""
    truth: Literal["declared", "measured"]
    """Whether the true loss was known beforehand, or read through the probe itself (which cannot
    see a scorer that is wrong in the same way everywhere)."""
    failed: tuple[str, ...] = ()
    """What did not hold in the self-test. Findings in this metric are then not to be trusted."""
    other_items: bool = False
    """Whether the trials put the probe's packaged items, where the audit has items of its own."""


class CurvePoint(Part):
    """Student less teacher at one place of an axis, with its 95 % interval."""

    at: float
    """Where on the axis."""
    estimate: float
    """The student's value less the teacher's: 0 is as good, below it is lost."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    items: int | None = None
    """Items it is the mean of; None on a fitted line, which rests on all of them."""


class Generalisation(Part):
    """How far from what was taught a capability reaches, and the word for it."""

    word: Literal["principle-like", "lookup-like", "cannot tell"]
    """`lookup-like` where the student is shown to fall behind by more than δ the farther it is
    from what was taught, and to be worse than the teacher farthest from it; `principle-like` where
    it is shown not to, and to be right farthest from it in more than a share δ; else neither."""
    why: str
    """The rule that gave the word, with its numbers."""
    axis: str
    """What the places of points are."""
    points: tuple[CurvePoint, ...]
    """What was seen, by distance."""
    line: tuple[CurvePoint, ...] = ()
    """The fitted line and its band, where one was fitted."""


class Finding(Part):
    """A target judged."""

    target: Target
    """As written before asking."""
    dimension: str
    """The kind of capability (DESIGN §5)."""
    metric_summary: str
    """What a drop in the metric means, in one plain sentence."""
    higher_is_better: bool
    """Whether a larger value of the metric is better."""
    against: Literal["teacher", "base"] = "teacher"
    """The arm that the student is compared with: `base` where the question is what came along from
    the teacher."""
    verdict: Verdict
    """What was shown."""
    why: str
    """The rule that gave the verdict, with its numbers, in one sentence."""
    loss: Estimate | None = None
    """value(`against`) - value(student), oriented so that positive is worse."""
    p_lost: float | None = None
    """One-sided p of "the loss is at most δ"."""
    p_lost_holm: float | None = None
    """The same, Holm-adjusted across all targets of the statement."""
    values: dict[str, ArmValue] = {}
    """Per arm."""
    noise_floor: Estimate | None = None
    """Loss of the teacher asked again against itself."""
    teacher_advantage: Estimate | None = None
    """value(teacher) - value(base), oriented so that positive means the teacher is better."""
    chance: float | None = None
    """Value of a strategy that knows nothing, where known."""
    other_losses: dict[str, Estimate] = {}
    """Loss of `base`, `control` and `derived` against the same arm."""
    derived_loss: Estimate | None = None
    """Loss of `derived` against the student: what quantisation, pruning or merging took."""
    power: Power | None = None
    """None where nothing was planned or nothing could be asked."""
    infrastructure: bool = False
    """Inconclusive because too many items could not be asked (exit 4), not for want of items."""
    examples: tuple[Example, ...] = ()
    """For losses: items where the arm compared with did better than the student."""
    generalisation: Generalisation | None = None
    """How it falls with distance from what was taught; none but for metrics of that."""
    selftest: SelfTest | None = None
    """What this auditor finds of planted losses; none where it was not self-tested as it is now."""

    @property
    def id(self) -> str:
        """``probe.metric``."""
        return self.target.id

    @property
    def severity(self) -> Severity:
        """The target's severity."""
        return self.target.severity


class ArmRecord(Part):
    """Who answered, and what it cost."""

    identity: str
    """Hash of what answered: weights, tokenizer and template, or the endpoint."""
    description: dict[str, Any]
    """Plain facts: adapter, name, precision, size, fingerprint."""
    replies: int
    """Answers this statement rests on."""
    prompt_tokens: int
    """Tokens read."""
    completion_tokens: int
    """Tokens written."""
    money: float | None = None
    """None where no price was given."""


class ProbeRecord(Part):
    """What was asked with one probe."""

    dimension: str
    """The kind of capability the probe measures."""
    items: int
    """Items asked."""
    families: int
    """Families they belong to."""
    errors: dict[str, int]
    """Per arm: items that could not be scored."""
    source: str
    """``generated from seed N`` or the file and its hash."""


class NotKnown(Part):
    """Something this statement does not know. Printed as large as a loss."""

    what: str
    """The question that is open."""
    why: str
    """Why it is open, and what would close it."""


class Joint(Part):
    """All targets together."""

    planned_power: float | None
    """Probability that every measured target would be shown preserved if nothing was lost
    (Bonferroni's lower bound when targets depend on each other is `planned_power_bound`)."""
    planned_power_bound: float | None
    """Lower bound of `planned_power` however the targets depend on each other."""
    counts: dict[str, int]
    """Findings per verdict."""
    all_preserved: bool
    """The intersection: every target shown preserved."""


class Statement(Part):
    """The Distillation Loss Statement."""

    schema_version: Literal["1.0"] = SCHEMA_VERSION
    """Of this document; it changes when a reader would have to."""
    kind: Literal["ullage.distillation-loss-statement"] = "ullage.distillation-loss-statement"
    """What this document is."""
    name: str
    """Of the audit, from its configuration."""
    ullage_version: str
    """Of the Ullage that judged."""
    scenario: Scenario
    """As written by the user, with the targets in force."""
    margins_set: Literal["before asking", "after replies"] = "before asking"
    """Whether targets and margins were fixed before the student was asked, or when its replies were
    there already (it is a recording, or was imported)."""
    arms: dict[str, ArmRecord]
    """Every model that answered, by role."""
    findings: tuple[Finding, ...]
    """Every target, judged."""
    not_known: tuple[NotKnown, ...]
    """Unmeasured and inconclusive targets, dimensions no target looks at, missing arms."""
    joint: Joint
    """What the targets come to together."""
    probes: dict[str, ProbeRecord]
    """What was asked, by probe."""
    distillation: dict[str, Any] | None = None
    """The ledger (`distillation.json`) where `ullage distill` made the student."""
    notes: tuple[str, ...] = ()
    """Numerics, noise floor, and anything a careful reader would ask."""
    currency: str
    """Of every amount of money."""
    seed: int
    """Everything random follows from it."""
    config_digest: str
    """SHA-256 of everything that decides what is asked and how it is judged."""
    replies_digest: str
    """SHA-256 of the replies it rests on."""
    versions: dict[str, str]
    """Of Python and the libraries that numbers depend on."""
    exit_code: int
    """What `ullage gate` answers for this statement (DESIGN §8)."""
