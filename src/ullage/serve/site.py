"""What every page needs: the runs, their indexes, who may sign, and the templates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from ullage.differences import paired_differences
from ullage.errors import InputError, UllageError
from ullage.gate import consents_beside, run_gate
from ullage.serve.background import Task, Tasks
from ullage.serve.indexing import Indexes
from ullage.serve.live import Watch
from ullage.serve.runs import Run, Runs, Training
from ullage.serve.security import Access
from ullage.serve.training import Trainings
from ullage.statement import sanitise
from ullage.statement.compare import Difference
from ullage.statement.consent import UNACCEPTED, Consent, State, life, life_sentence
from ullage.statement.document import Finding, Statement
from ullage.statement.gating import Report
from ullage.statement.html import environment
from ullage.statement.keys import Signer
from ullage.trial.room import Room

Differences = dict[str, Difference]
"""By target."""

_LONGEST = 200_000
"""Characters of a text that is shown whole."""


@dataclass(frozen=True)
class Site:
    """Everything that pages are made from."""

    runs: Runs
    access: Access
    indexes: Indexes
    signer: Signer | None
    """Who signs acceptances; None: pages only read."""
    policy: Path | None
    """The gate's policy; None: no acceptance counts for the gate."""
    room: Room | None = None
    """Of the blind trial that is on."""
    watch: Watch = field(default_factory=Watch)
    trainings: Trainings = field(default_factory=Trainings)
    _paired: dict[tuple[str, ...], Differences] = field(default_factory=dict)
    _pairing: Tasks[Differences] = field(default_factory=Tasks)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        made = environment("ullage.serve")
        made.globals |= {"link": link, "plain": plain, "whole": whole}
        made.globals |= {"attribute": escape, "State": State}
        return made

    def page(
        self,
        template: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **data: Any,
    ) -> HTMLResponse:
        """A page from its template."""
        told = self._templates.get_template(template).render(csrf=self.access.csrf, **data)
        return HTMLResponse(told, status_code=status, headers=headers)

    def judged(self, run: Run, statement: Statement) -> Judged:
        """A statement with what people made of it, as of today."""
        today = datetime.now(UTC).date()
        try:
            report, problem = run_gate(run.path, self.policy, on=today), ""
        except UllageError as error:
            report, problem = None, str(error)
        found = consents_beside(statement, run.path, self.policy, today)
        return Judged(run, statement, found, report, problem, today)

    def paired(self, first: Judged, second: Judged) -> Differences | Task[Differences]:
        """Differences told from the items of both; resampled once for each pair of statements.

        Raises:
            InputError: the scores of one cannot be read.
        """
        key = tuple(
            x for one in (first, second) for x in (one.run.id, one.statement.replies_digest)
        )
        if key not in self._paired:
            sides = [(one.statement, one.run.path) for one in (first, second)]
            found = self._pairing.ask(
                key,
                lambda _: paired_differences(sides[0], sides[1]),
                what=f"{first.run.place} and {second.run.place}: cannot be compared",
            )
            if isinstance(found, Task):
                return found
            self._paired[key] = found
        return self._paired[key]

    def found(self, id_: str) -> Run:
        """The run of that name.

        Raises:
            NotThereError: there is none.
        """
        run = self.runs.find(id_)
        if run is None:
            raise NotThereError("There is no such run here.")
        return run

    def found_training(self, id_: str) -> Training:
        """The training of that name.

        Raises:
            NotThereError: there is none.
        """
        training = self.runs.find_training(id_)
        if training is None:
            raise NotThereError("There is no such training here.")
        return training


@dataclass(frozen=True)
class Judged:
    """A statement, and what people made of it."""

    run: Run
    statement: Statement
    consents: Mapping[str, Consent]
    report: Report | None
    problem: str
    """Why the gate cannot answer."""
    today: date

    def consent(self, finding: Finding) -> Consent:
        """What became of the consent to a finding."""
        return self.consents.get(finding.id, UNACCEPTED)

    @property
    def gate(self) -> str:
        """What the gate answers, in a sentence."""
        return self.problem or (self.report.sentence if self.report else "")

    @property
    def exit_code(self) -> int:
        """Of the gate; 2 where it cannot answer."""
        return InputError.exit_code if self.report is None else self.report.exit_code

    @property
    def life(self) -> str:
        """Draft, accepted, expired or withdrawn."""
        return life(self.statement, self.consents)

    @property
    def life_told(self) -> str:
        """The same in a sentence."""
        return life_sentence(self.statement, self.consents)

    def finding(self, target: str) -> Finding:
        """The finding of a target.

        Raises:
            NotThereError: there is none.
        """
        for finding in self.statement.findings:
            if finding.id == target:
                return finding
        raise NotThereError("The statement has no such target.")


class NotThereError(Exception):
    """An address that leads nowhere (404)."""


def link(*parts: object, **query: object) -> Markup:
    """An address of ours, safe within an attribute; parameters that say nothing are left out.

    Args:
        parts: of the path. Our own names: nothing of a run is ever part of a path.
        query: its parameters, which may be hostile.
    """
    told = {name: _text(value) for name, value in query.items() if value not in ("", None)}
    return escape("/" + "/".join(map(str, parts)) + (f"?{urlencode(told)}" if told else ""))


def plain(text: str) -> Markup:
    """Hostile text where no element may stand: in a title."""
    return escape(sanitise.visible(text))


def whole(text: str) -> Markup:
    """Hostile text to be read to its end, where no list of others stands beside it."""
    return sanitise.html(text, limit=_LONGEST, lines=True)


def _text(value: object) -> str:
    return str(value).encode("utf-8", "replace").decode()
