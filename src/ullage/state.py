"""Composing the Statement from what the earlier steps left behind."""

from __future__ import annotations

import platform
from collections import Counter
from importlib import metadata

from ullage import __version__
from ullage.collect.budget import cost
from ullage.config.models import Config, Planning, Scenario
from ullage.config.profiles import PROFILES
from ullage.judge import Findings
from ullage.plan import Plan, arm_price
from ullage.scores import Scores
from ullage.statement.document import ArmRecord, Joint, Statement, Verdict
from ullage.statement.outcome import exit_code, not_known

_LIBRARIES = ("numpy", "scipy")
_LOCAL_LIBRARIES = ("torch", "transformers")


def compose(
    config: Config,
    scenario: Scenario,
    plan: Plan,
    findings: Findings,
    scores: Scores,
    *,
    ledger: dict[str, object] | None = None,
) -> Statement:
    """The Distillation Loss Statement; a pure function of its arguments and this version."""
    judged = tuple(
        finding.model_copy(update={"selftest": plan.selftest.get(finding.id)})
        for finding in findings.findings
    )
    counts = Counter(finding.verdict for finding in judged)
    return Statement(
        name=config.name,
        ullage_version=__version__,
        scenario=scenario,
        margins_set=(
            "after replies" if config.arms.student.scheme == "recorded" else "before asking"
        ),
        arms={role: _arm(config, plan, scores, role) for role in plan.arms},
        findings=judged,
        not_known=not_known(judged, plan.arms),
        joint=Joint(
            planned_power=plan.joint_power,
            planned_power_bound=plan.joint_power_bound,
            counts={str(verdict): counts[verdict] for verdict in Verdict},
            all_preserved=counts[Verdict.PRESERVED] == len(judged),
        ),
        probes=findings.probes,
        distillation=ledger,
        notes=tuple(_notes(config, plan, scores)),
        currency=config.budget.currency,
        seed=plan.seed,
        config_digest=plan.config_digest,
        replies_digest=scores.replies_digest,
        versions=_versions(plan),
        exit_code=exit_code(judged, scenario),
    )


def _arm(config: Config, plan: Plan, scores: Scores, role: str) -> ArmRecord:
    use = scores.uses[role]
    price = arm_price(config, role)
    return ArmRecord(
        identity=plan.arms[role].identity,
        description=plan.arms[role].description,
        replies=use.replies,
        prompt_tokens=use.prompt_tokens,
        completion_tokens=use.completion_tokens,
        money=None if price is None else cost(price, use.prompt_tokens, use.completion_tokens),
    )


def _notes(config: Config, plan: Plan, scores: Scores) -> list[str]:
    """What a careful reader would ask about how replies were made."""
    notes = list(config.imported.notes) if config.imported else []
    for role, arm in plan.arms.items():
        if arm.description.get("batch_invariant") is False:
            notes.append(
                f"Replies of {role} were computed in {arm.description.get('dtype')}: they may "
                "depend on which questions shared a batch. float32 does away with that."
            )
    invariant = [r for r, a in plan.arms.items() if a.description.get("batch_invariant") is True]
    if invariant:
        notes.append(
            f"Replies of {', '.join(invariant)} were computed in float32 and do not depend on "
            "batching; log-probabilities are rounded to four decimals."
        )
    again = plan.arms.get("teacher_again")
    if again is not None:
        if not again.again:
            notes.append("The teacher is a recording: asked again it repeats itself.")
        elif again.deterministic and again.temperature == 0.0:
            notes.append(
                "The teacher is deterministic and was decoded greedily, so asked again it repeats "
                "itself: the noise floor of greedy metrics is zero by construction."
            )
        else:
            notes.append(
                f"The noise floor is the teacher asked again at temperature {again.temperature:g}."
            )
    if plan.pilot:
        notes.append(
            "Numbers of items were set by a pilot that saw how often the arms differ, and not in "
            "which direction."
        )
    return [*notes, *_early_notes(plan, scores), items_rule(config.planning)]


def items_rule(planning: Planning) -> str:
    """What decided how many items were asked, in a sentence."""
    if planning.items is not None:
        return (
            f"The number of items per probe was fixed at {planning.items}, not planned for power."
        )
    usual = PROFILES[planning.profile]
    own = [key for key, value in usual.items() if getattr(planning, key) != value]
    return (
        f"Profile {planning.profile}"
        + (f", with another {' and '.join(own)}" if own else "")
        + f": as many items as show with a power of {planning.power:.0%} that nothing was lost, "
        f"but {planning.min_items:,} at least and {planning.max_items:,} at most per probe."
    )


def _early_notes(plan: Plan, scores: Scores) -> list[str]:
    """What was asked in rounds, how far, and by which intervals it is judged."""
    rounds = {name: share.items for name, share in plan.probes.items() if share.stops_early}
    if not rounds:
        return []
    asked = {name: len(scores.probes[name].items) for name in rounds if name in scores.probes}
    stopped = [
        f"{name} at {count:,} of {rounds[name]:,} items"
        for name, count in asked.items()
        if count < rounds[name]
    ]
    notes = [
        "Asking could stop where the verdicts were in. "
        + (f"It stopped early for {', '.join(stopped)}" if stopped else "It stopped early nowhere")
        + "; intervals of what was stopped hold at every look (99 % alone), and those of what was "
        "then asked in full are made at 96 %, so that together they err no more than 5 %."
    ]
    in_full = [name for name in plan.probes if name not in rounds]
    if in_full:
        notes.append(
            "Asked in full, because some target is no mean of items or a model judges them: "
            f"{', '.join(in_full)}."
        )
    return notes


def _versions(plan: Plan) -> dict[str, str]:
    versions = {"python": platform.python_version()}
    local = any(arm.identity.startswith("hf:") for arm in plan.arms.values())
    for name in _LIBRARIES + (_LOCAL_LIBRARIES if local else ()):
        versions[name] = metadata.version(name)
    return versions
