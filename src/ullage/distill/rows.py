"""Conversations from files: JSONL, Parquet, and folders that `datasets` saved.

Whatever the container, a row is one of ``{"messages": [{"role", "content"}, ...]}``,
``{"conversations": [{"from", "value"}, ...]}`` (ShareGPT) and ``{"prompt", "completion"}``, and may
have its answer under ``"reference"``, and under ``"rationale"`` how that is come by.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ullage.errors import InputError
from ullage.models.types import Message

_ROLES = ("system", "user", "assistant")
_SPEAKERS = {"human": "user", "gpt": "assistant"}
"""ShareGPT's names of roles."""


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation to learn from."""

    line: int
    """Where it stands in the file, from 1."""
    prompt: tuple[Message, ...]
    """Everything before the final answer; the last turn is the user's."""
    reference: str | None
    """The final answer the corpus gives, where it gives one."""
    rationale: str | None = None
    """How that answer is come by, where somebody says so."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation, with its reference where there is one."""
        if self.reference is None:
            return self.prompt
        return (*self.prompt, Message("assistant", self.reference))


def read_rows(path: Path) -> tuple[list[Row], str]:
    """The rows of a corpus and the sha256 of its bytes.

    Args:
        path: a JSONL file, a Parquet file or a folder of them, or a folder that
            ``Dataset.save_to_disk`` wrote (of a ``DatasetDict``, its split ``train``).

    The final answer is the last message if that is the assistant's, or ``"reference"``, or
    ``"completion"``. Other keys and columns are kept by their owner and ignored.

    Raises:
        InputError: naming file, line or row, what was found and what would do.
    """
    hasher = hashlib.sha256()
    rows: list[Row] = []
    for file in _files(path):
        try:
            raw = file.read_bytes()
        except OSError as error:
            raise InputError(
                f"{file}: cannot be read ({error.strerror}); distill.corpus wants a JSONL or "
                "Parquet file, or a folder that datasets saved"
            ) from None
        hasher.update(raw)
        before = rows[-1].line if rows else 0
        rows += [_row(where, before + number, data) for where, number, data in _records(file, raw)]
    if not rows:
        raise InputError(
            f'{path}: holds no conversation; write one {{"messages": [...]}} object a line'
        )
    return rows, hasher.hexdigest()


def _files(path: Path) -> list[Path]:
    """The files of a corpus, in order."""
    if not path.is_dir():
        return [path]
    if (path / "dataset_dict.json").is_file():
        path = path / "train"
    state = path / "state.json"
    if state.is_file():
        try:
            found = json.loads(state.read_bytes())["_data_files"]
            return [path / Path(entry["filename"]).name for entry in found]
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(
                f"{state}: names no data files; save the dataset again with save_to_disk"
            ) from None
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise InputError(
            f"{path}: a folder with neither Parquet files nor a split `train` that datasets saved; "
            "name the file, or the split's folder"
        )
    return files


def _records(path: Path, raw: bytes) -> Iterator[tuple[str, int, Any]]:
    """Each row's place in words, its number from 1, and its data."""
    if path.suffix in (".parquet", ".arrow"):
        try:
            # A copy in memory, which is hashed as well: the file cannot change in between.
            source = pa.BufferReader(raw)
            if path.suffix == ".parquet":
                table = pq.read_table(source)
            else:
                table = pa.ipc.open_stream(source).read_all()
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).split("\n")[0][:120]
            raise InputError(
                f"{path}: not readable as {path.suffix[1:]} ({reason}); write the file again"
            ) from None
        for number, data in enumerate(table.to_pylist(), start=1):
            yield f"{path}, row {number}", number, data
        return
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: not UTF-8 at byte {error.start}; save the corpus as UTF-8"
        ) from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                yield where, number, json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(
                    f"{where}: not JSON ({error.msg}); write one object a line"
                ) from None


def _row(where: str, number: int, data: Any) -> Row:
    messages, reference = _turns(data) if isinstance(data, dict) else (None, None)
    if not isinstance(messages, list) or not messages:
        raise InputError(
            f'{where}: no "messages" list; write {{"messages": [{{"role": "user", '
            f'"content": "..."}}, ...]}}'
        )
    turns = [_message(where, index, message) for index, message in enumerate(messages)]
    if reference is not None and not isinstance(reference, str):
        raise InputError(f'{where}: "reference" is {type(reference).__name__}; write a string')
    if turns[-1].role == "assistant":
        if reference is not None:
            raise InputError(
                f'{where}: has both a final assistant message and a "reference"; keep one'
            )
        reference = turns.pop().content
    if not turns or turns[-1].role != "user":
        raise InputError(
            f"{where}: no user turn before the answer; end the prompt with the user's message"
        )
    if reference is not None and not reference.strip():
        raise InputError(f"{where}: the reference is empty; write an answer or leave it out")
    rationale = data.get("rationale")
    if rationale is not None and not (isinstance(rationale, str) and rationale.strip()):
        raise InputError(
            f'{where}: "rationale" is no text; write the steps to the answer or leave it out'
        )
    return Row(number, tuple(turns), reference, rationale)


def _turns(data: dict[str, Any]) -> tuple[Any, Any]:
    """The messages of a row in whichever form, and its answer if that stands apart."""
    reference = data.get("reference")
    if data.get("messages") is not None:
        return data["messages"], reference
    if isinstance(data.get("conversations"), list):
        told = [turn if isinstance(turn, dict) else {} for turn in data["conversations"]]
        roles = [_SPEAKERS.get(str(turn.get("from")), turn.get("from")) for turn in told]
        turns = [
            {"role": role, "content": turn.get("value")}
            for role, turn in zip(roles, told, strict=True)
        ]
        return turns, reference
    prompt, answer = data.get("prompt"), data.get("completion")
    if isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    if isinstance(answer, list) and isinstance(prompt, list):
        return prompt + answer, reference
    return prompt, reference if reference is not None else answer


def _message(where: str, index: int, message: Any) -> Message:
    if (
        not isinstance(message, dict)
        or message.get("role") not in _ROLES
        or not isinstance(message.get("content"), str)
    ):
        raise InputError(
            f"{where}: message {index + 1} is not {{role: system|user|assistant, content: text}}; "
            "mend or remove the line"
        )
    return Message(message["role"], message["content"])
