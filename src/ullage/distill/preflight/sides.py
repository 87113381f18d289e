"""Teacher and student as far as they can be looked at without their weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import jinja2
from transformers import GenerationConfig

from ullage.config.models import Arm
from ullage.distill.checkpoint import load_config, load_tokenizer, source
from ullage.distill.loaded import LoadedTeacher
from ullage.distill.recipe import Recipe
from ullage.models.types import Message


class Reads(StrEnum):
    """What a recipe's teacher comes to read, and so what of the two sides is compared."""

    THE_SAME = "what the student reads, token by token"
    ITS_OWN = "the same conversations, in its own template and tokens"
    PROMPTS = "prompts, which it answers"
    NOTHING = "nothing"


def reads(recipe: Recipe) -> Reads:
    """What the teacher of a recipe comes to read."""
    if recipe.needs_weights:
        return Reads.ITS_OWN if recipe.alignment == "bytes" else Reads.THE_SAME
    return Reads.PROMPTS if recipe.asks_answers else Reads.NOTHING


@dataclass(frozen=True, slots=True)
class Side:
    """A tokenizer with its template, and what the checkpoint says of head and end."""

    role: str
    """``teacher`` or ``student``."""
    key: str
    """The configuration key to name."""
    tokenizer: Any
    rows: int
    """Of the head, padding included."""
    ends: frozenset[int]
    """Ids that end a reply, by tokenizer and generation config."""
    generation_ends: frozenset[int]
    """Those of the generation config alone; empty where it names none."""
    context: int
    """Tokens that it can read."""

    @property
    def template(self) -> str | None:
        """Its chat template."""
        template: str | None = self.tokenizer.chat_template
        return template

    def text(self, messages: Sequence[Message], *, ask: bool = False, **options: Any) -> str | None:
        """A conversation as the template writes it; None where it refuses.

        Args:
            messages: the conversation.
            ask: whether the generation prompt comes last.
            options: variables of the template, such as ``enable_thinking``.
        """
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            rendered: str = self.tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=ask, **options
            )
        except (jinja2.TemplateError, ValueError, TypeError):
            return None
        return rendered

    def with_template(self, template: str | None) -> Side:
        """The same side with another template, or none."""
        tokenizer = copy.copy(self.tokenizer)
        tokenizer.chat_template = template
        return replace(self, tokenizer=tokenizer)


def open_sides(recipe: Recipe, root: Path, loaded: LoadedTeacher) -> tuple[Side | None, Side]:
    """Teacher (None where it has no weights here) and student of a recipe.

    Args:
        recipe: names both.
        root: what relative paths are relative to.
        loaded: the teacher, whose tokenizer is used and whose weights are not.

    Raises:
        InputError: one of them cannot be loaded.
    """
    teacher = None
    if recipe.teacher.scheme == "hf":
        teacher = open_side(recipe.teacher, root, "teacher", "distill.teacher", loaded.tokenizer)
    if teacher is not None and recipe.start == recipe.teacher.model:
        key = teacher.key if recipe.settings.student is None else "distill.student"
        return teacher, replace(teacher, role="student", key=key)
    key, arm = "distill.student", Arm(model=recipe.start)
    return teacher, open_side(arm, root, "student", key, load_tokenizer(arm, root, key))


def open_side(arm: Arm, root: Path, role: str, key: str, tokenizer: Any) -> Side:
    """The side an ``hf:`` arm is.

    Args:
        arm: whose configuration is read.
        root: what relative paths are relative to.
        role: ``teacher`` or ``student``.
        key: the configuration key to name.
        tokenizer: of the arm.

    Raises:
        InputError: it cannot be loaded.
    """
    config = load_config(arm, root, key)
    text = config.get_text_config()
    generation = _generation_ends(source(arm, root)[0], config)
    ends = generation | _ids(tokenizer.eos_token_id)
    context = int(getattr(text, "max_position_embeddings", sys.maxsize))
    return Side(role, key, tokenizer, int(text.vocab_size), ends, generation, context)


def _generation_ends(where: str, config: Any) -> frozenset[int]:
    """What `generate` will stop at: the generation config's, or else the model config's."""
    try:
        found = _ids(GenerationConfig.from_pretrained(where).eos_token_id)
    except (OSError, ValueError):
        found = frozenset()
    return found or _ids(getattr(config.get_text_config(), "eos_token_id", None))


def _ids(value: Any) -> frozenset[int]:
    if value is None:
        return frozenset()
    return frozenset(value if isinstance(value, list | tuple) else [value])
