"""What two sides that each read their own tokens have in common, before weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ullage.distill.account import counted
from ullage.distill.pairing import PairedExample, Pairing
from ullage.distill.preflight.findings import Checked, error, of_refusal
from ullage.distill.preflight.sides import Side
from ullage.distill.rendering import Example
from ullage.errors import InputError
from ullage.models.types import Message


@dataclass(frozen=True, slots=True)
class Pairs:
    """How both sides read a conversation."""

    pairing: Pairing
    context: int
    """Tokens that the teacher can read."""

    def render(
        self, messages: Sequence[Message], max_length: int, **how: Any
    ) -> PairedExample | None:
        """A conversation for both, see `Pairing.render`."""
        return self.pairing.render(messages, max_length, self.context, **how)


def check_pairing(teacher: Side, student: Side) -> tuple[Pairs | None, Checked]:
    """Match two tokenizers, both with a template, by what their tokens say."""
    try:
        pairing = Pairing.of(student.tokenizer, teacher.tokenizer, (student.rows, teacher.rows))
    except InputError as refusal:
        return None, Checked((of_refusal("alignment", refusal),))
    return Pairs(pairing, teacher.context), Checked((), pairing.outcomes.described())


def check_common(examples: Sequence[Example]) -> Checked:
    """How many of the tokens to be learnt have something of the teacher's to be compared with."""
    facts = counted([example for example in examples if isinstance(example, PairedExample)])
    if facts["one_to_one"] or facts["merged"]:
        return Checked((), facts)
    found = error(
        "alignment",
        f"distill.teacher: none of {facts['unaligned']:,} tokens to be learnt is part of a word "
        "that both sides read whole",
        "raise distill.max_length, use a teacher that reads as much, or method: black-box",
    )
    return Checked((found,), facts)
