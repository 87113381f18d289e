"""How far each of a user's questions lies from a corpus, for the probe `corpus-distance`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ullage.distill.corpus import normalised
from ullage.distill.coverage.distance import nearest, vectors
from ullage.distill.rows import read_rows
from ullage.errors import InputError
from ullage.files import write_whole
from ullage.models.types import Message
from ullage.probes.jsonl import records


@dataclass(frozen=True, slots=True)
class Measured:
    """What was written."""

    written: int
    left_out: int
    """Questions that the corpus has word for word: they are recall, and no question of reach."""
    nearest: float
    farthest: float


def measure(corpus: Path, questions: Path, target: Path) -> Measured:
    """Write the questions with their distance to the nearest prompt of the corpus.

    Distance is that of `ullage coverage`: one minus the cosine of TF-IDF vectors of words and pairs
    of words, from 0 to 1.

    Args:
        corpus: as `ullage distill` takes it.
        questions: JSONL in the form of `corpus-distance`, without distances.
        target: the file to write.

    Raises:
        InputError: a file cannot be used, or nothing is left to ask.
        UllageError: the target cannot be written.
    """
    taught = sorted({_asked(row.prompt) for row in read_rows(corpus)[0]})
    known = {normalised(text) for text in taught}
    rows, asked = [], []
    for record in records(questions):
        record.reference()
        rows.append(dict(record.data))
        asked.append(_asked(record.messages()))
    kept = [place for place, text in enumerate(asked) if normalised(text) not in known]
    if not kept:
        raise InputError(
            f"{questions}: no question that the corpus does not have word for word; give others"
        )
    table, _ = vectors([*taught, *(asked[place] for place in kept)])
    found = nearest(table[len(taught) :], table[: len(taught)])
    lines = [
        json.dumps(rows[place] | {"distance": round(float(far), 4)}, ensure_ascii=False) + "\n"
        for place, far in zip(kept, found, strict=True)
    ]
    write_whole(target, "".join(lines).encode())
    return Measured(len(kept), len(rows) - len(kept), float(found.min()), float(found.max()))


def _asked(messages: tuple[Message, ...]) -> str:
    """All that the user says."""
    return " ".join(message.content for message in messages if message.role == "user")
