"""The verdict on one target, from what was shown and nothing else (DESIGN §6)."""

from __future__ import annotations

from dataclasses import dataclass

from ullage.stats.intervals import Interval

LOST_ALPHA = 0.025
"""One-sided level of "lost": that of one side of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict in DESIGN's words and the sentence, with its numbers, that gave it."""

    verdict: str
    why: str


def decide(
    loss: Interval,
    margin: float,
    *,
    p_lost_holm: float,
    teacher_advantage: Interval | None,
    chance_advantage: Interval | None,
) -> Judgement:
    """Judge a measured target; the first rule that holds gives the verdict.

    1. ``lost``: the loss is shown to exceed the margin, also after Holm's adjustment.
    2. ``degraded``: a loss is shown, and that it stays below the margin is not.
    3. ``never_had``: shown that the teacher is not better than `base`, or than chance, by the
       margin. It excuses the student, so it must itself be shown, and hides no shown loss.
    4. ``preserved``: the loss is shown to be below the margin.
    5. ``inconclusive``: none of these is shown.

    Args:
        loss: value(teacher) - value(student), oriented so that positive is worse.
        margin: δ, the largest loss that would still be called kept.
        p_lost_holm: one-sided p of "the loss is at most δ", Holm-adjusted across the targets.
        teacher_advantage: teacher over `base`, positive is better; None without that arm.
        chance_advantage: teacher over chance; None where chance is not one number.

    Raises:
        ValueError: the margin is not positive.
    """
    if not margin > 0.0:
        raise ValueError(f"the margin must be positive; got {margin}")
    found = f"loss {loss.estimate:+.3f}, 95 % interval [{loss.low:+.3f}, {loss.high:+.3f}]"
    found = found.replace("95", f"{100 * loss.level:g}")
    against = f"margin {margin:g}"
    if loss.low > margin and p_lost_holm < LOST_ALPHA:
        return Judgement(
            "lost", f"{found}: all of it above the {against} (Holm p {p_lost_holm:.2g})"
        )
    if loss.low > 0.0 and not loss.high < margin:
        adjusted = f", and above it not after Holm (p {p_lost_holm:.2g})" * (loss.low > margin)
        return Judgement(
            "degraded", f"{found}: above 0, not shown to be below the {against}{adjusted}"
        )
    for advantage, over in ((teacher_advantage, "the base"), (chance_advantage, "chance")):
        if advantage is not None and advantage.high < margin:
            why = f"the teacher's advantage over {over} is {advantage.estimate:+.3f}, at most "
            return Judgement("never_had", f"{why}{advantage.high:+.3f}: below the {against}")
    if loss.high < margin:
        return Judgement("preserved", f"{found}: all of it below the {against}")
    return Judgement("inconclusive", f"{found}: neither above 0 nor below the {against}")
