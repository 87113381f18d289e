"""What will be asked, how often, for what power, at what price: `plan.json`.

The plan is made before anything is asked and frozen with the configuration. It names every arm by
identity, so that what is judged later is what was planned.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice

from pydantic import BaseModel, ConfigDict

from ullage import __version__
from ullage.collect.arms import ArmView
from ullage.collect.budget import cost
from ullage.collect.conversation import LiveConversation
from ullage.config.models import Config, Planning, Price, Scenario, Target
from ullage.models.types import Access, Answer, Ask, Reply, Request, Weights
from ullage.probes.imported import ImportedProbe
from ullage.probes.protocol import Item, Metric, Probe
from ullage.statement.document import SelfTest
from ullage.stats.power import (
    items_for_non_inferiority,
    joint_power,
    power_of_non_inferiority,
)
from ullage.stats.sequential import level_in_full

_SAMPLED_ITEMS = 24
"""Items per probe that are rehearsed to estimate tokens."""
_FAMILY_SCAN = 400
"""Items per probe that are read to count families."""
_CHARACTERS_PER_TOKEN = 4.0
_ENDLESS = 2**31
_JUDGED = ("self", "teacher", "base")
"""Who answers beside a judge."""
_ITEMS_PER_FAMILY = 5
"""From so many on a pilot's intraclass correlation says more than the guess."""


class Part(BaseModel):
    """Base of every part of the plan."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Pilot(Part):
    """What a pilot may tell: how often the arms differ, never which is better."""

    items: int
    flip_rate: float
    intraclass_correlation: float


class PlannedTarget(Part):
    """How many items a target gets, and what they can show if nothing was lost."""

    items: int
    items_wanted: int
    """For the planned power if items were independent and there were enough of them."""
    power: float
    flip_rate: float
    """Mean squared difference between the arms, in the metric's unit squared."""
    intraclass_correlation: float
    piloted: bool


class PlannedProbe(Part):
    """One probe's share of the audit."""

    dimension: str
    items: int
    families: int
    """Families among the items (counted over the first few hundred)."""
    arms: tuple[str, ...]
    """Arms with the access it needs."""
    source: str
    """``generated``, or the file of items and its hash."""
    stops_early: bool = False
    """Whether it is asked in rounds until verdicts are in: wanted, and every target is a mean."""


class PlannedArm(Part):
    """An arm as it was when the audit was planned, and what it should cost."""

    identity: str
    access: tuple[str, ...]
    deterministic: bool
    keyed_by_item: bool
    temperature: float
    again: bool
    description: dict[str, object]
    requests: int
    tokens: int
    """Upper estimate: four characters a token, every reply as long as allowed."""
    money: float | None


class Plan(Part):
    """`plan.json`."""

    ullage_version: str
    config_digest: str
    seed: int
    profile: str
    """How much is asked, in one word; what that comes to for each target is below."""
    arms: dict[str, PlannedArm]
    probes: dict[str, PlannedProbe]
    targets: dict[str, PlannedTarget]
    unmeasured: dict[str, str]
    """Targets that cannot be measured with these arms, and why."""
    joint_power: float | None
    joint_power_bound: float | None
    pilot: dict[str, Pilot] = {}
    selftest: dict[str, SelfTest] = {}
    """By target, what this auditor finds of planted losses; frozen here, so that the statement
    rests on the run folder alone."""

    def views(self) -> dict[str, ArmView]:
        """Every arm as the engine sees it."""
        return {
            role: ArmView(
                role=role,
                identity=arm.identity,
                access=frozenset(Access(level) for level in arm.access),
                deterministic=arm.deterministic,
                keyed_by_item=arm.keyed_by_item,
                temperature=arm.temperature,
                again=arm.again,
            )
            for role, arm in self.arms.items()
        }


