"""The curve of a loss over the steps of a training, as inline SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil, floor, log10
from statistics import fmean

from markupsafe import Markup

from ullage.serve.training import Point
from ullage.statement.plots import labelled, tag

_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 12, 40
_MOST = 60
"""Points of a line; of more steps each is the mean of some, in a band from their least to their
greatest."""
_DECADES = 8.0
"""From this ratio on between greatest and least the axis is logarithmic."""
_TICKS = 5
_FARTHEST = 1e100
"""No loss is beyond; a line that somebody made up may be, and would be no number when drawn."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Some steps drawn as one point."""

    step: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where a loss is drawn."""

    low: float
    high: float
    logarithmic: bool

    def y(self, value: float) -> float:
        """A loss in pixels."""
        low, high, at = (self._scaled(one) for one in (self.low, self.high, value))
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (high - at) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Round numbers within it."""
        if self.logarithmic:
            return _thinned(_round_ones(self.low, self.high))
        step = _step(self.high - self.low)
        return [
            step * n
            for n in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)
        ]

    def _scaled(self, value: float) -> float:
        return log10(value) if self.logarithmic else value


def losses(
    trained: Sequence[Point], held_out: Sequence[Point], name: str, total: int, id_: str
) -> Markup:
    """A loss, or a term of it, by step: of what was learnt, and on held-out rows.

    Args:
        trained: every step; some have a number of that name.
        held_out: where it was measured.
        name: ``loss`` or a term.
        total: steps that are planned.
        id_: unique on the page.
    """
    seen = _seen(_values(trained, name))
    measured = _values(held_out, name)
    values = [v for one in seen for v in (one.low, one.high)] + [value for _, value in measured]
    axis = _axis(values)
    last = max(total, 1, *(p.step for p in (*trained[-1:], *held_out[-1:])))

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last

    parts = [*_grid(axis, last, x(0), x(last))]
    if any(one.low < one.high for one in seen):
        above = [f"{x(one.step):.1f} {axis.y(one.high):.1f}" for one in seen]
        below = [f"{x(one.step):.1f} {axis.y(one.low):.1f}" for one in reversed(seen)]
        parts.append(tag("path", d=f"M{'L'.join([*above, *below])}Z", class_="course-band"))
    if seen:
        line = "L".join(f"{x(one.step):.1f} {axis.y(one.mean):.1f}" for one in seen)
        parts.append(tag("path", d=f"M{line}", class_="course-line"))
    if measured:
        line = "L".join(f"{x(step):.1f} {axis.y(value):.1f}" for step, value in measured)
        parts.append(tag("path", d=f"M{line}", class_="course-held"))
        parts += [tag("circle", cx=x(step), cy=axis.y(value), r=4.0, class_="course-point")
                  for step, value in measured]  # fmt: skip
    return labelled(
        id_, f"{name} by step", _told(seen, measured), _WIDTH, _HEIGHT, *parts, kind="course"
    )


def _values(points: Sequence[Point], name: str) -> list[tuple[int, float]]:
    """Steps and their loss, as far as it can be drawn."""
    found = ((point.step, point.values[name]) for point in points if name in point.values)
    return [(step, min(max(value, -_FARTHEST), _FARTHEST)) for step, value in found]


def _seen(points: Sequence[tuple[int, float]]) -> list[_Seen]:
    """Steps, or means of as many each."""
    size = max(1, ceil(len(points) / _MOST))
    groups = groupby(enumerate(points), key=lambda numbered: numbered[0] // size)
    return [_one([point for _, point in group]) for _, group in groups]


def _one(points: Sequence[tuple[int, float]]) -> _Seen:
    values = [value for _, value in points]
    return _Seen(fmean(step for step, _ in points), fmean(values), min(values), max(values))


def _axis(values: Sequence[float]) -> _Axis:
    """One that holds all values, from zero where they are close to it."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    if low > 0 and high / low >= _DECADES:
        return _Axis(low / 1.1, high * 1.1, logarithmic=True)
    if 0 <= low < high / 2:
        low = 0.0
    room = 0.06 * (high - low) or max(abs(high), 1.0) / 2
    return _Axis(low if low == 0 else low - room, high + room, logarithmic=False)


def _grid(axis: _Axis, last: int, left: float, right: float) -> Iterator[Markup]:
    bottom = _HEIGHT - _BOTTOM
    yield tag("rect", x=_LEFT, y=_TOP, width=right - left, height=bottom - _TOP, class_="frame")
    for tick in axis.ticks:
        y = axis.y(tick)
        yield tag("path", d=f"M{left:.1f} {y:.1f}H{right:.1f}", class_="grid")
        yield tag("text", f"{tick:.3g}", x=left - 6, y=y + 4, class_="t", text_anchor="end")
    for step, anchor in ((0, "start"), (last, "end")):
        x = left if step == 0 else right
        yield tag("text", f"{step:,}", x=x, y=bottom + 16, class_="t", text_anchor=anchor)
    yield tag("text", "step →", x=right, y=bottom + 32, class_="t name", text_anchor="end")


def _step(span: float) -> float:
    """A round distance between ticks."""
    rough = span / (_TICKS - 1)
    unit = 10.0 ** floor(log10(rough))
    return next(unit * n for n in (1, 2, 5, 10) if unit * n >= rough - 1e-12)


def _round_ones(low: float, high: float) -> list[float]:
    """1, 2 and 5 of each power of ten."""
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    found = (n * 10.0**power for power in powers for n in (1, 2, 5))
    return [one for one in found if low <= one <= high]


def _thinned(ticks: list[float]) -> list[float]:
    return ticks[:: ceil(len(ticks) / (_TICKS + 2)) or 1]


def _told(seen: Sequence[_Seen], measured: Sequence[tuple[int, float]]) -> str:
    """For who cannot see it."""
    told = []
    if seen:
        told.append(f"Learnt: from {seen[0].mean:.4g} to {seen[-1].mean:.4g}.")
    if measured:
        points = "; ".join(f"step {step:,}: {value:.4g}" for step, value in measured)
        told.append(f"Held out: {points}.")
    return " ".join(told) or "Nothing was measured yet."
