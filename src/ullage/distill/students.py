"""The student before it learns: made once, kept as the audit's `base` arm, and started from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from ullage.config.models import Arm
from ullage.distill.checkpoint import finished_folder, load_model, load_tokenizer, save_model
from ullage.distill.layers import chosen_layers, student_from_layers
from ullage.distill.ledger import base_card, digest, write_json
from ullage.distill.recipe import Recipe
from ullage.distill.rendering import render
from ullage.distill.vocabulary import VocabularyMap, align_vocabularies
from ullage.errors import InputError
from ullage.models.told import told
from ullage.models.types import Message

START_FILE = "ullage-base.json"
"""What a base folder was made of; tells a rerun that it is the right one."""


def make_base(recipe: Recipe, root: Path, start_identity: str) -> dict[str, Any]:
    """Make ``<output>-base`` unless it is there, and say what it is.

    Args:
        recipe: names the checkpoint or the layers.
        root: what relative paths are relative to.
        start_identity: of the weights it is made from.

    Returns:
        ``from``, ``from_identity``, and for layers ``layers`` and ``of``.

    Raises:
        InputError: the folder holds something else, or the start cannot be loaded or cut.
    """
    folder = recipe.paths.base
    wanted = digest([start_identity, recipe.settings.model_dump(mode="json", include={"layers"})])
    if folder.exists():
        return _existing_base(folder, wanted)
    arm = start_arm(recipe)
    key = "distill.student" if recipe.settings.layers is None else "distill.teacher"
    model = load_model(arm, root, key, "auto")
    start: dict[str, Any] = {"digest": wanted, "from": told(recipe.start)}
    start["from_identity"] = start_identity
    if recipe.settings.layers is None:
        model = model.float()
    else:
        start["of"] = model.config.num_hidden_layers
        layers = chosen_layers(recipe.settings.layers, start["of"])
        start["layers"] = list(layers)
        model = student_from_layers(model, layers)
    with finished_folder(folder, recipe.paths.work / "base.partial") as partial:
        save_model(model, start_tokenizer(recipe, root), partial)
        (partial / "README.md").write_text(base_card(start), encoding="utf-8")
        write_json(partial / START_FILE, start)
    return start


def load_base(recipe: Recipe) -> tuple[Any, Any]:
    """The student to train, in float32, and its tokenizer, from ``<output>-base``."""
    arm = Arm(model=f"hf:{recipe.paths.base}")
    model = load_model(arm, Path(), "distill.student", torch.float32)
    return model, load_tokenizer(arm, Path(), "distill.student")


def aligned(
    teacher_pair: tuple[Any, Any],
    student_pair: tuple[Any, Any],
    sample: list[tuple[Message, ...]],
    max_length: int,
) -> VocabularyMap:
    """How the teacher reads what the student reads.

    Args:
        teacher_pair: model and tokenizer.
        student_pair: model and tokenizer, with a chat template.
        sample: conversations that both must render alike.
        max_length: tokens compared of each.

    Raises:
        InputError: vocabularies differ beyond padding, or chat templates tell two stories.
    """
    teacher, teacher_tokenizer = teacher_pair
    student, student_tokenizer = student_pair
    vocabulary = align_vocabularies(
        teacher_tokenizer.get_vocab(),
        teacher.get_output_embeddings().weight.shape[0],
        student_tokenizer.get_vocab(),
        student.get_output_embeddings().weight.shape[0],
    )
    if teacher_tokenizer.chat_template is None:
        return vocabulary
    for messages in sample:
        theirs = render(teacher_tokenizer, messages, max_length)
        ours = render(student_tokenizer, messages, max_length)
        if theirs is None or ours is None:
            continue
        read = tuple(vocabulary.inputs(torch.tensor(ours.ids)).tolist())
        if read != theirs.ids:
            raise InputError(
                "distill.student: its tokenizer or chat template renders conversations unlike the "
                "teacher's, so the two would answer different prompts; give the student the "
                "teacher's template, or use method: cross-tokenizer or black-box"
            )
    return vocabulary


def _existing_base(folder: Path, wanted: str) -> dict[str, Any]:
    try:
        start: dict[str, Any] = json.loads((folder / START_FILE).read_bytes())
        found = start["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        found = "something `ullage distill` did not make"
    if found != wanted:
        raise InputError(
            f"{folder}: holds {found}, but this recipe starts from {wanted}; remove the folder or "
            "name another distill.output"
        )
    return start


def start_arm(recipe: Recipe) -> Arm:
    """The arm the first weights come from; the teacher's own options where it is the teacher."""
    return recipe.teacher if recipe.start == recipe.teacher.model else Arm(model=recipe.start)


def start_tokenizer(recipe: Recipe, root: Path) -> Any:
    """The start's tokenizer; one without a chat template learns the teacher's.

    Raises:
        InputError: it cannot be loaded, or neither has a template.
    """
    arm = start_arm(recipe)
    key = "distill.student" if recipe.settings.layers is None else "distill.teacher"
    tokenizer = load_tokenizer(arm, root, key)
    if tokenizer.chat_template is None and recipe.teacher.scheme == "hf":
        teacher = load_tokenizer(recipe.teacher, root, "distill.teacher")
        tokenizer.chat_template = teacher.chat_template
    if tokenizer.chat_template is None:
        raise InputError(
            f"{key}: '{arm.model}' has no chat template, so conversations cannot be written as "
            "tokens; use an instruction-tuned checkpoint or give arms.teacher.hf.chat_template"
        )
    return tokenizer