def make_plan(
    config: Config,
    scenario: Scenario,
    probes: Mapping[str, Probe],
    views: Mapping[str, ArmView],
    descriptions: Mapping[str, Mapping[str, object]],
    *,
    config_digest: str,
    pilot: Mapping[str, Pilot] | None = None,
    selftest: Mapping[str, SelfTest] | None = None,
) -> Plan:
    """Plan an audit.

    Args:
        config: the resolved configuration.
        scenario: targets in force.
        probes: every probe that a target names.
        views: arms by role; `teacher` and `student` are there.
        descriptions: facts about each arm, for the statement.
        config_digest: freezes the configuration.
        pilot: per target id, what a pilot measured.
        selftest: per target id, what self-tests of this auditor say.
    """
    pilot = pilot or {}
    arms_of = {name: _able_arms(probe, views) for name, probe in probes.items()}
    unmeasured = {
        target.id: why
        for target in scenario.targets
        if (why := _cannot_measure(target, probes[target.probe], views)) is not None
    }
    families = {name: _family_count(probe, config.seed) for name, probe in probes.items()}
    measured = [target for target in scenario.targets if target.id not in unmeasured]
    # Whether a judge is fit, and what people say of it, is known only at the end.
    in_full = {
        t.probe
        for t in measured
        if probes[t.probe].metric(t.metric).functional is not None
        or "judge" in probes[t.probe].others
    }
    in_rounds = {t.probe for t in measured} - in_full if config.planning.stop_early else set()
    targets = {
        target.id: _plan_target(
            target,
            probes[target.probe].metric(target.metric),
            config.planning,
            families[target.probe],
            pilot.get(target.id),
            level=level_in_full() if target.probe in in_rounds else 0.95,
        )
        for target in measured
    }
    planned = {
        name: PlannedProbe(
            dimension=str(probe.dimension),
            items=min(
                families[name][1],
                max(targets[t.id].items for t in measured if t.probe == name),
            ),
            families=families[name][0],
            arms=arms_of[name],
            source=probe.source,
            stops_early=name in in_rounds,
        )
        for name, probe in probes.items()
        if any(t.probe == name for t in measured)
    }
    planned |= _plan_validations(probes, planned, families)
    joint = joint_power([target.power for target in targets.values()]) if targets else (None, None)
    return Plan(
        ullage_version=__version__,
        config_digest=config_digest,
        seed=config.seed,
        profile=config.planning.profile,
        arms=_plan_arms(config, views, descriptions, probes, planned),
        probes=planned,
        targets=targets,
        unmeasured=unmeasured,
        joint_power=joint[0],
        joint_power_bound=joint[1],
        pilot=dict(pilot),
        selftest=dict(selftest or {}),
    )


def _able_arms(probe: Probe, views: Mapping[str, ArmView]) -> tuple[str, ...]:
    return tuple(
        role for role, view in views.items() if role != "judge" and probe.access <= view.access
    )


def _plan_validations(
    probes: Mapping[str, Probe],
    planned: Mapping[str, PlannedProbe],
    families: Mapping[str, tuple[int, int]],
) -> dict[str, PlannedProbe]:
    """What tries the judge of the planned probes: all its items, asked of the judge alone."""
    wanted = [probes[name].validation for name in planned]
    return {
        one.name: PlannedProbe(
            dimension=str(one.dimension),
            items=families[one.name][1],
            families=families[one.name][0],
            arms=("judge",),
            source=one.source,
        )
        for one in wanted
        if one is not None and one.name in probes
    }


def _cannot_measure(target: Target, probe: Probe, views: Mapping[str, ArmView]) -> str | None:
    if isinstance(probe, ImportedProbe) and target.metric in probe.unmeasured:
        return probe.unmeasured[target.metric]
    if probe.obstacle:
        return probe.obstacle
    others: tuple[str, ...] = (probe.metric(target.metric).against, *sorted(probe.others))
    if "judge" in others and "judge" not in views:
        return (
            f"no rule can score {probe.name}, and there is no arm 'judge' to do it "
            "(docs/how-to/judge-model.md)"
        )
    for role in others:
        if role not in views:
            return f"{target.id} compares the student with '{role}', and there is no such arm"
    for role in dict.fromkeys(("teacher", *others, "student")):
        missing = probe.access - views[role].access
        if missing:
            what = ", ".join(sorted(missing))
            why = f"{probe.name} needs access '{what}', which the {role} does not give"
            return f"{why}; use {probe.instead}" if probe.instead else why
    if "judge" in others:
        for role in ("teacher", "student"):
            if views[role].identity == views["judge"].identity:
                return f"the judge is the {role} itself, and models prefer their own words"
    return None


def _family_count(probe: Probe, seed: int) -> tuple[int, int]:
    """(families among the first few hundred items, items there are)."""
    families = [item.family for item in islice(probe.items(seed), _FAMILY_SCAN)]
    return len(set(families)), _ENDLESS if probe.size is None else probe.size


def _plan_target(
    target: Target,
    metric: Metric,
    planning: Planning,
    families: tuple[int, int],
    pilot: Pilot | None,
    *,
    level: float,
) -> PlannedTarget:
    """Items for the planned power, within the limits, and the power they really have."""
    width = metric.bounds[1] - metric.bounds[0]
    # The guess: on a share `flip_rate` of the items the arms differ by one unit, or by the whole
    # range where that is less.
    squared = pilot.flip_rate if pilot else planning.flip_rate * min(1.0, width) ** 2
    correlation = planning.intraclass_correlation
    count, available = families
    if pilot:
        # A pilot that saw no flip has not shown that there are none (rule of three).
        squared = max(squared, 3.0 / pilot.items * min(1.0, width) ** 2)
        if pilot.items >= _ITEMS_PER_FAMILY * count:
            correlation = pilot.intraclass_correlation
    margin, flips = target.margin / width, squared / width**2

    def power(items: int) -> float:
        size = max(1.0, items / count) if count < min(_FAMILY_SCAN, available) else 1.0
        return power_of_non_inferiority(
            items, margin, flips, level=level, family_size=size, intraclass_correlation=correlation
        )

    ceiling = min(planning.max_items, available)
    wanted = min(ceiling, planning.min_items)
    while wanted < ceiling and power(wanted) < planning.power:
        wanted = min(ceiling, int(wanted * 1.05) + 1)
    items = min(planning.items or wanted, ceiling)
    return PlannedTarget(
        items=items,
        items_wanted=items_for_non_inferiority(margin, flips, power=planning.power, level=level),
        power=round(power(items), 4),
        flip_rate=squared,
        intraclass_correlation=correlation,
        piloted=pilot is not None,
    )


