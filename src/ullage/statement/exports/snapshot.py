"""What every export tells: a statement, and what the gate and people's consent say of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath

from ullage.statement.consent import UNACCEPTED, Consent, life_sentence
from ullage.statement.document import Finding, Statement
from ullage.statement.gating import Report, Ruling
from ullage.statement.sanitise import visible
from ullage.statement.words import DIMENSIONS, LOSSES, UNKNOWN, VERDICTS, in_order, sentence

LIMIT = 2_000
"""Characters of one text that an export carries."""


@dataclass(frozen=True)
class Snapshot:
    """A statement as it stands on a day."""

    statement: Statement
    sha256: str
    """Of `statement.json`, in hex."""
    found: Mapping[str, Consent]
    """What became of the consent to each target."""
    report: Report
    """What the gate says."""
    checked: bool
    """Whether a policy said whose signatures count; else no signature was looked at."""
    on: date

    @property
    def standing(self) -> str:
        """The state of the statement in a sentence or two."""
        unchecked = "" if self.checked or not self.found else " Signatures were not checked."
        return f"{life_sentence(self.statement, self.found)}{unchecked}"

    @cached_property
    def rulings(self) -> dict[str, Ruling]:
        """What the gate says of each target of the scenario, also of one without a finding."""
        return {ruling.target: ruling for ruling in self.report.rulings}

    @property
    def unjudged(self) -> list[str]:
        """Targets of the scenario that no finding speaks of."""
        judged = {finding.id for finding in self.statement.findings}
        return [target for target in self.rulings if target not in judged]

    @property
    def unlooked(self) -> list[str]:
        """Dimensions that no target looks at."""
        looked_at = {finding.dimension for finding in self.statement.findings}
        return [name for name in DIMENSIONS if name not in looked_at]

    @property
    def unknown(self) -> list[str]:
        """Everything the statement does not know, each in a sentence or two."""
        entries = [(one.what, one.why) for one in self.statement.not_known]
        entries += [(target, self.rulings[target].why) for target in self.unjudged]
        return [f"{what}{'' if what[-1:] == '?' else ':'} {sentence(why)}" for what, why in entries]

    @property
    def ancestors(self) -> list[str]:
        """Roles of the models that the student comes from."""
        return [role for role in in_order(self.statement.arms) if role in ("teacher", "base")]

    def consent(self, finding: Finding) -> Consent:
        """What became of the consent to a finding."""
        return self.found.get(finding.id, UNACCEPTED)

    def consent_told(self, finding: Finding) -> str:
        """The same in words, for what there is to accept; "" for what there is not."""
        if finding.verdict not in LOSSES + UNKNOWN:
            return ""
        consent = self.consent(finding)
        return str(consent.state) if consent.acceptance is None else consent.told

    def name(self, role: str) -> str:
        """What to call a model: as it was given, without the folders that lead to it."""
        description = self.statement.arms[role].description
        given = next(
            (str(description[k]) for k in ("model", "name", "file") if k in description), ""
        )
        for path in (PurePosixPath(given), PureWindowsPath(given)):
            if path.is_absolute() or given.startswith(("~", ".")):
                given = path.name
        return shown(given) or role


def shown(text: str) -> str:
    """A text as an export may carry it: hidden characters spelt out, not endless."""
    return visible(text, limit=LIMIT)


def finding_told(finding: Finding) -> str:
    """A finding in a sentence: target, verdict, why."""
    return shown(f"{finding.id} is {VERDICTS[finding.verdict].label}: {sentence(finding.why)}")
