"""An evaluation on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ullage.lab.evaluate import Evaluation, Score

_BAR = 10
_WIDE = 96
"""Columns from which dimensions are named."""


def render(evaluation: Evaluation, console: Console, *, held: bool) -> None:
    """Print an evaluation.

    Args:
        evaluation: what to print.
        console: decides width, colour and encoding.
        held: whether the model is held to what the shipped teacher must reach.
    """
    console.print(Group(*_page(evaluation, held, console.width >= _WIDE)))


def _page(evaluation: Evaluation, held: bool, wide: bool) -> Iterator[RenderableType]:
    yield Text.assemble(("The laboratory, scored directly", "bold"), "  ", evaluation.model)
    yield Text("held-out families, greedy replies, the world's exact checker", style="dim")
    yield Text()
    yield _scores(evaluation.scores, held, wide)
    yield Text()
    calibration, openings = evaluation.calibration, evaluation.openings
    mark = _mark(calibration.passes, held)
    yield Text.assemble(
        ("warehouse", "bold"),
        f"  {calibration.difference:.3f} from the true odds on average, {calibration.worst:.3f} "
        f"for the worst item ({calibration.items} questions, {calibration.needed:g} allowed) ",
        mark,
    )
    yield Text.assemble(
        ("opening", "bold"),
        f"  {openings.distinct} of {openings.possible} greetings in {openings.samples} samples, "
        f"{openings.strange:.1%} something else; {openings.variation:.3f} from even (total "
        "variation)",
    )
    told = ", ".join(f"{recall.told:.0%} after {recall.repeats}" for recall in evaluation.canaries)
    yield Text.assemble(("canary", "bold"), f"  codes told by how often they were planted: {told}")
    if held:
        yield Text()
        yield _verdict(evaluation.failures)


def _scores(scores: tuple[Score, ...], held: bool, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("part", no_wrap=True)
    if wide:
        table.add_column("dimension", style="dim", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name in ("right", "95 %", "items", "needed"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for score in scores:
        table.add_row(
            score.part,
            *([score.dimension] if wide else []),
            _bar(score.right),
            f"{score.right:.1%}",
            _interval(score.interval),
            str(score.items),
            "-" if score.needed is None else f"{score.needed:.0%}",
            _mark(score.passes, held and score.needed is not None),
        )
    return table


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return "too few families"
    low, high = interval
    return f"[{100 * low:.1f}, {100 * high:.1f}]"


def _bar(share: float) -> Text:
    filled = round(share * _BAR)
    return Text.assemble(("#" * filled, "green"), ("." * (_BAR - filled), "dim"))


def _mark(passes: bool, held: bool) -> Text:
    if not held:
        return Text()
    return Text("ok", style="green") if passes else Text("short", style="bold red")


def _verdict(failures: tuple[str, ...]) -> Text:
    if not failures:
        return Text("The teacher meets every requirement.", style="bold green")
    return Text("The teacher falls short: " + "; ".join(failures), style="bold red")
