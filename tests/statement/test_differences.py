"""The difference of two losses: its interval covers, and a repair is called one only if shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import ndtr

from tests.support import statements
from tests.support.signed import TODAY, UNTIL, give
from ullage.differences import Answers, loss_difference
from ullage.probes.protocol import Metric
from ullage.statement.acceptance import read_records
from ullage.statement.compare import Change, Difference, Lapse, Pairing, apart, compare
from ullage.statement.consent import consents
from ullage.statement.document import Estimate, Statement, Verdict
from ullage.statement.keys import SecretKey
from ullage.stats.intervals import mean_difference
from ullage.stats.metrics import auroc

FloatArray = npt.NDArray[np.float64]

FAMILIES, PER_FAMILY = 40, 6
FAMILY = np.repeat(np.arange(FAMILIES), PER_FAMILY)
TRIALS = 500
LEAST, MOST = 0.925, 0.99
"""What 500 trials of a 95 % interval give but once in some hundred; clusters make it wide."""

RESAMPLED, RESAMPLED_LEAST = 120, 0.90
"""The same of 120 trials, which is as many as there is time for: each is resampled 2,000 times."""

MEAN = Metric(name="right", summary="x")


def answered(draw: np.random.Generator, rate: float) -> FloatArray:
    """(items,) right or wrong, at a rate that its families vary about."""
    rates = np.clip(rate + draw.normal(0.0, 0.08, FAMILIES), 0.02, 0.98)[FAMILY]
    return (draw.random(len(FAMILY)) < rates).astype(np.float64)


def kept(draw: np.random.Generator, of: FloatArray, share: float) -> FloatArray:
    """A student that does as another model on that share of the items, and else guesses."""
    does = draw.random(len(of)) < share
    return np.where(does, of, (draw.random(len(of)) < 0.5).astype(np.float64))


def run(teacher: FloatArray, student: FloatArray) -> Answers:
    return Answers(teacher[:, None], student[:, None])


def same_replies(draw: np.random.Generator) -> tuple[Answers, Answers]:
    """Two students of one teacher's very replies; the second keeps less of them."""
    teacher = answered(draw, 0.85)
    return run(teacher, kept(draw, teacher, 0.9)), run(teacher, kept(draw, teacher, 0.6))


def same_items(draw: np.random.Generator) -> tuple[Answers, Answers]:
    """The teacher asked anew for the second, as it may be where it is sampled."""
    one, other = answered(draw, 0.85), answered(draw, 0.85)
    return run(one, kept(draw, one, 0.9)), run(other, kept(draw, other, 0.6))


TRUTH = (0.85 - 0.5) * (0.9 - 0.6)
"""Of what a student keeps at share s the loss is (1 - s)(0.85 - 0.5)."""


@pytest.mark.parametrize(
    ("drawn", "pairing"), [(same_replies, Pairing.REPLIES), (same_items, Pairing.ITEMS)]
)
def test_the_interval_of_a_difference_covers_the_truth(
    drawn: Callable[[np.random.Generator], tuple[Answers, Answers]], pairing: Pairing
) -> None:
    draw, held = np.random.default_rng(7), 0
    for _ in range(TRIALS):
        made = loss_difference(MEAN, *drawn(draw), FAMILY)
        assert made is not None and made[1] == pairing
        held += made[0].low <= TRUTH <= made[0].high
    assert LEAST <= held / TRIALS <= MOST


def sure(draw: np.random.Generator, right: FloatArray, separation: float) -> FloatArray:
    """(items, 2): a confidence that tells right from wrong as well as that, and the right."""
    return np.column_stack([separation * right + draw.normal(size=len(right)), right])