def _plan_arms(
    config: Config,
    views: Mapping[str, ArmView],
    descriptions: Mapping[str, Mapping[str, object]],
    probes: Mapping[str, Probe],
    planned: Mapping[str, PlannedProbe],
) -> dict[str, PlannedArm]:
    rehearsed = {name: rehearse(probes[name], config.seed, by=_JUDGED) for name in planned}
    verdicts = {
        name: rehearse(probes[name], config.seed, by=("judge",))
        for name in planned
        if "judge" in probes[name].others
    }
    arms = {}
    for role, view in views.items():
        requests = prompt = completion = 0.0
        for name, share in planned.items():
            if role in share.arms:
                per_item, times = rehearsed[name], share.items
            elif role == "judge" and name in verdicts:
                # The teacher is as good as itself: nobody needs to be asked.
                judged = sum(arm != "teacher" for arm in share.arms)
                per_item, times = verdicts[name], judged * share.items
            else:
                continue
            requests += per_item[0] * times
            prompt += per_item[1] * times
            completion += per_item[2] * times
        price = arm_price(config, role)
        arms[role] = PlannedArm(
            identity=view.identity,
            access=tuple(sorted(view.access)),
            deterministic=view.deterministic,
            keyed_by_item=view.keyed_by_item,
            temperature=view.temperature,
            again=view.again,
            description=dict(descriptions[role]),
            requests=round(requests),
            tokens=round(prompt + completion),
            money=None if price is None else cost(price, round(prompt), round(completion)),
        )
    return arms


def arm_price(config: Config, role: str) -> Price | None:
    """The price written for an arm, or None where none was."""
    arm = config.arms.teacher if role == "teacher_again" else getattr(config.arms, role)
    price: Price = arm.price
    return price if "price" in arm.model_fields_set else None


def usual_items(probe: Probe) -> int:
    """About how many items a standard audit asks: for a margin of a tenth, before any pilot."""
    metric = probe.metrics[0]
    target = Target(
        probe=probe.name,
        metric=metric.name,
        margin=min(1.0, metric.bounds[1] - metric.bounds[0]) / 10,
        reason="A tenth of the unit.",
    )
    families = _family_count(probe, 0)
    return _plan_target(target, metric, Planning(), families, None, level=0.95).items


def rehearse(
    probe: Probe, seed: int, *, by: Collection[str] = (*_JUDGED, "judge")
) -> tuple[float, float, float]:
    """Requests, prompt and completion tokens per item, from conversations with ideal replies.

    Where a judge compares replies, those of the arm are bad ones: equal ones need no judge.

    Args:
        probe: the probe.
        seed: of its items.
        by: whose requests are counted, by `Ask.of`.
    """
    view = ArmView(role="teacher", identity="rehearsal", access=frozenset(Access))
    views = dict.fromkeys(("teacher", "base", "judge"), view)
    seen: list[Request] = []
    items = list(islice(probe.items(seed), _SAMPLED_ITEMS))
    for item in items:
        bad = Reply(text=item.wrong or "No.") if "judge" in probe.others else None
        conversation = LiveConversation(probe, item, "teacher", views)
        while conversation.outcome is None:
            requests = [want.request for want in conversation.wants]
            seen.extend(request for request in requests if request.of in by)
            conversation.give(
                tuple(
                    bad if bad is not None and request.of == "self" else _ideal(request, item)
                    for request in requests
                )
            )
    prompt = sum(len(m.content) / _CHARACTERS_PER_TOKEN + 4 for r in seen for m in r.messages)
    completion = sum(r.max_tokens for r in seen if isinstance(r, Ask))
    scale = max(1, len(items))
    return len(seen) / scale, prompt / scale, completion / scale


def _ideal(request: Request, item: Item) -> Answer:
    if isinstance(request, Ask):
        asks_back = item.expects == "clarify"
        return Reply(text="Which one do you mean?" if asks_back else item.answer)
    count = len(request.continuations)
    return Weights(
        logprobs=(-1.0,) * count,
        tokens=(1,) * count,
        greedy=(False,) * count,
        standings=((0.0,),) * count if request.standing else (),
    )
