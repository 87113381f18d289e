"""Conversations as tokens, with only what the assistant says supervised.

A chat template is a program, so spans are not guessed from its text: the conversation is rendered
up to each assistant turn (with the generation prompt, exactly what a model is shown before it
answers) and through it, and what the second adds to the first is that turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ullage.distill.objectives import IGNORED
from ullage.models.types import Message


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as the student reads it."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    """What each position should predict: the next token where it is the assistant's, else
    `IGNORED`. Already shifted, so the last position predicts nothing."""
    cut: int = 0
    """Supervised tokens lost to truncation."""
    truncated: bool = False
    rationale: range = range(0)
    """Positions whose label belongs to the rationale of the last answer."""

    def blank(self) -> Example:
        """A row of this kind with nothing to learn."""
        return Example((0,), (IGNORED,))

    @property
    def supervised(self) -> int:
        """Positions with a label."""
        return sum(label != IGNORED for label in self.labels)


def render(
    tokenizer: Any,
    messages: Sequence[Message],
    max_length: int,
    *,
    final_only: bool = False,
    rationale: str = "",
) -> Example | None:
    """Tokens and labels of a conversation.

    Args:
        tokenizer: of the student, with a chat template.
        messages: the conversation; its assistant turns are what is learnt.
        max_length: tokens kept, from the start.
        final_only: supervise the last turn alone (the others are not the teacher's words).
        rationale: how the last turn begins, as far as it is the rationale of the rest; where it is
            the whole turn, the token that ends it is the rationale's too.

    Returns:
        The example, possibly without a supervised token left; None where the template rewrites
        earlier turns, so that no turn can be placed with certainty.
    """
    turns = [
        index
        for index, message in enumerate(messages)
        if message.role == "assistant" and (not final_only or index == len(messages) - 1)
    ]
    ids = _ids(tokenizer, messages, generation_prompt=False)
    special = set(tokenizer.all_special_ids)
    labels = [IGNORED] * len(ids)
    steps = range(0)
    for turn in turns:
        before = _ids(tokenizer, messages[:turn], generation_prompt=True)
        through = _ids(tokenizer, messages[: turn + 1], generation_prompt=False)
        if through[: len(before)] != before or ids[: len(through)] != through:
            return None
        end = _end_of_turn(through, len(before), special)
        for position in range(len(before), end):
            labels[position - 1] = ids[position]
        if rationale and turn == len(messages) - 1:
            stop = end
            if rationale != messages[turn].content:
                alone = (*messages[:turn], Message("assistant", rationale))
                stop = _alike(ids, _ids(tokenizer, alone, generation_prompt=False))
            steps = range(len(before) - 1, max(stop, len(before)) - 1)
    return truncated(Example(tuple(ids), tuple(labels), rationale=steps), max_length)


def as_text(tokenizer: Any, messages: Sequence[Message], *, generation_prompt: bool = False) -> str:
    """A conversation as the tokenizer's template writes it."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    text: str = tokenizer.apply_chat_template(
        turns, tokenize=False, add_generation_prompt=generation_prompt
    )
    return text


def truncated(example: Example, max_length: int) -> Example:
    """The beginning of a conversation, and what was cut off counted."""
    if len(example.ids) <= max_length:
        return example
    # The last kept position would predict a token that was cut off.
    labels = (*example.labels[: max_length - 1], IGNORED)
    steps = range(example.rationale.start, min(example.rationale.stop, max_length - 1))
    kept = Example(example.ids[:max_length], labels, rationale=steps)
    return replace(kept, cut=example.supervised - kept.supervised, truncated=True)


def _ids(tokenizer: Any, messages: Sequence[Message], *, generation_prompt: bool) -> list[int]:
    text = as_text(tokenizer, messages, generation_prompt=generation_prompt)
    # The template writes its own special tokens: adding them again doubles the BOS.
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _alike(ids: list[int], others: list[int]) -> int:
    """How many tokens two texts begin with alike; one that spans a border is on neither side."""
    pairs = zip(ids, others, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(ids), len(others)))


def _end_of_turn(ids: list[int], start: int, special: set[int]) -> int:
    """One past the token that ends the turn; line breaks a template writes after it are not it."""
    for position in range(len(ids) - 1, start - 1, -1):
        if ids[position] in special:
            return position + 1
    return len(ids)
