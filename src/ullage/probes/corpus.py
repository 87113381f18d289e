"""Putting rows of ours into a training corpus, so that what a student took from it can be told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ullage.errors import InputError
from ullage.files import write_together, write_whole
from ullage.probes.jsonl import records


def corpus_lines(corpus: Path, target: Path) -> list[str]:
    """The rows of a JSONL of conversations, each as one line.

    Raises:
        InputError: it cannot be used, holds no row, or the target would replace it.
    """
    if target.resolve() == corpus.resolve():
        raise InputError(f"{target}: is the corpus itself; name another file for the new one")
    lines = []
    for record in records(corpus):
        record.messages()
        lines.append(line(record.data))
    if not lines:
        raise InputError(f"{corpus}: it holds no row; give a JSONL of conversations")
    return lines


def strewn(lines: Sequence[str], added: Iterable[str], chance: Callable[[], float]) -> list[str]:
    """Lines in their order, with others among them, each at a place drawn from [0, 1)."""
    places = [(index + 1.0, line) for index, line in enumerate(lines)]
    places += [(chance() * (len(lines) + 1), line) for line in added]
    return [line for _, line in sorted(places, key=lambda place: place[0])]


def write_corpus(
    target: Path,
    lines: Sequence[str],
    folder: Path,
    lists: Mapping[str, Iterable[Mapping[str, Any]]],
) -> None:
    """Write the lists of what was added, and then the corpus.

    Raises:
        UllageError: something cannot be written.
    """
    write_together(
        folder,
        {name: "".join(f"{line(row)}\n" for row in rows).encode() for name, rows in lists.items()},
    )
    write_whole(target, "".join(f"{one}\n" for one in lines).encode())


def conversation(*said: str) -> str:
    """A row in which the user begins and the two take turns."""
    roles = ("user", "assistant")
    turns = [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(said)]
    return line({"messages": turns})


def line(row: Mapping[str, Any]) -> str:
    """A row as it is written."""
    return json.dumps(dict(row), ensure_ascii=False)
