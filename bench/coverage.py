"""Coverage of the 95 % intervals, by simulation, for a mean difference and an ECE difference.

    python bench/coverage.py [--replications 4000] [--quick] [--seed 0] [--only mean|ece]

Every cell draws paired arms, calls the same functions an audit calls, and counts how often the
interval holds the truth. Items come in families: flips are correlated within one (intraclass
correlation 0.1, twice what `ullage plan` assumes). Two truths per cell:

* *even*: the arms are exchangeable, the true difference is 0. A family's flips all point one way.
* *one-sided*: every flip is a loss, the hardest case for an interval; the truth is the flip rate
  (mean), or what it does to the population's calibration error (ECE).

A cell passes between 93 and 98 %. Where flips are few, no interval can do that: outcomes are too
coarse. So for each cell above 98 % the script computes the coverage of the *exact* 95 % test that
sees only how many families are discordant (the sign test for an even truth, Clopper-Pearson for a
one-sided one), at the number of discordant families this very cell produced. If that test, too,
covers more than 98 %, the cell is marked `forced`. Any other cell outside 93-98 % is simulated five
times as long, and if it is still outside it fails: exit 1.
Cells with too few families are refused by the code and printed as `refused`.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from ullage.stats.intervals import Interval, TooFewError, functional_difference, mean_difference
from ullage.stats.metrics import ece, ece_plugin

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

ITEMS = (50, 200, 1000)
FLIP_RATES = (0.0, 0.02, 0.1, 0.3)
FAMILY_SIZES = (1, 5, 20)
TRUTHS = ("even", "one-sided")
CORRELATION = 0.1
OVERCONFIDENT = 2.0
"""P(correct) is confidence to this power: surer than right by 18 points on average."""
LEVEL = 0.95
LEAST, MOST = 0.93, 0.98
RESAMPLES = 200
"""For ECE. An audit takes 2000; fewer make an interval noisier, and its coverage no better."""


@dataclass(frozen=True)
class Cell:
    """One condition."""

    items: int
    flip_rate: float
    family_size: int
    truth: str

    @property
    def family(self) -> IntArray:
        """Family of each item."""
        return np.arange(self.items) // self.family_size

    @property
    def families(self) -> int:
        """How many there are."""
        return int(self.family[-1]) + 1


@dataclass(frozen=True)
class Draw:
    """One simulated audit of one target."""

    teacher: FloatArray
    student: FloatArray
    discordant: IntArray
    """(items,) whether the arms differ on it."""


@dataclass(frozen=True)
class Result:
    """What was counted in one cell."""

    coverage: float
    too_high: float
    """Share of intervals wholly above the truth."""
    too_low: float
    width: float
    discordant: float
    """Mean number of families on which the arms differ."""
    replications: int


def propensities(rng: np.random.Generator, rate: float, cell: Cell) -> FloatArray:
    """Each item's probability of flipping: one per family, beta-distributed."""
    if rate <= 0.0 or cell.family_size == 1:
        return np.full(cell.items, max(rate, 0.0))
    strength = 1.0 / CORRELATION - 1.0
    each = rng.beta(rate * strength, (1.0 - rate) * strength, cell.families)
    return np.asarray(each[cell.family])


def draw_mean(rng: np.random.Generator, cell: Cell) -> Draw:
    """0/1 scores that flip from one arm to the other."""
    flips = rng.random(cell.items) < propensities(rng, cell.flip_rate, cell)
    teacher = (rng.random(cell.items) < 0.5).astype(np.float64)
    even = rng.random(cell.families)[cell.family] < 0.5
    worse = np.ones(cell.items, dtype=bool) if cell.truth == "one-sided" else even
    teacher = np.where(flips, worse.astype(np.float64), teacher)
    return Draw(teacher, np.where(flips, 1.0 - teacher, teacher), flips.astype(np.intp))


def accuracy(confidence: FloatArray, power: float) -> FloatArray:
    """P(correct | confidence): calibrated at a power of 1, overconfident above."""
    return np.asarray(confidence**power)


@cache
def population() -> FloatArray:
    """Confidences of the whole population, as quantiles."""
    ranks = (np.arange(20_000) + 0.5) / 20_000
    return np.asarray(stats.beta.ppf(ranks, 3.0, 1.5))


@cache
def mean_accuracy(power: float) -> float:
    return float(accuracy(population(), power).mean())


def ranks(rng: np.random.Generator, cell: Cell) -> FloatArray:
    """Uniform numbers, one per item, correlated within families."""
    shared = np.sqrt(CORRELATION) * rng.standard_normal(cell.families)[cell.family]
    own = np.sqrt(1.0 - CORRELATION) * rng.standard_normal(cell.items)
    return np.asarray(special.ndtr(shared + own))


