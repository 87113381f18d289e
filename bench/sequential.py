"""Stopping early against a fixed number of items: how often each errs, and what it asks.

Audits of one target are simulated from the scores on, and judged as the engine judges them: after
every round of whole families by `settled`, and at the end by `judge`. The fixed audit judges all it
planned, once. Either is planned by `make_plan` for 80 % power if nothing was lost.

    python bench/sequential.py [--audits 2000] [--jobs N]

The bars: `lost` where nothing was lost, and `preserved` where δ was, in at most 2.5 % of audits
(within two standard errors of simulation); and where 4δ were lost, 40 % of the teacher's calls
saved.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np

from ullage.collect.arms import ArmView
from ullage.config.models import Arm, Arms, Budget, Config, Planning, Scenario, Target
from ullage.judge import judge, settled
from ullage.models.types import Access, user
from ullage.plan import Plan, make_plan
from ullage.probes.protocol import Conversation, Dimension, FloatArray, Item, Metric, Probe
from ullage.rounds import rounds_of_items
from ullage.scores import IntArray, ProbeScores, Scores

MARGIN = 0.05
LOSSES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""In margins."""
GUESSED = 0.2
"""Share of items on which the arms are planned to differ."""
BUDGET = Budget()


@dataclass(frozen=True)
class Setting:
    """How items hang together, and how often the arms really differ."""

    name: str
    families: int | None
    """None: every item is one."""
    correlation: float
    """Of differences within a family."""
    flips: float


SETTINGS = (
    Setting("50 families, correlation 0.02, flips as planned", 50, 0.02, GUESSED),
    Setting("every item a family, flips as planned", None, 0.0, GUESSED),
    Setting("every item a family, a quarter of the flips planned", None, 0.0, GUESSED / 4.0),
)


class Questions(Probe):
    """Nothing but families: the scores are simulated."""

    name = "questions"
    dimension = Dimension.FIDELITY
    metrics = (Metric(name="right", summary="It answers fewer questions correctly."),)

    def __init__(self, families: int | None) -> None:
        self._families = families

    def items(self, seed: int) -> Iterator[Item]:
        """Families in turn."""
        index = 0
        while True:
            family = index if self._families is None else index % self._families
            yield Item(id=str(index), family=str(family), messages=(user("?"),))
            index += 1

    def converse(self, item: Item) -> Conversation:
        """Never stepped further than planning does."""
        yield from ()
        return {}


@cache
def planned(setting: Setting, early: bool) -> tuple[Plan, Scenario, Questions, IntArray]:
    """The plan that the engine makes, and the round of every item."""
    probe = Questions(setting.families)
    target = Target(probe=probe.name, metric="right", margin=MARGIN, reason="A simulated loss.")
    scenario = Scenario(name="early", title="Early", use="Simulation.", targets=(target,))
    arm = Arm(model="simulated:arm")
    config = Config(
        arms=Arms(teacher=arm, student=arm),
        planning=Planning(
            stop_early=early,
            flip_rate=GUESSED,
            intraclass_correlation=setting.correlation,
        ),
    )
    views = {
        role: ArmView(role=role, identity=role, access=frozenset(Access))
        for role in ("teacher", "student")
    }
    plan = make_plan(
        config, scenario, {probe.name: probe}, views, {role: {} for role in views}, config_digest=""
    )
    return plan, scenario, probe, rounds_of_items(probe, plan.probes[probe.name], 0)


def simulated(setting: Setting, loss: float, items: int, rng: np.random.Generator) -> ProbeScores:
    """Scores of both arms: families in turn, alike within by copying a shared difference."""
    family = np.arange(items) % (setting.families or items)
    rate = max(setting.flips, loss)
    chances = [1.0 - rate, (rate + loss) / 2.0, (rate - loss) / 2.0]
    shared = rng.choice([0.0, 1.0, -1.0], p=chances, size=int(family.max()) + 1)[family]
    own = rng.choice([0.0, 1.0, -1.0], p=chances, size=items)
    difference = np.where(rng.random(items) < math.sqrt(setting.correlation), shared, own)
    values = {
        ("teacher", "right"): np.where(difference < 0, 0.0, 1.0),
        ("student", "right"): np.where(difference > 0, 0.0, 1.0),
    }
    return _table(family, values)


def _table(family: IntArray, values: dict[tuple[str, str], FloatArray]) -> ProbeScores:
    count = len(family)
    return ProbeScores(
        items=[str(index) for index in range(count)],
        family_names=[],
        family=family,
        values=values,
        errors={role: np.zeros(count, dtype=bool) for role in ("teacher", "student")},
        reasons={role: Counter() for role in ("teacher", "student")},
    )


def one_audit(setting: Setting, loss: float, early: bool, seed: int) -> tuple[str, int]:
    """The verdict of an audit, and how many items it asked."""
    plan, scenario, probe, rounds = planned(setting, early)
    scores = simulated(setting, loss, len(rounds), np.random.default_rng(seed))
    for number in range(int(rounds.max()) + 1):
        asked = np.flatnonzero(rounds <= number)
        asked = asked[np.argsort(rounds[asked], kind="stable")]
        values = {key: column[asked] for key, column in scores.values.items()}
        # Families in the order of asking, as the score table has them.
        part = _table(scores.family[asked], values)
        is_last = len(asked) == len(rounds)
        if is_last or settled(scenario.targets, plan, BUDGET, probe, part, of=1):
            break
    found = judge(plan, scenario, BUDGET, {probe.name: probe}, Scores({probe.name: part}, {}, ""))
    return str(found.findings[0].verdict), len(asked)


def _task(job: tuple[Setting, float, bool, int]) -> tuple[str, int]:
    return one_audit(*job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    print(
        f"{platform.machine()} {platform.system()}, {options.audits} audits a row, "
        f"margin {MARGIN}, planned for flips on {GUESSED:.0%} of items"
    )
    began = time.perf_counter()
    passed = True
    with ProcessPoolExecutor(options.jobs) as pool:
        for setting in SETTINGS:
            passed &= report(setting, options.audits, pool)
    print(f"{time.perf_counter() - began:.0f} s")
    sys.exit(0 if passed else 1)


def report(setting: Setting, audits: int, pool: ProcessPoolExecutor) -> bool:
    """Print one setting's rates; whether every bar is met."""
    fixed = len(planned(setting, False)[3])
    print(
        f"\n{setting.name}: n {fixed:,} fixed, at most {len(planned(setting, True)[3]):,} in rounds"
    )
    print("  loss  how     lost   degraded  preserved  open   asked  calls saved")
    passed = True
    for size in LOSSES:
        for early in (False, True):
            jobs = [(setting, size * MARGIN, early, seed) for seed in range(audits)]
            results = list(pool.map(_task, jobs, chunksize=20))
            counts = Counter(verdict for verdict, _ in results)
            asked = sum(items for _, items in results) / audits
            saved = 1.0 - asked / fixed
            shares = [counts[name] / audits for name in ("lost", "degraded", "preserved")]
            print(
                f"  {size:3g}δ  {'rounds' if early else 'fixed ':6}  {shares[0]:5.1%}  "
                f"{shares[1]:7.1%}   {shares[2]:7.1%}  {1 - sum(shares):6.1%}  {asked:6.0f}  "
                f"{saved:6.0%}",
                flush=True,
            )
            if early:
                error = 0.025 + 2.0 * math.sqrt(0.025 * 0.975 / audits)
                passed &= not (size == 0.0 and shares[0] > error)
                passed &= not (size == 1.0 and shares[2] > error)
                passed &= not (size == 4.0 and saved < 0.4)
    return passed


if __name__ == "__main__":
    main()
