"""`statement.html`: one file, no script, nothing remote, hostile text shown and never obeyed.

Every string the template prints passes `sanitise.html` (the environment's `finalize`), whether or
not the template's author thought of it; only our own `Markup` passes as it is.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from ullage.statement import plots, sanitise, words
from ullage.statement.consent import UNACCEPTED, Consent, life, life_sentence
from ullage.statement.curve import curve
from ullage.statement.document import Example, NotKnown, Statement, Turn
from ullage.statement.outcome import gate, gate_sentence, outcome_sentence
from ullage.statement.policy import Gate
from ullage.statement.sidebyside import said, side_by_side
from ullage.statement.standing import picture

_FACTS = 200
_GATE_WORDS = {
    Gate.FAIL: "Fails the gate.",
    Gate.ERROR: "Too many errors to judge.",
    Gate.UNPROVEN: "Unproven for the gate.",
}


def to_html(statement: Statement, found: Mapping[str, Consent] | None = None) -> str:
    """The statement as one self-contained page; the same arguments give the same page.

    Args:
        statement: what is shown.
        found: what became of the consent to each target.
    """
    css, policy = style()
    found = found or {}
    groups = words.by_dimension(statement.findings)
    shown = [finding for group in groups.values() for finding in group]
    return template("statement.html.j2").render(
        s=statement,
        style=css,
        policy=policy,
        outcome=outcome_sentence(statement),
        gate_told=gate_sentence(statement),
        life=life(statement, found),
        life_told=life_sentence(statement, found),
        consent=lambda finding: found.get(finding.id, UNACCEPTED),
        accepted_unknowns=[
            finding for finding in shown if finding.verdict in words.UNKNOWN and finding.id in found
        ],
        gate=lambda finding: gate(finding, statement.scenario),
        gate_words=_GATE_WORDS,
        counts=Counter(finding.verdict for finding in shown),
        groups=groups,
        anchors={finding.id: f"t{index}" for index, finding in enumerate(shown)},
        losses=sorted(
            (f for f in shown if f.verdict in words.LOSSES),
            key=lambda f: (list(words.SEVERITIES).index(f.severity), words.LOSSES.index(f.verdict)),
        ),
        methods=sorted({f.loss.method for f in shown if f.loss}),
        known_gaps=_grouped(statement.not_known),
        picture=picture(statement),
        axis=plots.axis(shown),
        curve=curve,
        reaching=[finding for finding in shown if finding.generalisation is not None],
        arms=words.in_order(statement.arms),
        side_by_side=side_by_side,
        others=_others,
        scores=_scores,
        page_title=Markup.escape(
            sanitise.visible(f"{statement.name}: Distillation Loss Statement")
        ),
        other_arms=words.in_order({arm for f in shown for arm in f.other_losses}),
        values_arms=words.in_order({arm for f in shown for arm in f.values}),
    )


def facts(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Free-form facts as (place, value) rows, at most `_FACTS`, the last saying what is missing."""
    rows = list(_flattened(data, ""))
    if len(rows) > _FACTS:
        rows = [*rows[:_FACTS], ("…", f"{len(rows) - _FACTS:,} more in statement.json")]
    return rows


def _others(example: Example, shown: Container[str]) -> dict[str, tuple[Turn, ...]]:
    """What arms other than those shown said."""
    names = [arm for arm in words.in_order(example.replies) if arm not in shown]
    return {arm: example.replies[arm] for arm in names}


def _scores(example: Example, arm: str) -> list[tuple[str, str]]:
    """An arm's scores on the item as (column, number); keys are ``arm`` or ``arm.column``."""
    found = []
    for key, value in sorted(example.scores.items()):
        name, _, column = key.partition(".")
        if name == arm:
            found.append((column or "score", words.number(value, 2)))
    return found


def _grouped(entries: tuple[NotKnown, ...]) -> list[tuple[str, list[str]]]:
    """Entries in order, those with one reason together."""
    groups: dict[str, list[str]] = {}
    for entry in entries:
        groups.setdefault(entry.why, []).append(entry.what)
    return list(groups.items())


def _flattened(data: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(data, Mapping) and data:
        for key in sorted(data, key=str):
            yield from _flattened(data[key], f"{place}.{key}" if place else str(key))
    elif isinstance(data, list | tuple) and any(isinstance(x, Mapping | list) for x in data):
        for index, entry in enumerate(data):
            yield from _flattened(entry, f"{place}[{index}]")
    elif isinstance(data, list | tuple):
        yield place, ", ".join(_plain(entry) for entry in data) or "none"
    else:
        yield place, _plain(data)


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.6g}" if isinstance(value, float) else str(value) if value != {} else "none"


def _finalize(value: Any) -> Markup:
    """What the template prints: our own markup as it is, everything else as hostile text."""
    return value if isinstance(value, Markup) else sanitise.html(str(value))


def environment(*packages: str) -> jinja2.Environment:
    """Templates in which whatever is printed is taken for hostile text.

    Args:
        packages: where to look for templates before those of the statement.
    """
    loaders = [jinja2.PackageLoader(name) for name in (*packages, "ullage.statement")]
    made = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        auto_reload=False,  # our own files, which do not change
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"say": said, "words": words, "plots": plots, "facts": facts}
    return made


@cache
def template(name: str) -> jinja2.Template:
    """One of the statement's own."""
    return environment().get_template(name)


@cache
def style() -> tuple[Markup, str]:
    """The style sheet, and the policy that allows it (by hash), `data:` images and nothing else."""
    css = _resource("statement.css")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return Markup(css), policy  # noqa: S704 - our own file


def _resource(name: str) -> str:
    return files("ullage.statement").joinpath("templates", name).read_text("utf-8")
