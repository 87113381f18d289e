"""CSV and Parquet: one row a finding, or one row a score."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ullage.statement.exports.rows import Row
from ullage.statement.exports.snapshot import shown

_TYPES = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
_FORMULA = r"^(\s*[=+\-@＝＋－＠])"
"""What a spreadsheet would compute, were it to open the file: some skip blanks before it, and where
people write full-width signs some take those too (OWASP, CSV injection)."""


def findings_table(rows: Sequence[Row]) -> pa.Table:
    """The rows as a table whose columns are those of `Row`, empty or not."""
    return pa.Table.from_pylist(
        [row.model_dump() for row in rows],
        schema=pa.schema(
            (name, _TYPES[(get_args(field.annotation) or (field.annotation,))[0]])
            for name, field in Row.model_fields.items()
        ),
    )


def items_table(scores: pa.Table) -> pa.Table:
    """The score table of a run in plain columns, its texts safe to show."""
    columns = {}
    for name in scores.schema.names:
        column = scores[name]
        if pa.types.is_floating(column.type):
            columns[name] = column
            continue
        texts = pc.dictionary_encode(column.cast(pa.string())).combine_chunks()
        texts = texts.chunk(0) if isinstance(texts, pa.ChunkedArray) else texts
        said = pa.array([shown(text) for text in texts.dictionary.to_pylist()], pa.string())
        columns[name] = said.take(texts.indices)
    return pa.table(columns)


def to_csv(table: pa.Table) -> bytes:
    """Comma-separated, UTF-8, one header line; a text that is a formula gets an apostrophe."""
    for index, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            safe = pc.replace_substring_regex(table.column(index), _FORMULA, r"'\1")
            table = table.set_column(index, field, safe)
    buffer = io.BytesIO()
    pa_csv.write_csv(table, buffer)
    return buffer.getvalue()


def to_parquet(table: pa.Table, about: Mapping[str, str]) -> bytes:
    """Parquet (zstd), with what the table is about in the file's metadata."""
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(dict(about)), buffer, compression="zstd")
    return buffer.getvalue()
