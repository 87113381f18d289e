"""Tables of all probes for the docs: ``python -m ullage.probes.catalogue FILE…`` renews them.

A page marks where a table goes with ``<!-- probes -->`` or ``<!-- items -->`` and the matching end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from ullage.probes.base import PackagedProbe
from ullage.probes.protocol import Metric, Probe
from ullage.probes.registry import PACKAGED


def renewed(page: str) -> str:
    """The page with its marked parts made anew from the packaged probes."""
    for name, make in _PARTS.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        if start in page:
            before, _, rest = page.partition(start)
            page = f"{before}{start}{make()}{end}{rest.partition(end)[2]}"
    return page


def probes_table() -> str:
    """Every packaged probe with its metrics, dimension by dimension."""
    parts = []
    probes = [probe() for probe in PACKAGED.values()]
    for dimension in dict.fromkeys(probe.dimension for probe in probes):
        parts.append(f"\n## {str(dimension).capitalize()}\n")
        for probe in probes:
            if probe.dimension != dimension:
                continue
            access = ", ".join(sorted(probe.access))
            families = len(probe.families) if isinstance(probe, PackagedProbe) else "?"
            parts.append(f"\n### `{probe.name}`\n\n{about(probe)}\n")
            parts.append(f"\nNeeds: {access}. Families: {families}.\n")
            parts.append("\n| metric | better | range | what a loss in it means | after |\n")
            parts.append("|---|---|---|---|---|\n")
            parts.extend(_row(metric) for metric in probe.metrics)
    return "".join(parts) + "\n"


def about(probe: Probe) -> str:
    """What a probe does: the first paragraph of its docstring, none where there is none."""
    return " ".join((type(probe).__doc__ or "").strip().split("\n\n")[0].split())


def items_table() -> str:
    """One line of JSONL for each packaged probe, and what its keys are."""
    parts = []
    for probe in PACKAGED.values():
        if issubclass(probe, PackagedProbe):
            form = " ".join((probe.read.__doc__ or "").split("Raises:")[0].split())
            parts.append(f"\n### `{probe.name}`\n\n{form}\n\n```json\n{probe.example}\n```\n")
    return "".join(parts) + "\n"


def _row(metric: Metric) -> str:
    better = "higher" if metric.higher_is_better else "lower"
    low, high = (f"{bound:.4g}" for bound in metric.bounds)
    cells = (f"`{metric.name}`", better, f"{low} to {high}", metric.summary, metric.reference)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


_PARTS: dict[str, Callable[[], str]] = {"probes": probes_table, "items": items_table}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")
