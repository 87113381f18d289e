"""One path through an audit: config, plan, collect, score, judge, state (DESIGN §3).

Each step is one function, writes one file in the run folder, and can be run again alone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ullage.collect.arms import ArmView
from ullage.collect.budget import Spending
from ullage.collect.journal import Journal
from ullage.collect.scheduler import Collector, OnTick, OpenModel
from ullage.config import Loaded, digest
from ullage.config.models import Arm, Config
from ullage.errors import InputError
from ullage.examples import with_examples
from ullage.files import write_whole
from ullage.generalising import with_generalisation
from ullage.judge import Findings, judge
from ullage.labels import read_labels
from ullage.models.registry import open_model
from ullage.models.types import Model
from ullage.plan import Pilot, Plan, arm_price, make_plan
from ullage.probes.protocol import Probe
from ullage.probes.registry import resolve
from ullage.rounds import Rounds, rounds_asked
from ullage.run_folder import (
    RunFolder,
    begun_plan,
    freeze,
    read_ledger,
    read_part,
    root_of,
    run_config,
    write_part,
)
from ullage.score import score
from ullage.scores import read_scores
from ullage.stamp import stamps
from ullage.state import compose
from ullage.statement.document import Statement
from ullage.statement.store import write_all

ROLES = ("judge", "teacher", "teacher_again", "base", "control", "student", "derived")
"""The order arms are asked in: whether a judge is fit, and what the student is compared with, come
first."""


class Step(StrEnum):
    """A step of the audit, for running the later ones again alone."""

    COLLECT = "collect"
    SCORE = "score"
    JUDGE = "judge"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Setup:
    """A configuration with its probes resolved and its run folder named."""

    loaded: Loaded
    probes: Mapping[str, Probe]
    folder: RunFolder


def set_up(loaded: Loaded, run: str | None = None) -> Setup:
    """Resolve what a configuration names.

    Raises:
        InputError: an unknown probe or metric, or a file of items that cannot be used.
    """
    probes = resolve(loaded.config, loaded.root)
    wanted = {}
    for target in loaded.scenario.targets:
        probe = probes[target.probe]
        known = [metric.name for metric in probe.metrics]
        if target.metric not in known:
            raise InputError(
                f"{loaded.path}: target {target.id}: probe {probe.name} has no metric "
                f"'{target.metric}'; it has {', '.join(known)}"
            )
        wanted[probe.name] = probe
        if probe.validation is not None:
            wanted[probe.validation.name] = probe.validation
    folder = loaded.root / loaded.config.runs / (run or loaded.config.name)
    return Setup(loaded, wanted, RunFolder(folder))


def set_up_again(folder: RunFolder, statement: Statement, root: Path | None = None) -> Setup:
    """A finished run from its frozen configuration, to judge its scores again.

    Args:
        folder: the run folder.
        statement: its statement, whose scenario has the targets in force.
        root: folder of the configuration; left out, as the run folder's place tells.

    Raises:
        InputError: the configuration has other targets, or a file that it names is not there.
    """
    config = run_config(folder)
    if config.targets != statement.scenario.targets:
        raise InputError(f"{folder.config}: has other targets than the statement")
    place = root_of(folder.path, config, root)
    setup = set_up(Loaded(config, place, statement.scenario, folder.config))
    return replace(setup, folder=folder)


def arm_models(loaded: Loaded) -> dict[str, Arm]:
    """The configured arms by role, `teacher_again` as the teacher."""
    arms = loaded.config.arms
    models: dict[str, Arm] = {}
    for role in ROLES:
        if role == "teacher_again":
            if arms.teacher_again.enabled:
                models[role] = arms.teacher
        elif (arm := getattr(arms, role)) is not None:
            models[role] = arm
    return models


async def open_arms(loaded: Loaded, roles: Collection[str] = ROLES) -> dict[str, Model]:
    """The models of arms, identified but not loaded."""
    opened: dict[str, Model] = {}
    for role, arm in arm_models(loaded).items():
        if role not in roles:
            continue
        opened[role] = (
            opened["teacher"] if role == "teacher_again" else await open_model(arm, loaded.root)
        )
    return opened


def arm_views(loaded: Loaded, models: Mapping[str, Model]) -> dict[str, ArmView]:
    """Every arm as the engine sees it."""
    config = loaded.config
    again = config.arms.teacher_again.temperature
    views = {}
    for role, model in models.items():
        # A recording asked again can only repeat itself.
        is_again = role == "teacher_again" and config.arms.teacher.scheme != "recorded"
        # A verdict is no product: a judge is not served at the product's temperature.
        temperature = 0.0 if role == "judge" else config.decoding.temperature
        if is_again and again is not None:
            temperature = again
        views[role] = ArmView.of(role, model, temperature=temperature, again=is_again)
    return views


# ------------------------------------------------------------------------------------------ plan


def plan_audit(
    setup: Setup, models: Mapping[str, Model], *, pilot: Mapping[str, Pilot] | None = None
) -> Plan:
    """What will be asked of these models; nothing is asked and nothing is written."""
    config, scenario = setup.loaded.config, setup.loaded.scenario
    return make_plan(
        config,
        scenario,
        setup.probes,
        arm_views(setup.loaded, models),
        {role: model.description for role, model in models.items()},
        config_digest=digest(config, scenario),
        pilot=pilot,
        selftest=stamps(scenario, setup.probes, setup.loaded.root),
    )


# --------------------------------------------------------------------------------------- collect


@asynccontextmanager
async def on_demand(
    models: Mapping[str, Model],
) -> AsyncIterator[OpenModel]:
    """Gives entered models by role, each loaded once and only when it must be asked."""
    async with AsyncExitStack() as stack:
        entered: dict[int, Model] = {}

        async def give(role: str) -> Model:
            model = models[role]
            if id(model) not in entered:
                entered[id(model)] = await stack.enter_async_context(model)
            return entered[id(model)]

        yield give


def spent(config: Config, views: Mapping[str, ArmView], journal: Journal) -> Spending:
    """The budget, with what the journal holds spent already."""
    prices = {
        view.identity: price
        for role, view in views.items()
        if (price := arm_price(config, role)) is not None
    }
    spending = Spending(config.budget, prices)
    if spending.limited:
        spending.add_earlier(journal.answers())
    return spending


async def collect(
    setup: Setup,
    plan: Plan,
    models: Mapping[str, Model],
    journal: Journal,
    *,
    roles: tuple[str, ...] = ROLES,
    on_tick: OnTick | None = None,
) -> None:
    """Ask every arm what the plan wants and the journal lacks, in rounds where it may stop."""
    views = plan.views()
    config, scenario = setup.loaded.config, setup.loaded.scenario
    spending = spent(config, views, journal)
    rounds = Rounds(plan, setup.probes)
    is_more = True
    while is_more:
        for role in (role for role in roles if role in plan.arms and rounds.count_new(role)):
            # One model in memory at a time: what the student needs of the teacher is journaled by
            # now.
            async with on_demand(models) as give:
                total = rounds.count(role)
                collector = Collector(
                    role,
                    views,
                    give,
                    journal,
                    spending,
                    done=total - rounds.count_new(role),
                    total=total,
                    on_tick=on_tick,
                )
                await collector.run(rounds.new(role))
        is_more = rounds.go_on(scenario, config.budget, journal)


# ----------------------------------------------------------------------------- score, judge, state


async def share_replies(earlier: Setup, later: Setup) -> None:
    """Give an audit that has not begun the replies of the models it shares with an earlier one.

    A reply is known by the model and the question, so none is taken for another's.
    """
    journal = later.folder.replies
    if journal.exists():
        return
    mine = await open_arms(later.loaded)
    shared = {model.identity for model in mine.values()}
    with later.folder.locked():
        lines = earlier.folder.replies.read_bytes().splitlines(keepends=True)
        write_whole(
            journal, b"".join(line for line in lines if json.loads(line)["model"] in shared)
        )


def score_run(setup: Setup, plan: Plan) -> None:
    """From the journal to `scores.parquet`."""
    scenario, budget = setup.loaded.scenario, setup.loaded.config.budget
    with Journal(setup.folder.replies, read_only=True) as journal:
        rounds = rounds_asked(plan, setup.probes, scenario, budget, journal)
        labels = read_labels(setup.folder.labels, setup.probes)
        score(plan, rounds.all, journal, setup.folder.scores, labels)


def judge_run(setup: Setup, plan: Plan) -> Findings:
    """From `scores.parquet` to `findings.json`."""
    scores = read_scores(setup.folder.scores)
    config = setup.loaded.config
    result = judge(plan, setup.loaded.scenario, config.budget, setup.probes, scores)
    with Journal(setup.folder.replies, read_only=True) as journal:
        findings = with_examples(result.findings, plan, setup.probes, scores, journal)
    findings = with_generalisation(findings, plan, scores)
    result = result.model_copy(update={"findings": findings})
    write_part(setup.folder.findings, result)
    return result


def state_run(setup: Setup, plan: Plan) -> Statement:
    """From `findings.json` to `statement.json`, `.html` and `.md`."""
    findings = read_part(setup.folder.findings, Findings)
    statement = compose(
        setup.loaded.config,
        setup.loaded.scenario,
        plan,
        findings,
        read_scores(setup.folder.scores),
        ledger=read_ledger(setup.folder),
    )
    write_all(statement, setup.folder.path)
    return statement


def keep_ledger(setup: Setup) -> None:
    """Copy the ledger of a student made by `ullage distill` into the run folder."""
    student = setup.loaded.config.arms.student
    if student.scheme != "hf" or setup.folder.ledger.exists():
        return
    source = setup.loaded.resolve(student.locator) / "distillation.json"
    if source.is_file():
        write_whole(setup.folder.ledger, source.read_bytes())


# --------------------------------------------------------------------------------------- the whole


async def run_audit(
    setup: Setup,
    *,
    begin: Step = Step.COLLECT,
    on_plan: Callable[[Plan], None] | None = None,
    on_tick: OnTick | None = None,
    on_step: Callable[[Step], None] | None = None,
) -> Statement:
    """The audit, whole or from a step on; finishes what an earlier, interrupted one began."""
    say = on_step or (lambda _: None)
    steps = list(Step)[list(Step).index(begin) :]
    with setup.folder.locked():
        if Step.COLLECT in steps:
            models = await open_arms(setup.loaded)
            keep_ledger(setup)
            plan = freeze(setup.folder, setup.loaded, plan_audit(setup, models))
            if on_plan:
                on_plan(plan)
            say(Step.COLLECT)
            with Journal(setup.folder.replies) as journal:
                await collect(setup, plan, models, journal, on_tick=on_tick)
        else:
            sources = {name: probe.source for name, probe in setup.probes.items()}
            plan = begun_plan(setup.folder, setup.loaded, sources)
        if Step.SCORE in steps:
            say(Step.SCORE)
            score_run(setup, plan)
        if Step.JUDGE in steps:
            say(Step.JUDGE)
            judge_run(setup, plan)
        say(Step.STATE)
        return state_run(setup, plan)