def draw_ece(rng: np.random.Generator, cell: Cell, power: float = OVERCONFIDENT) -> Draw:
    """(confidence, correct) of two arms that agree except on flipped items.

    Even: flipped items are answered afresh, confidence and all, by the same law. One-sided: right
    answers turn wrong at the same confidence.
    """
    share = mean_accuracy(power)

    def answers() -> FloatArray:
        confidence = rng.beta(3.0, 1.5, cell.items)
        right = ranks(rng, cell) < accuracy(confidence, power)
        return np.column_stack([confidence, right.astype(np.float64)])

    teacher = answers()
    if cell.truth == "even":
        rate = cell.flip_rate / (2.0 * share * (1.0 - share))
        changed = rng.random(cell.items) < propensities(rng, rate, cell)
        student = np.where(changed[:, None], answers(), teacher)
    else:
        lost = rng.random(cell.items) < propensities(rng, cell.flip_rate / share, cell)
        changed = lost & (teacher[:, 1] > 0.0)
        student = np.column_stack([teacher[:, 0], np.where(changed, 0.0, teacher[:, 1])])
    return Draw(teacher, student, changed.astype(np.intp))


def true_ece_difference(cell: Cell, power: float = OVERCONFIDENT) -> float:
    """ECE(teacher) - ECE(student) in the population: the same bins on 20,000 quantiles."""
    if cell.truth == "even":
        return 0.0
    confidence = population()
    right = accuracy(confidence, power)
    kept = right * (1.0 - cell.flip_rate / mean_accuracy(power))
    every = np.ones((1, len(confidence)))
    first, second = (ece_plugin(np.column_stack([confidence, p]), every)[0] for p in (right, kept))
    return float(first - second)


@dataclass(frozen=True)
class Study:
    """One table: what is drawn, what its truth is, and how the interval is made."""

    title: str
    truth: Callable[[Cell], float]
    draw: Callable[[np.random.Generator, Cell], Draw]
    interval: Callable[[Draw, IntArray], Interval]
    replications: int
    cells: tuple[Cell, ...]
    promised: bool = True
    """Whether a cell outside 93-98 % fails."""


def simulate(study: Study, cell: Cell, seed: int, replications: int) -> Result | None:
    """Count; None where the code refuses to give an interval."""
    truth = study.truth(cell)
    rng = np.random.default_rng(
        [
            seed,
            cell.items,
            round(cell.flip_rate * 100),
            cell.family_size,
            TRUTHS.index(cell.truth),
        ]
    )
    if cell.flip_rate == 0.0:
        replications = min(replications, 20)  # equal arms: every interval is the same
    above = below = discordant = 0
    width = 0.0
    for _ in range(replications):
        sample = study.draw(rng, cell)
        try:
            found = study.interval(sample, cell.family)
        except TooFewError:
            return None
        above += found.low > truth + 1e-12
        below += found.high < truth - 1e-12
        width += found.high - found.low
        discordant += int(np.maximum.reduceat(sample.discordant, starts(cell)).sum())
    return Result(
        1.0 - (above + below) / replications,
        above / replications,
        below / replications,
        width / replications,
        discordant / replications,
        replications,
    )


@cache
def starts(cell: Cell) -> IntArray:
    """Where each family begins."""
    return np.arange(0, cell.items, cell.family_size)


def exact_coverage(cell: Cell, discordant: float) -> float:
    """Coverage of the exact test on the number of discordant families, `discordant` on average."""
    families = cell.families
    rate = min(max(discordant / families, 0.0), 1.0)
    counts = np.arange(families + 1)
    chance = stats.binom.pmf(counts, families, rate)
    tail = (1.0 - LEVEL) / 2.0
    if cell.truth == "even":
        # Given d discordant families each points either way: the sign test misses the outcomes
        # whose tail is at most 2.5 %, on both sides.
        reached = [stats.binom.cdf(np.arange(d + 1), d, 0.5) for d in counts]
        missed = np.array([2.0 * max(cdf[cdf <= tail], default=0.0) for cdf in reached])
        return float(1.0 - chance @ missed)
    low = np.where(counts > 0, stats.beta.ppf(tail, counts, families - counts + 1), 0.0)
    high = np.where(
        counts < families, stats.beta.isf(tail, counts + 1, np.maximum(families - counts, 1)), 1.0
    )
    return float(chance[(low <= rate) & (rate <= high)].sum())


def cells() -> Iterator[Cell]:
    for items in ITEMS:
        for size in FAMILY_SIZES:
            for rate in FLIP_RATES:
                for truth in TRUTHS:
                    yield Cell(items, rate, size, truth)


