"""What a person, or a machine with ``--json``, sees while an audit runs.

Progress goes to standard error; results go to standard output.
"""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from ullage.collect.scheduler import Tick
from ullage.plan import Plan

if TYPE_CHECKING:
    from ullage.distill.result import Progress


class Reporter(Protocol):
    """Where the steps of a run report to."""

    def plan(self, plan: Plan) -> None:
        """The audit is planned."""

    def step(self, name: str) -> None:
        """A step begins."""

    def tick(self, tick: Tick) -> None:
        """Some replies came in."""

    def distil(self, progress: Progress, student: str = "") -> None:
        """Distillation made a step forward; of several students, one's."""

    def tried(self, probe: str, passed: bool | None, of: int) -> None:
        """A probe's self-test begins (None) or ends."""

    def __enter__(self) -> Reporter: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class JsonReporter:
    """One JSON object a line on standard error."""

    def _say(self, **event: object) -> None:
        print(json.dumps(event), file=sys.stderr, flush=True)  # noqa: T201

    def plan(self, plan: Plan) -> None:
        """Say what will be asked."""
        items = {name: share.items for name, share in plan.probes.items()}
        self._say(event="plan", items=items, joint_power=plan.joint_power)

    def step(self, name: str) -> None:
        """Say which step begins."""
        self._say(event="step", step=name)

    def tick(self, tick: Tick) -> None:
        """Say how far an arm is."""
        self._say(
            event="collect",
            arm=tick.role,
            done=tick.done,
            total=tick.total,
            asked=tick.asked,
            failed=tick.failed,
            tokens=tick.tokens,
            money=round(tick.money, 6),
        )

    def distil(self, progress: Progress, student: str = "") -> None:
        """Say how far distillation is."""
        self._say(
            event="distil",
            **({"student": student} if student else {}),
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            tokens_per_second=progress.tokens_per_second,
            seconds_left=progress.seconds_left,
            **progress.terms,
        )

    def tried(self, probe: str, passed: bool | None, of: int) -> None:
        """Say which probe is done, and how."""
        if passed is not None:
            self._say(event="selftest", probe=probe, passed=passed)

    def __enter__(self) -> JsonReporter:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class TerminalReporter:
    """A bar per arm with rate, tokens, price and time left; plain lines where there is no terminal.

    Args:
        console: where to write.
        currency: of prices, for the eye.
    """

    _QUIET_SECONDS = 15.0

    def __init__(self, console: Console, currency: str = "") -> None:
        self._console = console
        self._currency = currency
        self._bars = Bars(
            TextColumn("  {task.description:<14}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._spoke = 0.0
        self._trying: dict[str, None] = {}
        self._tried = 0

    def plan(self, plan: Plan) -> None:
        """Say in one line what will be asked."""
        items = sum(share.items for share in plan.probes.values())
        tokens = sum(arm.tokens for arm in plan.arms.values())
        self._console.print(
            f"  {items:,} items of {len(plan.probes)} probes, {len(plan.arms)} arms, "
            f"at most {tokens:,} tokens"
        )

    def step(self, name: str) -> None:
        """Say which step begins."""
        self._console.print(f"[bold]{name}[/bold]")

    def tick(self, tick: Tick) -> None:
        """Move the arm's bar."""
        now = time.monotonic()
        since, tokens = self._started.setdefault(tick.role, (now, tick.tokens))
        rate = (tick.tokens - tokens) / (now - since) if now > since else 0.0
        detail = f"{rate:,.0f} tok/s  {tick.tokens:,} tok"
        if tick.money:
            detail += f"  {tick.money:,.4f} {self._currency}"
        if tick.failed:
            detail += f"  [red]{tick.failed} failed[/red]"
        self._show(tick.role, tick.done, tick.total, detail)

    def distil(self, progress: Progress, student: str = "") -> None:
        """Move the bar of a stage of distillation."""
        parts = [f"{name} {value:,.4g}" for name, value in progress.terms.items()]
        if progress.tokens_per_second:
            parts.append(f"{progress.tokens_per_second:,.0f} tok/s")
        name = f"{student} {progress.stage}".strip()
        self._show(name, progress.done, progress.total, "  ".join(parts))

    def tried(self, probe: str, passed: bool | None, of: int) -> None:
        """Move the bar of all probes."""
        if passed is None:
            self._trying[probe] = None
        else:
            self._trying.pop(probe, None)  # of a kept result nobody said that it begins
            self._tried += 1
            if not passed:
                self._console.print(f"  [red]{probe} failed[/red]")
        self._show("self-test", self._tried, of, ", ".join(self._trying))

    def _show(self, name: str, done: int, total: int, detail: str) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, detail="")
        self._bars.update(self._tasks[name], completed=done, total=total, detail=detail)
        now = time.monotonic()
        finished = done == total
        if not self._console.is_terminal and (finished or now - self._spoke > self._QUIET_SECONDS):
            self._spoke = now
            self._console.print(f"  {name}: {done}/{total}  {detail}")

    def __enter__(self) -> TerminalReporter:
        self._bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.__exit__(kind, error, trace)
