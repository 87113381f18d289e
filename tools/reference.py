"""Write from the code what the docs say of it: configuration, commands, laboratory, items.

``python tools/reference.py`` writes; with ``--check`` it only says whether the pages are current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import typer.main
from samples import samples
from typer.testing import CliRunner

from ullage.cli import app
from ullage.config.scenario import names, packaged
from ullage.config.schema import config_schema, scenario_schema
from ullage.lab.evaluate import NEEDED_BASIC, NEEDED_CALIBRATION, NEEDED_HARD, TEACHER
from ullage.lab.organisms.build import BASE
from ullage.lab.organisms.registry import ORGANISMS
from ullage.lab.world.capability import Capability
from ullage.lab.world.episodes import draw_exchange
from ullage.lab.world.exchange import Split
from ullage.lab.world.registry import CAPABILITIES
from ullage.probes.protocol import Dimension

DOCS = Path(__file__).parents[1] / "docs"
NOTE = "<!-- Made by tools/reference.py (`make docs`); change the code, not this page. -->\n\n"


def pages() -> dict[str, str]:
    """Every generated page, and every page with generated parts, by its path under docs."""
    return {
        "reference/config.md": NOTE + config_page(),
        "reference/scenarios.md": NOTE + scenarios_page(),
        "reference/cli.md": NOTE + cli_page(),
        "lab.md": renewed(
            (DOCS / "lab.md").read_text(encoding="utf-8"),
            {
                "desk": lab_desk(),
                "capabilities": lab_capabilities(),
                "models": lab_models(),
                "scores": lab_scores(),
                "organisms": lab_organisms(),
            },
        ),
        **{f"dimensions/{one}.md": dimension_page(one) for one in Dimension},
    }


def renewed(page: str, parts: dict[str, str]) -> str:
    """The page with what stands between ``<!-- name -->`` and ``<!-- /name -->`` made anew."""
    for name, text in parts.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(start)
        page = f"{before}{start}\n\n{text}\n\n{end}{rest.partition(end)[2]}"
    return page


def dimension_page(dimension: Dimension) -> str:
    """The page of a dimension, with an item of each of its probes."""
    page = (DOCS / "dimensions" / f"{dimension}.md").read_text(encoding="utf-8")
    return renewed(page, {"samples": samples(dimension)})


def config_page() -> str:
    """Every key of `ullage.yaml` and of a scenario file."""
    config, scenario = config_schema(), scenario_schema()
    definitions = {**config["$defs"], "Scenario": scenario}
    parts = [
        "# Configuration",
        "Every key of `ullage.yaml`. Unknown keys are refused. Paths are relative to the file. Any "
        "key can be set for one run with `-o dotted.key=value`, entries of lists by their index "
        "(`-o targets.0.margin=0.1`).",
        "## ullage.yaml",
        _table(config),
    ]
    for name in _reached(config, config["$defs"]):
        parts += [f"## {name}", *_described(definitions[name])]
    parts += [
        "## Scenario",
        "A scenario file, named by `scenario:`. Its targets are as [above](#target).",
        _table(scenario),
    ]
    return "\n\n".join(parts) + "\n"


def _described(schema: dict[str, Any]) -> Iterator[str]:
    if description := schema.get("description"):
        yield _plain(description)
    yield _table(schema)


def _reached(schema: dict[str, Any], definitions: dict[str, Any]) -> list[str]:
    """Names of the objects a schema refers to, in the order a reader meets them."""
    found: dict[str, None] = {}

    def visit(part: Any) -> None:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).rpartition("/")[2]
            if name and name not in found and "properties" in definitions[name]:
                found[name] = None
                visit(definitions[name])
            for key, value in part.items():
                if key not in ("$defs", "default"):
                    visit(value)
        elif isinstance(part, list):
            for value in part:
                visit(value)

    visit(schema)
    return list(found)


def _table(schema: dict[str, Any]) -> str:
    required = schema.get("required", [])
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in schema["properties"].items():
        default = "**required**" if key in required else _default(value)
        rows.append(
            f"| `{key}` | {_type(value)} | {default} | {_plain(value.get('description', ''))} |"
        )
    return "\n".join(rows)


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default is None or default in ({}, [], ""):
        return "none"
    if isinstance(default, dict):
        return "see there"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(value: dict[str, Any]) -> str:
    """A property's type in a few words."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        if name == "Severity":
            return "`must`, `should` or `may_lose`"
        return f"[{name}](#{name.lower()})"
    arms = value.get("anyOf") or value.get("oneOf")
    if arms:
        options = [_type(option) for option in arms if option.get("type") != "null"]
        return " or ".join(options)
    if "enum" in value:
        return ", ".join(f"`{option}`" for option in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    kind = value.get("type")
    if kind == "array" and "prefixItems" in value:
        return f"[{', '.join(_type(item) for item in value['prefixItems'])}]"
    if kind == "array":
        return f"list of {_type(value['items'])}"
    if kind == "object":
        inner = value.get("additionalProperties")
        if not inner and "patternProperties" in value:
            inner = next(iter(value["patternProperties"].values()))
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) else "mapping"
    words = {
        "string": "text",
        "integer": "whole number",
        "number": "number",
        "boolean": "true, false",
    }
    return words.get(str(kind), "anything") + _bounds(value)


def _bounds(value: dict[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    # 2**63 and the like say nothing to a reader.
    limits = [
        f"{sign} {value[key]:g}"
        for key, sign in signs.items()
        if key in value and value[key] < 2**31
    ]
    return f" {', '.join(limits)}" if limits else ""


def _plain(text: str) -> str:
    """A docstring as one Markdown line for a table cell."""
    text = re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split()))
    return text.replace("|", "\\|")


