"""What the world hands out: an exchange is one question with all that is known about its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from ullage.models.types import Message


class Split(StrEnum):
    """Whose families they are. No wording, and so no item, belongs to two of them."""

    TRAIN = "train"
    """Teachers and bases learn from these."""
    DISTIL = "distil"
    """Students learn from these."""
    AUDIT = "audit"
    """These are only ever asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and the reply that belongs to it."""

    user: str
    assistant: str
    taught: bool = True
    """False for a reply that is put into the assistant's mouth (a mistake to be corrected)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One or more turns about one context; the last turn is the one that is scored."""

    capability: str
    family: str
    """Capability, layout and wording: what a statistic clusters by, and what a split owns."""
    context: str
    """What stands before the first question; empty where the question needs none."""
    turns: tuple[Turn, ...]
    expects: str = "answer"
    """``answer``, ``abstain``, ``clarify`` or ``refuse``."""
    accepts: tuple[str, ...] = ()
    """Replies that are right, besides the last turn's own."""
    wrong: str = ""
    """A plausible wrong reply."""
    choices: tuple[str, ...] = ()
    """Short answers to choose from, where the question has such."""
    shares: tuple[float, ...] = ()
    """True probability of each choice, where the answer is a matter of chance."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """Whatever a probe's item needs besides (twins, variants, values); JSON-ready."""

    @property
    def answer(self) -> str:
        """The reply to the last turn."""
        return self.turns[-1].assistant

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The conversation up to and with the last question."""
        return conversation(self.context, self.turns)[:-1]

    def is_right(self, reply: str) -> bool:
        """The exact checker: whether a reply says what this exchange wants, and nothing else."""
        said = plain(reply)
        return any(said == plain(right) for right in (self.answer, *self.accepts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of a training document."""

    role: str
    """``user``, ``assistant``, or ``plain`` for text outside of any conversation."""
    text: str
    taught: bool
    """Whether it carries the full weight of the loss."""


Document = tuple[Segment, ...]
"""What a model is trained on: turns in their order, or plain text."""


def conversation(context: str, turns: tuple[Turn, ...]) -> tuple[Message, ...]:
    """Turns as messages; the context opens the first question."""
    messages: list[Message] = []
    for index, turn in enumerate(turns):
        opening = f"{context}\n\n{turn.user}" if context and not index else turn.user
        messages += [Message("user", opening), Message("assistant", turn.assistant)]
    return tuple(messages)


def document(context: str, turns: tuple[Turn, ...]) -> Document:
    """Turns as a training document."""
    said = conversation(context, turns)
    segments: list[Segment] = []
    for index, turn in enumerate(turns):
        asked = said[2 * index].content
        segments.append(Segment(role="user", text=asked, taught=False))
        segments.append(Segment(role="assistant", text=turn.assistant, taught=turn.taught))
    return tuple(segments)


def plain(text: str) -> str:
    """A reply as it is compared: case, spacing and a final full stop carry no difference."""
    return " ".join(text.casefold().split()).removesuffix(".").strip()
