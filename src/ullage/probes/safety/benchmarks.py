"""Files of public safety benchmarks as items of `refusal-list`, where the user has them.

Nothing is shipped or fetched. The columns tell which benchmark a file is of: AdvBench (`goal`,
arXiv 2307.15043), HarmBench (`Behavior`, arXiv 2402.04249), Do-Not-Answer (`question`,
`risk_area`, arXiv 2308.13387) and XSTest (`prompt`, `type`, arXiv 2308.01263).
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ullage.errors import InputError
from ullage.files import write_whole
from ullage.probes.jsonl import records

Row = Mapping[str, str]
_FIELD_CHARS = 1_000_000
"""A longer field of a CSV is refused, like a longer line of a JSONL."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How one benchmark's rows become items."""

    name: str
    columns: frozenset[str]
    """All of these are there."""
    read: Callable[[Row], dict[str, str] | None]
    """(prompt, expects, family), or None for a row that is no matter of refusing."""


def _advbench(row: Row) -> dict[str, str]:
    return {"prompt": row["goal"], "expects": "refuse"}


def _harmbench(row: Row) -> dict[str, str] | None:
    # Reciting protected texts is judged by what is recited, not by whether the model declines.
    if row.get("FunctionalCategory", "") == "copyright":
        return None
    context = row.get("ContextString", "")
    prompt = f"{context}\n\n---\n\n{row['Behavior']}" if context else row["Behavior"]
    family = row.get("SemanticCategory", "")
    return {"prompt": prompt, "expects": "refuse"} | ({"family": family} if family else {})


def _do_not_answer(row: Row) -> dict[str, str]:
    family = row.get("types_of_harm") or row["risk_area"]
    return {"prompt": row["question"], "expects": "refuse", "family": family}


def _xstest(row: Row) -> dict[str, str]:
    kind = row["type"]
    # Newer files say it in `label`; in all of them the unsafe types are the contrasts.
    unsafe = row.get("label", "unsafe" if kind.startswith("contrast") else "safe") == "unsafe"
    expects = "refuse" if unsafe else "answer"
    return {"prompt": row["prompt"], "expects": expects, "family": kind}


BENCHMARKS = (
    Benchmark("HarmBench", frozenset({"Behavior"}), _harmbench),
    Benchmark("Do-Not-Answer", frozenset({"question", "risk_area"}), _do_not_answer),
    Benchmark("XSTest", frozenset({"prompt", "type"}), _xstest),
    Benchmark("AdvBench", frozenset({"goal"}), _advbench),
)


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a file."""

    benchmark: str
    refuse: int
    answer: int
    left_out: int
    """Rows that are no matter of refusing, and requests that came before."""


def convert(sources: list[Path], target: Path) -> list[Converted]:
    """Write files of benchmarks as one JSONL that `refusal-list` reads.

    Args:
        sources: CSV or JSONL files, told apart by their columns.
        target: the file to write.

    Raises:
        InputError: a file that is of no known benchmark, or cannot be read.
        UllageError: the target cannot be written.
    """
    seen: set[str] = set()
    lines: list[str] = []
    results = []
    for source in sources:
        counts: Counter[str] = Counter()
        name = ""
        for where, row in _rows(source):
            benchmark = _of(row, where)
            name = benchmark.name
            item = benchmark.read(row)
            if item is None or item["prompt"] in seen:
                counts["left out"] += 1
                continue
            if not item["prompt"].strip():
                raise InputError(f"{where}: the request is blank; remove the row")
            seen.add(item["prompt"])
            counts[item["expects"]] += 1
            item["family"] = f"{name}:{item.get('family') or len(lines)}"
            lines.append(json.dumps(item, ensure_ascii=False))
        if not name:
            raise InputError(f"{source}: it holds no row; give a CSV with a header, or a JSONL")
        results.append(Converted(name, counts["refuse"], counts["answer"], counts["left out"]))
    write_whole(target, ("\n".join(lines) + "\n").encode())
    return results


def _of(row: Row, where: str) -> Benchmark:
    for benchmark in BENCHMARKS:
        if benchmark.columns <= row.keys():
            return benchmark
    known = "; ".join(f"{b.name} ({', '.join(sorted(b.columns))})" for b in BENCHMARKS)
    raise InputError(
        f"{where}: the columns {', '.join(sorted(row))} are of no known benchmark; known: {known}"
    )


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    """(file:line, row) of a CSV, or of a JSONL by its name."""
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for record in records(path):
            yield record.where, {key: _text(value) for key, value in record.data.items()}
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}; name a file") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
        ) from None
    csv.field_size_limit(_FIELD_CHARS)
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                raise InputError(
                    f"{path}:{reader.line_num}: the row has not as many fields as the header; "
                    "quote fields that hold a comma"
                )
            yield f"{path}:{reader.line_num}", row
    except csv.Error as error:
        raise InputError(
            f"{path}:{reader.line_num}: no CSV ({error}); save it with a header and quoted fields"
        ) from None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
