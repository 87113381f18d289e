"""The report for a person: on a terminal, and as Markdown for a page of documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ullage.selftest.damages import DAMAGES
from ullage.selftest.report import Check, MetricResult, OrganismResult, Report, Trials
from ullage.statement.terminal import put

_COLUMNS = ("metric", "without", "δ", "n", "δ/2", "1δ", "2δ", "lost", "alarms", "bias")
_WIDTHS = (15, 12, 5, 5, 4, 4, 4, 4, 6, 6)
_NUMBER = 6
"""Widest column of numbers."""
_MORE = ("kept at 0", "kept at δ", "covered")
_SEEN = (
    "Share of audits that report a loss (lost or degraded) where the student lost δ/2, 1δ and 2δ; "
    "lost: that call it lost at 2δ; alarms: that report one where there is none. n: items of an "
    "audit, as planned. bias: of the estimate at 1δ."
)
_MATRIX = (
    "Students damaged on every second item: mean share of a dimension's metrics that are judged "
    "lost."
)
_MARKS = {"passed": ("+", "green"), "weak": ("!", "yellow"), "untested": ("?", "yellow")}
_FAILED = ("x", "bold red")


def verdict(report: Report) -> str:
    """The outcome in one sentence."""
    failed = [metric.id for metric in report.metrics if not metric.passed]
    failed += [organism.organism for organism in report.organisms if not organism.passed]
    tried = len(report.metrics) + len(report.organisms)
    if failed:
        return f"FAILED: {len(failed)} of {tried}: {', '.join(failed)}."
    weak = sum(_state(metric) == "weak" for metric in report.metrics)
    untested = sum(_state(metric) == "untested" for metric in report.metrics)
    return (
        f"Passed: {tried - untested} of {tried} tried"
        + (f", {weak} of them with a known weakness" if weak else "")
        + (f"; {untested} cannot be tried with simulated students" if untested else "")
        + "."
    )


def _state(metric: MetricResult) -> str:
    if not metric.passed:
        return "failed"
    if metric.untested:
        return "untested"
    return "weak" if any(not check.passed for check in metric.checks) else "passed"


def _cells(metric: MetricResult) -> list[str]:
    """A metric's row: `_COLUMNS`, then `_MORE`."""
    none, half, once, twice = (metric.at(size) for size in (0.0, 0.5, 1.0, 2.0))
    return [
        metric.id,
        metric.damage or "-",
        f"{metric.margin:g}",
        f"{metric.items:,}",
        *(_share(trials, "found") for trials in (half, once, twice)),
        _share(twice, "lost_share"),
        _share(none, "found"),
        f"{once.bias:+.3f}" if once else "-",
        _share(none, "kept_share"),
        _share(once, "kept_share"),
        _covered(metric.trials),
    ]


def _share(trials: Trials | None, what: str) -> str:
    return "-" if trials is None else f"{getattr(trials, what):.0%}"


def _covered(trials: Sequence[Trials]) -> str:
    audits = sum(one.audits for one in trials)
    return f"{sum(one.covered for one in trials) / audits:.1%}" if audits else "-"


def _by_dimension(report: Report) -> dict[str, list[MetricResult]]:
    groups: dict[str, list[MetricResult]] = {}
    for metric in report.metrics:
        groups.setdefault(metric.dimension, []).append(metric)
    return groups


def _told(metric: MetricResult) -> Iterator[tuple[str, str]]:
    """(what did not hold, why that is known or how it must be read), for a metric."""
    for check in metric.checks:
        if not check.passed:
            yield _sentence(check), check.known
    if metric.untested:
        yield "not tried", metric.untested


def _sentence(check: Check) -> str:
    return f"{check.name}: {check.found}, wanted {check.wanted}"


def _about(report: Report) -> str:
    extent = "quick" if report.quick else "full"
    return f"Ullage {report.ullage_version}, {extent}: {report.audits} audits of each size"


# ---------------------------------------------------------------------------------------- terminal


def render(report: Report, console: Console) -> None:
    """Print the report."""
    put(Group(*_page(report)), console)


def _page(report: Report) -> Iterator[RenderableType]:
    yield Text.assemble(("Self-test", "bold"), f"  {_about(report)}")
    yield Text(_SEEN, style="dim")
    for place, probe in enumerate(report.probes):
        yield Text()
        yield Text.assemble((probe.probe, "bold"), f"  {probe.dimension}")
        yield _table(probe.metrics, header=place == 0)
    yield from _notes(report)
    yield Text()
    yield Text("Planted against reported", style="bold")
    yield Text(_MATRIX, style="dim")
    yield _matrix(report)
    if report.organisms:
        yield Text()
        yield Text("Really distilled students", style="bold")
        yield _organisms(report.organisms)
    yield Text()
    yield Text(verdict(report), style="bold green" if report.passed else "bold red")


