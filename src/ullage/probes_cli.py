"""`ullage probes` and `ullage probe`: what can be measured, and a look at one measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ullage.cli_common import Json, open_console, print_json

if TYPE_CHECKING:
    from ullage.config import Loaded
    from ullage.looking import Entry, Seen
    from ullage.probes.protocol import Probe

_CONFIG = Path("ullage.yaml")
_LONGEST = 2_000


def probes(json_: Json = False) -> None:
    """List the probes: what they measure, what they need, and what they cost."""
    from ullage.looking import entry
    from ullage.probes.registry import all_probes, broken_probes

    entries = [entry(probe) for probe in all_probes().values()]
    for why in broken_probes().values():
        typer.echo(f"ullage: {why}", err=True)
    if json_:
        print_json([one.as_json() for one in entries])
    else:
        _show_entries(entries)


def probe(
    name: Annotated[str, typer.Argument(help="A probe, or a task of the configuration.")],
    arm: Annotated[
        str | None,
        typer.Option("--arm", metavar="ROLE", help="Ask this arm, and show replies and scores."),
    ] = None,
    show: Annotated[int, typer.Option("--show", min=1, metavar="N", help="How many items.")] = 3,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Other items.  [default: the configuration's, or 0]"),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Whose arms, tasks and own items.  [default: ullage.yaml, with --arm]",
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Show some items of a probe and, with an arm, what it replies and scores."""
    import asyncio
    from itertools import islice

    from ullage.config import load
    from ullage.looking import Seen, look
    from ullage.probes.registry import configured, get_probe

    loaded = load(config or _CONFIG) if config or arm else None
    found = configured(name, loaded.config, loaded.root) if loaded else get_probe(name)
    seed = _seed(loaded) if seed is None else seed
    items = list(islice(found.items(seed), show))
    if loaded and arm:
        seen = asyncio.run(look(loaded, found, items, arm))
    else:
        seen = [Seen(item) for item in items]
    if json_:
        print_json(
            {
                "probe": found.name,
                "dimension": str(found.dimension),
                "source": found.source,
                "seed": seed,
                "arm": arm,
                "items": [_as_json(one) for one in seen],
            }
        )
    else:
        _show_items(found, seen, arm)


def _seed(loaded: Loaded | None) -> int:
    return loaded.config.seed if loaded else 0


def _as_json(seen: Seen) -> dict[str, Any]:
    item = seen.item
    found: dict[str, Any] = {
        "id": item.id,
        "family": item.family,
        "expects": item.expects,
        "messages": [[message.role, message.content] for message in item.messages],
        "answer": item.answer,
        "wrong": item.wrong,
        "choices": list(item.choices),
        "ways": list(item.ways),
        "data": dict(item.data),
    }
    if seen.outcome is not None:
        found["turns"] = [[turn.role, turn.content] for turn in seen.turns]
        found["scores"] = dict(seen.outcome.values)
        found["error"] = seen.outcome.error
    return found


# ------------------------------------------------------------------------------------ for a person


def _show_entries(entries: Sequence[Entry]) -> None:
    """Every probe, by dimension."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = open_console(stderr=False)
    for dimension in dict.fromkeys(one.probe.dimension for one in entries):
        console.print(Text(f"\n{dimension}", style="bold"))
        for one in entries:
            if one.probe.dimension != dimension:
                continue
            needs = ", ".join([*sorted(one.probe.access), *sorted(one.probe.others)])
            cost = (
                f"needs {needs}; {one.prompts:.2g} {'prompt' if one.prompts == 1 else 'prompts'} "
                f"an item, about {one.prompts * one.items:,.0f} in a standard audit"
            )
            head = Text.assemble("  ", (_safe(one.probe.name), "bold cyan"), f"  {cost}")
            console.print(head, soft_wrap=True)
            for text in (one.about, one.needs):
                if text:
                    console.print(Padding(Text(_safe(text)), (0, 0, 0, 4)))
            metrics = Table.grid(padding=(0, 2, 0, 0))
            for metric in one.probe.metrics:
                metrics.add_row(Text(_safe(metric.name)), Text(_safe(metric.summary), style="dim"))
            console.print(Padding(metrics, (0, 0, 0, 4)))


def _show_items(probe: Probe, seen: Sequence[Seen], arm: str | None) -> None:
    """Items one under the other: what is asked, what would be right, what was said and scored."""
    import json

    from rich.text import Text

    from ullage.looking import needs_items

    console = open_console(stderr=False)
    if needs := needs_items(probe):
        console.print(Text(f"These are to look at; an audit does not ask them: {_safe(needs)}"))
    for one in seen:
        item = one.item
        console.print(Text.assemble("\n", (_safe(item.id), "bold"), f"  {_safe(item.family)}"))
        for message in item.messages:
            _say(message.role, message.content)
        for turn in one.turns:
            _say(arm if arm and turn.role == "assistant" else turn.role, turn.content)
        _say(f"expects {item.expects}", item.answer)
        for what, text in (
            ("or", "\n".join(item.ways)),
            ("wrong", item.wrong),
            ("choices", "\n".join(item.choices)),
            ("more", json.dumps(item.data, ensure_ascii=False) if item.data and not arm else ""),
        ):
            if text:
                _say(what, text)
        if one.outcome is not None and one.outcome.error is not None:
            _say("no score", one.outcome.error)
        elif one.outcome is not None:
            values = one.outcome.values.items()
            _say("scores", ", ".join(f"{name} {value:g}" for name, value in values))


def _say(who: str, text: str) -> None:
    """One labelled text, its lines in line."""
    from rich.table import Table
    from rich.text import Text

    row = Table.grid(padding=(0, 2, 0, 0))
    row.add_column(width=16, overflow="fold")
    row.add_column(overflow="fold")
    row.add_row(Text(_safe(who), style="dim"), Text(_safe(text, lines=True)))
    open_console(stderr=False).print(row)


def _safe(text: str, *, lines: bool = False) -> str:
    from ullage.statement.sanitise import terminal

    return terminal(text, limit=_LONGEST, lines=lines)
