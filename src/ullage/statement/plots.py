"""The Statement's pictures: small pure functions from numbers to inline SVG.

No style attribute and no script: colours come from classes in the page's style sheet, so that one
drawing serves light, dark and print. Each verdict has a colour, a shape and, beside it, its word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor

from markupsafe import Markup

from ullage.statement import sanitise
from ullage.statement.document import Estimate, Finding, Verdict
from ullage.statement.standing import Standing
from ullage.statement.words import VERDICTS, interval, number, percent, places, several

_ROW_WIDTH, _ROW_HEIGHT, _ROW_PAD = 260, 34, 12


def tag(name: str, /, *children: Markup | str, **attributes: str | float | None) -> Markup:
    """One SVG element; attribute names use ``_`` for ``-``, and None leaves one out."""
    told = Markup("").join(
        Markup(' {}="{}"').format(key.strip("_").replace("_", "-"), _attribute(value))
        for key, value in attributes.items()
        if value is not None
    )
    inner = Markup("").join(children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, told, inner)


def _attribute(value: str | float | None) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def picture(
    id_: str, title: str, description: str, width: float, height: float, *body: Markup, kind: str
) -> Markup:
    """An SVG that a screen reader announces by its title and description."""
    return tag(
        "svg",
        tag("title", sanitise.visible(title), id=f"{id_}-t"),
        tag("desc", sanitise.visible(description, limit=2000), id=f"{id_}-d"),
        *body,
        class_=f"plot {kind}",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{id_}-t {id_}-d",
    )


def marker(verdict: Verdict, x: float, y: float, size: float = 6.0) -> Markup:
    """The verdict's shape, centred; told apart in greyscale and by shape alone."""
    kind = f"mark v-{verdict}"
    s = size
    match verdict:
        case Verdict.PRESERVED:
            return tag("circle", cx=x, cy=y, r=s * 0.95, class_=f"{kind} full")
        case Verdict.NEVER_HAD:
            return tag("circle", cx=x, cy=y, r=s * 0.8, class_=f"{kind} hollow")
        case Verdict.DEGRADED:
            d = f"M{x - s:g} {y - 0.8 * s:g}H{x + s:g}L{x:g} {y + s:g}Z"
            return tag("path", d=d, class_=f"{kind} full")
        case Verdict.LOST:
            t = s * 0.8
            d = f"M{x - t:g} {y - t:g}L{x + t:g} {y + t:g}M{x + t:g} {y - t:g}L{x - t:g} {y + t:g}"
            return tag("path", d=d, class_=f"{kind} stroke")
        case Verdict.INCONCLUSIVE:
            d = f"M{x:g} {y - s:g}L{x + s:g} {y:g}L{x:g} {y + s:g}L{x - s:g} {y:g}Z"
            return tag("path", d=d, class_=f"{kind} hollow")
        case Verdict.UNMEASURED:
            t = s * 0.85
            box = f"M{x - t:g} {y - t:g}H{x + t:g}V{y + t:g}H{x - t:g}Z"
            slash = f"M{x - t:g} {y + t:g}L{x + t:g} {y - t:g}"
            return tag("path", d=box + slash, class_=f"{kind} hollow")


def icon(verdict: Verdict) -> Markup:
    """The verdict's shape to stand beside its word, which is what a screen reader reads."""
    return tag("svg", marker(verdict, 8, 8), class_="icon", viewBox="0 0 16 16", aria_hidden="true")


@dataclass(frozen=True, slots=True)
class Axis:
    """The one axis all interval plots of a page share: loss in units of each target's margin."""

    low: float
    high: float

    def x(self, value: float) -> float:
        """Where a loss of `value` margins is drawn."""
        span = _ROW_WIDTH - 2 * _ROW_PAD
        within = min(max(value, self.low), self.high)
        return _ROW_PAD + span * (within - self.low) / (self.high - self.low)


def axis(findings: Iterable[Finding]) -> Axis:
    """An axis that holds most intervals; what lies beyond is drawn with an arrowhead."""
    losses = [(f.loss, f.target.margin) for f in findings if f.loss is not None]
    low = min((loss.low / margin for loss, margin in losses), default=-1.0)
    high = max((loss.high / margin for loss, margin in losses), default=2.0)
    return Axis(low=float(max(-2, min(-1, floor(low)))), high=float(min(6, max(2, ceil(high)))))


