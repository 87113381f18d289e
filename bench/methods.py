"""Every method trains a real small student, and its own held-out loss falls: a table and a picture.

    python bench/methods.py [--steps 120] [--rows 600] [--picture docs/img/methods.svg]

The laboratory's teacher (2.4 M parameters) teaches its base (0.9 M, which reads the same words) by
each preset, with the preset's settings, on one corpus of the laboratory; `cross-tokenizer` teaches
a random Llama with a byte-level tokenizer trained on that corpus; `rationale` learns sums and
returns with their steps; `specialise` teaches a copy of the teacher a corpus that is not the
laboratory's, the conversations of `make demo-real`. Measured is what each method minimises, on rows
held out, at ten steps on the way. Losses of different methods are not comparable: each curve is
drawn on a scale of its own.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

from ullage.config.models import Config, Distill
from ullage.distill import run_distill
from ullage.distill.corpora import DESK
from ullage.lab.corpus import write_corpus
from ullage.lab.evaluate import TEACHER
from ullage.lab.explained import EXPLAINED
from ullage.lab.organisms.build import BASE

METHODS: dict[str, dict[str, Any]] = {
    "on-policy": {"on_policy": {"refresh": 10, "max_tokens": 24}},
    "rationale": {"corpus": "explained.jsonl"},
    "cross-tokenizer": {"student": "hf:start-0", "learning_rate": 4e-3},
    "specialise": {"student": None, "corpus": "bicycles.jsonl"},
    "black-box": {"generate_max_tokens": 48},
}
"""What a method needs beside its preset; the others need nothing."""
POINTS = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    ledgers = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_corpus(folder / "corpus.jsonl", 0, options.rows)
        write_corpus(folder / "explained.jsonl", 0, options.rows, EXPLAINED)
        bicycles = DESK.read_text(encoding="utf-8").splitlines(keepends=True)[: options.rows]
        (folder / "bicycles.jsonl").write_text("".join(bicycles), encoding="utf-8")
        # Of the script beside this one.
        import_module("crossing").start(folder / "start-0", folder / "corpus.jsonl", 0)
        print(f"{options.steps} steps of 8 rows, {options.rows} rows")
        print("| method | terms | base | student | student / base |")
        print("|---|---|---|---|---|")
        for method in get_args(Distill.model_fields["method"].annotation):
            ledgers[method] = make(folder, method, options.steps)
            print(row(method, ledgers[method]), flush=True)
    if options.picture is not None:
        options.picture.write_text(picture(ledgers), encoding="utf-8")


def make(folder: Path, method: str, steps: int) -> Mapping[str, Any]:
    """The ledger of a student made by a method."""
    config = Config.model_validate(
        {
            "arms": {"teacher": {"model": f"hf:{TEACHER}"}, "student": {"model": f"hf:{method}"}},
            "planning": {"items": 20},
            "distill": {
                "method": method,
                "student": f"hf:{BASE}",
                "corpus": "corpus.jsonl",
                "output": method,
                "max_steps": steps,
                "evaluate_steps": max(steps // POINTS, 1),
                "max_length": 384,
                **METHODS.get(method, {}),
            },
        }
    )
    return run_distill(config, folder).ledger


def curve(ledger: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Step and held-out loss, from the base to the student."""
    points = [(point["step"], point["loss"]) for point in ledger["curve"]]
    return [*points, (ledger["steps"], ledger["loss"]["held_out"]["loss"])]


def row(method: str, ledger: Mapping[str, Any]) -> str:
    (_, before), *_, (_, after) = curve(ledger)
    terms = ", ".join(name for name in ledger["loss"]["held_out"] if name != "loss")
    return f"| {method} | {terms} | {before:.3f} | {after:.3f} | {after / before:.2f} |"


WIDTH, HEIGHT, COLUMNS = 240, 150, 3
LEFT, TOP, RIGHT, BOTTOM = 44, 30, 16, 26


def picture(ledgers: Mapping[str, Mapping[str, Any]]) -> str:
    """A panel a method: held-out loss by step, its axis from 0 to the base's loss or above."""
    rows = -(-len(ledgers) // COLUMNS)
    panels = [
        f'<g transform="translate({WIDTH * (place % COLUMNS)},{HEIGHT * (place // COLUMNS)})">'
        f"{panel(method, curve(ledger))}</g>"
        for place, (method, ledger) in enumerate(ledgers.items())
    ]
    width, height = WIDTH * COLUMNS, HEIGHT * rows
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'font-family="sans-serif" font-size="11">'
        "<title>Held-out loss of each method by step</title>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(panels)}</svg>\n'
    )


def panel(method: str, points: list[tuple[float, float]]) -> str:
    """One curve with its ends written out."""
    most, last = max(loss for _, loss in points), points[-1][0]
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def at(step: float, loss: float) -> tuple[float, float]:
        return (
            LEFT + (right - LEFT) * step / last,
            bottom - (bottom - TOP) * loss / most,
        )

    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
    _, base = at(*points[0])
    x, y = at(*points[-1])
    return (
        f'<text x="{LEFT}" y="18" font-weight="bold" fill="#222">{escape(method)}</text>'
        f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#888"/>'
        f'<path d="M{LEFT} {base:.1f}H{right}" stroke="#888" stroke-dasharray="3 3"/>'
        f'<polyline points="{line}" fill="none" stroke="#0b6" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#0b6"/>'
        f'<text x="{LEFT - 4}" y="{base + 4:.1f}" text-anchor="end" fill="#555">'
        f"{points[0][1]:.2f}</text>"
        f'<text x="{x - 5:.1f}" y="{y - 6:.1f}" text-anchor="end" fill="#064">'
        f"{points[-1][1]:.2f}</text>"
        f'<text x="{LEFT - 4}" y="{bottom + 4}" text-anchor="end" fill="#555">0</text>'
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end" fill="#555">'
        f"{last:,.0f} steps</text>"
    )


if __name__ == "__main__":
    main()
