"""`distillation.json`: everything needed to make a student again, and what it never got to see.

Everything outside ``timing`` is a function of recipe, models, corpus and versions, so the
Statement may copy it; `timing` is what one machine took, and stays behind.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ullage import __version__
from ullage.errors import InputError
from ullage.files import write_whole

FILE = "distillation.json"
KIND = "ullage.distillation"
FORMAT = 1


def read_ledger(folder: Path) -> dict[str, Any] | None:
    """The ledger of a student's folder, or None where there is none.

    Raises:
        InputError: there is one and it cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        data = None
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise InputError(
            f"{path}: not a ledger of `ullage distill`; remove the folder or name another output"
        )
    return data


def digest(data: Any) -> str:
    """``sha256:<hex>`` of JSON-ready data in canonical form."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write readable JSON, whole or not at all."""
    write_whole(path, (json.dumps(data, indent=2, ensure_ascii=False) + "\n").encode())


def library_versions() -> dict[str, str]:
    """Of Python and the libraries the weights depend on."""
    names = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def head(recipe: Mapping[str, Any], recipe_digest: str) -> dict[str, Any]:
    """How every ledger begins."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "ullage_version": __version__,
        "recipe": dict(recipe),
        "recipe_digest": recipe_digest,
    }


def card(ledger: Mapping[str, Any]) -> str:
    """README of a student: a model card that says what it is and what is not known of it."""
    recipe, loss, corpus = ledger["recipe"], ledger["loss"], ledger["corpus"]
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-generation",
        "tags: [distillation, ullage]",
        "---",
        "",
        "# A distilled student",
        "",
        f"Made by `ullage distill` {ledger['ullage_version']} (method `{recipe['method']}`) from "
        f"`{ledger['teacher']['model']}`, to minimise {_sum(recipe['objective'])}.",
        "",
        *_origin(ledger),
        "",
        f"It learnt {corpus['train']} conversations of `{corpus['path']}` in {ledger['steps']} "
        f"steps ({ledger['tokens']['train']['supervised']:,} supervised tokens). "
        f"{corpus['held_out']} conversations were held out:",
        "",
        "| on held-out rows | before | after |",
        "|---|---|---|",
        *_loss_rows(loss),
        "",
        "That it says likelier things on rows like these is all this table shows. What it lost of "
        "its teacher elsewhere is for `ullage audit` to say, in a Distillation Loss Statement.",
        "",
        f"`{FILE}` beside this file holds everything needed to make it again.",
        "",
    ]
    return "\n".join(lines)


def base_card(start: Mapping[str, Any]) -> str:
    """README of the student before distillation."""
    return "\n".join(
        [
            "# The student before distillation",
            "",
            f"Made by `ullage distill` from `{start['from']}`"
            + (f", layers {start['layers']}" if start.get("layers") else "")
            + ". It has learnt nothing yet: it is the `base` arm of an audit, which tells what the "
            "student lost from what it never had.",
            "",
        ]
    )


def _origin(ledger: Mapping[str, Any]) -> Iterable[str]:
    layers = ledger["layers"]
    if layers is None:
        return [f"It started from the checkpoint `{ledger['base']['from']}`."]
    return [
        f"It started from {len(layers['kept'])} of the teacher's {layers['of']} layers "
        f"(numbers {', '.join(map(str, layers['kept']))})."
    ]


def _sum(terms: Iterable[Mapping[str, Any]]) -> str:
    """An objective in a line: ``0.9 forward_kl + 0.1 cross_entropy``."""
    return " + ".join(f"{_weight(term['weight'])} {term['name']}" for term in terms)


def _weight(weight: float | Mapping[str, Any]) -> str:
    return (
        f"{weight['start']:g}→{weight['end']:g}" if isinstance(weight, Mapping) else f"{weight:g}"
    )


def _loss_rows(loss: Mapping[str, Any]) -> list[str]:
    before, after = loss["base_held_out"], loss["held_out"]
    if after is None:
        return ["| nothing was held out | | |"]
    return [
        f"| {name}, {loss['units'][name]} | {before[name]:.4f} | {after[name]:.4f} |"
        for name in after
    ]
