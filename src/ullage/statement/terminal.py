"""The Statement in a terminal: by dimension, each verdict as colour, symbol and word.

Everything is built of `Text`, so rich reads no markup in it; what models said does not appear, and
names pass `sanitise.terminal`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from ullage.statement import plots, words
from ullage.statement.consent import UNACCEPTED, Consent, Life, State, life, life_sentence
from ullage.statement.document import Finding, Statement
from ullage.statement.outcome import gate, gate_sentence, outcome_sentence
from ullage.statement.policy import Gate
from ullage.statement.sanitise import terminal as safe

_WIDE = 112
"""Columns from which a target fits one line."""
_BAR = 24


def render(
    statement: Statement,
    console: Console,
    *,
    found: Mapping[str, Consent] | None = None,
    folder: Path | None = None,
) -> None:
    """Print the statement.

    Args:
        statement: what to print.
        console: decides width, colour and encoding (`NO_COLOR` and pipes included).
        found: what became of the consent to each target.
        folder: where statement.json, .html and .md are, to say so; None says nothing.
    """
    print_page(Group(*_page(statement, console.width, found or {})), console)
    if folder is not None:
        console.print()
        for name, what in _FILES.items():
            told = Text.assemble(safe(str(folder / name)), (f"  {what}", "dim"))
            console.print(told, soft_wrap=True)  # a path is copied whole


def print_page(page: RenderableType, console: Console) -> None:
    """Print something, in characters that the terminal has."""
    if console.options.ascii_only:
        segments = console.render(page)
        console.print(Segments(Segment(_ascii(s.text), s.style, s.control) for s in segments))
    else:
        console.print(page)


def put(page: RenderableType, console: Console) -> None:
    """Print, with likenesses of our signs where the terminal knows ASCII alone."""
    if console.options.ascii_only:
        segments = console.render(page)
        console.print(Segments(Segment(_ascii(s.text), s.style, s.control) for s in segments))
    else:
        console.print(page)


_FILES = {
    "statement.html": "to read",
    "statement.md": "for a model card or a pull request",
    "statement.json": "for machines",
}


def _page(
    statement: Statement, width: int, found: Mapping[str, Consent]
) -> Iterator[RenderableType]:
    yield Text.assemble(("Distillation Loss Statement", "bold"), "  ", safe(statement.name))
    yield Text(safe(statement.scenario.title), style="dim")
    shared = plots.axis(statement.findings)
    rows = _one_line if width >= _WIDE else _two_lines
    for dimension, findings in words.by_dimension(statement.findings).items():
        yield Text()
        question = words.DIMENSIONS.get(dimension, "")
        yield Text.assemble((safe(dimension), "bold"), "  ", (question, "dim"))
        yield rows(statement, findings, shared, found)
    yield Text()
    yield Text(
        "Loss [95 % interval], positive is worse. On the bar: │ no loss, ┊ the margin δ."
        + words.other_references(statement.findings),
        style="dim",
    )
    yield Text()
    yield from _unknown(statement)
    yield Text()
    yield Text(words.trusted(statement.findings), style="dim")
    yield Text(outcome_sentence(statement), style="bold")
    alive = life(statement, found)
    yield Text(life_sentence(statement, found), style="" if alive == Life.ACCEPTED else "bold red")
    yield Text.assemble(
        (gate_sentence(statement), "red" if statement.exit_code else "green"),
        (f" Exit code {statement.exit_code}.", "dim"),
    )


def _one_line(
    statement: Statement,
    findings: Sequence[Finding],
    shared: plots.Axis,
    found: Mapping[str, Consent],
) -> Table:
    table = _grid(5)
    table.expand = True  # so that the columns of all dimensions are in line
    table.columns[1].ratio = 1
    for finding in findings:
        table.add_row(
            _verdict(finding),
            Text.assemble(_id(finding), "  ", _marks(statement, finding, found)),
            _loss(finding),
            Text(f"δ {_margin(finding)}"),
            _bar(finding, shared),
        )
    return table


def _two_lines(
    statement: Statement,
    findings: Sequence[Finding],
    shared: plots.Axis,
    found: Mapping[str, Consent],
) -> Table:
    table = _grid(2)
    for finding in findings:
        numbers = _grid(3)
        numbers.add_row(_loss(finding), Text(f"δ {_margin(finding)}"), _bar(finding, shared))
        told = Text.assemble(_id(finding), "  ", _marks(statement, finding, found))
        table.add_row(_verdict(finding), Group(told, numbers))
    return table


def _grid(columns: int) -> Table:
    table = Table.grid(padding=(0, 2), pad_edge=False)
    widths = {5: (14, None, 24, 7, _BAR), 2: (14, None), 3: (24, 7, _BAR)}[columns]
    for width in widths:
        table.add_column(width=width, no_wrap=False, overflow="fold")
    return table


def _verdict(finding: Finding) -> Text:
    word = words.VERDICTS[finding.verdict]
    return Text(f"{word.symbol} {word.label}", style=word.style)


def _id(finding: Finding) -> Text:
    return Text(safe(finding.id), overflow="fold")


def _marks(statement: Statement, finding: Finding, found: Mapping[str, Consent]) -> Text:
    """Severity, and what the gate makes of it where it does not pass."""
    severity = words.SEVERITIES[finding.severity].removesuffix(" keep")
    told = Text.assemble((severity, "dim"), (", headline" * finding.target.headline, "dim"))
    if against := words.against(finding):
        told.append(f", {against}", style="dim")
    outcome = gate(finding, statement.scenario)
    if outcome != Gate.PASS:
        told.append("  ")
        told.append("FAILS" if outcome == Gate.FAIL else outcome, style="bold")
    state = found.get(finding.id, UNACCEPTED).state
    if finding.verdict in words.LOSSES or state != State.NONE:
        told.append("  ")
        told.append(state, style="dim" if state == State.ACCEPTED else "bold red")
    return told


def _loss(finding: Finding) -> Text:
    if finding.loss is None:
        return Text("no number", style="dim")
    return Text(words.interval(finding.loss, words.places(finding)))


def _margin(finding: Finding) -> str:
    return words.number(finding.target.margin, words.places(finding))


def _bar(finding: Finding, shared: plots.Axis) -> Text:
    """The interval against no loss (``│``) and the margin (``┊``) on the page's shared axis."""
    word = words.VERDICTS[finding.verdict]

    def cell(value: float) -> int:
        within = min(max(value, shared.low), shared.high)
        return round((_BAR - 1) * (within - shared.low) / (shared.high - shared.low))

    cells = [" "] * _BAR
    if finding.loss is None:
        cells = list(word.label.center(_BAR, "/" if word.label == "not measured" else " "))
        return Text("".join(cells), style=word.style)
    margin = finding.target.margin
    low, high = finding.loss.low / margin, finding.loss.high / margin
    for place in range(cell(low), cell(high) + 1):
        cells[place] = "─"
    if low < shared.low:
        cells[0] = "◄"
    if high > shared.high:
        cells[-1] = "►"
    cells[cell(0)] = "┼" if cells[cell(0)] == "─" else "│"
    cells[cell(1)] = "╪" if cells[cell(1)] == "─" else "┊"
    at = finding.loss.estimate / margin
    # Beyond the axis the arrowhead keeps the last cell.
    cells[cell(at) - (at > shared.high) + (at < shared.low)] = word.symbol
    text = Text("".join(cells))
    text.stylize(word.style, cell(low), cell(high) + 1)
    return text


def _unknown(statement: Statement) -> Iterator[RenderableType]:
    yield Text("What is not known", style="bold reverse")
    if not statement.not_known:
        yield Text("  Nothing: every target settled, every dimension with one, every arm there.")
    reasons: dict[str, list[str]] = {}
    for entry in statement.not_known:
        reasons.setdefault(entry.why, []).append(entry.what)
    for why, whats in reasons.items():
        for what in whats:
            yield Padding(Text(safe(what), style="bold"), (0, 0, 0, 2), expand=False)
        yield Padding(Text(safe(why)), (0, 0, 0, 4), expand=False)


_ASCII = str.maketrans(
    dict(zip("─│┊┼╪◄►→δ−–’…·", "-|:++<>>d--'..", strict=True))
    | {word.symbol: word.ascii for word in words.VERDICTS.values()}
)


def _ascii(text: str) -> str:
    """For terminals without Unicode: each character's likeness, or a question mark."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()
