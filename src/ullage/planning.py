"""`ullage plan`: the plan on its own, with a pilot if wanted, and how it is shown."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from ullage.audit import open_arms, plan_audit, set_up
from ullage.collect.scheduler import OnTick
from ullage.config import Loaded
from ullage.pilot import pilot_audit
from ullage.plan import Plan
from ullage.run_folder import freeze
from ullage.state import items_rule


async def plan_only(
    loaded: Loaded, *, run: str | None, pilot: int | None, on_tick: OnTick | None = None
) -> Plan:
    """The plan of an audit; nothing is asked or written unless a pilot is wanted.

    A pilot's replies and the plan made from it are kept in the run folder, and the audit goes on
    from there.
    """
    setup = set_up(loaded, run)
    models = await open_arms(loaded)
    if pilot is None:
        return plan_audit(setup, models)
    with setup.folder.locked():
        freeze(setup.folder, loaded, plan_audit(setup, models))
        measured = await pilot_audit(setup, models, pilot, on_tick=on_tick)
        return freeze(setup.folder, loaded, plan_audit(setup, models, pilot=measured))


def show_plan(plan: Plan, loaded: Loaded, console: Console) -> None:
    """The plan as tables: what each target gets, and what each arm costs."""
    console.print(items_rule(loaded.config.planning), highlight=False)
    targets = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("target", "margin", "items", "wanted", "power"):
        targets.add_column(name, justify="left" if name == "target" else "right")
    for target in loaded.scenario.targets:
        planned = plan.targets.get(target.id)
        if planned is None:
            targets.add_row(target.id, f"{target.margin:g}", "-", "-", "unmeasured")
        else:
            mark = " (pilot)" if planned.piloted else ""
            targets.add_row(
                target.id,
                f"{target.margin:g}",
                f"{planned.items:,}",
                f"{planned.items_wanted:,}",
                f"{planned.power:.0%}{mark}",
            )
    console.print(targets)
    for name, why in plan.unmeasured.items():
        console.print(f"unmeasured: {name}: {why}", markup=False)
    if plan.joint_power is not None:
        console.print(
            f"all preserved, if nothing was lost: {plan.joint_power:.0%} if targets are "
            f"independent, at least {plan.joint_power_bound:.0%} however they depend on each other"
        )
    arms = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("arm", "requests", "tokens at most", "price at most"):
        arms.add_column(name, justify="left" if name == "arm" else "right")
    for role, arm in plan.arms.items():
        money = "no price" if arm.money is None else f"{arm.money:,.4f}"
        arms.add_row(role, f"{arm.requests:,}", f"{arm.tokens:,}", money)
    console.print(arms)