def test_the_interval_of_a_resampled_difference_covers_the_truth() -> None:
    """AUROC, which is no mean; that of two unit normals a distance d apart is Φ(d/√2)."""
    metric = Metric(name="auroc", columns=("confidence", "right"), summary="x", functional=auroc)
    truth = ndtr(1.6 / np.sqrt(2)) - ndtr(0.8 / np.sqrt(2))
    draw, held = np.random.default_rng(11), 0
    for trial in range(RESAMPLED):
        teacher = sure(draw, answered(draw, 0.7), 2.0)
        one, other = (sure(draw, answered(draw, 0.7), apart_by) for apart_by in (1.6, 0.8))
        made = loss_difference(
            metric, Answers(teacher, one), Answers(teacher, other), FAMILY, seed=trial
        )
        assert made is not None and made[1] == Pairing.REPLIES
        held += made[0].low <= truth <= made[0].high
    assert RESAMPLED_LEAST <= held / RESAMPLED <= 1.0


def test_a_loss_that_was_not_repaired_hardly_ever_reads_as_repaired() -> None:
    """A student at δ/2 judged twice, on other items: degraded here and kept there, by chance."""
    draw, repaired, moved = np.random.default_rng(12), 0, 0
    for _ in range(TRIALS):
        statements_ = []
        for _ in range(2):
            teacher = answered(draw, 0.85)
            loss = mean_difference(teacher, kept(draw, teacher, 0.85), FAMILY)
            verdict = (
                Verdict.LOST if loss.low > 0.1
                else Verdict.DEGRADED if loss.low > 0.0
                else Verdict.PRESERVED
            )  # fmt: skip
            statements_.append(about(verdict, estimated(loss.estimate, loss.low, loss.high)))
        (target,) = compare(statements_[0], statements_[1]).targets
        moved += target.second is not None and target.second.verdict == Verdict.PRESERVED
        repaired += target.change == Change.REPAIRED
    assert moved > 20
    assert repaired / TRIALS <= 0.03


def test_an_interval_made_of_two_covers_the_truth() -> None:
    """Two runs with nothing in common: each loss with its own interval, put together."""
    draw, held = np.random.default_rng(8), 0
    for _ in range(TRIALS):
        losses = []
        for share in (0.9, 0.6):
            teacher = answered(draw, 0.85)
            loss = mean_difference(teacher, kept(draw, teacher, share), FAMILY)
            losses.append(estimated(loss.estimate, loss.low, loss.high))
        made = apart(*losses)
        held += made.low <= TRUTH <= made.high
    assert LEAST <= held / TRIALS <= MOST


def test_a_repair_that_is_none_is_hardly_ever_shown() -> None:
    """Two students that keep as much: in 2.5 % of pairs one is called better, and no more."""
    draw, shown = np.random.default_rng(9), 0
    for _ in range(TRIALS):
        teacher = answered(draw, 0.85)
        one, other = (run(teacher, kept(draw, teacher, 0.7)) for _ in range(2))
        made = loss_difference(MEAN, one, other, FAMILY)
        assert made is not None
        shown += made[0].high < 0.0
    assert shown / TRIALS <= 0.045


def test_pairing_makes_the_interval_narrower() -> None:
    first, second = same_replies(np.random.default_rng(3))
    made = loss_difference(MEAN, first, second, FAMILY)
    losses = [
        mean_difference(one.teacher[:, 0], one.student[:, 0], FAMILY) for one in (first, second)
    ]
    alone = apart(*(estimated(loss.estimate, loss.low, loss.high) for loss in losses))
    assert made is not None
    assert made[0].estimate == pytest.approx(alone.estimate, abs=1e-12)
    assert made[0].high - made[0].low < 0.95 * (alone.high - alone.low)


def test_lower_is_better_is_turned_round() -> None:
    first, second = same_replies(np.random.default_rng(4))
    plain = loss_difference(MEAN, first, second, FAMILY)
    fewer = Metric(name="wrong", summary="x", higher_is_better=False)
    turned = loss_difference(fewer, first, second, FAMILY)
    assert plain is not None and turned is not None
    assert (turned[0].low, turned[0].high) == (-plain[0].high, -plain[0].low)


