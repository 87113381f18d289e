"""Several students of one teacher in one dimension: what they keep there, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ullage.errors import UllageError
from ullage.serve.runs import Run
from ullage.serve.site import Judged, Site
from ullage.statement.compare import obstacles
from ullage.statement.document import Statement
from ullage.statement.frontier import Frontier, frontier

_FEWEST = 2
"""Students that make a picture."""


@dataclass(frozen=True, slots=True)
class Students:
    """All of them, and where to read on."""

    frontier: Frontier
    runs: dict[str, Run]
    """By the label of the student."""


def in_dimension(statement: Statement, name: str) -> Statement:
    """A statement without the targets of other dimensions but the headline, to draw pictures of."""
    kept = tuple(f for f in statement.findings if f.target.headline or f.dimension == name)
    return statement.model_copy(update={"findings": kept})


def students(site: Site, judged: Judged, name: str) -> Students | None:
    """The students under the folder that can be held against this one; None where none can."""
    found = {judged.run.place: (judged.run, judged.statement)}
    found |= {run.place: (run, statement) for run, statement in _others(site, judged)}
    labelled = [(label, in_dimension(one, name)) for label, (_, one) in found.items()]
    if len(labelled) < _FEWEST:
        return None
    try:
        drawn = frontier(labelled)
    except UllageError:  # what they cost is not told
        return None
    placed = [e for e in drawn.entries if e.label in found and e.cost and e.capability is not None]
    if len(placed) < _FEWEST:
        return None
    return Students(drawn, {label: run for label, (run, _) in found.items()})


def _others(site: Site, judged: Judged) -> Iterator[tuple[Run, Statement]]:
    """Runs about other students of the same teacher under the same targets, each student once."""
    known = {judged.statement.arms["student"].identity}
    for run in site.runs.every():
        try:
            run.refuse_links()
            statement = run.statement()
        except UllageError:
            continue
        if statement is None or obstacles(judged.statement, statement):
            continue
        if (identity := statement.arms["student"].identity) not in known:
            known.add(identity)
            yield run, statement
