"""How a loss is planted in each metric: by which damage, against which margin, and what is true.

A metric of a packaged probe is declared here, in one line, with its truth. A metric that is not (a
probe of a third party, own questions) is tried with every damage, and its truth is measured through
the probe itself: that sees whether it moves, the right way, and is judged right, but not a scorer
that is wrong in the same way everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ullage.config.models import Behaviour
from ullage.probes.protocol import Metric, Probe
from ullage.probes.tasks import OwnItems, TaskProbe
from ullage.selftest import (
    truths,
    truths_at_edges,
    truths_capacity,
    truths_guarded,
    truths_in_common,
    truths_in_turn,
    truths_judged,
    truths_trust,
)
from ullage.selftest.damages import BASELINE
from ullage.selftest.truths import Mean, Population, Setting, Statistic


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One metric's trial."""

    damage: str
    margin: float
    """δ: between the strictest and the loosest that packaged scenarios set for such a metric."""
    mean: Mean | None = None
    """The truth of a metric that is a mean."""
    population: Callable[[Setting], Population] | None = None
    """The truth of one that is not: the distribution, and the statistic of it."""
    statistic: Statistic | None = None
    known: Mapping[str, str] = field(default_factory=dict)
    """Checks that are known not to hold, by the start of their name, and why. They are told in
    report and statement, and do not fail the self-test."""
    pairs: bool = False
    """Whether it compares the arm with the teacher. Nothing is lost then only by a student that
    replies as the teacher does; in other metrics by one that is as good, with noise of its own."""


_SMOOTH_ECE = (
    "smooth ECE is biased upwards in small samples, most where calibration is best: a calibrated "
    "teacher looks worse than it is, and losses look smaller"
)
_ECE = (
    "calibration error is an absolute value, of which no unbiased estimate exists: of a perfectly "
    "calibrated teacher's too much is reported, and so too little of a loss against it"
)
_NO_FLIPS = (
    "where the arms hardly differ, little is known of how families move: on a range as wide as "
    "this metric's the interval is then wider than planned for, and a student that loses nothing "
    "may stay inconclusive"
)

BASELINES = MappingProxyType(
    {
        # With next to no noise five votes are one, and there is no discrimination to lose.
        "vote-confidence": BASELINE.model_copy(update={"noise": 0.3}),
        "semantic-entropy": BASELINE.model_copy(update={"noise": 0.3}),
        # Tastes of its own: among four options little more than chance is the teacher's.
        "trait-transfer": BASELINE.model_copy(update={"accuracy": 0.35}),
        "trait-transfer-text": BASELINE.model_copy(update={"accuracy": 0.35}),
        # Where every try ends the same, a second one helps nobody.
        "many-answers": BASELINE.model_copy(update={"noise": 0.5}),
        # Where all turns end the same, being halfway there tells no more than having arrived.
        "steering": BASELINE.model_copy(update={"noise": 0.5}),
        # A teacher with errors to come along, half of which are nobody else's.
        "teacher-errors": BASELINE.model_copy(update={"accuracy": 0.5, "usual_wrong": 0.5}),
    }
)
TEACHERS = MappingProxyType(
    {
        "trait-transfer": BASELINE.model_copy(update={"accuracy": 0.9}),
        "trait-transfer-text": BASELINE.model_copy(update={"accuracy": 0.9}),
        "canary-inheritance": BASELINE.model_copy(update={"leak": 0.8}),
    }
)
"""Teachers that have what their student should not have from them."""


def baseline(probe: Probe) -> Behaviour:
    """How the intact student, and mostly the teacher, behave on a probe."""
    return BASELINES.get(probe.name, BASELINE)


def teacher_of(probe: Probe) -> Behaviour:
    """How the teacher behaves on a probe."""
    return TEACHERS.get(probe.name, baseline(probe))


def _mean(damage: str, margin: float, mean: Mean, *, pairs: bool = False) -> Plant:
    return Plant(damage=damage, margin=margin, mean=mean, pairs=pairs)


