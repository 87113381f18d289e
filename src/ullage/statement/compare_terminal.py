"""Two statements side by side in a terminal: each target's two verdicts, and what changed."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ullage.statement import words
from ullage.statement.compare import Change, Comparison, Judged, Lapse, TargetChange
from ullage.statement.sanitise import terminal as safe
from ullage.statement.terminal import print_page

_WIDE = 140
"""Columns from which a target fits one line."""
_STYLES = {
    Change.NEWLY_LOST: "bold red",
    Change.WORSE: "yellow",
    Change.UNKNOWN: "bold blue",
    Change.REPAIRED: "green",
    Change.BETTER: "green",
    Change.UNCHANGED: "dim",
}


def render(comparison: Comparison, console: Console) -> None:
    """Print the comparison.

    Args:
        comparison: what to print.
        console: decides width, colour and encoding.
    """
    print_page(Group(*_page(comparison, console.width)), console)


def _page(comparison: Comparison, width: int) -> Iterator[RenderableType]:
    first, second = safe(comparison.first.label), safe(comparison.second.label)
    yield Text.assemble(("Two students of one teacher", "bold"), f"  {first} → {second}")
    yield Text()
    for line in comparison.summary:
        yield Text(safe(line), style="bold")
    yield Text()
    yield (_one_line if width >= _WIDE else _stacked)(comparison, first, second)
    yield Text()
    yield Text(
        "Loss [95 % interval], positive is worse. Difference: the second's loss less the first's, "
        "and what it rests on.",
        style="dim",
    )
    for line in comparison.differences:
        yield Text(f"Note: {safe(line)}.", style="dim")


def _one_line(comparison: Comparison, first: str, second: str) -> Table:
    table = _grid(15, None, 14, 24, 14, 24)
    table.expand = True
    heads = ("", "", first, "", second, "")
    table.add_row(*(Text(head, style="bold", overflow="ellipsis", no_wrap=True) for head in heads))
    for target in comparison.targets:
        about = Group(_id(target), *_beside(target))
        table.add_row(_change(target), about, *_said(target.first), *_said(target.second))
    return table


def _stacked(comparison: Comparison, first: str, second: str) -> Table:
    table = _grid(15, None)
    for target in comparison.targets:
        sides = _grid(16, 14, None)
        for label, judged in ((first, target.first), (second, target.second)):
            sides.add_row(Text(label, overflow="ellipsis", no_wrap=True), *_said(judged))
        table.add_row(_change(target), Group(_id(target), sides, *_beside(target)))
    return table


def _grid(*widths: int | None) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for width in widths:
        table.add_column(width=width, overflow="fold", ratio=None if width else 1)
    return table


def _change(target: TargetChange) -> Text:
    return Text(str(target.change), style=_STYLES.get(target.change, ""))


def _id(target: TargetChange) -> Text:
    return Text.assemble(safe(target.target), (", headline" * target.headline, "dim"))


def _beside(target: TargetChange) -> Iterator[Text]:
    """The difference of the two losses, and what becomes of a consent."""
    if (difference := target.difference) is not None:
        digits = max(
            words.decimals(side.loss, side.margin)
            for side in (target.first, target.second)
            if side is not None
        )
        low, high = (words.number(e, digits, sign=True) for e in (difference.low, difference.high))
        middle = words.number(difference.estimate, digits, sign=True)
        shown = f"shown {difference.shown}" if difference.shown else "no difference shown"
        yield Text(f"difference {middle} [{low}, {high}], {shown} ({difference.pairing})")
    if target.consent is not None:
        lapses = target.consent == Lapse.LAPSES
        yield Text(f"consent {target.consent}", style="bold red" if lapses else "dim")


def _said(judged: Judged | None) -> tuple[Text, Text]:
    """The verdict, and the loss behind it."""
    if judged is None:
        return Text("not judged", style="dim"), Text()
    word = words.VERDICTS[judged.verdict]
    verdict = Text(f"{word.symbol} {word.label}", style=word.style)
    if judged.loss is None:
        return verdict, Text("no number", style="dim")
    digits = words.decimals(judged.loss, judged.margin)
    return verdict, Text(words.interval(judged.loss, digits))
