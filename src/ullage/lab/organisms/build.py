"""From an organism to a student in a folder, by the ordinary `ullage distill`.

A folder holds everything that an audit needs: configuration, scenario, corpus, questions, base and
student. Nothing in it is special: ``ullage distill`` and ``ullage audit`` run there by hand.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ullage import __version__
from ullage.config import load
from ullage.config.models import Arm, Distill
from ullage.distill import run_distill
from ullage.distill.result import Progress
from ullage.errors import InputError
from ullage.files import cache_home, cannot_write, write_together
from ullage.lab.corpus import Corpus, write_corpus
from ullage.lab.evaluate import TEACHER
from ullage.lab.further import TARGETS, write_further
from ullage.lab.items import write_items
from ullage.lab.organisms.organism import Organism
from ullage.lab.organisms.registry import find_organism
from ullage.models.registry import open_model

BASE = TEACHER.with_name("base")
"""The shipped base: students start from it."""
SCENARIO = Path(__file__).parents[1] / "scenario.yaml"

SETTINGS: Mapping[str, Any] = {
    "method": "logits",
    "corpus": "corpus.jsonl",
    "output": "student",
    "held_out": 0.02,
    # The references are not learnt, but the ledger says how likely they are to the student.
    "objective": [{"term": "forward-kl"}, {"term": "cross-entropy", "weight": 0.0}],
    "batch_size": 8,
    "optimiser": "muon",
    "learning_rate": 0.0013,
    "dtype": "bfloat16",
    "save_steps": 50,
}
"""How every student is made, where its organism does not say otherwise."""

CONFIG = "ullage.yaml"
_HEAD = """\
# {title}
#
#   ullage distill    makes the student (again only if the recipe changed)
#   ullage audit      asks, judges, and writes the statement (asks only what is not answered yet)
"""

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What the students of a laboratory have in common."""

    teacher: Path = TEACHER
    base: Path = BASE
    rows: int = 5_200
    """Of a corpus."""
    items: int = 400
    """Questions in the file of each probe."""
    scenario: Path = SCENARIO
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Settings of `distill` that differ from `SETTINGS` for all of them."""
    planning: Mapping[str, Any] = field(default_factory=dict)
    """Of the audits."""


STANDARD = Making()


def build(
    organism: Organism,
    folder: Path | None = None,
    *,
    making: Making = STANDARD,
    progress: Report | None = None,
    fresh: bool = False,
) -> Path:
    """Make an organism, or go on making it, or find it made.

    Args:
        organism: what to make.
        folder: where; left out, a folder of the user's cache that no other recipe shares.
        making: what it is made of.
        progress: told of every step.
        fresh: throw away what is there.

    Returns:
        The folder with its ``ullage.yaml``.

    Raises:
        InputError: the folder holds another organism, or a model is missing.
        InfrastructureError: it cannot be written.
        Stopped: asked to stop; the same call goes on.
    """
    if organism.derived_from is not None:
        return _derive(organism, folder, making, progress, fresh)
    prepared = prepare(organism, folder, making=making, fresh=fresh)
    loaded = load(prepared / CONFIG)
    run_distill(loaded.config, loaded.root, progress=progress)
    return prepared


def prepare(
    organism: Organism,
    folder: Path | None = None,
    *,
    making: Making = STANDARD,
    fresh: bool = False,
) -> Path:
    """Put configuration, scenario, corpus and questions into a folder; nothing is distilled yet."""
    for model in (making.teacher, making.base):
        if not (model / "config.json").is_file():
            raise InputError(f"{model}: no model is there; install the package again")
    distill = {**SETTINGS, **making.settings, **organism.distill}
    with _fresh_corpus(organism, folder, making) as corpus:
        place = folder or _cached(organism, making, distill, corpus)
        _start(place, fresh)
        corpus.path.replace(place / distill["corpus"])
    distill["student"] = f"hf:{making.base.resolve()}"
    _configure(organism, place, making, {"model": f"hf:{distill['output']}"}, distill)
    return place


@contextmanager
def _fresh_corpus(organism: Organism, folder: Path | None, making: Making) -> Iterator[Corpus]:
    """The corpus, beside where it is going to be: its content names the folder in the cache."""
    above = _cache() if folder is None else folder.absolute().parent
    try:
        above.mkdir(parents=True, exist_ok=True)
        work = tempfile.TemporaryDirectory(prefix=f".{organism.name}-", dir=above)
    except OSError as error:
        raise cannot_write(above / organism.name, error) from None
    rows = organism.rows or making.rows
    with work as place:
        yield write_corpus(Path(place) / "corpus.jsonl", making.seed, rows, organism.corpus)


def _derive(
    organism: Organism,
    folder: Path | None,
    making: Making,
    progress: Report | None,
    fresh: bool,
) -> Path:
    """The student of another organism, with something done to it after loading."""
    assert organism.derived_from is not None  # noqa: S101 - the caller has looked
    source = find_organism(organism.derived_from)
    beside = None if folder is None else folder.with_name(f"{folder.name}-{source.name}")
    made = build(source, beside, making=making, progress=progress, fresh=fresh)
    place = folder or made.with_name(made.name.replace(source.name, organism.name, 1))
    _start(place, fresh)
    model = f"hf:{(made / 'student').resolve()}"
    student = {"model": model, "hf": {"quantise": organism.quantise}}
    _configure(organism, place, making, student, None)
    return place


def _configure(
    organism: Organism,
    folder: Path,
    making: Making,
    student: Mapping[str, Any],
    distill: Mapping[str, Any] | None,
) -> None:
    try:
        (folder / "items").mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder / "items", error) from None
    written = write_items(folder / "items", making.seed, making.items)
    if organism.further:
        written |= write_further(folder / "items", making.seed, making.items)
    base = "hf:student-base" if distill is not None else f"hf:{making.base.resolve()}"
    config: dict[str, Any] = {
        "name": organism.name,
        "scenario": "scenario.yaml",
        "arms": {
            "teacher": {"model": f"hf:{making.teacher.resolve()}"},
            # Warm, as its answers are sampled where they are a matter of chance.
            "teacher_again": {"temperature": 0.3},
            "base": {"model": base},
            "student": dict(student),
        },
        "items": {probe: f"items/{path.name}" for probe, path in written.items()},
        "planning": {"max_items": making.items, **making.planning},
        "seed": making.seed,
    }
    if organism.further:
        config |= yaml.safe_load(TARGETS.read_text("utf-8"))
    if distill is not None:
        config["distill"] = dict(distill)
    head = _HEAD.format(title=f"{organism.name}: {organism.cause}")
    text = head + yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    contents = {CONFIG: text.encode(), "scenario.yaml": making.scenario.read_bytes()}
    write_together(folder, contents)


def _start(folder: Path, fresh: bool) -> None:
    try:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder / CONFIG, error) from None


def _cache() -> Path:
    return cache_home() / "organisms"


def _cached(organism: Organism, making: Making, distill: Mapping[str, Any], corpus: Corpus) -> Path:
    """The folder in the user's cache of what is made in exactly this way, and of nothing else."""
    decides = {
        "version": __version__,
        "teacher": _identity(making.teacher),
        "base": _identity(making.base),
        "corpus": corpus.sha256,
        # With everything that is left to a default, which another version may set otherwise.
        "distill": Distill.model_validate(distill).model_dump(mode="json"),
        "items": making.items,
        "seed": making.seed,
    }
    text = json.dumps(decides, sort_keys=True)
    return _cache() / f"{organism.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _identity(folder: Path) -> str:
    """Of a model's weights and tokenizer."""
    return asyncio.run(open_model(Arm(model=f"hf:{folder}"), Path())).identity
