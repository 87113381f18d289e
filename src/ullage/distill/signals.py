"""What a teacher can be learnt from, and which teachers can give it.

A method is a row of `METHODS`: the signals it eats. A recipe that asks for what its teacher cannot
give fails here, before anything loads. Sparse cached logits, hidden states and rationales join as
further signals, each with the model schemes that can give it.
"""

from __future__ import annotations

from enum import StrEnum

from ullage.errors import InputError


class Signal(StrEnum):
    """A kind of teacher signal."""

    LOGITS = "logits"
    """The distribution over the whole vocabulary at each supervised position."""
    TEXT = "text"
    """An answer in words: the teacher's own, or a reference."""


GIVEN_BY: dict[Signal, frozenset[str]] = {
    Signal.LOGITS: frozenset({"hf"}),
    Signal.TEXT: frozenset({"hf", "openai", "recorded", "simulated"}),
}
"""Model schemes (``hf:``, ``openai:``, ...) that can give each signal."""

METHODS: dict[str, frozenset[Signal]] = {
    "logits": frozenset({Signal.LOGITS}),
    "black-box": frozenset({Signal.TEXT}),
}
"""The signals each `distill.method` takes from its teacher."""


def require_signals(method: str, teacher: str) -> None:
    """Refuse a recipe whose teacher cannot give what its method eats.

    Args:
        method: a key of `METHODS`.
        teacher: the teacher's model reference, ``scheme:locator``.

    Raises:
        InputError: naming the signal and the schemes that give it.
    """
    scheme = teacher.partition(":")[0]
    for signal in sorted(METHODS[method]):
        if scheme not in GIVEN_BY[signal]:
            able = " or ".join(f"{name}:" for name in sorted(GIVEN_BY[signal]))
            raise InputError(
                f"distill.method: '{method}' learns from the teacher's {signal}, which "
                f"'{teacher}' does not give; use a teacher of {able}, or method: black-box"
            )
