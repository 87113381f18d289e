"""Operating characteristics of the whole auditor, on simulated arms with declared losses.

Four questions, each answered by whole audits (plan, collect, score, judge, state):

1. teacher against itself: in how many audits is anything `lost`?            at most 5 %
2. a loss of 2δ at the planned n: how often `lost` or `degraded`?            at least 95 %
3. no loss at the planned n: how often `preserved`?                          the planned power
4. a loss of exactly δ at a tenth of the planned n: how often `preserved`?   at most 2.5 %

    python bench/operating.py [--audits 400] [--quick]

Audits plan for themselves, told the flip rate that the arms really have (what a pilot finds).
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROBES = {
    # probe, metric: the behaviour that a loss on it is planted in
    ("agreement", "accuracy"): "accuracy",
    ("abstention", "abstains"): "abstain",
    ("clarification", "asks"): "clarify",
    ("grounding-present", "grounded"): "accuracy",
}
MARGIN = 0.1
TEACHER = 0.85
NOISE = 0.2
"""Share of items drawn afresh, which sets the flip rate."""


@dataclass(frozen=True)
class Case:
    """One condition: what the student lost, and at what share of the planned items."""

    name: str
    loss: float
    share: float


CASES = (
    Case("nothing lost, planned n", 0.0, 1.0),
    Case("2δ lost, planned n", 2 * MARGIN, 1.0),
    Case("δ lost, a tenth of n", MARGIN, 0.1),
)


def flip_rate() -> float:
    """Share of items on which two arms of equal behaviour differ."""
    from ullage.config.models import Behaviour
    from ullage.models.simulated import flip_rate

    arm = Behaviour(accuracy=TEACHER, noise=NOISE, over_abstain=0, over_clarify=0, over_refuse=0)
    return flip_rate(arm, arm)


def planned() -> dict[str, tuple[int, float]]:
    """Items and power of every target, as `ullage plan` has them at the arms' real flip rate."""
    from ullage.config import load
    from ullage.planning import plan_only

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_audit(folder, CASES[0], 0, "")
        plan = asyncio.run(plan_only(load(folder / "ullage.yaml"), run=None, pilot=None))
    return {target: (made.items, made.power) for target, made in plan.targets.items()}


def write_audit(folder: Path, case: Case, seed: int, items: str) -> None:
    """The configuration and scenario of one simulated audit."""
    behaviours = sorted(set(PROBES.values()))
    teacher = ", ".join(f"{name}: {TEACHER}" for name in behaviours)
    student = ", ".join(f"{name}: {TEACHER - case.loss}" for name in behaviours)
    rest = f"noise: {NOISE}, over_abstain: 0, over_clarify: 0, over_refuse: 0"
    targets = "\n".join(
        f"  - {{probe: {probe}, metric: {metric}, margin: {MARGIN}, severity: must, "
        "reason: A simulated loss of known size.}"
        for probe, metric in PROBES
    )
    (folder / "scenario.yaml").write_text(
        f"name: operating\ntitle: Operating\nuse: Simulation.\ntargets:\n{targets}\n"
    )
    (folder / "ullage.yaml").write_text(
        f"""
scenario: scenario.yaml
seed: {seed}
arms:
  teacher:
    model: "simulated:teacher"
    simulated: {{seed: {2 * seed}, world: {seed}, default: {{{teacher}, {rest}}}}}
  student:
    model: "simulated:student"
    simulated: {{seed: {2 * seed + 1}, world: {seed}, default: {{{student}, {rest}}}}}
  teacher_again: {{enabled: false}}
planning: {{flip_rate: {flip_rate()}, intraclass_correlation: 0{items}}}
"""
    )


def one_audit(case: Case, seed: int, items: int | None) -> dict[str, tuple[str, float, float, int]]:
    """Verdict, estimate, upper bound and items of every target in one simulated audit."""
    from ullage.audit import run_audit, set_up
    from ullage.config import load

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_audit(folder, case, seed, f", items: {items}" if items else "")
        statement = asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
    return {
        finding.id: (
            str(finding.verdict),
            math.nan if finding.loss is None else finding.loss.estimate,
            math.nan if finding.loss is None else finding.loss.high,
            0 if finding.loss is None else finding.loss.items,
        )
        for finding in statement.findings
    }


def _task(job: tuple[Case, int, int | None]) -> dict[str, tuple[str, float, float, int]]:
    return one_audit(*job)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="40 audits a condition")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    audits = 40 if options.quick else options.audits
    plan = planned()
    fewest = min(wanted for wanted, _ in plan.values())
    print(
        f"{platform.machine()} {platform.system()}, {audits} audits a condition, "
        f"{len(PROBES)} targets, margin {MARGIN}, flip rate {flip_rate():.3f}"
    )
    for target, (wanted, power) in plan.items():
        print(f"  {target:<28} planned n {wanted}, power {power:.1%}")
    began = time.perf_counter()
    passed = True
    with ProcessPoolExecutor(options.jobs) as pool:
        for case in CASES:
            # None lets the audit plan for itself, as it does by default.
            items = None if case.share == 1 else round(fewest * case.share)
            jobs = [(case, seed, items) for seed in range(audits)]
            passed &= report(case, list(pool.map(_task, jobs, chunksize=4)), plan)
    print(f"{time.perf_counter() - began:.0f} s")
    sys.exit(0 if passed else 1)


def report(
    case: Case,
    results: list[dict[str, tuple[str, float, float, int]]],
    plan: dict[str, tuple[int, float]],
) -> bool:
    """Print one condition's rates per target; whether every bar is met.

    A rate is held to its bar within two standard errors of simulation.
    """
    print(f"\n{case.name}")
    passed = True
    for target in results[0]:
        seen = [result[target] for result in results]
        counts = Counter(verdict for verdict, *_ in seen)
        bias = sum(estimate for _, estimate, *_ in seen) / len(seen) - case.loss
        shares = ", ".join(
            f"{name} {count / len(seen):.1%}" for name, count in counts.most_common()
        )
        print(f"  {target:<28} bias {bias:+.4f}   {shares}")
        unshown = sum(v == "preserved" and not high < MARGIN for v, _, high, _ in seen)
        passed &= unshown == 0
        if case.loss == 0:
            passed &= at_least(counts["preserved"], len(seen), plan[target][1])
        elif case.share == 1:
            passed &= at_least(counts["lost"] + counts["degraded"], len(seen), 0.95)
        else:
            passed &= at_most(counts["preserved"], len(seen), 0.025)
    if case.loss == 0:
        any_lost = sum(any(v[0] == "lost" for v in result.values()) for result in results)
        print(f"  audits with any `lost`: {any_lost / len(results):.1%}")
        passed &= at_most(any_lost, len(results), 0.05)
    return passed


def at_least(count: int, of: int, share: float) -> bool:
    """Whether a rate reaches a bar, within two standard errors."""
    return count / of >= share - 2 * math.sqrt(share * (1 - share) / of)


def at_most(count: int, of: int, share: float) -> bool:
    """Whether a rate stays under a bar, within two standard errors."""
    return count / of <= share + 2 * math.sqrt(share * (1 - share) / of)


if __name__ == "__main__":
    main()