def test_a_metric_that_is_no_mean_is_resampled_where_the_replies_are_the_same() -> None:
    draw = np.random.default_rng(5)
    right = answered(draw, 0.7)
    sure = np.column_stack([0.5 * right + draw.random(len(right)), right])
    unsure = np.column_stack([draw.random(len(right)), right])
    metric = Metric(name="auroc", columns=("confidence", "right"), summary="x", functional=auroc)
    made = loss_difference(metric, Answers(sure, sure), Answers(sure, unsure), FAMILY)
    assert made is not None and made[1] == Pairing.REPLIES
    assert made[0].low > 0.0
    again = Answers(sure + 0.001, unsure)
    assert loss_difference(metric, Answers(sure, sure), again, FAMILY) is None


def estimated(middle: float, low: float, high: float) -> Estimate:
    return Estimate(estimate=middle, low=low, high=high, method="x", items=240, families=40)


def test_mover_against_its_formula_by_hand() -> None:
    """Zou & Donner (2008): distances to the nearer ends, put together as legs of a triangle."""
    made = apart(estimated(0.30, 0.24, 0.40), estimated(0.10, 0.06, 0.13))
    assert made.estimate == pytest.approx(-0.20)
    assert made.low == pytest.approx(-0.20 - np.sqrt(0.04**2 + 0.10**2))
    assert made.high == pytest.approx(-0.20 + np.sqrt(0.03**2 + 0.06**2))


def about(verdict: Verdict, loss: Estimate) -> Statement:
    made = statements.finding("a.b", verdict, changes={"loss": loss})
    return statements.statement([made])


def difference(low: float, high: float) -> Difference:
    middle = (low + high) / 2
    return Difference(
        estimate=middle, low=low, high=high, method="x", pairing=Pairing.REPLIES, items=9,
        families=3,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("paired", "change"),
    [
        (difference(-0.2, -0.01), Change.REPAIRED),
        (difference(-0.2, 0.01), Change.CHANGED),
        (None, Change.CHANGED),
    ],
)
def test_repaired_is_said_only_where_the_difference_is_shown(
    paired: Difference | None, change: Change
) -> None:
    """Degraded by a little, then preserved by a little: the two may well be the same."""
    first = about(Verdict.DEGRADED, estimated(0.04, 0.005, 0.09))
    second = about(Verdict.PRESERVED, estimated(0.02, -0.01, 0.045))
    given = {} if paired is None else {"a.b": paired}
    (target,) = compare(first, second, paired=given).targets
    assert target.change == change
    assert target.difference is not None
    assert target.difference.pairing == (Pairing.APART if paired is None else Pairing.REPLIES)


@pytest.mark.parametrize(
    ("after", "again", "lapse"),
    [
        (Verdict.LOST, False, Lapse.LAPSES),
        (Verdict.INCONCLUSIVE, False, Lapse.LAPSES),
        (Verdict.PRESERVED, False, Lapse.NOT_NEEDED),
        (Verdict.LOST, True, Lapse.HOLDS),
    ],
)
def test_what_becomes_of_a_consent(
    tmp_path: Path, after: Verdict, again: bool, lapse: Lapse
) -> None:
    key = SecretKey.generate()
    first = statements.statement([statements.finding("a.b", Verdict.LOST)])
    second = statements.statement([statements.finding("a.b", after)])
    second = second.model_copy(update={"arms": second.arms | {"student": statements.arm("new")}})
    (tmp_path / "second").mkdir()
    give(tmp_path, first, "a.b", key)
    if again:
        give(tmp_path / "second", second, "a.b", key, until=UNTIL)
    found: Any = [
        consents(statement, read_records(folder), on=TODAY)
        for statement, folder in ((first, tmp_path), (second, tmp_path / "second"))
    ]
    compared = compare(first, second, found=tuple(found))
    assert compared.targets[0].consent == lapse
    told = "Accepted in A and not in B: a.b."
    assert (told in compared.summary) == (lapse == Lapse.LAPSES)
    assert compare(first, second).targets[0].consent is None