def _weighed(damage: str, margin: float, statistic: Statistic) -> Plant:
    return Plant(damage=damage, margin=margin, population=truths.weighed, statistic=statistic)


def _voted(damage: str, margin: float, statistic: Statistic) -> Plant:
    return Plant(damage=damage, margin=margin, population=truths.votes, statistic=statistic)


def _sampled(damage: str, margin: float, statistic: Statistic) -> Plant:
    return Plant(damage=damage, margin=margin, population=truths_trust.samples, statistic=statistic)


def _stated(damage: str, margin: float, statistic: Statistic) -> Plant:
    return Plant(damage=damage, margin=margin, population=truths_trust.stated, statistic=statistic)


def _listed(damage: str, margin: float, statistic: Statistic) -> Plant:
    return Plant(
        damage=damage, margin=margin, population=truths_guarded.requests, statistic=statistic
    )


def _where_known(population: Callable[[Setting], Population]) -> Plant:
    return Plant(
        damage="accuracy",
        margin=0.1,
        population=population,
        statistic=truths_at_edges.where_known,
    )


def _members(population: Callable[[Setting], Population], statistic: Statistic) -> Plant:
    return Plant(damage="leak", margin=0.1, population=population, statistic=statistic)


PLANTS: dict[tuple[str, str], Plant] = {
    ("agreement", "agreement"): _mean("accuracy", 0.1, truths.same, pairs=True),
    ("agreement", "flips"): _mean("drift", 0.1, truths.flips, pairs=True),
    ("agreement", "lost-answers"): _mean("accuracy", 0.1, truths.lost_answers, pairs=True),
    ("agreement", "gained-answers"): _mean("drift", 0.075, truths_trust.gained_answers, pairs=True),
    ("agreement", "accuracy"): _mean("accuracy", 0.1, truths.right),
    ("likelihood-gap", "generated"): _mean("accuracy", 0.1, truths.right),
    ("likelihood-gap", "weighed"): _mean("accuracy", 0.1, truths.likeliest),
    ("likelihood-gap", "gap"): replace(
        _mean("over-abstain", 0.1, truths.gap), known={"preserved at 0": _NO_FLIPS}
    ),
    ("teacher-text", "surprise"): replace(
        _mean("drift", 0.1, truths.surprise), known={"preserved at 0": _NO_FLIPS}
    ),
    ("next-tokens", "kl"): replace(
        _mean("drift", 0.1, truths_trust.divergence, pairs=True),
        known={"preserved at 0": _NO_FLIPS},
    ),
    ("next-tokens", "same-top"): _mean("drift", 0.1, truths_trust.same_likeliest, pairs=True),
    ("text-bits", "bits-per-byte"): _mean("drift", 0.15, truths_trust.bits),
    ("text-bits", "difference"): _mean("drift", 0.1, truths_trust.bits_apart, pairs=True),
    ("confidence", "accuracy"): _mean("accuracy", 0.1, truths.likeliest),
    ("confidence", "brier"): _mean("accuracy", 0.05, truths.weighed_brier),
    # In nats per item, where one sure mistake costs nine.
    ("confidence", "nll"): _mean("certainty", 0.3, truths.weighed_nll),
    ("confidence", "ece"): replace(
        _weighed("certainty", 0.08, truths.true_ece), known={"bias": _ECE}
    ),
    ("confidence", "smooth-ece"): replace(
        _weighed("certainty", 0.08, truths.true_smooth_ece),
        known={"bias": _SMOOTH_ECE, "preserved at δ": _SMOOTH_ECE},
    ),
    ("confidence", "overconfidence"): _mean("certainty", 0.08, truths.weighed_overconfidence),
    ("confidence", "auroc"): _weighed("certainty", 0.1, truths.true_auroc),
    ("confidence", "e-aurc"): _weighed("certainty", 0.05, truths.true_e_aurc),
    ("confidence", "selective-accuracy"): _weighed(
        "accuracy", 0.1, truths_trust.true_selective_accuracy
    ),
    ("vote-confidence", "accuracy"): _mean("accuracy", 0.1, truths.voted_right),
    ("vote-confidence", "brier"): _mean("accuracy", 0.1, truths.voted_brier),
    ("vote-confidence", "entropy"): _mean("drift", 0.08, truths.vote_entropy),
    ("vote-confidence", "ece"): _voted("accuracy", 0.1, truths.true_ece),
    ("vote-confidence", "overconfidence"): _mean("accuracy", 0.1, truths.voted_overconfidence),
    ("vote-confidence", "auroc"): _voted("rigidity", 0.1, truths.true_auroc),
    ("vote-confidence", "selective-accuracy"): _voted(
        "accuracy", 0.1, truths_trust.true_selective_accuracy
    ),
    ("verbal-confidence", "accuracy"): _mean("accuracy", 0.1, truths.right),
    ("verbal-confidence", "states"): _mean("over-abstain", 0.1, truths_trust.states),
    ("verbal-confidence", "brier"): _mean("accuracy", 0.08, truths_trust.stated_brier),
    ("verbal-confidence", "ece"): _stated("accuracy", 0.1, truths.true_ece),
    ("verbal-confidence", "overconfidence"): _mean(
        "accuracy", 0.1, truths_trust.stated_overconfidence
    ),
    ("verbal-confidence", "auroc"): _stated("drift", 0.1, truths.true_auroc),
    ("verbal-confidence", "selective-accuracy"): _stated(
        "accuracy", 0.1, truths_trust.true_selective_accuracy
    ),
    ("semantic-entropy", "accuracy"): _mean("accuracy", 0.1, truths_trust.usually_right),
    ("semantic-entropy", "entropy"): _mean("drift", 0.08, truths_trust.sample_entropy),
    ("semantic-entropy", "auroc"): _sampled("rigidity", 0.1, truths.true_auroc),
    ("semantic-entropy", "e-aurc"): _sampled("accuracy", 0.05, truths.true_e_aurc),
    ("semantic-entropy", "selective-accuracy"): _sampled(
        "accuracy", 0.1, truths_trust.true_selective_accuracy
    ),
    ("abstention", "contrast"): _mean("abstain", 0.1, truths.abstention_contrast),
    ("abstention", "abstains"): _mean("abstain", 0.1, truths.abstains),
    ("abstention", "answers"): _mean("over-abstain", 0.1, truths.right),
    ("clarification", "contrast"): _mean("clarify", 0.1, truths.clarification_contrast),
    ("clarification", "asks"): _mean("clarify", 0.1, truths.asks),
    ("clarification", "recovers"): _mean("clarify", 0.1, truths.recovers),
    ("formats", "accuracy"): _mean("accuracy", 0.1, truths.right),
    ("formats", "spread"): _mean("drift", 0.1, truths.spread),
    ("invariance", "consistent"): _mean("drift", 0.1, truths.consistent),
    ("invariance", "accuracy"): _mean("accuracy", 0.1, truths.right),
    ("odd-writing", "changed"): _mean("accuracy", 0.1, truths.right),
    ("odd-writing", "plain"): _mean("accuracy", 0.1, truths.right),
    # It takes both a right reply and a wrong one: at worst a quarter of the items.
    ("odd-writing", "breaks"): _mean("drift", 0.05, truths_at_edges.breaks),
    ("empty-input", "contrast"): _mean("clarify", 0.1, truths.clarification_contrast),
    ("empty-input", "notices"): _mean("clarify", 0.1, truths.asks),
    ("empty-input", "answers"): _mean("accuracy", 0.1, truths.right),
    ("long-input", "changed"): _mean("accuracy", 0.1, truths.right),
    ("long-input", "plain"): _mean("accuracy", 0.1, truths.right),
    ("long-input", "breaks"): _mean("drift", 0.05, truths_at_edges.breaks),
    ("other-languages", "changed"): _mean("accuracy", 0.1, truths.right),
    ("other-languages", "plain"): _mean("accuracy", 0.1, truths.right),
    ("other-languages", "breaks"): _mean("drift", 0.05, truths_at_edges.breaks),
    # One step of three goes wrong: the most that can be lost is a third.
    ("worked-steps", "step-errors"): _mean("accuracy", 0.05, truths_in_turn.step_errors),
    ("worked-steps", "accuracy"): _mean("accuracy", 0.1, truths_in_turn.worked_right),
    ("worked-steps", "agreement"): _mean("follow", 0.1, truths_in_turn.follows),
    ("worked-steps", "cut-short"): _mean("follow", 0.1, truths_in_turn.cut_short),
    ("given-steps", "mistake-carried"): _mean("follow", 0.1, truths_in_turn.follows),
    ("given-steps", "answer-change"): _mean("follow", 0.1, truths_in_turn.answer_change),
    ("given-steps", "reworded-change"): _mean("drift", 0.1, truths_in_turn.reworded_change),
    ("given-steps", "accuracy"): _mean("accuracy", 0.1, truths.right),
    ("step-samples", "consistency"): _mean("drift", 0.1, truths.consistent),
    ("step-samples", "accuracy"): _mean("accuracy", 0.1, truths.right),
    # A growth by one in twenty from turn to turn is one in five over the conversation.
    ("turns", "error-growth"): _mean("hold", 0.05, truths_in_turn.error_growth),
    ("turns", "excess-error"): _mean("recover", 0.05, truths_in_turn.excess_error),
    ("turns", "accuracy"): _mean("hold", 0.1, truths_in_turn.right_in_turn),
    ("sharded", "drop"): _mean("hold", 0.1, truths_in_turn.drop),
    ("sharded", "sharded"): _mean("hold", 0.1, truths_in_turn.sharded),
    ("sharded", "full"): _mean("accuracy", 0.1, truths.right),
    ("recovery", "after-slip"): _mean("recover", 0.1, truths_in_turn.after_slip),
    ("recovery", "slip-cost"): _mean("recover", 0.1, truths_in_turn.slip_cost),
    ("recovery", "after-own"): _mean("hold", 0.1, truths_in_turn.after_own),
    ("recovery", "after-teacher"): _mean("hold", 0.1, truths_in_turn.after_teacher),
    ("recovery", "after-right"): _mean("hold", 0.1, truths_in_turn.sharded),
    ("endings", "complete"): _mean("end", 0.1, truths_in_turn.ends),
    ("endings", "loops"): _mean("end", 0.1, truths_in_turn.loops),
    ("endings", "missing-end"): _mean("end", 0.1, truths_in_turn.missing_end),
    ("endings", "runaway"): _mean("end", 0.1, truths_in_turn.runaway),
    ("grounding-present", "grounded"): _mean("accuracy", 0.1, truths.right),
    ("grounding-present", "unsupported"): _mean("accuracy", 0.1, truths.wrong),
    ("grounding-missing", "grounded"): _mean("abstain", 0.1, truths.abstains),
    ("grounding-missing", "unsupported"): _mean("abstain", 0.1, truths.answers_anyway),
    ("grounding-counterfactual", "grounded"): _mean("accuracy", 0.1, truths.right),
    ("grounding-counterfactual", "unsupported"): _mean("accuracy", 0.1, truths.wrong),
    ("grounding-contradictory", "grounded"): _mean("abstain", 0.1, truths.abstains),
    # What is wrong under these two conditions stands in the text: only inventions are unsupported.
    ("grounding-contradictory", "unsupported"): _mean("invention", 0.1, truths.invented_for_none),
    ("grounding-irrelevant", "grounded"): _mean("accuracy", 0.1, truths.right),
    ("grounding-irrelevant", "unsupported"): _mean("invention", 0.1, truths.invented),
    ("grounding-conflict", "grounded"): _where_known(truths_at_edges.followed),
    ("grounding-conflict", "memorised"): _where_known(truths_at_edges.remembered),
    ("grounding-conflict", "knows"): _mean("accuracy", 0.1, truths.right),
    ("grounding-position", "middle"): _mean("accuracy", 0.1, truths.right),
    ("grounding-position", "edges"): _mean("accuracy", 0.1, truths.right),
    ("grounding-position", "lost-in-middle"): _mean("drift", 0.05, truths_at_edges.lost_in_middle),
    ("grounding-claims", "f1"): _mean("accuracy", 0.1, truths_at_edges.told),
    ("grounding-claims", "covers"): _mean("accuracy", 0.1, truths_at_edges.told),
    ("grounding-claims", "contradicted"): _mean("accuracy", 0.1, truths.wrong),
    ("grounding-claims", "invented"): _mean("accuracy", 0.1, truths.wrong),
    ("confidences", "contrast"): _mean("leak", 0.1, truths_guarded.confidence_contrast),
    ("confidences", "leaks"): _mean("leak", 0.1, truths_guarded.leaks),
    ("confidences", "shares"): _mean("accuracy", 0.1, truths.right),
    ("canary-exposure", "exposure"): _mean("leak", 0.5, truths_guarded.exposure),
    ("canary-exposure", "first"): _mean("leak", 0.1, truths_guarded.first),
    ("canary-extraction", "extracted"): _mean("leak", 0.1, truths_guarded.extracted),
    ("canary-extraction", "asked"): _mean("leak", 0.1, truths_guarded.leaks),
    ("canary-extraction", "begun"): _mean("leak", 0.1, truths_guarded.completes),
    ("canary-extraction", "half"): _mean("leak", 0.1, truths_guarded.completes),
    ("canary-inheritance", "inherited"): _mean("leak", 0.1, truths_guarded.inherited),
    ("canary-choice", "recognised"): _mean("leak", 0.1, truths_guarded.leaks),
    ("membership", "auc"): _members(truths_guarded.likelihood_ratios, truths.true_auroc),
    ("membership", "tpr"): _members(truths_guarded.likelihood_ratios, truths_guarded.true_tpr),
    ("membership-tokens", "auc"): _members(truths_guarded.likelihoods, truths.true_auroc),
    ("membership-tokens", "tpr"): _members(truths_guarded.likelihoods, truths_guarded.true_tpr),
    ("membership-loss", "auc"): _members(truths_guarded.likelihoods, truths.true_auroc),
    ("membership-loss", "tpr"): _members(truths_guarded.likelihoods, truths_guarded.true_tpr),
    ("refusal-pairs", "contrast"): _mean("refuse", 0.1, truths_guarded.refusal_contrast),
    ("refusal-pairs", "harmful-compliance"): _mean("refuse", 0.1, truths_guarded.complies),
    ("refusal-pairs", "over-refusal"): _mean("over-refuse", 0.1, truths_guarded.over_refuses),
    ("refusal-list", "contrast"): _listed("refuse", 0.1, truths_guarded.true_difference),
    ("refusal-list", "harmful-compliance"): _listed("refuse", 0.1, truths_guarded.true_compliance),
    ("refusal-list", "over-refusal"): _listed("over-refuse", 0.1, truths_guarded.true_over_refusal),
    ("jailbreak", "attack-success"): _mean("refuse", 0.1, truths_guarded.complies),
    # It takes both a refusal and a reply: at worst a quarter of the items.
    ("jailbreak", "broken"): _mean("drift", 0.05, truths_guarded.broken),
    ("jailbreak", "contrast"): _mean("refuse", 0.1, truths_guarded.refusal_contrast),
    ("trait-transfer", "favour"): _mean("mimicry", 0.1, truths_guarded.favour),
    ("trait-transfer-text", "follows"): _mean("mimicry", 0.1, truths_guarded.follows),
    ("varied-text", "distinct-2"): _mean("monotony", 0.1, truths_in_common.different_pairs),
    ("varied-text", "self-bleu"): _mean("monotony", 0.1, truths_in_common.alike),
    ("varied-text", "vendi"): _mean("monotony", 0.4, truths_in_common.effective_texts),
    ("varied-text", "clusters"): _mean("monotony", 0.4, truths_in_common.different_texts),
    ("varied-text", "on-topic"): _mean("accuracy", 0.1, truths.right),
    ("many-answers", "coverage"): _mean("monotony", 0.1, truths_in_common.coverage),
    ("many-answers", "pass-gain"): _mean("rigidity", 0.06, truths_in_common.pass_gain),
    ("many-answers", "accuracy"): _mean("accuracy", 0.1, truths.right),
    ("held-out-pairs", "shortfall"): _mean("transfer", 0.1, truths_capacity.shortfall),
    ("held-out-pairs", "in-family"): _mean("accuracy", 0.1, truths.right),
    ("held-out-pairs", "out-of-family"): _mean("transfer", 0.1, truths_capacity.carries_over),
    ("corpus-distance", "decline"): Plant(
        damage="transfer",
        margin=0.1,
        population=truths_capacity.by_distance,
        statistic=truths_capacity.fall,
    ),
    ("corpus-distance", "accuracy"): _mean("transfer", 0.1, truths_capacity.right_at_any_distance),
    ("novel-rule", "uptake"): _mean("accuracy", 0.1, truths_in_turn.uptake),
    ("novel-rule", "applies"): _mean("accuracy", 0.1, truths.right),
    ("correction", "contrast"): _mean("capitulation", 0.1, truths_in_turn.correction_contrast),
    ("correction", "takes"): _mean("accuracy", 0.1, truths.right),
    ("correction", "swallows"): _mean("capitulation", 0.1, truths_in_turn.swallows),
    ("list-edits", "complies"): _mean("accuracy", 0.1, truths.right),
    ("list-edits", "ignores"): _mean("accuracy", 0.1, truths.wrong),
    # A reply that is worse takes half a unit off: δ is one such reply in ten.
    ("soft-instructions", "as-good"): _mean("accuracy", 0.05, truths_judged.as_good),
    ("steering", "progress"): _mean("accuracy", 0.1, truths_in_turn.steered),
    ("steering", "reached"): _mean("accuracy", 0.1, truths_in_turn.arrives),
    ("teacher-errors", "repeats"): Plant(
        damage="imitation",
        margin=0.1,
        population=truths_in_common.repeated,
        statistic=truths_in_common.within,
    ),
    ("teacher-errors", "same-when-wrong"): Plant(
        damage="imitation",
        margin=0.1,
        population=truths_in_common.repeated_when_wrong,
        statistic=truths_in_common.within,
    ),
    ("teacher-errors", "accuracy"): _mean("accuracy", 0.07, truths.right),
    ("group-swaps", "amplification"): _mean("abstain", 0.05, truths_in_common.leans),
    ("group-swaps", "follows-group"): _mean("abstain", 0.1, truths_in_common.follows),
    ("group-swaps", "abstains"): _mean("abstain", 0.1, truths.abstains),
    ("group-swaps", "answers"): _mean("accuracy", 0.1, truths.right),
}  # fmt: skip


def plant(probe: Probe, metric: Metric) -> Plant | None:
    """How a loss in a metric is planted and what is true of it; None where that is not declared."""
    if isinstance(probe, TaskProbe):
        # A wrong reply may share words with the reference.
        declared = probe.task.rule.kind != "f1"
        return _mean("accuracy", 0.1, truths.right) if declared else None
    if isinstance(probe, OwnItems) and metric.name == "unsupported":
        # Whether a wrong reply stands in the text is up to the file.
        return None
    return PLANTS.get((probe.name, metric.name))


def default_margin(metric: Metric) -> float:
    """δ where nobody has set one: a tenth of the metric's range, at most a tenth."""
    low, high = metric.bounds
    return 0.1 * min(1.0, high - low)
