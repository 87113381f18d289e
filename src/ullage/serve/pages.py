"""The pages: each reads the runs' files and renders a template; one of them writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import wraps

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response

from ullage.errors import UllageError
from ullage.serve.index import PER_PAGE, Filter, Index, Show
from ullage.serve.runs import EXPORTS, Run
from ullage.serve.security import form_of
from ullage.serve.site import Judged, NotThereError, Site, link
from ullage.statement import plots, words
from ullage.statement.compare import compare, labels
from ullage.statement.document import Example, Finding, Statement, Verdict
from ullage.statement.html import style, to_html
from ullage.statement.outcome import outcome_sentence
from ullage.statement.sidebyside import side_by_side
from ullage.statement.standing import picture
from ullage.statement.store import give_consent

Page = Callable[[Site, Request], Response]

_SETTLED = (Verdict.PRESERVED, Verdict.NEVER_HAD)
_MOST_FAMILIES = 400
"""Of a list to choose from; more are typed."""


def page(function: Page) -> Callable[[Request], Response]:
    """A handler of a page; an expected failure becomes a page that says it in its one line."""

    @wraps(function)
    def handler(request: Request) -> Response:
        site: Site = request.app.state.site
        try:
            return function(site, request)
        except (NotThereError, UllageError) as error:
            return refused(site, error)

    return handler


def refused(site: Site, error: NotThereError | UllageError) -> Response:
    """A page that says why there is nothing else to see."""
    if isinstance(error, NotThereError):
        return site.page("message.html.j2", 404, title="Not there", told=str(error))
    return site.page("message.html.j2", 422, title="That cannot be shown", told=str(error))


@page
def every_run(site: Site, request: Request) -> Response:
    """All runs, each in one line."""
    rows: list[dict[str, object]] = []
    for run in site.runs.every():
        row: dict[str, object] = {"run": run, "judged": None, "problem": "", "counts": {}}
        try:
            run.refuse_links()
            if statement := run.statement():
                row["judged"] = site.judged(run, statement)
                row["counts"] = Counter(finding.verdict for finding in statement.findings)
        except UllageError as error:
            row["problem"] = str(error)
        rows.append(row)
    return site.page(
        "runs.html.j2",
        rows=rows,
        root=str(site.runs.root),
        outcome=outcome_sentence,
        trial=site.room is not None,
    )


@page
def one_run(site: Site, request: Request) -> Response:
    """A statement for whoever must decide; before there is one, how far the audit is."""
    run = site.found(request.path_params["run"])
    statement = run.statement()
    if statement is None:
        return _watched(site, run)
    judged = site.judged(run, statement)
    groups = words.by_dimension(statement.findings)
    shown = [finding for group in groups.values() for finding in group]
    return site.page(
        "run.html.j2",
        s=statement,
        judged=judged,
        run=run,
        consent=judged.consent,
        outcome=outcome_sentence(statement),
        counts=Counter(finding.verdict for finding in shown),
        groups=groups,
        anchors=_anchors(shown),
        losses=_gravest_first([f for f in shown if f.verdict in words.LOSSES]),
        unknown=[f for f in shown if f.verdict in words.UNKNOWN],
        kept=[f for f in shown if f.verdict in _SETTLED],
        axis=plots.axis(shown),
        picture=picture(statement),
        agreed=[f for f in shown if judged.consent(f).acceptance is not None],
        others=[one for one in site.runs.every() if one.id != run.id and one.has("statement.json")],
        done=request.query_params.get("accepted", ""),
    )


def _watched(site: Site, run: Run) -> Response:
    plan = run.plan()
    if plan is None:
        raise NotThereError("There is no statement in this run any more.")
    return site.page("live.html.j2", run=run, plan=plan, progress=site.watch.progress(run, plan))


@page
def progress(site: Site, request: Request) -> Response:
    """How far an audit is, for the script of its page."""
    run = site.found(request.path_params["run"])
    plan = run.plan()
    if plan is None:
        raise NotThereError("Nothing is planned here.")
    return JSONResponse(site.watch.progress(run, plan).as_json())


@page
def whole_statement(site: Site, request: Request) -> Response:
    """`statement.html` as it would be written now, whatever lies in the folder."""
    judged = _judged(site, request)
    policy = f"{style()[1]}; frame-ancestors 'none'"
    told = to_html(judged.statement, judged.consents)
    return HTMLResponse(told, headers={"content-security-policy": policy})


@page
def dimension(site: Site, request: Request) -> Response:
    """One dimension: its targets with their intervals, and every arm's value."""
    judged = _judged(site, request)
    groups = words.by_dimension(judged.statement.findings)
    name = request.query_params.get("name", "")
    if name not in groups:
        raise NotThereError("The statement has no such dimension.")
    findings = groups[name]
    return site.page(
        "dimension.html.j2",
        s=judged.statement,
        run=judged.run,
        judged=judged,
        consent=judged.consent,
        name=name,
        names=list(groups),
        findings=findings,
        anchors=_anchors(findings),
        axis=plots.axis(findings),
        arms=words.in_order({arm for f in findings for arm in f.values}),
        settled=_SETTLED,
    )


