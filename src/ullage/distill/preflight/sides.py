"""Teacher and student as far as they can be looked at without their weights."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from transformers import GenerationConfig

from ullage.config.models import Arm
from ullage.distill.checkpoint import load_config, load_tokenizer, source
from ullage.distill.recipe import Recipe
from ullage.models.types import Message


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
        return Side(self.role, self.key, tokenizer, self.rows, self.ends, self.generation_ends)


def open_sides(recipe: Recipe, root: Path) -> tuple[Side | None, Side]:
    """Teacher (None where it has no weights here) and student of a recipe.

    Raises:
        InputError: one of them cannot be loaded.
    """
    teacher = None
    if recipe.teacher.scheme == "hf":
        teacher = open_side(recipe.teacher, root, "teacher", "distill.teacher")
    if recipe.start == recipe.teacher.model:
        key = "distill.teacher" if recipe.settings.student is None else "distill.student"
        return teacher, open_side(recipe.teacher, root, "student", key)
    return teacher, open_side(Arm(model=recipe.start), root, "student", "distill.student")


def open_side(arm: Arm, root: Path, role: str, key: str) -> Side:
    """The side an ``hf:`` arm is.

    Raises:
        InputError: it cannot be loaded.
    """
    tokenizer = load_tokenizer(arm, root, key)
    config = load_config(arm, root, key)
    rows = int(config.get_text_config().vocab_size)
    generation = _generation_ends(source(arm, root)[0], config)
    ends = generation | _ids(tokenizer.eos_token_id)
    return Side(role, key, tokenizer, rows, ends, generation)


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
