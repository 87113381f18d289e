"""Chains and frontiers in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from ullage.statement import words
from ullage.statement.chain import JUDGED, Chain, ChainTarget, StepLoss, summary
from ullage.statement.frontier import Frontier
from ullage.statement.frontier_page import cost_name, cost_of
from ullage.statement.sanitise import terminal as safe
from ullage.statement.terminal import print_page


def render_chain(chain: Chain, console: Console) -> None:
    """Print what each step took."""
    print_page(Group(*_chain(chain)), console)


def render_frontier(frontier: Frontier, console: Console) -> None:
    """Print the models, the cheapest first."""
    print_page(Group(*_frontier(frontier)), console)


def _chain(chain: Chain) -> Iterator[RenderableType]:
    yield Text(" → ".join(safe(model) for model in chain.models), style="bold")
    yield Text()
    for line in summary(chain):
        yield Text(line, style="bold")
    yield Text()
    table = Table.grid(padding=(0, 2), pad_edge=False)
    for _ in range(len(chain.steps) + 2):
        table.add_column(overflow="fold")
    heads = ["", *(f"→ {safe(model)}" for model in chain.models[1:]), "whole"]
    table.add_row(*(Text(head, style="bold") for head in heads))
    for target in chain.targets:
        losses = (*target.steps, target.whole)
        told = (_loss(loss, target) for loss in losses)
        table.add_row(Text(f"{safe(target.target)}  δ {target.margin:g}"), *told)
    yield table
    yield Text()
    yield Text(
        "Loss [95 % interval] that each step took, positive is worse. + more is lost, "
        "× more than δ is; an asterisk: made of two intervals, wider than the truth.",
        style="dim",
    )


def _loss(loss: StepLoss | None, target: ChainTarget) -> Text:
    if loss is None:
        return Text("no number", style="dim")
    sign, style = "", ""
    if loss.low > target.margin:
        sign, style = "× ", "bold red"
    elif loss.low > 0:
        sign, style = "+ ", "yellow"
    mark = "*" if loss.basis not in (JUDGED, "same replies", "same items") else ""
    digits = max(2, words.decimals(None, target.margin))
    middle, low, high = (
        words.number(value, digits, sign=True) for value in (loss.estimate, loss.low, loss.high)
    )
    return Text(f"{sign}{middle} [{low}, {high}]{mark}", style=style)


def _frontier(frontier: Frontier) -> Iterator[RenderableType]:
    yield Text(f"Students against what they cost: {cost_name(frontier)}", style="bold")
    yield Text()
    table = Table.grid(padding=(0, 2), pad_edge=False)
    table.add_column(overflow="fold")
    for _ in range(5):
        table.add_column(justify="right", overflow="fold")
    table.add_column(overflow="fold")
    heads = ("", "cost", "performance", "kept", "lost", "not known", "")
    table.add_row(*(Text(head, style="bold") for head in heads))
    for entry in frontier.entries:
        shares = (
            "not measured" if share is None else words.percent(share)
            for share in (entry.performance, entry.capability)
        )
        counts = ("–" if count is None else str(count) for count in (entry.lost, entry.unknown))
        best = "on the frontier" if entry.on_frontier else ""
        table.add_row(safe(entry.label), cost_of(frontier, entry), *shares, *counts, best)
    yield table
    yield Text()
    yield Text(
        f"Kept: the mean share of the teacher's capability outside the headline, of "
        f"{frontier.targets} targets. It says which statement to read, and decides nothing.",
        style="dim",
    )