@page
def items(site: Site, request: Request) -> Response:
    """The items of a target, filtered and paged."""
    judged = _judged(site, request)
    index = site.indexes.of(judged.run)
    if not isinstance(index, Index):
        return site.page("making.html.j2", 202, {"refresh": "2"}, run=judged.run, making=index)
    targets = index.targets()
    if not targets:
        raise NotThereError("No item of this run was scored.")
    wanted = _filter(request, next(iter(targets)))
    if wanted.target not in targets:
        raise NotThereError("No item was scored for such a target.")
    start = PER_PAGE * (max(1, _number(request, "page", 1)) - 1)
    of_target = targets[wanted.target]
    return site.page(
        "items.html.j2",
        s=judged.statement,
        run=judged.run,
        finding=judged.finding(wanted.target),
        wanted=wanted,
        targets=[f.id for f in judged.statement.findings if f.id in targets],
        shows=_shows(of_target.binary),
        counts=of_target.shows,
        families=of_target.families[:_MOST_FAMILIES],
        many_families=len(of_target.families) > _MOST_FAMILIES,
        rows=index.rows(wanted, start),
        total=index.count(wanted),
        start=start,
        number=start // PER_PAGE + 1,
        per_page=PER_PAGE,
        query=_query(wanted),
    )


@page
def item(site: Site, request: Request) -> Response:
    """One item: what was asked, and what every arm said, side by side."""
    judged = _judged(site, request)
    index = site.indexes.of(judged.run)
    if not isinstance(index, Index):
        return site.page("making.html.j2", 202, {"refresh": "2"}, run=judged.run, making=index)
    found = index.example(int(request.path_params["n"]))
    if found is None:
        raise NotThereError("There is no such item.")
    probe, example = found
    wanted, at = _filter(request, ""), _number(request, "at", -1)
    first = max(0, at - 1)
    around = index.rows(wanted, first, 3) if wanted.target and at >= 0 else []
    here = at - first
    return site.page(
        "item.html.j2",
        s=judged.statement,
        run=judged.run,
        probe=probe,
        example=example,
        arms=_others(example),
        pair=side_by_side(example),
        beside={arm: side_by_side(example, other=arm)[arm] for arm in _others(example)},
        scores=_scores(example),
        wanted=wanted,
        at=at,
        per_page=PER_PAGE,
        before=around[0] if around and here else None,
        after=around[here + 1] if len(around) > here + 1 else None,
        query=_query(wanted),
    )


@page
def accept_form(site: Site, request: Request) -> Response:
    """Who accepts a loss, as what, why, until when."""
    judged = _judged(site, request)
    return _form(site, judged, request.query_params.get("target", ""), {}, "")