def axis_head(shared: Axis) -> Markup:
    """The axis' names, above the column of interval plots."""
    zero, margin = shared.x(0), shared.x(1)
    return tag(
        "svg",
        tag("text", "no loss", x=zero, y=11, class_="t small", text_anchor="middle"),
        tag("text", "margin δ", x=margin + 2, y=11, class_="t small margin-name"),
        tag("path", d=f"M{zero:.2f} 15V22", class_="zero"),
        tag("path", d=f"M{margin:.2f} 15V22", class_="delta"),
        tag("text", "← better", x=2, y=22, class_="t small faint"),
        tag("text", "worse →", x=_ROW_WIDTH - 2, y=22, class_="t small faint", text_anchor="end"),
        class_="plot head",
        viewBox=f"0 0 {_ROW_WIDTH} 24",
        aria_hidden="true",
    )


def interval_plot(finding: Finding, shared: Axis, id_: str) -> Markup:
    """One target: its loss and 95 % interval against no loss, the margin and the noise floor.

    Args:
        finding: the target, judged.
        shared: the page's axis.
        id_: unique on the page; `title` and `desc` take theirs from it.
    """
    margin = finding.target.margin
    middle = _ROW_HEIGHT / 2
    label = VERDICTS[finding.verdict].label
    zero, delta = shared.x(0), shared.x(1)
    # Far above and below: in the table, whose cells cut them off, they are lines down the column.
    body = [
        tag("rect", x=zero, y=-500, width=delta - zero, height=1000, class_="band"),
        _noise(finding.noise_floor, margin, shared),
        tag("path", d=f"M{zero:.2f} -500V500", class_="zero"),
        tag("path", d=f"M{delta:.2f} -500V500", class_="delta"),
    ]
    if finding.loss is None:
        words = f"{label}: no number"
        body.append(
            tag("rect", x=1, y=4, width=_ROW_WIDTH - 2, height=_ROW_HEIGHT - 8, class_="hatched")
        )
        body.append(
            tag("text", words, x=_ROW_WIDTH / 2, y=21, class_="t plate", text_anchor="middle")
        )
        description = "No interval: " + finding.why
    else:
        body += _whisker(finding.loss, finding.verdict, margin, shared, middle)
        digits = places(finding)
        description = (
            f"Loss {interval(finding.loss, digits)} against a margin of {number(margin, digits)}."
        )
    return picture(
        id_, f"{finding.id}: {label}", description, _ROW_WIDTH, _ROW_HEIGHT, *body, kind="interval"
    )


def _noise(floor_: Estimate | None, margin: float, shared: Axis) -> Markup:
    """The band in which the teacher's second asking lies against its first."""
    if floor_ is None:
        return Markup("")
    left, right = shared.x(floor_.low / margin), shared.x(floor_.high / margin)
    return tag(
        "rect",
        x=left - 0.75,
        y=_ROW_HEIGHT - 8.0,
        width=right - left + 1.5,
        height=5.0,
        class_="noise",
    )


def _whisker(
    loss: Estimate, verdict: Verdict, margin: float, shared: Axis, y: float
) -> list[Markup]:
    low, high, at = (value / margin for value in (loss.low, loss.high, loss.estimate))
    left, right = shared.x(low), shared.x(high)
    parts = [tag("path", d=f"M{left:.2f} {y:g}H{right:.2f}", class_=f"whisker v-{verdict}")]
    for end, x in ((low, left), (high, right)):
        beyond = not shared.low <= end <= shared.high
        way = -1 if end < shared.low else 1
        shape = (
            f"M{x:.2f} {y - 4:g}L{x + 6 * way:.2f} {y:g}L{x:.2f} {y + 4:g}"
            if beyond
            else f"M{x:.2f} {y - 4:g}V{y + 4:g}"
        )
        parts.append(tag("path", d=shape, class_=f"whisker v-{verdict}"))
    # Room for the arrowhead where the estimate itself lies beyond the axis.
    inset = 12 if at > shared.high else -12 if at < shared.low else 0
    parts.append(marker(verdict, shared.x(at) - inset, y))
    return parts


