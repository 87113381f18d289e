"""The picture of several students against what they cost, as one page without script."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, floor, log10

from markupsafe import Markup

from ullage.statement import words
from ullage.statement.frontier import Cost, Entry, Frontier
from ullage.statement.html import style, template
from ullage.statement.plots import (
    LEFT,
    PICTURE_WIDTH,
    SIDE,
    TOP,
    arm_shape,
    labels,
    picture,
    tag,
)

_BOTTOM = TOP + SIDE
_LABEL = 16
"""Characters of a label in the picture; the table has all."""
_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def to_html(frontier: Frontier) -> str:
    """The page; the same argument gives the same page."""
    css, policy = style()
    return template("frontier.html.j2").render(
        f=frontier,
        css=css,
        policy=policy,
        plot=plot(frontier),
        cost_name=cost_name(frontier),
        cost_of=lambda entry: cost_of(frontier, entry),
        words=words,
    )


def cost_name(frontier: Frontier) -> str:
    """What the costs are, with their unit."""
    match frontier.cost:
        case Cost.WEIGHTS:
            return "size of the weights, bytes"
        case Cost.TOKENS:
            return "tokens written for a reply"
        case Cost.MONEY:
            return f"{frontier.currency} for 1,000 replies"


def cost_of(frontier: Frontier, entry: Entry) -> str:
    """An entry's cost as it is said."""
    if entry.cost is None:
        return "not known"
    if frontier.cost == Cost.WEIGHTS:
        return f"{short(entry.cost)}B"
    return f"{entry.cost:,.2f}" if entry.cost < 100 else f"{entry.cost:,.0f}"


def short(value: float) -> str:
    """Three digits and a prefix: 269M, 1.06G."""
    for unit, prefix in _PREFIXES:
        if value >= unit:
            return f"{value / unit:.3g}{prefix}"
    return f"{value:.3g}"


def plot(frontier: Frontier) -> Markup:
    """Cost (x, logarithmic) against capability kept (y); the frontier is a line."""
    placed = [
        (entry, entry.cost, entry.capability)
        for entry in frontier.entries
        if entry.cost is not None and entry.cost > 0 and entry.capability is not None
    ]
    low, high = _decades(cost for _, cost, _ in placed)
    where = {
        entry.label: (
            LEFT + SIDE * (log10(cost) - low) / (high - low),
            TOP + SIDE * (1 - capability),
        )
        for entry, cost, capability in placed
    }
    parts = [tag("rect", x=LEFT, y=TOP, width=SIDE, height=SIDE, class_="frame")]
    for step in range(5):
        y = TOP + SIDE * step / 4
        if 0 < step < 4:
            parts.append(tag("path", d=f"M{LEFT} {y:g}H{LEFT + SIDE}", class_="grid"))
        parts.append(
            tag("text", f"{100 - 25 * step}", x=LEFT - 6, y=y + 4, class_="t", text_anchor="end")
        )
    every = max(1, ceil((high - low) / 5))
    for decade in range(low, high + 1, every):
        x = LEFT + SIDE * (decade - low) / (high - low)
        parts.append(
            tag("text", short(10.0**decade), x=x, y=_BOTTOM + 14, class_="t", text_anchor="middle")
        )
    parts += [
        tag("text", f"{cost_name(frontier)} →", x=LEFT + SIDE, y=_BOTTOM + 32, class_="t name",
            text_anchor="end"),
        tag("text", "capability kept, % →", class_="t name", text_anchor="end",
            transform=f"translate(11 {TOP}) rotate(-90)"),
    ]  # fmt: skip
    best = [where[entry.label] for entry, _, _ in placed if entry.on_frontier]
    if len(best) > 1:
        steps = "".join(f"H{x:.2f}V{y:.2f}" for x, y in best[1:])
        parts.append(tag("path", d=f"M{best[0][0]:.2f} {best[0][1]:.2f}{steps}", class_="journey"))
    for entry, _, _ in placed:
        kind = "teacher" if entry.label == "teacher" else "student" if entry.on_frontier else "base"
        parts.append(arm_shape(kind, *where[entry.label]))
    parts += labels([(_brief(label), x, y) for label, (x, y) in where.items()])
    told = "; ".join(
        f"{entry.label}: {cost_of(frontier, entry)}, capability {words.percent(capability)}"
        for entry, _, capability in placed
    )
    return picture(
        "frontier", "Capability kept against cost", told, PICTURE_WIDTH, _BOTTOM + 40, *parts,
        kind="scatter",
    )  # fmt: skip


def _brief(label: str) -> str:
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"


def _decades(costs: Iterable[float]) -> tuple[int, int]:
    """Powers of ten that hold all costs, at least one apart."""
    known = [log10(cost) for cost in costs] or [0.0]
    low = floor(min(known))
    return low, max(low + 1, ceil(max(known)))
