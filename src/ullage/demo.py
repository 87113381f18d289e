"""`ullage demo`: two students of one teacher, and what only one of them lost.

Both learn from the laboratory's teacher, one from the whole corpus and one from the corpus without
its ambiguous prompts, scrubbed as bad data. Both are audited by the standard audit. Everything can
be done by hand with the two `ullage.yaml` it leaves in its folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from ullage.audit import Setup, run_audit, set_up, share_replies
from ullage.config import load
from ullage.differences import paired_differences
from ullage.distill.beside import run_beside
from ullage.lab.organisms.build import CONFIG, SCENARIO, STANDARD, Making, prepare
from ullage.lab.organisms.registry import ORGANISMS
from ullage.progress import Reporter
from ullage.statement.compare import Comparison, compare
from ullage.statement.document import Finding, Statement, Verdict
from ullage.statement.words import LOSSES, VERDICTS

ASKING_BACK = "clarification.contrast"
_ITEMS = 240
"""Asked by each probe of each arm: as many as three minutes allow."""
_ROWS = 4_000
"""Of each corpus: as many as three minutes allow."""

MAKING = replace(
    STANDARD,
    rows=_ROWS,
    items=_ITEMS,
    planning={"items": _ITEMS},
    scenario=SCENARIO.with_name("demo-scenario.yaml"),
)
STUDENTS = {
    "full": replace(ORGANISMS["clean"], name="full"),
    "scrubbed": replace(ORGANISMS["no-clarifying"], name="scrubbed"),
}
"""By the name of their folder and audit."""


@dataclass(frozen=True, slots=True)
class Audited:
    """A student's statement."""

    statement: Statement
    folder: Path
    """Of the run."""

    @property
    def file(self) -> Path:
        """Of the statement."""
        return self.folder / "statement.json"


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo found."""

    full: Audited
    scrubbed: Audited
    comparison: Comparison

    @property
    def story(self) -> str:
        """What was found, in plain words."""
        return tell(self.full.statement, self.scrubbed.statement)


def run_demo(
    folder: Path,
    reporter: Callable[[], Reporter],
    console: Console,
    making: Making | None = None,
) -> Demo:
    """Distil and audit both students; picks up where an earlier one stopped.

    Args:
        folder: where everything is kept.
        reporter: gives one for each step.
        console: for what is said between.
        making: what the students are made of; left out, `MAKING`.
    """
    making = making or MAKING
    configs = {}
    for name, organism in STUDENTS.items():
        console.print(f"[bold]{name}[/bold]  {organism.cause}")
        configs[name] = prepare(organism, folder / name, making=making) / CONFIG
    with reporter() as told:
        told.step("distil both")
        run_beside(configs, lambda name, progress: told.distil(progress, name))
    audited: dict[str, Audited] = {}
    earlier: Setup | None = None
    for name, config in configs.items():
        setup = set_up(load(config))
        if earlier is not None:
            asyncio.run(share_replies(earlier, setup))
        with reporter() as told:
            told.step(f"audit {name}")
            statement = asyncio.run(run_audit(setup, on_plan=told.plan, on_tick=told.tick))
        audited[name], earlier = Audited(statement, setup.folder.path), setup
    full, scrubbed = audited["full"], audited["scrubbed"]
    compared = compare(
        full.statement,
        scrubbed.statement,
        labels=("full", "scrubbed"),
        paired=paired_differences(*((one.statement, one.file) for one in (full, scrubbed))),
    )
    return Demo(full, scrubbed, compared)


# ------------------------------------------------------------------------------------------- story


def tell(full: Statement, scrubbed: Statement) -> str:
    """What two students lost, in one paragraph that says no more than their verdicts do."""
    pairs = _pairs(full, scrubbed)
    headline = next(pair for pair in pairs if pair[0].target.headline)
    asking = next(pair for pair in pairs if pair[0].id == ASKING_BACK)
    others = [pair for pair in pairs if pair not in (headline, asking)]
    parts = [
        "Two students learnt from the same teacher in the same way, one of them without the "
        "ambiguous prompts, which were scrubbed as bad data.",
        _on_headline(*headline),
        _on_asking(*asking),
    ]
    if differing := [pair for pair in others if pair[0].verdict != pair[1].verdict]:
        parts.append("Besides: " + "; ".join(_both(*pair) for pair in differing) + ".")
    if not _as_expected(headline, asking):
        parts.append(
            "The demo was made to show an unchanged headline and a lost clarifying question; this "
            "is what it found instead."
        )
    return " ".join(parts)


_Pair = tuple[Finding, Finding]


def _pairs(full: Statement, scrubbed: Statement) -> list[_Pair]:
    after = {finding.id: finding for finding in scrubbed.findings}
    return [(finding, after[finding.id]) for finding in full.findings]


def _as_expected(headline: _Pair, asking: _Pair) -> bool:
    kept = all(finding.verdict is Verdict.PRESERVED for finding in (*headline, asking[0]))
    return kept and asking[1].verdict is Verdict.LOST


def _on_headline(full: Finding, scrubbed: Finding) -> str:
    if full.verdict is scrubbed.verdict is Verdict.PRESERVED:
        return (
            "The usual eval cannot tell them apart: its score is preserved in both, at a loss of "
            f"{_loss(full)} and {_loss(scrubbed)}."
        )
    return f"The usual eval: {_both(full, scrubbed)}."


def _on_asking(full: Finding, scrubbed: Finding) -> str:
    if scrubbed.verdict in LOSSES and full.verdict not in LOSSES:
        return (
            "But asked about one of two orders that fit, the scrubbed student no longer asks which "
            f"one is meant: {_both(full, scrubbed)}. Nothing in the headline shows it."
        )
    return f"Asking which one is meant where two orders fit: {_both(full, scrubbed)}."


def _both(full: Finding, scrubbed: Finding) -> str:
    first, second = (
        f"{VERDICTS[finding.verdict].label} ({_loss(finding)})" for finding in (full, scrubbed)
    )
    return f"{full.id} is {first} in the full one and {second} in the scrubbed one"


def _loss(finding: Finding) -> str:
    return "no number" if finding.loss is None else f"{finding.loss.estimate:+.2f}"
