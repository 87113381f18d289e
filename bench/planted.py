"""Planted against reported, over all dimensions, on simulated arms with losses of a declared size.

    python bench/planted.py [--quick] [--fresh] [--probe NAME]... [--jobs N]

It prints three tables in Markdown, all from the trials of `ullage selftest`:

1. Operating points: what is reported of students that lost 0, δ/2, δ and 2δ in one metric.
2. The confusion of dimensions: 2δ planted in the metrics of one dimension and nothing elsewhere;
   the share of metrics judged `lost`, in that dimension and in every other. A student's replies to
   the probes of other dimensions are then those of one that lost nothing, so each column has one
   number off the diagonal: the false `lost` of its metrics.
3. The same by damage: one capability taken from the student on every second item, whatever probe
   asks for it. What is bold is meant to be seen; the rest is what the damage does besides (who
   declines everything also answers fewer questions), not what the auditor makes up.

What a self-test has tried with this very code is not tried again, unless with --fresh. Without
--quick it makes 200 audits of each size instead of 20.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np

from ullage import __version__
from ullage.files import cache_home
from ullage.selftest.report import MetricResult, Report, Trials
from ullage.selftest.run import choose, run_selftest
from ullage.selftest.show import matrix_to_markdown
from ullage.selftest.trials import FULL, QUICK


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 audits of each size, not 200")
    parser.add_argument("--fresh", action="store_true", help="try again what was tried")
    parser.add_argument("--probe", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--jobs", type=int, default=None, help="processes; one a core")
    given = parser.parse_args()
    begun = time.perf_counter()
    report = run_selftest(
        choose(given.probe, None),
        QUICK if given.quick else FULL,
        quick=given.quick,
        jobs=given.jobs,
        kept=cache_home() / "selftest",
        fresh=given.fresh,
        on_probe=lambda name, result: print(
            f"{name}: {'begun' if result is None else 'done'}", file=sys.stderr
        ),
    )
    tried = by_dimension(report)
    print(
        f"Ullage {__version__}, {report.audits} audits of each size, "
        f"{sum(map(len, tried.values()))} metrics of {len(report.probes)} probes, on "
        f"{os.cpu_count()} cores ({platform.machine()}) in {time.perf_counter() - begun:,.0f} s."
    )
    print("\n## What is reported of a loss\n")
    print(points(tried))
    print("\n## 2δ planted in one dimension: share judged `lost`\n")
    print(confusion(tried))
    print("\n## One capability damaged on every second item: share judged `lost`\n")
    print(matrix_to_markdown(report))


def by_dimension(report: Report) -> dict[str, list[MetricResult]]:
    """The metrics that were tried; one that cannot be tried has no trials."""
    found: dict[str, list[MetricResult]] = {}
    for metric in report.metrics:
        if metric.trials:
            found.setdefault(metric.dimension, []).append(metric)
    return found


def points(tried: dict[str, list[MetricResult]]) -> str:
    """Operating points, each a mean over a dimension's metrics."""
    head = ("dimension", "metrics", "alarms at 0", "kept at 0", "found δ/2", "found δ", "kept at δ")
    rows = [(*head, "found 2δ", "lost 2δ", "bias at δ, in δ", "covered")]
    for dimension, metrics in tried.items():
        every = [trials for metric in metrics for trials in metric.trials]
        covered = sum(t.covered for t in every) / sum(t.audits for t in every)
        rows.append(
            (
                dimension,
                str(len(metrics)),
                share(metrics, 0.0, lambda t: t.found),
                share(metrics, 0.0, lambda t: t.kept_share),
                share(metrics, 0.5, lambda t: t.found),
                share(metrics, 1.0, lambda t: t.found),
                share(metrics, 1.0, lambda t: t.kept_share),
                share(metrics, 2.0, lambda t: t.found),
                share(metrics, 2.0, lambda t: t.lost_share),
                bias(metrics),
                f"{covered:.1%}",
            )
        )
    return table(rows)


def confusion(tried: dict[str, list[MetricResult]]) -> str:
    """Dimension in which 2δ was planted, against dimension in which `lost` was reported."""
    rows = [("planted in", *tried)]
    for planted in tried:
        cells = []
        for reported, metrics in tried.items():
            here = planted == reported
            cell = share(metrics, 2.0 if here else 0.0, lambda t: t.lost_share)
            cells.append(f"**{cell}**" if here else cell)
        rows.append((planted, *cells))
    return table(rows)


def share(metrics: Sequence[MetricResult], size: float, what: Callable[[Trials], float]) -> str:
    """Mean over the metrics that some simulated student can lose so much of."""
    values = [what(trials) for metric in metrics if (trials := metric.at(size)) is not None]
    return f"{np.mean(values):.1%}" if values else "-"


def bias(metrics: Sequence[MetricResult]) -> str:
    """Mean error of the estimates at δ, in margins."""
    values = [t.bias / m.margin for m in metrics if (t := m.at(1.0)) is not None]
    return f"{np.mean(values):+.3f}" if values else "-"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Markdown, the first of them the head, all but the first column to the right."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|---|{'---:|' * (len(rows[0]) - 1)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
