"""Two statements side by side: what one student lost and the other kept.

Verdicts are compared, each shown against the same teacher under the same targets. That two verdicts
differ does not by itself show that the students do, so the difference of their losses has an
interval of its own: paired where the scores of both runs are there (`ullage.differences`), and else
made of the two.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from math import hypot
from pathlib import Path
from typing import Literal

from ullage.errors import InputError
from ullage.statement import sanitise
from ullage.statement.consent import Consent, State
from ullage.statement.document import Estimate, Finding, Part, Statement, Verdict
from ullage.statement.words import LOSSES, UNKNOWN, VERDICTS, listed, several


class Change(StrEnum):
    """What became of a target from the first statement to the second; the gravest first."""

    NEWLY_LOST = "newly lost"
    """Lost in the second, and not in the first."""
    WORSE = "worse"
    """Degraded in the second, where the first showed no loss."""
    UNKNOWN = "no longer known"
    """Settled in the first; inconclusive or unmeasured in the second, or not judged there."""
    CHANGED = "changed"
    """Another verdict, and none of the above."""
    KNOWN = "now known"
    """Inconclusive, unmeasured or not judged in the first; settled in the second."""
    BETTER = "better"
    """Lost in the first, degraded in the second."""
    REPAIRED = "repaired"
    """A loss was shown in the first, the second is preserved, and the difference is shown too."""
    UNCHANGED = "unchanged"
    """The same verdict."""


class Pairing(StrEnum):
    """What a difference of two losses rests on; the strongest first."""

    REPLIES = "same replies"
    """Both students were scored on the same items against the same replies of the teacher."""
    ITEMS = "same items"
    """Both were scored on the same items, which the teacher was asked for each anew."""
    APART = "two intervals"
    """The items are others, or the scores are not there: made of the two losses' own intervals."""


class Difference(Part):
    """Loss in the second statement less loss in the first: positive is worse in the second."""

    estimate: float
    """In the metric's own unit."""
    low: float
    """Of the 95 % interval."""
    high: float
    """Of the 95 % interval."""
    method: str
    """How the interval was made."""
    pairing: Pairing
    """What it rests on."""
    items: int | None = None
    """Items that all of teacher and students answered; none where made of two intervals."""
    families: int | None = None
    """Independent units of these."""

    @property
    def shown(self) -> str:
        """``worse`` or ``better`` where the interval says so of the second, else ``""``."""
        return "worse" if self.low > 0 else "better" if self.high < 0 else ""


class Lapse(StrEnum):
    """What becomes of a consent that held in the first statement."""

    HOLDS = "holds"
    """There is one in the second."""
    LAPSES = "lapses"
    """The second needs one, and has none that holds."""
    NOT_NEEDED = "no longer needed"
    """There is nothing to accept in the second."""


class Judged(Part):
    """One statement's word on a target."""

    verdict: Verdict
    """What was shown."""
    loss: Estimate | None
    """With its interval; None where there is no number."""
    margin: float
    """δ it was judged by."""


class TargetChange(Part):
    """One target in both statements."""

    target: str
    """``probe.metric``."""
    dimension: str
    """The kind of capability."""
    headline: bool
    """Whether it is the performance axis, which the usual eval measures."""
    change: Change
    """From the first to the second."""
    first: Judged | None
    """None where the first statement does not judge it."""
    second: Judged | None
    """None where the second statement does not judge it."""
    difference: Difference | None = None
    """None where one of them has no number."""
    consent: Lapse | None = None
    """None where the first has no consent that holds."""


class Side(Part):
    """One of the two statements."""

    label: str
    """What it is called in this comparison."""
    name: str
    """Of the audit."""
    student: str | None
    """Identity of the student it is about."""
    exit_code: int
    """What its gate answers."""


class Comparison(Part):
    """Two statements compared, the headline's targets first, then by how grave the change is."""

    kind: Literal["ullage.statement-comparison"] = "ullage.statement-comparison"
    """What this document is."""
    first: Side
    """What is compared with."""
    second: Side
    """What is compared."""
    summary: tuple[str, ...]
    """A few plain sentences, the headline first."""
    targets: tuple[TargetChange, ...]
    """Every target of either."""
    counts: dict[str, int]
    """Targets per kind of change."""
    differences: tuple[str, ...]
    """What besides the student differs between the two, and so may explain a change."""

    def to_json(self) -> str:
        """Canonical JSON, hidden characters escaped, with a newline at its end."""
        data = self.model_dump(mode="json")
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
        return sanitise.json_text(text) + "\n"