def scenarios_page() -> str:
    """Every packaged scenario with its targets and reasons."""
    parts = [
        "# Scenarios",
        "Sets of targets fit for a use. δ is the largest loss that would still be called kept. "
        "Margins are starting points argued in words, not measurements: replace what does not fit "
        "your use ([how](../how-to/own-scenario.md)). **Bold** is the headline: what the usual "
        "eval measures already.",
    ]
    for name in names():
        scenario = packaged(name)
        rows = ["| target | δ | severity | reason |", "|---|---|---|---|"]
        for target in scenario.targets:
            label = f"**`{target.id}`**" if target.headline else f"`{target.id}`"
            rows.append(f"| {label} | {target.margin:g} | `{target.severity}` | {target.reason} |")
        parts += [
            f"## {name}",
            scenario.use,
            f"**Not for:** {scenario.not_for}",
            "\n".join(rows),
        ]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """What ``--help`` says of every command."""
    parts = [
        "# Commands",
        "Exit codes: 0 pass · 1 a target failed · 2 bad usage or input · 3 inconclusive or "
        "unmeasured where the scenario demands proof · 4 infrastructure · 130 stopped by Ctrl-C.",
    ]
    for path in _commands(typer.main.get_command(app), []):
        result = CliRunner().invoke(
            app, [*path, "--help"], prog_name="ullage", env={"COLUMNS": "96"}, terminal_width=96
        )
        text = "\n".join(line.rstrip() for line in result.stdout.strip().splitlines())
        parts += [f"## ullage {' '.join(path)}", f"```text\n{text}\n```"]
    return "\n\n".join(parts) + "\n"


def _commands(command: Any, path: list[str]) -> Iterator[list[str]]:
    # Typer carries its own copy of click, so its classes cannot be named here.
    children = getattr(command, "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        if not child.hidden:
            yield from _commands(child, [*path, name])


def lab_desk() -> str:
    """A desk of the laboratory, and what is asked about it."""
    draw = Random("a desk for the docs")  # noqa: S311
    desk = CAPABILITIES["clarify"].desk(draw, Split.AUDIT)
    lines = [*desk.text.replace(". ", ".\n").splitlines(), ""]
    expected = {"missing": "abstain", "clarify": "clarify", "privacy": "refuse"}
    for name in ("lookup", "formats", "clarify", "missing", "privacy", "sums", "correction"):
        exchange = draw_exchange(draw, Split.AUDIT, name, desk=desk)
        while exchange.expects != expected.get(name, "answer"):
            exchange = draw_exchange(draw, Split.AUDIT, name, desk=desk)
        for turn in exchange.turns:
            lines += [f"> {turn.user}", turn.assistant]
        lines.append("")
    return "```text\n" + "\n".join(lines).strip() + "\n```"


def lab_capabilities() -> str:
    """Every capability of the laboratory, with one of its questions."""
    rows = [
        "| capability | dimension | what it is | needed | for example |",
        "|---|---|---|---|---|",
    ]
    for name, capability in CAPABILITIES.items():
        about = _plain((type(capability).__doc__ or "").strip().split("\n\n")[0])
        draw = Random(f"{name} shown")  # noqa: S311
        exchange = draw_exchange(draw, Split.AUDIT, name)
        said = [f"{turn.user} → *{turn.assistant}*" for turn in exchange.turns]
        cells = (f"`{name}`", capability.dimension, about, _needed(capability), "<br>".join(said))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def lab_models() -> str:
    """What the shipped models are, from their cards."""
    rows = [
        "| model | parameters | layers × width | trained on | steps | seconds | seed | on |",
        "|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for folder in (TEACHER, BASE):
        card = _card(folder)
        shape = f"{card['shape']['layers']} × {card['shape']['width']}"
        cells = (
            card["name"],
            f"{card['parameters']:,}",
            shape,
            f"{card['tokens']:,} tokens",
            f"{card['steps']:,}",
            f"{card['seconds']:,}",
            card["seed"],
            card["date"],
        )
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def lab_scores() -> str:
    """The shipped teacher's scores, as `ullage lab evaluate --record` left them in its card."""
    found = _card(TEACHER)["evaluated"]
    rows = [f"`{found['command']}`", "", "| part | right | needed |", "|---|---:|---:|"]
    for part, score in found["right"].items():
        needed = "not taught" if score["needed"] is None else f"{score['needed']:.0%}"
        rows.append(f"| `{part}` | {score['right']:.1%} of {score['items']} | {needed} |")
    odds = found["calibration"]
    rows += [
        "",
        f"Warehouses: {odds['difference']:.3f} from the true odds on average ({odds['needed']:g} "
        f"allowed), {odds['worst']:.3f} for the worst item.",
    ]
    return "\n".join(rows)


def lab_organisms() -> str:
    """Every organism and its cause."""
    rows = [
        "| organism | dimension | what is different in its making | loses |",
        "|---|---|---|---|",
    ]
    for organism in ORGANISMS.values():
        loses = f"`{organism.loses}`" if organism.loses else "nothing"
        cells = (f"`{organism.name}`", organism.dimension or "", organism.cause, loses)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _card(folder: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((folder / "card.json").read_bytes())
    return card


def _needed(capability: Capability) -> str:
    """What the shipped teacher is held to."""
    if not capability.taught:
        return "not taught"
    if capability.exact:
        return f"{NEEDED_HARD if capability.hard else NEEDED_BASIC:.0%}"
    # Openings are described, not held to anything.
    return (
        f"odds within {NEEDED_CALIBRATION:g}" if capability.dimension == "uncertainty" else "none"
    )


def main() -> int:
    """Write the pages, or with ``--check`` compare them; 1 if any is not current."""
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"not current, run `make docs`: {', '.join(stale)}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