def judged(cell: Cell, result: Result, slack: float) -> tuple[str, str]:
    """Whether the cell passed, is forced or failed, and the note beside it."""
    if LEAST - slack <= result.coverage <= MOST + slack:
        return "passed", ""
    # The mean number of discordant families is itself known to within a few standard errors.
    error = 2.0 * (result.discordant / result.replications) ** 0.5
    exact = max(exact_coverage(cell, result.discordant + shift) for shift in (-error, 0.0, error))
    note = f"{result.discordant:.1f} discordant families: the exact test covers {100 * exact:.1f} %"
    if result.coverage > MOST and exact > MOST:
        return "forced", f"forced: {note}"
    return "failed", f"FAILS: {note}"


def run(study: Study, seed: int, quick: bool) -> int:
    """Print one table; how many of its cells fail."""
    began = time.perf_counter()
    print(f"\n{study.title}, {study.replications} replications a cell")
    print("     n  families x size  flips  truth      covered  missed: above, below  width  note")
    tally = {"passed": 0, "forced": 0, "refused": 0, "failed": 0}
    for cell in study.cells:
        head = (
            f"{cell.items:6d}  {cell.families:8d} x {cell.family_size:<4d}  "
            f"{cell.flip_rate:5.2f}  {cell.truth:<9s}"
        )
        result = simulate(study, cell, seed, study.replications)
        if result is None:
            tally["refused"] += 1
            print(f"{head}  refused", flush=True)
            continue
        slack = 3.0 * (LEAST * (1.0 - LEAST) / study.replications) ** 0.5 if quick else 0.0
        outcome, note = judged(cell, result, slack)
        if outcome == "failed" and study.promised and not quick:
            # A coin that falls oddly is thrown more often, and judged on all throws.
            again = simulate(study, cell, seed, 5 * study.replications)
            assert again is not None
            outcome, note = judged(cell, again, slack)
            result, note = again, f"{note}  ({again.replications} replications)".strip()
        tally[outcome] += 1
        line = (
            f"{head}  {100 * result.coverage:6.1f}   {100 * result.too_high:10.1f}, "
            f"{100 * result.too_low:5.1f}  {result.width:5.3f}  {note if study.promised else ''}"
        )
        print(line.rstrip(), flush=True)
    if study.promised:
        print(", ".join(f"{count} {outcome}" for outcome, count in tally.items()), end="; ")
    print(f"{time.perf_counter() - began:.0f} s")
    return tally["failed"] * study.promised


def true_mean_difference(cell: Cell) -> float:
    """Every flip is a loss, or as many are as are not."""
    return cell.flip_rate if cell.truth == "one-sided" else 0.0


def paired_mean(sample: Draw, family: IntArray) -> Interval:
    return mean_difference(sample.teacher, sample.student, family, level=LEVEL)


def paired_ece(sample: Draw, family: IntArray) -> Interval:
    return functional_difference(
        ece, sample.teacher, sample.student, family, level=LEVEL, resamples=RESAMPLES
    )


def studies(replications: int) -> dict[str, list[Study]]:
    """The tables by the name that `--only` knows."""

    def ece_study(teacher: str, power: float, chosen: Iterator[Cell], promised: bool) -> Study:
        return Study(
            f"ECE difference, {RESAMPLES} resamples, a teacher {teacher}",
            partial(true_ece_difference, power=power),
            partial(draw_ece, power=power),
            paired_ece,
            max(50, replications // (4 if promised else 8)),
            tuple(chosen),
            promised,
        )

    def one_sided() -> Iterator[Cell]:
        return (cell for cell in cells() if cell.truth == "one-sided" and cell.family_size == 5)

    mean = Study(
        "Mean difference",
        true_mean_difference,
        draw_mean,
        paired_mean,
        replications,
        tuple(cells()),
    )
    return {
        "mean": [mean],
        "ece": [
            ece_study("18 points overconfident", OVERCONFIDENT, cells(), True),
            ece_study("10 points overconfident (not promised)", 1.5, one_sided(), False),
            ece_study("perfectly calibrated (not promised)", 1.0, one_sided(), False),
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--replications", type=int, default=4000, help="per cell of the mean")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a twentieth of the replications, judged with three standard errors of slack",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("mean", "ece"))
    options = parser.parse_args()
    replications: int = max(100, options.replications // (20 if options.quick else 1))
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, one used", end="; ")
    print(f"Python {platform.python_version()}, numpy {np.__version__}, seed {options.seed}")
    failures = 0
    for name, group in studies(replications).items():
        if options.only in (None, name):
            failures += sum(run(study, options.seed, options.quick) for study in group)
    print(f"\n{failures} cells fail" if failures else "\nevery cell passes")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