def compare(
    first: Statement,
    second: Statement,
    *,
    labels: tuple[str, str] = ("A", "B"),
    force: bool = False,
    paired: Mapping[str, Difference] | None = None,
    found: tuple[Mapping[str, Consent], Mapping[str, Consent]] | None = None,
) -> Comparison:
    """Compare two statements.

    Args:
        first: what is compared with (the student before, or the better known one).
        second: what is compared.
        labels: what to call them.
        force: compare although teachers or targets differ, and note that they do.
        paired: differences known from the scores (`ullage.differences`); the others are made of
            the losses' own intervals.
        found: what became of the consents of each (`ullage.statement.consent.consents`).

    Raises:
        InputError: they are about different teachers, or their targets differ.
    """
    reasons = obstacles(first, second)
    if reasons and not force:
        raise InputError(
            f"the statements cannot be compared: {'; '.join(reasons)}; "
            "judge both under the same targets and teacher, or give --force"
        )
    before = {finding.id: finding for finding in first.findings}
    after = {finding.id: finding for finding in second.findings}
    paired, (given, later) = paired or {}, found or ({}, {})
    targets = [
        _target(before.get(id_), after.get(id_), paired.get(id_)).model_copy(
            update={"consent": _lapse(after.get(id_), given.get(id_), later.get(id_))}
        )
        for id_ in dict.fromkeys([*after, *before])
    ]
    order = list(Change)
    targets.sort(key=lambda t: (not t.headline, order.index(t.change), t.target))
    counts = Counter(target.change for target in targets)
    return Comparison(
        first=_side(first, labels[0]),
        second=_side(second, labels[1]),
        summary=tuple(_summary(targets, labels)),
        targets=tuple(targets),
        counts={str(change): counts[change] for change in Change},
        differences=(*reasons, *_differences(first, second)),
    )


def apart(first: Estimate, second: Estimate) -> Difference:
    """The difference of two losses from their intervals alone (MOVER, Zou & Donner 2008, eq. 4).

    As wide as if the two had nothing to do with each other: where they rest on the same items, the
    truth is narrower.
    """
    estimate = second.estimate - first.estimate
    return Difference(
        estimate=estimate,
        low=estimate - hypot(second.estimate - second.low, first.high - first.estimate),
        high=estimate + hypot(second.high - second.estimate, first.estimate - first.low),
        method="MOVER",
        pairing=Pairing.APART,
    )


def labels(first: Statement, second: Statement, paths: tuple[Path, Path]) -> tuple[str, str]:
    """What tells two statements apart: the names of their audits, or of their run folders."""
    for one, other in ((first.name, second.name), (paths[0].parent.name, paths[1].parent.name)):
        if one != other and one and other:
            return one, other
    return "A", "B"


def obstacles(first: Statement, second: Statement) -> list[str]:
    """Why verdicts of these two are not about the same thing."""
    found = []
    if identity(first, "teacher") != identity(second, "teacher"):
        found.append("their teachers are different models")
    if first.scenario.name != second.scenario.name:
        names = (sanitise.terminal(s.scenario.name) for s in (first, second))
        found.append(f"their scenarios are {listed(list(names))}")
    margins = [
        {target.id: target.margin for target in statement.scenario.targets}
        for statement in (first, second)
    ]
    if only := sorted(margins[0].keys() ^ margins[1].keys()):
        found.append(f"only one has the target {_some(only)}")
    shared = margins[0].keys() & margins[1].keys()
    if moved := sorted(id_ for id_ in shared if margins[0][id_] != margins[1][id_]):
        found.append(f"another margin is set for {_some(moved)}")
    return found


def _differences(first: Statement, second: Statement) -> list[str]:
    """What does not stand in the way, and should be known."""
    found = []
    if identity(first, "student") == identity(second, "student"):
        found.append("the student is the same model in both")
    shared = first.probes.keys() & second.probes.keys()
    if moved := sorted(n for n in shared if first.probes[n].source != second.probes[n].source):
        found.append(f"other items were asked by {_some(moved)}")
    if first.ullage_version != second.ullage_version:
        versions = (sanitise.terminal(s.ullage_version) for s in (first, second))
        found.append(f"they were judged by Ullage {listed(list(versions))}")
    return found


