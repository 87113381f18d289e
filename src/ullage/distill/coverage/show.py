"""A coverage report on a terminal: what is missing in red, and never by colour alone."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ullage.distill.coverage.report import Coverage, Exercise

_MOST = 160
"""Characters of an example."""
_DOES = {
    "answer": "reply answers",
    "abstain": "reply says it does not know",
    "clarify": "reply asks back",
    "refuse": "reply declines",
}


def render(coverage: Coverage, console: Console) -> None:
    """Print it."""
    console.print(
        f"{coverage.uncovered:.1%} of {coverage.questions:,} questions "
        f"({_plain(coverage.traffic)}) lie farther than {coverage.radius:.3g} "
        f"({coverage.radius_from}) from each of {coverage.prompts:,} prompts to learn.",
        markup=False,
    )
    for number, cluster in enumerate(coverage.clusters, start=1):
        words = _plain(", ".join(cluster.words))
        console.print(Text(f"\n{number}. {cluster.share:.2%}, {cluster.questions:,}: {words}"))
        for example in cluster.examples:
            console.print(Text(f"   {_plain(example)[:_MOST]}"))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("dimension", "probe", "prompts near it", "and what it expects"):
        table.add_column(column)
    for exercise in coverage.exercises:
        style = "red" if exercise.missing or exercise.near == 0 else ""
        table.add_row(
            exercise.dimension,
            exercise.probe,
            f"{exercise.near:,}",
            _expects(exercise),
            style=style,
        )
    console.print()
    console.print(table)
    for exercise in coverage.exercises:
        for name in exercise.missing:
            console.print(
                Text(
                    f"MISSING  {exercise.probe}: in none of {coverage.prompts:,} prompts to learn "
                    f"the {_DOES.get(name, name)}; a student cannot keep what it never sees",
                    style="red",
                )
            )


def _expects(exercise: Exercise) -> str:
    return "; ".join(
        f"{_DOES.get(name, name)}: " + ("not answered yet" if count is None else f"{count:,}")
        for name, count in exercise.behaviours.items()
    )


def _plain(text: str) -> str:
    """Text of anybody's as one line without control characters."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