def _table(metrics: Sequence[MetricResult], *, header: bool) -> Table:
    """One probe's metrics; widths are fixed, so that all probes' columns are in line."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim", show_header=header
    )
    table.add_column("", width=1)
    for name, width in zip(_COLUMNS, _WIDTHS, strict=True):
        table.add_column(
            name, justify="left" if width > _NUMBER else "right", width=width, no_wrap=True
        )
    for metric in metrics:
        mark = _MARKS.get(_state(metric), _FAILED)
        cells = [metric.metric, *_cells(metric)[1 : len(_COLUMNS)]]
        table.add_row(Text(*mark), *map(Text, cells))
    return table


def _notes(report: Report) -> Iterator[RenderableType]:
    told = [(metric, *note) for metric in report.metrics for note in _told(metric)]
    if told:
        yield Text()
        yield Text("What did not hold", style="bold")
    for metric, what, known in told:
        colour = _MARKS.get(_state(metric), _FAILED)[1]
        yield Text.assemble("  ", (metric.id, colour), f"  {what}")
        if known:
            yield Padding(Text(known, style="dim"), (0, 0, 0, 4))


def _matrix(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("the student ...", overflow="fold")
    dimensions = list(_by_dimension(report))
    for dimension in dimensions:
        table.add_column(dimension, justify="right", no_wrap=True)
    for damage, shares in report.matrix.items():
        cells = [_heat(shares[dimension]) for dimension in dimensions]
        table.add_row(Text(DAMAGES[damage].summary), *cells)
    return table


def _heat(share: float) -> Text:
    style = "bold red" if share >= 0.5 else "yellow" if share >= 0.05 else "dim"
    return Text(f"{share:.0%}", style=style)


def _organisms(organisms: Sequence[OrganismResult]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("", "student", "made without", "what was found"):
        table.add_column(name, overflow="fold")
    for organism in organisms:
        mark = Text(*(_MARKS["passed"] if organism.passed else _FAILED))
        table.add_row(mark, Text(organism.organism), Text(organism.cause), Text(organism.why))
    return table


# ---------------------------------------------------------------------------------------- Markdown


def to_markdown(report: Report) -> str:
    """The tables for a page of documentation."""
    blocks = [f"{_about(report)}. **{verdict(report)}**", _SEEN]
    rows = [_row(("dimension", *_COLUMNS, *_MORE))]
    rows.append(_row(("---", "---", "---", *["---:"] * (len(_COLUMNS) + len(_MORE) - 2))))
    for dimension, metrics in _by_dimension(report).items():
        rows += [_row((dimension, f"`{m.id}`", *_cells(m)[1:])) for m in metrics]
    blocks.append("\n".join(rows))
    told = [
        f"- `{metric.id}`: {what}" + (f" ({known})" if known else "")
        for metric in report.metrics
        for what, known in _told(metric)
    ]
    if told:
        blocks += ["What did not hold:", "\n".join(told)]
    blocks += ["Planted against reported. " + _MATRIX, matrix_to_markdown(report)]
    if report.organisms:
        blocks += ["Really distilled students:", _organism_rows(report.organisms)]
    return "\n\n".join(blocks) + "\n"


def matrix_to_markdown(report: Report) -> str:
    """What was planted against what was reported; bold where metrics are meant to see it."""
    dimensions = _by_dimension(report)
    meant = {(m.damage, name) for name, metrics in dimensions.items() for m in metrics}
    rows = [_row(("the student …", *dimensions)), _row(("---", *["---:"] * len(dimensions)))]
    for damage, shares in report.matrix.items():
        cells = [
            f"**{shares[name]:.0%}**" if (damage, name) in meant else f"{shares[name]:.0%}"
            for name in dimensions
        ]
        rows.append(_row((DAMAGES[damage].summary, *cells)))
    return "\n".join(rows)


def _organism_rows(organisms: Sequence[OrganismResult]) -> str:
    rows = [_row(("student", "made without", "found", "passed")), _row(("---",) * 4)]
    rows += [_row((o.organism, o.cause, o.why, "yes" if o.passed else "**no**")) for o in organisms]
    return "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