def _some(names: list[str]) -> str:
    """The first few of many names."""
    safe = [sanitise.terminal(name) for name in names]
    return listed(safe) if len(safe) <= 3 else f"{', '.join(safe[:3])} and {len(safe) - 3} more"


def _target(
    first: Finding | None, second: Finding | None, paired: Difference | None
) -> TargetChange:
    finding = second or first
    if finding is None:
        raise ValueError("a target of neither statement")
    difference = paired
    if difference is None and first and second and first.loss and second.loss:
        difference = apart(first.loss, second.loss)
    return TargetChange(
        target=finding.id,
        dimension=finding.dimension,
        headline=finding.target.headline,
        change=_change(
            first.verdict if first else None,
            second.verdict if second else None,
            shown_better=difference is not None and difference.shown == "better",
        ),
        first=_judged(first),
        second=_judged(second),
        difference=difference,
    )


def _lapse(second: Finding | None, given: Consent | None, later: Consent | None) -> Lapse | None:
    if given is None or given.state != State.ACCEPTED:
        return None
    if second is not None and second.verdict in (Verdict.PRESERVED, Verdict.NEVER_HAD):
        return Lapse.NOT_NEEDED
    held = later is not None and later.state == State.ACCEPTED
    return Lapse.HOLDS if held else Lapse.LAPSES


def _judged(finding: Finding | None) -> Judged | None:
    if finding is None:
        return None
    return Judged(verdict=finding.verdict, loss=finding.loss, margin=finding.target.margin)


def _change(first: Verdict | None, second: Verdict | None, *, shown_better: bool) -> Change:
    if first == second:
        return Change.UNCHANGED
    if second == Verdict.LOST:
        return Change.NEWLY_LOST
    if second == Verdict.DEGRADED:
        return Change.BETTER if first == Verdict.LOST else Change.WORSE
    known_before = first is not None and first not in UNKNOWN
    known_after = second is not None and second not in UNKNOWN
    if known_before != known_after:
        return Change.KNOWN if known_after else Change.UNKNOWN
    if first in LOSSES and second == Verdict.PRESERVED and shown_better:
        return Change.REPAIRED
    return Change.CHANGED


def _side(statement: Statement, label: str) -> Side:
    return Side(
        label=label,
        name=statement.name,
        student=identity(statement, "student"),
        exit_code=statement.exit_code,
    )


def identity(statement: Statement, arm: str) -> str | None:
    """Of the model that an arm is; None where there is no such arm."""
    return statement.arms[arm].identity if arm in statement.arms else None


def _summary(targets: list[TargetChange], labels: tuple[str, str]) -> list[str]:
    """The headline, then what was lost, then what was repaired."""
    first, second = labels
    headline = [target for target in targets if target.headline]
    others = [target for target in targets if not target.headline]
    lines = []
    pairs = Counter((_label(target.first), _label(target.second)) for target in headline)
    said = []
    for (before, after), count in pairs.items():
        what = f"{count} {before}" if len(headline) > 1 else before
        same = before == after
        said.append(f"{what} in both" if same else f"{what} in {first}, {after} in {second}")
    if said:
        lines.append(f"Headline: {'; '.join(said)}.")
    of_others = several(len(others), "other target" if headline else "target")
    lost = [target.target for target in others if target.change == Change.NEWLY_LOST]
    if lost:
        told = f"Lost in {second} and not in {first}: {_some(lost)}"
        lines.append(f"{told} ({len(lost)} of {of_others}).")
    elif others:
        lines.append(f"Of {of_others} none is lost in {second} that is not lost in {first}.")
    if repaired := [target.target for target in others if target.change == Change.REPAIRED]:
        lines.append(f"A loss in {first}, repaired in {second}: {_some(repaired)}.")
    if lapsed := [target.target for target in targets if target.consent == Lapse.LAPSES]:
        lines.append(f"Accepted in {first} and not in {second}: {_some(lapsed)}.")
    return lines


def _label(judged: Judged | None) -> str:
    return "not judged" if judged is None else VERDICTS[judged.verdict].label
