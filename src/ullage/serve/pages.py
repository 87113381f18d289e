"""The pages: each reads the runs' files and renders a template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from ullage.errors import InputError, UllageError
from ullage.serve.background import Task
from ullage.serve.curves import losses
from ullage.serve.index import PER_PAGE, Filter, Show
from ullage.serve.runs import EXPORTS, Run, Training
from ullage.serve.site import Judged, NotThereError, Site
from ullage.serve.students import in_dimension, students
from ullage.statement import frontier_page, plots, words
from ullage.statement.compare import compare, labels
from ullage.statement.curve import curve
from ullage.statement.document import Example, Finding, Statement, Verdict
from ullage.statement.html import style, to_html
from ullage.statement.outcome import outcome_sentence
from ullage.statement.sidebyside import side_by_side
from ullage.statement.standing import picture

Page = Callable[[Site, Request], Response]

SETTLED = (Verdict.PRESERVED, Verdict.NEVER_HAD)
"""Of a finding with nothing to accept."""
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
    runs, trainings = site.runs.look()
    return site.page(
        "runs.html.j2",
        rows=[_run_row(site, run) for run in runs],
        trainings=[_training_row(site, one) for one in trainings],
        root=str(site.runs.root),
        outcome=outcome_sentence,
        trial=site.room is not None,
    )


def _run_row(site: Site, run: Run) -> dict[str, object]:
    row: dict[str, object] = {"run": run, "judged": None, "told": "", "problem": "", "counts": {}}
    try:
        run.refuse_links()
        if statement := run.statement():
            row["judged"] = site.judged(run, statement)
            row["counts"] = Counter(finding.verdict for finding in statement.findings)
        elif plan := run.plan():
            row["told"] = site.watch.progress(run, plan).told
    except UllageError as error:
        row["problem"] = str(error)
    return row


def _training_row(site: Site, one: Training) -> dict[str, object]:
    try:
        if not site.runs.can_read(one):
            raise InputError(f"{one.place}: what it says of itself is no file")
        return {"training": one, "going": site.trainings.going(one), "problem": ""}
    except UllageError as error:
        return {"training": one, "going": None, "problem": str(error)}


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
        kept=[f for f in shown if f.verdict in SETTLED],
        axis=plots.axis(shown),
        picture=picture(statement),
        agreed=[f for f in shown if judged.consent(f).acceptance is not None],
        others=[one for one in site.runs.every() if one.id != run.id and one.has("statement.json")],
        accepted=request.query_params.get("accepted", ""),
        withdrawn=request.query_params.get("withdrawn", ""),
    )


def _watched(site: Site, run: Run) -> Response:
    plan = run.plan()
    if plan is None:
        raise NotThereError("There is no statement in this run any more.")
    return site.page("live.html.j2", run=run, plan=plan, progress=site.watch.progress(run, plan))


@page
def training(site: Site, request: Request) -> Response:
    """How a training goes, or went."""
    found = site.found_training(request.path_params["training"])
    going = site.trainings.going(found)
    return site.page("training.html.j2", training=found, going=going, losses=losses)


@page
def whole_statement(site: Site, request: Request) -> Response:
    """`statement.html` as it would be written now, whatever lies in the folder."""
    judged = judged_of(site, request)
    policy = f"{style()[1]}; frame-ancestors 'none'"
    told = to_html(judged.statement, judged.consents)
    return HTMLResponse(told, headers={"content-security-policy": policy})


@page
def dimension(site: Site, request: Request) -> Response:
    """One dimension: intervals, curves, every arm's value, and the students beside this one."""
    judged = judged_of(site, request)
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
        curve=curve,
        reaching=[finding for finding in findings if finding.generalisation is not None],
        picture=picture(in_dimension(judged.statement, name)),
        students=students(site, judged, name),
        frontier_page=frontier_page,
        settled=SETTLED,
    )


@page
def items(site: Site, request: Request) -> Response:
    """The items of a target, filtered and paged."""
    judged = judged_of(site, request)
    index = site.indexes.of(judged.run)
    if isinstance(index, Task):
        return _working(site, "Reading items", index, judged.run)
    targets = index.targets()
    if not targets:
        raise NotThereError("No item of this run was scored.")
    wanted = _filter(request, next(iter(targets)))
    if wanted.target not in targets:
        raise NotThereError("No item was scored for such a target.")
    start = PER_PAGE * (max(1, _number(request, "page", 1)) - 1)
    of_target = targets[wanted.target]
    rows, total = index.page(wanted, start)
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
        rows=rows,
        total=total,
        start=start,
        number=start // PER_PAGE + 1,
        per_page=PER_PAGE,
        query=_query(wanted),
    )


def _working(site: Site, title: str, task: Task[Any], run: Run) -> Response:
    """A page that says so, and asks again by itself."""
    return site.page("working.html.j2", 202, {"refresh": "2"}, title=title, task=task, run=run)


@page
def item(site: Site, request: Request) -> Response:
    """One item: what was asked, and what every arm said, side by side."""
    judged = judged_of(site, request)
    index = site.indexes.of(judged.run)
    if isinstance(index, Task):
        return _working(site, "Reading items", index, judged.run)
    found = index.example(int(request.path_params["n"]))
    if found is None:
        raise NotThereError("There is no such item.")
    probe, example = found
    wanted, at = _filter(request, ""), _number(request, "at", -1)
    first = max(0, at - 1)
    around = index.page(wanted, first, 3)[0] if wanted.target and at >= 0 else []
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
        finding=judged.finding(wanted.target) if wanted.target else None,
        settled=SETTLED,
        wanted=wanted,
        at=at,
        per_page=PER_PAGE,
        before=around[0] if around and here else None,
        after=around[here + 1] if len(around) > here + 1 else None,
        query=_query(wanted),
    )


@page
def difference(site: Site, request: Request) -> Response:
    """Two statements about one teacher: what moved, with an interval for the difference."""
    query = request.query_params
    first, second = (site.found(query.get(side, "")) for side in ("first", "second"))
    judged = [site.judged(run, _statement(run)) for run in (first, second)]
    paired = site.paired(judged[0], judged[1])
    if isinstance(paired, Task):
        return _working(site, "Comparing item by item", paired, second)
    one, other = ((each.statement, each.run.path) for each in judged)
    compared = compare(
        one[0],
        other[0],
        labels=labels(one[0], other[0], (one[1], other[1])),
        force=bool(query.get("force")),
        paired=paired,
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


def judged_of(site: Site, request: Request) -> Judged:
    """The statement of the run that an address names, and what people made of it."""
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
