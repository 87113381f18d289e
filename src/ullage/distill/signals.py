"""What a teacher can be learnt from, and which teachers can give it.

Every term eats one signal. A recipe that asks for what its teacher cannot give fails here, before
anything loads.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from ullage.config.objective import Attention, CrossEntropy, Hidden, Relation, TermSettings
from ullage.errors import InputError


class Signal(StrEnum):
    """A kind of teacher signal."""

    LOGITS = "logits"
    """The distribution over the whole vocabulary at each supervised position."""
    HIDDEN = "hidden states"
    """What its layers pass on to each other."""
    ATTENTION = "attention maps"
    """What each of its positions attends to."""
    TEXT = "text"
    """An answer in words: the teacher's own, or a reference."""
    RATIONALE = "rationale"
    """The steps to an answer, in words."""


GIVEN_BY: dict[Signal, frozenset[str]] = {
    Signal.LOGITS: frozenset({"hf"}),
    Signal.HIDDEN: frozenset({"hf"}),
    Signal.ATTENTION: frozenset({"hf"}),
    Signal.TEXT: frozenset({"hf", "openai", "recorded", "simulated"}),
    Signal.RATIONALE: frozenset({"hf", "openai", "recorded", "simulated"}),
}
"""Model schemes (``hf:``, ``openai:``, ...) that can give each signal."""
IN_WORDS = frozenset({Signal.TEXT, Signal.RATIONALE})
"""Signals that are had once and for all, before training."""


def eaten(term: TermSettings, *, answers: bool) -> Signal | None:
    """The teacher signal a term learns from, None where the corpus is enough.

    Args:
        term: of a recipe.
        answers: whether the recipe's text is the teacher's own.
    """
    if isinstance(term, CrossEntropy):
        if not answers:
            return None
        return Signal.RATIONALE if term.tokens == "rationale" else Signal.TEXT
    if isinstance(term, Attention):
        return Signal.ATTENTION
    return Signal.HIDDEN if isinstance(term, Hidden | Relation) else Signal.LOGITS


def require_signals(
    terms: Iterable[TermSettings], teacher: str, *, answers: bool
) -> frozenset[Signal]:
    """Refuse a recipe whose teacher cannot give what it eats.

    Args:
        terms: of the recipe.
        teacher: its model reference, ``scheme:locator``.
        answers: whether the recipe's text is the teacher's own.

    Returns:
        Every signal that is eaten.

    Raises:
        InputError: naming the signal and the schemes that give it.
    """
    scheme = teacher.partition(":")[0]
    found = {Signal.TEXT} if answers else set()
    for term in terms:
        signal = eaten(term, answers=answers)
        if signal is None:
            continue
        if scheme not in GIVEN_BY[signal]:
            able = " or ".join(f"{name}:" for name in sorted(GIVEN_BY[signal]))
            raise InputError(
                f"distill.objective: '{term.term}' learns from the teacher's {signal}, which "
                f"'{teacher}' does not give; use a teacher of {able}, or method: black-box"
            )
        found.add(signal)
    return frozenset(found)
