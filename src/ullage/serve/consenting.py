"""The pages that write: a name is put to a loss, or taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ullage.errors import UllageError
from ullage.serve.pages import SETTLED, judged_of, page
from ullage.serve.security import form_of
from ullage.serve.site import Judged, Site, link
from ullage.statement import plots
from ullage.statement.consent import State
from ullage.statement.store import give_consent, take_consent_back

_NO_KEY = "There is no key to sign with."


@page
def accept_form(site: Site, request: Request) -> Response:
    """Who accepts a loss, as what, why, until when."""
    return _asked(site, judged_of(site, request), "accept", _target(request))


@page
def accept(site: Site, request: Request) -> Response:
    """Accept a loss: exactly what `ullage statement accept` does."""
    judged, form = judged_of(site, request), form_of(request.scope)
    if site.signer is None:
        return _asked(site, judged, "accept", form, _NO_KEY)
    try:
        until = date.fromisoformat(form.get("until", ""))
    except ValueError:
        told = "Until: is no day; write it like 2027-01-31."
        return _asked(site, judged, "accept", form, told)
    try:
        give_consent(
            judged.run.path,
            form.get("target", ""),
            by=form.get("by", ""),
            role=form.get("role", ""),
            because=form.get("because", ""),
            mitigation=form.get("mitigation", ""),
            accepted=judged.today,
            until=until,
            signer=site.signer,
        )
    except UllageError as error:
        return _asked(site, judged, "accept", form, str(error).removeprefix("--"))
    return _done(judged, accepted=form["target"])


@page
def withdraw_form(site: Site, request: Request) -> Response:
    """Who takes an acceptance back, and why."""
    return _asked(site, judged_of(site, request), "withdraw", _target(request))


@page
def withdraw(site: Site, request: Request) -> Response:
    """Take an acceptance back: exactly what `ullage statement withdraw` does."""
    judged, form = judged_of(site, request), form_of(request.scope)
    if site.signer is None:
        return _asked(site, judged, "withdraw", form, _NO_KEY)
    try:
        take_consent_back(
            judged.run.path,
            form.get("target", ""),
            by=form.get("by", ""),
            because=form.get("because", ""),
            withdrawn=judged.today,
            signer=site.signer,
        )
    except UllageError as error:
        return _asked(site, judged, "withdraw", form, str(error).removeprefix("--"))
    return _done(judged, withdrawn=form["target"])


def _target(request: Request) -> dict[str, str]:
    """Of an address; nothing else of a form is filled in by a link."""
    return {"target": request.query_params.get("target", "")}


def _done(judged: Judged, **done: str) -> Response:
    """To the statement, which says what was done."""
    place = link("runs", judged.run.id, **done)
    return RedirectResponse(str(place.unescape()), status_code=303)


def _asked(
    site: Site, judged: Judged, doing: str, form: Mapping[str, str], problem: str = ""
) -> Response:
    """The form; after a problem with what was filled in."""
    finding = judged.finding(form.get("target", ""))
    state = judged.consent(finding).state
    return site.page(
        f"{doing}.html.j2",
        422 if problem else 200,
        # Without a referrer a browser does not say where a form comes from, not even to ourselves.
        {"referrer-policy": "same-origin"},
        s=judged.statement,
        run=judged.run,
        judged=judged,
        finding=finding,
        consent=judged.consent,
        axis=plots.axis([finding]),
        form=form,
        problem=problem,
        signer=site.signer,
        nothing=finding.verdict in SETTLED
        if doing == "accept"
        else state in (State.NONE, State.WITHDRAWN),
    )