@page
def accept(site: Site, request: Request) -> Response:
    """Accept a loss: exactly what `ullage statement accept` does."""
    judged, form = _judged(site, request), form_of(request.scope)
    target = form.get("target", "")
    if site.signer is None:
        return _form(site, judged, target, form, "There is no key to sign with.")
    try:
        until = date.fromisoformat(form.get("until", ""))
    except ValueError:
        return _form(site, judged, target, form, "Until: is no day; write it like 2027-01-31.")
    try:
        give_consent(
            judged.run.path,
            target,
            by=form.get("by", ""),
            role=form.get("role", ""),
            because=form.get("because", ""),
            mitigation=form.get("mitigation", ""),
            accepted=judged.today,
            until=until,
            signer=site.signer,
        )
    except UllageError as error:
        return _form(site, judged, target, form, str(error).removeprefix("--"))
    place = link("runs", judged.run.id, accepted=target)
    return RedirectResponse(str(place.unescape()), status_code=303)


def _form(site: Site, judged: Judged, target: str, form: dict[str, str], problem: str) -> Response:
    finding = judged.finding(target)
    return site.page(
        "accept.html.j2",
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
        nothing=finding.verdict in _SETTLED,
    )


@page
def difference(site: Site, request: Request) -> Response:
    """Two statements about one teacher: what moved, with an interval for the difference."""
    query = request.query_params
    first, second = (site.found(query.get(side, "")) for side in ("first", "second"))
    judged = [site.judged(run, _statement(run)) for run in (first, second)]
    one, other = ((each.statement, each.run.path) for each in judged)
    compared = compare(
        one[0],
        other[0],
        labels=labels(one[0], other[0], (one[1], other[1])),
        force=bool(query.get("force")),
        paired=site.paired(judged[0], judged[1]),
        found=(judged[0].consents, judged[1].consents),
    )
    return site.page(
        "diff.html.j2", c=compared, first=judged[0], second=judged[1], decimals=words.decimals
    )


@page
def download(site: Site, request: Request) -> Response:
    """A file of the run as it is: to keep, never to show as a page of ours."""
    run = site.found(request.path_params["run"])
    name = request.path_params["name"]
    if name not in EXPORTS or not run.has(name):
        raise NotThereError("This run has no such file.")
    return FileResponse(
        run.folder.path / name,
        filename=f"{run.id}-{name}",
        media_type="application/octet-stream",
        headers={"content-security-policy": "default-src 'none'; sandbox"},
    )


def _judged(site: Site, request: Request) -> Judged:
    run = site.found(request.path_params["run"])
    return site.judged(run, _statement(run))


def _statement(run: Run) -> Statement:
    statement = run.statement()
    if statement is None:
        raise NotThereError("This run has no statement yet.")
    return statement


def _filter(request: Request, target: str) -> Filter:
    query = request.query_params
    show = query.get("show", Show.LOST)
    return Filter(
        target=query.get("target", target),
        show=Show(show) if show in list(Show) else Show.LOST,
        family=query.get("family", ""),
        text=query.get("q", "")[:200],
    )


def _query(wanted: Filter) -> dict[str, str]:
    """The filter as parameters of an address."""
    return {
        "target": wanted.target,
        "show": str(wanted.show),
        "family": wanted.family,
        "q": wanted.text,
    }


def _shows(binary: bool) -> dict[Show, str]:
    return {
        Show.LOST: "teacher right, student wrong" if binary else "teacher did better",
        Show.GAINED: "student right, teacher wrong" if binary else "student did better",
        Show.SAME: "both did the same",
        Show.OPEN: "without a score",
        Show.EVERY: "all items",
    }


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else default


def _anchors(findings: list[Finding]) -> dict[str, str]:
    return {finding.id: f"t{place}" for place, finding in enumerate(findings)}


def _gravest_first(losses: list[Finding]) -> list[Finding]:
    severities = list(words.SEVERITIES)
    return sorted(
        losses, key=lambda f: (severities.index(f.severity), words.LOSSES.index(f.verdict))
    )


def _others(example: Example) -> list[str]:
    """Arms beside teacher and student."""
    return [arm for arm in words.in_order(example.replies) if arm not in ("teacher", "student")]


def _scores(example: Example) -> dict[str, list[tuple[str, str]]]:
    """By arm: (column, number)."""
    scores: dict[str, list[tuple[str, str]]] = {}
    for key, value in sorted(example.scores.items()):
        arm, _, column = key.partition(".")
        scores.setdefault(arm, []).append((column, words.number(value, 2)))
    return scores
