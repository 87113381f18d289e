"""A curve of the Statement: student less teacher along an axis, with its band, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor

from markupsafe import Markup

from ullage.statement import sanitise
from ullage.statement.document import CurvePoint, Generalisation
from ullage.statement.plots import labelled, tag
from ullage.statement.words import MINUS

_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 44
_STEP = 0.25
_TICKS = 3
"""So many distances are named each; of more, the nearest and the farthest."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where values are drawn."""

    near: float
    far: float
    low: float
    high: float

    def x(self, at: float) -> float:
        span = self.far - self.near or 1.0
        # Room for whiskers at both ends.
        return _LEFT + 14 + (_WIDTH - _LEFT - _RIGHT - 28) * (at - self.near) / span

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - inside) / (self.high - self.low)


def curve(found: Generalisation, title: str, id_: str) -> Markup:
    """Points with their intervals, and the line with its band where there is one.

    Args:
        found: what is drawn; a screen reader is told every point.
        title: its name for screen readers.
        id_: unique on the page.
    """
    frame = _frame((*found.points, *found.line))
    axis = sanitise.visible(found.axis, limit=48)
    places = sorted({point.at for point in found.points})
    ticks = places if len(places) <= _TICKS else [frame.near, frame.far]
    body = [*_grid(frame, axis, ticks), *_band(found.line, frame)]
    for point in found.points:
        x = frame.x(point.at)
        low, high = frame.y(point.low), frame.y(point.high)
        body.append(
            tag("path", d=f"M{x:.2f} {low:.2f}V{high:.2f}M{x - 4:.2f} {low:.2f}h8"
                f"M{x - 4:.2f} {high:.2f}h8", class_="reach-whisker")
        )  # fmt: skip
        body.append(tag("circle", cx=x, cy=frame.y(point.estimate), r=4.5, class_="reach-point"))
    told = "; ".join(
        f"at {_number(p.at)}: {_number(p.estimate)} [{_number(p.low)}, {_number(p.high)}]"
        for p in found.points
    )
    told = f"Student's accuracy less the teacher's, by {axis}: {told}."
    return labelled(id_, title, told, _WIDTH, _HEIGHT, *body, kind="curve")


def _frame(points: Sequence[CurvePoint]) -> _Frame:
    """Axes that hold all of it, in whole quarters, with room above zero."""
    low = min(floor(min(p.low for p in points) / _STEP) * _STEP, -_STEP)
    high = max(ceil(max(p.high for p in points) / _STEP) * _STEP, _STEP)
    places = [p.at for p in points]
    return _Frame(min(places), max(places), low, high)


def _grid(frame: _Frame, axis: str, ticks: Sequence[float]) -> list[Markup]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = [
        tag("rect", x=_LEFT, y=_TOP, width=right - _LEFT, height=bottom - _TOP, class_="frame")
    ]
    for step in range(round(frame.low / _STEP), round(frame.high / _STEP) + 1):
        y = frame.y(step * _STEP)
        kind = "grid" if step else "zero"
        parts.append(tag("path", d=f"M{_LEFT} {y:.2f}H{right}", class_=kind))
        told = _number(step * _STEP)
        parts.append(tag("text", told, x=_LEFT - 6, y=y + 4, class_="t", text_anchor="end"))
    parts += [
        tag("text", _number(at), x=frame.x(at), y=bottom + 16, class_="t", text_anchor="middle")
        for at in ticks
    ]
    middle = (_TOP + bottom) / 2
    return [
        *parts,
        tag("text", f"{axis} →", x=right, y=bottom + 34, class_="t name", text_anchor="end"),
        tag("text", "student less teacher", class_="t name", text_anchor="middle",
            transform=f"translate(11 {middle:.2f}) rotate(-90)"),
    ]  # fmt: skip


def _band(line: Sequence[CurvePoint], frame: _Frame) -> list[Markup]:
    if not line:
        return []
    upper = [f"{frame.x(p.at):.2f} {frame.y(p.high):.2f}" for p in line]
    lower = [f"{frame.x(p.at):.2f} {frame.y(p.low):.2f}" for p in reversed(line)]
    middle = [f"{frame.x(p.at):.2f} {frame.y(p.estimate):.2f}" for p in line]
    return [
        tag("path", d=f"M{'L'.join([*upper, *lower])}Z", class_="reach-band"),
        tag("path", d=f"M{'L'.join(middle)}", class_="reach-line"),
    ]


def _number(value: float) -> str:
    """Two digits at most, with a real minus."""
    return f"{round(value, 2) or 0.0:g}".replace("-", MINUS)
