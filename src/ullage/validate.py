"""`ullage validate`: everything that can be found wrong without asking anything."""

from __future__ import annotations

from ullage.audit import arm_models, set_up
from ullage.config import Loaded
from ullage.errors import UllageError
from ullage.models.registry import check_model


def validate_all(loaded: Loaded) -> list[str]:
    """Problems with a configuration's models, probes and data, one line each; empty if none."""
    problems = []
    for role, arm in arm_models(loaded).items():
        if role != "teacher_again":
            problems += [f"arms.{role}: {problem}" for problem in check_model(arm, loaded.root)]
    try:
        setup = set_up(loaded)
    except UllageError as error:
        return [*problems, str(error)]
    for probe in setup.probes.values():
        if next(iter(probe.items(loaded.config.seed)), None) is None:
            problems.append(f"{probe.name}: has no items; give it at least one")
    if loaded.config.distill is not None:
        corpus = loaded.resolve(loaded.config.distill.corpus)
        if not corpus.is_file():
            problems.append(f"distill.corpus: {corpus}: no such file; give a JSONL of prompts")
    return problems