def count_bar(counts: Mapping[Verdict, int]) -> Markup:
    """All targets in one bar, a part for each verdict as long as its share."""
    total = sum(counts.values())
    width, height, x = 1000.0, 26.0, 0.0
    parts = []
    for verdict in VERDICTS:
        if not (count := counts.get(verdict, 0)):
            continue
        length = width * count / total
        box = {"x": x, "y": 0.0, "width": length, "height": height}
        parts.append(tag("rect", class_=f"part v-{verdict}", **box))
        if verdict in (Verdict.UNMEASURED, Verdict.INCONCLUSIVE):
            slant = range(int(x) - 26, int(x + length), 13)
            lines = "".join(f"M{left} 26L{left + 26} 0" for left in slant if left >= x)
            if lines:
                parts.append(tag("path", d=lines, class_=f"slant v-{verdict}"))
        x += length
    told = ", ".join(
        f"{counts[verdict]} {word.label}"
        for verdict, word in VERDICTS.items()
        if counts.get(verdict)
    )
    svg = picture(
        "counts", f"Verdicts of {several(total, 'target')}", told, width, height, *parts, kind="bar"
    )
    return svg.replace(Markup(' role="img"'), Markup(' preserveAspectRatio="none" role="img"'), 1)


SIDE, LEFT, TOP = 280, 46, 14
"""Of the frame within a square picture."""
PICTURE_WIDTH = 410
_SHAPES = {
    "teacher": "M0 -7L2 -2.2L7 -2.2L3 1.2L4.6 6.4L0 3.4L-4.6 6.4L-3 1.2L-7 -2.2L-2 -2.2Z",
    "teacher_again": "M0 -6V6M-5.2 -3L5.2 3M5.2 -3L-5.2 3",
    "base": "M-5 -5H5V5H-5Z",
    "control": "M0 -6L5.6 4.5H-5.6Z",
    "student": "M0 -7L7 0L0 7L-7 0Z",
    "derived": "M0 6.2L5.6 -4.4H-5.6Z",
}
_OTHER_SHAPE = "M-5 0H5M0 -5V5"


def arm_shape(arm: str, x: float, y: float) -> Markup:
    """The arm's mark in the picture."""
    known = arm if arm in _SHAPES else "other"
    return tag(
        "path",
        d=_SHAPES.get(arm, _OTHER_SHAPE),
        transform=f"translate({x:.2f} {y:.2f})",
        class_=f"arm a-{known}",
    )


def arm_icon(arm: str) -> Markup:
    """The arm's mark to stand beside its name."""
    return tag("svg", arm_shape(arm, 9, 9), class_="icon", viewBox="0 0 18 18", aria_hidden="true")


def scatter(standings: Sequence[Standing]) -> Markup:
    """Performance (x) against capability kept (y), both from 0 to 100 %, a labelled mark an arm."""
    placed = [
        (s, LEFT + SIDE * s.performance, TOP + SIDE * (1 - s.capability))
        for s in standings
        if s.performance is not None and s.capability is not None
    ]
    bottom = TOP + SIDE
    parts = [tag("rect", x=LEFT, y=TOP, width=SIDE, height=SIDE, class_="frame")]
    for step in range(5):
        x, y = LEFT + SIDE * step / 4, TOP + SIDE * step / 4
        if 0 < step < 4:
            parts.append(tag("path", d=f"M{x:g} {TOP}V{bottom}M{LEFT} {y:g}H{LEFT + SIDE}",
                             class_="grid"))  # fmt: skip
        parts.append(
            tag("text", f"{25 * step}", x=x, y=bottom + 14, class_="t", text_anchor="middle")
        )
        parts.append(
            tag("text", f"{100 - 25 * step}", x=LEFT - 6, y=y + 4, class_="t", text_anchor="end")
        )
    parts += [
        tag("text", "performance, % →", x=LEFT + SIDE, y=bottom + 32, class_="t name",
            text_anchor="end"),
        tag("text", "capability kept, % →", class_="t name", text_anchor="end",
            transform=f"translate(11 {TOP}) rotate(-90)"),
    ]  # fmt: skip
    where = {s.arm: (x, y) for s, x, y in placed}
    if "teacher" in where and "student" in where:
        parts.append(_journey(where["teacher"], where["student"]))
    parts += [arm_shape(s.arm, x, y) for s, x, y in placed]
    parts += labels([(s.arm, x, y) for s, x, y in placed])
    parts += _not_drawn(standings)
    told = "; ".join(
        f"{s.arm}: performance {_percent(s.performance)}, capability {_percent(s.capability)}"
        for s in standings
    )
    return picture(
        "picture", "Performance against capability kept", told, PICTURE_WIDTH, bottom + 40, *parts,
        kind="scatter",
    )  # fmt: skip


def _not_drawn(standings: Sequence[Standing]) -> list[Markup]:
    """Words at the foot of the frame for arms that have no place in it."""
    lines = []
    if all(standing.performance is None for standing in standings):
        lines.append("performance was not measured")
    if all(standing.capability is None for standing in standings):
        lines.append("capability was not measured")
    missing = [s.arm for s in standings if s.performance is None or s.capability is None]
    if missing and not lines:
        lines.append(sanitise.visible("not measured: " + ", ".join(missing), limit=40))
    return [
        tag("text", line, x=LEFT + 10, y=TOP + SIDE - 10 - 16 * (len(lines) - 1 - row),
            class_="t name")
        for row, line in enumerate(lines)
    ]  # fmt: skip


def _percent(share: float | None) -> str:
    return "not measured" if share is None else percent(share)


def _journey(start: tuple[float, float], end: tuple[float, float]) -> Markup:
    """What distillation did: a line from the teacher to the student."""
    return tag(
        "path",
        d=f"M{start[0]:.2f} {start[1]:.2f}L{end[0]:.2f} {end[1]:.2f}",
        class_="journey",
    )


def labels(points: Sequence[tuple[str, float, float]]) -> list[Markup]:
    """Names beside their marks, moved so that none covers another, a mark or the journey."""
    where = {arm: (x, y) for arm, x, y in points}
    taken = [(x - 7, y - 7, x + 7, y + 7) for x, y in where.values()]
    if "teacher" in where and "student" in where:
        taken += _along(where["teacher"], where["student"])
    named = []
    for arm, x, y in points:
        name = sanitise.visible(arm, limit=16)
        box = min(
            _candidates(x, y, 6.9 * len(name)),
            key=lambda place: (_overlap(place, taken), _far(place, x, y)),
        )
        taken.append(box)
        if _far(box, x, y) > 14:
            named.append(_leader(box, x, y))
        named.append(tag("text", name, x=box[0], y=box[3] - 3, class_="t arm-name"))
    return named


Box = tuple[float, float, float, float]


def _along(start: tuple[float, float], end: tuple[float, float]) -> list[Box]:
    """Small boxes along a line, for labels to keep off."""
    steps = 24
    centres = [
        tuple(a + (b - a) * step / steps for a, b in zip(start, end, strict=True))
        for step in range(steps + 1)
    ]
    return [(x - 2, y - 2, x + 2, y + 2) for x, y in centres]


def _candidates(x: float, y: float, wide: float) -> list[Box]:
    """Places for a label near a point: right, left, below and above it, ever further."""
    boxes = []
    for step in range(9):
        for rise in dict.fromkeys((15.0 * step, -15.0 * step)):
            lefts = (x + 10, x - 10 - wide, x - wide / 2) if step else (x + 10, x - 10 - wide)
            boxes += [(left, y + rise - 8, left + wide, y + rise + 6) for left in lefts]
    inside = [
        box
        for box in boxes
        if box[0] > LEFT + 2
        and box[2] < PICTURE_WIDTH - 2
        and TOP - 13 < box[1] < box[3] < TOP + SIDE - 2
    ]
    return inside or boxes


def _overlap(box: Box, taken: Iterable[Box]) -> float:
    return sum(
        max(0.0, min(box[2], other[2]) - max(box[0], other[0]))
        * max(0.0, min(box[3], other[3]) - max(box[1], other[1]))
        for other in taken
    )


def _far(box: Box, x: float, y: float) -> float:
    """Distance from a point to a box."""
    dx = max(box[0] - x, 0.0, x - box[2])
    dy = max(box[1] - y, 0.0, y - box[3])
    return float((dx * dx + dy * dy) ** 0.5)


def _leader(box: Box, x: float, y: float) -> Markup:
    """A thin line from a label that had to move away to its mark."""
    near_x = min(max(x, box[0]), box[2])
    near_y = min(max(y, box[1]), box[3])
    return tag("path", d=f"M{near_x:.2f} {near_y:.2f}L{x:.2f} {y:.2f}", class_="leader")
